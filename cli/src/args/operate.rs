//! The arguments of the commands with which operators change what a queue or a monitor does.

use std::{convert::Infallible, str::FromStr, time::Duration};

use clap::{Args, Subcommand};
use shared::{operator::Author, secret::Secret, units::parse_duration, values::ProfileKey};

use super::{DaemonArg, MonitorArg, NamedJob, QueueArg};

/// The highest target that a monitor accepts.
const TARGET_MAX: u16 = 9999;

/// Who makes a change.
#[derive(Clone, Debug, Default, Args)]
pub struct AuthorArg {
    /// Your name, at most 100 characters, which every reader of a dashboard sees beside the note; '' for none
    /// [default: your account and this host] [env: CI_RUNNERS_AUTHOR]
    #[arg(long, value_name = "NAME")]
    pub author: Option<Author>,
}

/// `ci-runners withdraw`
#[derive(Debug, Args)]
pub struct Withdraw {
    /// The job.
    #[command(flatten)]
    pub job: NamedJob,

    /// The name under which it is done.
    #[command(flatten)]
    pub by: AuthorArg,

    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,

    /// Print {"unique_id", "withdrawn"}
    #[arg(long)]
    pub json: bool,
}

/// `ci-runners logs`
#[derive(Debug, Args)]
pub struct Logs {
    /// The monitor.
    #[command(flatten)]
    pub monitor: MonitorArg,

    /// The id of the runner, as `ci-runners status` shows it
    #[arg(value_name = "ID")]
    pub id: u64,

    /// Go on with what happens to it, until it is destroyed
    #[arg(long, short)]
    pub follow: bool,

    /// Print JSON, as the monitor sends it; with --follow, one event in each line
    #[arg(long)]
    pub json: bool,
}

/// `ci-runners drain`
#[derive(Debug, Args)]
pub struct Drain {
    /// The monitor.
    #[command(flatten)]
    pub monitor: MonitorArg,

    /// Why, at most 200 characters; shown on the pages of the queue and the monitor
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub note: String,

    /// The name under which it is done.
    #[command(flatten)]
    pub by: AuthorArg,

    /// Return when no runner of the server is busy or reserved
    #[arg(long)]
    pub wait: bool,

    /// How long --wait waits: seconds, or for example 90s, 15m, 1h
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_duration)]
    pub max_wait: Duration,

    /// Print the drain as JSON, as the monitor sends it: {"since", "note", "author", "client_address"}
    #[arg(long)]
    pub json: bool,
}

/// `ci-runners undrain`
#[derive(Debug, Args)]
pub struct Undrain {
    /// The monitor.
    #[command(flatten)]
    pub monitor: MonitorArg,

    /// The name under which it is done.
    #[command(flatten)]
    pub by: AuthorArg,

    /// Print the drain that ended as JSON, as the monitor sends it: {"since", "note", "author", "client_address"}, or null
    #[arg(long)]
    pub json: bool,
}

/// `ci-runners pause`
#[derive(Debug, Args)]
pub struct Pause {
    /// The queue.
    #[command(flatten)]
    pub queue: QueueArg,

    /// The profile
    #[arg(value_name = "PROFILE")]
    pub profile: ProfileKey,

    /// Why, at most 200 characters; shown on the page of the queue
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub note: String,

    /// The name under which it is done.
    #[command(flatten)]
    pub by: AuthorArg,

    /// Print the pause as JSON, as the queue sends it: {"since", "note", "author", "client_address"}
    #[arg(long)]
    pub json: bool,
}

/// `ci-runners resume`
#[derive(Debug, Args)]
pub struct Resume {
    /// The queue.
    #[command(flatten)]
    pub queue: QueueArg,

    /// The profile
    #[arg(value_name = "PROFILE")]
    pub profile: ProfileKey,

    /// The name under which it is done.
    #[command(flatten)]
    pub by: AuthorArg,

