//! The command line, parsed into typed values, and the texts of its help.

use std::{convert::Infallible, net::IpAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use shared::{secret::Secret, settings::BaseUrl, units::parse_duration};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "ci-runners-dev",
    version,
    about = "Programs for the development of CI Runners: a demo and an emulated GitHub",
    after_long_help = EXIT_STATUSES,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Dev {
    /// What to run.
    #[command(subcommand)]
    pub command: Command,
}

/// One of the commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a queue, monitors and runners at work on this machine, with an emulated GitHub
    #[command(long_about = DEMO_ABOUT, after_long_help = help_end(DEMO_EXAMPLES))]
    Demo(Demo),
    /// Run an emulated GitHub, to try a monitor without the real one
    #[command(long_about = EMULATOR_ABOUT, after_long_help = help_end(EMULATOR_EXAMPLES))]
    Emulator(Emulator),
    /// Run one job as a runner of the emulated GitHub; monitors start this command
    #[command(long_about = AGENT_ABOUT, after_long_help = help_end(AGENT_EXAMPLES))]
    Agent(Agent),
}

/// `ci-runners-dev demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Exit after the jobs, with status 0 only if every job ended as expected
    #[arg(long)]
    pub exit: bool,

    /// After the jobs, keep the queue moving with further ones until Ctrl-C
    #[arg(long, conflicts_with = "exit")]
    pub keep_busy: bool,

    /// Use four ports from this one on: two monitors, the queue, GitHub
    #[arg(long, value_name = "PORT", default_value_t = 8000, value_parser = clap::value_parser!(u16).range(1..=65_532))]
    pub port_base: u16,

    /// The port of the first monitor [default: the port base]
    #[arg(long, value_name = "PORT")]
    pub monitor_a_port: Option<u16>,

    /// The port of the second monitor [default: the port base + 1]
    #[arg(long, value_name = "PORT")]
    pub monitor_b_port: Option<u16>,

    /// The port of the queue [default: the port base + 2]
    #[arg(long, value_name = "PORT")]
    pub queue_port: Option<u16>,

    /// The port of the emulated GitHub [default: the port base + 3]
    #[arg(long, value_name = "PORT")]
    pub github_port: Option<u16>,

    /// Keep settings, state and log in this directory, which must not exist yet
    #[arg(long, value_name = "DIR")]
    pub keep_data: Option<PathBuf>,
}

/// `ci-runners-dev emulator`
#[derive(Debug, Args)]
pub struct Emulator {
    /// The port to listen on; 0 chooses a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub port: u16,

    /// The address to listen on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub listen: IpAddr,
}

/// `ci-runners-dev agent`
#[derive(Debug, Args)]
pub struct Agent {
    /// The base URL of the monitor that started it
    #[arg(long, value_name = "URL", env = "CI_RUNNERS_MONITOR_URL")]
    pub monitor_url: BaseUrl,

    /// The secret that authenticates the guest to the monitor.
    // Hidden, because it belongs into the variable: every account can read a command line.
    #[arg(
        long,
        env = "CI_RUNNERS_GUEST_SECRET",
        hide = true,
        hide_env_values = true,
        value_parser = secret
    )]
    pub guest_secret: Option<Secret>,

    /// How long the monitor or GitHub may be unreachable before the agent gives up
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    pub give_up_after: Duration,
}

/// Accepts any text as a secret: clap would print a value that it refuses.
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

fn help_end(examples: &str) -> String {
    format!("{examples}\n\n{EXIT_STATUSES}")
}

const EXIT_STATUSES: &str = "\
Exit status:
    0  done
    1  failed: a port is taken, a server or the agent failed, a job of the demo did not end as
       expected
    2  the command line is wrong, or a variable that the agent needs is not set
  130  the demo was interrupted by Ctrl-C before its summary
  143  the demo was ended by SIGTERM before its summary";

const DEMO_ABOUT: &str = "\
Shows a queue, monitors and runners at work on this machine, with an emulated GitHub.

Starts, in one process but over HTTP on the loopback interface: an emulated GitHub, two monitors, \
each of whose runners is a process of its own, and the queue. Then sends ten jobs at once through \
the requests that curl would send: more jobs than runners, of two profiles, one that needs two \
runners at once, one that no server can satisfy, one with a wrong token. Each job that gets its \
runner executes a shell command there. After a summary everything stays up until Ctrl-C, for you \
to try things; with --keep-busy, further jobs keep the queue moving meanwhile. Settings, state and log are in a temporary directory, which is removed at the end.";

const DEMO_EXAMPLES: &str = "\
Examples:
  cargo demo
  cargo demo --exit --port-base 9000
  cargo demo --keep-busy
  cargo demo --queue-port 9002 --keep-data ./demo-data";

const EMULATOR_ABOUT: &str = "\
Runs an emulated GitHub: it keeps runners, workflow jobs and artifacts in memory, and responds to \
the requests of monitors and queues. At the start it prints the settings for a monitor that \
uses it, and how to queue a workflow job. Ctrl-C ends it.";

const EMULATOR_EXAMPLES: &str = "\
Examples:
  cargo emulator
  cargo emulator --port 9000 --listen 192.168.100.1";

const AGENT_ABOUT: &str = "\
Runs one job as a runner of the emulated GitHub, as the real runner software does at the real \
GitHub: gets its JIT configuration from the monitor, waits for a job, executes its command in a \
shell, and exits. Monitors start it, for profiles with driver = \"command\", and set both variables:

  CI_RUNNERS_MONITOR_URL   the base URL of the monitor
  CI_RUNNERS_GUEST_SECRET  authenticates the guest to the monitor";

const AGENT_EXAMPLES: &str = "\
Example, in monitor.toml:
  [profiles.linux.guest]
  driver = \"command\"
  command = [\"ci-runners-dev\", \"agent\"]";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Dev::command().debug_assert();
    }

    #[test]
    fn a_port_base_leaves_room_for_four_ports() {
        let error = Dev::try_parse_from(["ci-runners-dev", "demo", "--port-base", "65533"]);
        let error = error.unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(
            error.to_string().contains("65533 is not in 1..=65532"),
            "{error}"
        );
    }
}
