//! `ci-runners-dev demo`: a queue, two monitors, runners and an emulated GitHub at work, in one
//! process but over HTTP, with child processes as runners.
//!
//! - `ports`, `data_dir`, `servers`: the addresses, files and settings of the demo
//! - `daemons`, `children`: start and stop the daemons and the runners
//! - `jobs`: the jobs that are sent; `run`: runs them; `workflow_job`: their part at GitHub
//! - `keep_busy`: further jobs, which keep the queue moving
//! - `progress`, `readiness`: show what happens, and wait until all runners are idle
//! - `report`, `next_steps`: the summary, and what to try next
//!
//! This file is responsible for the order of it all, and for how the demo ends.

mod children;
mod daemons;
mod data_dir;
mod jobs;
mod keep_busy;
mod next_steps;
mod ports;
mod progress;
mod readiness;
mod report;
mod run;
mod servers;
mod workflow_job;

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    pin::pin,
    rc::Rc,
    time::Duration,
};

use cli::{exit::Exit, failure::Failure, format, output, signal::next_signal, terminal::Look};
use http_client::Client;
use shared::settings::Environment;
use tokio::time::timeout;

use self::{
    daemons::Daemons, data_dir::DataDir, jobs::JOBS, ports::Ports, progress::Screen,
    servers::Addresses,
};
use crate::{args::Demo, log, own_executable};

/// How long it may take until all runners are idle, at the start and after the jobs.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long all jobs together may take: some ten seconds, and much more on a busy machine.
const JOBS_TIMEOUT: Duration = Duration::from_secs(120);

const STOPPING: &str = "\nStopping everything.";

/// Runs the command. Ctrl-C after the summary is its regular end.
///
/// # Errors
/// When a daemon cannot be started or ends by itself, or the runners do not become idle in time.
pub async fn demo(args: &Demo, environment: &Environment) -> Result<Exit, Failure> {
    let ports = Ports::from_args(args)?;
    let data_dir = DataDir::create(args.keep_data.as_deref())?;
    log::to_file(environment, data_dir.create_log_file()?);
    let demo = RunningDemo {
        screen: Screen::new(
            io::stdout().is_terminal() && output::stderr_is_terminal(),
            Look::of_stdout(environment),
        ),
        addresses: Addresses::of(ports),
        executable: own_executable()?,
        data_dir: data_dir.path(),
        client: Client::new(),
    };
    let mut daemons = Daemons::start(demo.data_dir, ports, &demo.executable).await?;
    let result = run_until_stopped(args, &demo, &mut daemons).await;
    daemons.stop().await;
    result
}

/// Runs the demo until it is complete, a signal arrives, a daemon ends or the output is closed.
async fn run_until_stopped(
    args: &Demo,
    demo: &RunningDemo<'_>,
    daemons: &mut Daemons,
) -> Result<Exit, Failure> {
    let mut signal = pin!(next_signal());
    let exit = tokio::select! {
        exit = demo.run_jobs() => exit?,
        signal = &mut signal => {
            let signal = signal.map_err(Failure::Signals)?;
            demo.screen.remove_bars();
            demo.screen.print(STOPPING);
            return Ok(Exit::from(signal));
        }
        failure = daemons.next_failure() => return Err(failure),
        error = demo.screen.closed() => return Err(error.into()),
    };
    if args.exit {
        return Ok(exit);
    }
    let steps = next_steps::next_steps(&demo.addresses, &demo.executable);
    demo.screen.print(&format!("\n{steps}"));
    let busy = async {
        if !args.keep_busy {
            return std::future::pending().await;
        }
        let count = keep_busy::JOB_COUNT;
        let text = format!("\nKeeping the queue busy with {count} jobs at a time.");
        demo.screen.print(&text);
        keep_busy::keep_busy(&demo.addresses).await
    };
    tokio::select! {
        signal = &mut signal => {
            signal.map_err(Failure::Signals)?;
            demo.screen.print(STOPPING);
            Ok(exit)
        }
        failure = daemons.next_failure() => Err(failure),
        error = demo.screen.closed() => Err(error.into()),
        never = busy => match never {},
    }
}

/// A demo whose daemons run.
struct RunningDemo<'a> {
    screen: Rc<Screen>,
    addresses: Addresses,
    executable: PathBuf,
    data_dir: &'a Path,
    client: Client,
}

impl RunningDemo<'_> {
    /// Waits for the runners, sends the jobs and prints the summary.
    async fn run_jobs(&self) -> Result<Exit, Failure> {
        self.screen.print(&self.introduction());
        self.until_ready("at the start").await?;
        let elapsed = format::short_duration(self.screen.elapsed());
        let count = JOBS.len();
        self.screen.print(&format!(
            "All runners are idle after {elapsed}. Sending {count} jobs at once.\n"
        ));
        let outcomes = timeout(JOBS_TIMEOUT, run::run_all(&self.addresses, &self.screen)).await;
        self.screen.remove_bars();
        let outcomes = outcomes.map_err(|_| self.timed_out("finish all jobs", JOBS_TIMEOUT))?;
        let summary = report::summary(&JOBS, &outcomes, self.screen.look());
        self.screen.print(&format!("\n{summary}\n"));
        self.until_ready("again after the jobs").await?;

        let problems = report::problems(&JOBS, &outcomes);
        if problems.is_empty() {
            self.screen
                .print_good("All jobs ended as expected, and all runners are idle again.");
            return Ok(Exit::Done);
        }
        for problem in problems {
            self.screen.print(&format!("Not as expected: {problem}"));
        }
        Ok(Exit::Failed)
    }

    fn introduction(&self) -> String {
        let (data_dir, github) = (self.data_dir.display(), &self.addresses.github);
        let (queue, [a, b]) = (&self.addresses.queue, &self.addresses.monitors);
        format!(
            "\
Started, in this process:
  an emulated GitHub   {github}
  monitor of server a  {a}
  monitor of server b  {b}
  queue                {queue}
Settings, state and log are in {data_dir}.
Server a keeps 2 linux runners, server b 1 linux and 1 macos runner. Each runner
is a process of its own."
        )
    }

    async fn until_ready(&self, when: &str) -> Result<(), Failure> {
        let queue = self.addresses.queue.parse().expect("it is a base URL");
        let ready = timeout(READY_TIMEOUT, readiness::until_ready(&self.client, &queue)).await;
        ready.map_err(|_| self.timed_out(&format!("have all runners idle {when}"), READY_TIMEOUT))
    }

    fn timed_out(&self, what: &str, timeout: Duration) -> Failure {
        let timeout = format::duration(timeout);
        Failure::Other(format!(
            "{what} within {timeout}; run it with --keep-data DIR and read DIR/demo.log"
        ))
    }
}
