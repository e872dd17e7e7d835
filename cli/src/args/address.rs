//! The options that say which queue or monitor a command is about.
//!
//! Not responsible for the addresses that come from the environment or from the configuration file;
//! `addresses` is.

use std::{path::PathBuf, str::FromStr};

use clap::Args;
use shared::settings::{BaseUrl, InvalidBaseUrl};

/// Where addresses come from that the command line does not have.
#[derive(Clone, Debug, Default, Args)]
pub struct FleetArgs {
    /// The fleet of the configuration file whose queue and monitors are meant [env: CI_RUNNERS_FLEET]
    #[arg(long, value_name = "NAME", global = true, help_heading = "Addresses")]
    pub fleet: Option<String>,

    /// The configuration file [default: ~/.config/ci-runners/config.toml] [env: CI_RUNNERS_CONFIG]
    #[arg(long, value_name = "FILE", global = true, help_heading = "Addresses")]
    pub config: Option<PathBuf>,
}

/// The queue that a command is about.
#[derive(Clone, Debug, Default, Args)]
pub struct QueueArg {
    /// The base URL of the queue [default: that of the fleet] [env: CI_RUNNERS_QUEUE]
    #[arg(long, value_name = "URL", help_heading = "Addresses")]
    pub queue: Option<BaseUrl>,
}

/// The monitor that a command is about.
#[derive(Clone, Debug, Default, Args)]
pub struct MonitorArg {
    /// The base URL of the monitor, or its name in the fleet [default: the only one of the fleet]
    /// [env: CI_RUNNERS_MONITOR]
    #[arg(long, value_name = "URL|NAME", help_heading = "Addresses")]
    pub monitor: Option<MonitorName>,
}

/// The queue or the monitor that a command is about.
#[derive(Clone, Debug, Default, Args)]
#[group(multiple = false)]
pub struct DaemonArg {
    /// The base URL of a queue [default: that of the fleet] [env: CI_RUNNERS_QUEUE]
    #[arg(long, value_name = "URL", help_heading = "Addresses")]
    pub queue: Option<BaseUrl>,

    /// The base URL of a monitor, or its name in the fleet [env: CI_RUNNERS_MONITOR]
    #[arg(long, value_name = "URL|NAME", help_heading = "Addresses")]
    pub monitor: Option<MonitorName>,
}

/// A monitor as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MonitorName {
    /// Its base URL.
    Url(BaseUrl),
    /// Its name in a fleet of the configuration file.
    Name(String),
}

impl FromStr for MonitorName {
    type Err = InvalidBaseUrl;

    /// A text with `://` has to be a URL; any other is a name.
    fn from_str(text: &str) -> Result<Self, InvalidBaseUrl> {
        match text.contains("://") {
            true => text.parse().map(Self::Url),
            false => Ok(Self::Name(text.to_owned())),
        }
    }
}