    /// Print the pause that ended as JSON, as the queue sends it: {"since", "note", "author", "client_address"}, or null
    #[arg(long)]
    pub json: bool,
}

/// `ci-runners rebuild`
#[derive(Debug, Args)]
pub struct Rebuild {
    /// The monitor.
    #[command(flatten)]
    pub monitor: MonitorArg,

    /// The profile whose image is rebuilt
    #[arg(value_name = "PROFILE")]
    pub profile: ProfileKey,

    /// Why, at most 200 characters; shown on the page of the monitor
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub note: String,

    /// The name under which it is done.
    #[command(flatten)]
    pub by: AuthorArg,

    /// Cancel the order for a rebuild; a build that runs goes on
    #[arg(long, conflicts_with = "note")]
    pub cancel: bool,

    /// Print the order as JSON, as the monitor sends it: {"since", "note", "author", "client_address"}; with --cancel the
    /// one that it cancelled, or null
    #[arg(long)]
    pub json: bool,
}

/// `ci-runners reload`
#[derive(Debug, Args)]
pub struct Reload {
    /// The daemon.
    #[command(flatten)]
    pub daemon: DaemonArg,

    /// The name under which it is done.
    #[command(flatten)]
    pub by: AuthorArg,

    /// Print JSON, as the daemon sends it: {"applied", "needs_restart"}
    #[arg(long)]
    pub json: bool,
}

/// `ci-runners override`
#[derive(Debug, Args)]
pub struct Override {
    /// What to do with the temporary targets.
    #[command(subcommand)]
    pub action: OverrideAction,
}

/// What to do with the temporary targets of a monitor.
#[derive(Debug, Subcommand)]
pub enum OverrideAction {
    /// Show the temporary targets
    Get(OverrideGet),
    /// Set temporary targets, in place of any others
    Set(OverrideSet),
    /// Cancel the temporary targets
    Cancel(OverrideCancel),
}

/// `ci-runners override get`
#[derive(Debug, Args)]
pub struct OverrideGet {
    /// The monitor.
    #[command(flatten)]
    pub monitor: MonitorArg,

    /// Print JSON, as the monitor sends it: the targets by profile, or null
    #[arg(long)]
    pub json: bool,
}

/// `ci-runners override cancel`
#[derive(Debug, Args)]
pub struct OverrideCancel {
    /// The monitor.
    #[command(flatten)]
    pub monitor: MonitorArg,

    /// The name under which it is done.
    #[command(flatten)]
    pub by: AuthorArg,

    /// Print JSON, as the monitor sends it: the targets that it cancelled by profile, or null
    #[arg(long)]
    pub json: bool,
}

/// `ci-runners override set`
#[derive(Debug, Args)]
pub struct OverrideSet {
    /// The monitor.
    #[command(flatten)]
    pub monitor: MonitorArg,

    /// A profile and how many runners of it to keep, such as linux=3
    #[arg(value_name = "PROFILE=COUNT", required = true)]
    pub targets: Vec<Target>,

    /// Why, at most 200 characters; shown on the pages of the queue and the monitor
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub note: String,

    /// The name under which it is done.
    #[command(flatten)]
    pub by: AuthorArg,

    /// Print JSON, as the monitor sends it: the targets by profile
    #[arg(long)]
    pub json: bool,
}

/// How many runners of a profile to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The profile.
    pub profile_key: ProfileKey,
    /// The number of runners, at most 9999.
    pub count: u16,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "a target is a profile, = and a decimal number from 0 to 9999, such as linux=3";
        let (key, count) = text.split_once('=').ok_or(form)?;
        let profile_key = key.parse::<ProfileKey>();
        let count = count.parse().ok().filter(|count| *count <= TARGET_MAX);
        Ok(Self {
            profile_key: profile_key.map_err(|error| error.to_string())?,
            count: count.ok_or(form)?,
        })
    }
}

/// Accepts any text as a secret: clap would print a value that it refuses.
pub(super) fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}
