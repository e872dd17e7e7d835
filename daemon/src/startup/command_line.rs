//! Options and help of both daemons.

use std::{ffi::OsString, path::PathBuf};

use clap::{CommandFactory, FromArgMatches, Parser};

use super::Daemon;

/// The options of a daemon.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
pub(super) struct Options {
    /// The settings file; a file .env in its folder is read as well
    #[arg(long, value_name = "PATH", default_value = "monitor.toml")]
    pub(super) config: PathBuf,

    /// Listen on this port instead of the one in the settings; 0 selects a free port
    #[arg(long)]
    pub(super) port: Option<u16>,

    /// Check the settings, print whether they are valid, and exit
    #[arg(long)]
    pub(super) check: bool,
}

const AFTER_HELP: &str = "\
Settings:
  monitor.toml.example explains every setting and is a file to start from.
  A variable SERVO_CI_MONITOR_<SETTING> overrides a setting: SERVO_CI_MONITOR_LISTEN_ON='[\"::1\"]',
  SERVO_CI_MONITOR_QUEUE__PORT=8002, SERVO_CI_MONITOR_PROFILES__LINUX__TARGET_COUNT=4.
  Secrets are read from the variables GITHUB_TOKEN and SERVO_CI_MONITOR_API_TOKEN. Every variable
  can be set in .env instead. RUST_LOG selects what is logged, for example RUST_LOG=debug.

Exit status:
  0  regular end
  1  could not listen, or failed later
  2  invalid command line or setting";

impl Options {
    /// Parses the arguments of `daemon`, the name of the program first.
    ///
    /// # Errors
    /// When they are invalid, or ask for help or the version.
    pub(super) fn parse(
        daemon: Daemon,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, clap::Error> {
        let command = Self::command().name(daemon.name()).about(about(daemon));
        Self::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }
}

fn about(daemon: Daemon) -> &'static str {
    match daemon {
        Daemon::Monitor => {
            "Keeps a pool of single-use runners for GitHub Actions on this host, and reserves them \
             for jobs. Ends on SIGTERM or Ctrl-C."
        }
        Daemon::Queue => {
            "Keeps one queue of jobs in front of all servers, and assigns each job the next runner \
             that becomes idle on any of them. Ends on SIGTERM or Ctrl-C."
        }
    }
}
