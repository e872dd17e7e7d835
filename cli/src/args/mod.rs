//! The command line, parsed into validated values.
//!
//! Responsible for the help; its longer texts are in `texts`. Not responsible for what a command
//! does.

mod address;
mod operate;
mod texts;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use shared::{
    clock::Moment,
    secret::Secret,
    units::parse_duration,
    values::{Count, InvalidValue, ProfileKey, QualifiedRepo, RunId, UniqueId},
    wait_limits::{LimitSeconds, Slowdown},
};
use uuid::Uuid;

pub use self::{
    address::{DaemonArg, FleetArgs, MonitorArg, MonitorName, QueueArg},
    operate::{
        AuthorArg, Drain, Logs, Override, OverrideAction, OverrideSet, Pause, Rebuild, Reload,
        Resume, Target, Undrain, Withdraw,
    },
};
use self::{operate::secret, texts::*};
use crate::{client::JobRequest, exit::Exit};

/// The environment variable that holds the API token. There is no option for it: every account of
/// a host can read a command line.
pub const API_TOKEN_VARIABLE: &str = "SERVO_CI_MONITOR_API_TOKEN";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "ci-runners",
    version,
    about = "Gets runners for GitHub Actions jobs from a queue in front of your own CI servers",
    long_about = LONG_ABOUT,
    after_help = "`ci-runners --help` shows examples and explains the exit statuses.",
    after_long_help = help_end(TOP_EXAMPLES, &Exit::ALL),
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Where addresses come from that the command line does not have.
    #[command(flatten)]
    pub fleet: FleetArgs,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// One of the commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Enqueue a job and print its ticket
    #[command(long_about = ENQUEUE_ABOUT, after_long_help = help_end(ENQUEUE_EXAMPLES, ASKING))]
    Enqueue(Enqueue),
    /// Ask once for the runners of a job that was enqueued
    #[command(long_about = TAKE_ABOUT, after_long_help = help_end(TAKE_EXAMPLES, TAKING))]
    Take(Take),
    /// Enqueue a job, wait for its runners, and print their labels
    #[command(long_about = WAIT_ABOUT, after_long_help = help_end(WAIT_EXAMPLES, WAITING))]
    Wait(Wait),
    /// Show the state of a queue or a monitor
    #[command(long_about = STATUS_ABOUT, after_long_help = help_end(STATUS_EXAMPLES, WATCHING))]
    Status(Status),
    /// Show a queue on the whole screen, live, with actions
    #[command(long_about = TOP_ABOUT, after_long_help = help_end(FULL_SCREEN_EXAMPLES, WATCHING))]
    Top(Top),
    /// Show what has happened to a job, also if it is over
    #[command(long_about = JOB_ABOUT, after_long_help = help_end(JOB_EXAMPLES, ASKING))]
    Job(Job),
    /// Withdraw a job, so that it waits no longer
    #[command(long_about = WITHDRAW_ABOUT, after_long_help = help_end(WITHDRAW_EXAMPLES, ASKING))]
    Withdraw(Withdraw),
    /// List the jobs that are over
    #[command(long_about = HISTORY_ABOUT, after_long_help = help_end(HISTORY_EXAMPLES, ASKING))]
    History(History),
    /// Test a deployment: get runners, and be refused where that is right
    #[command(long_about = SELF_TEST_ABOUT, after_long_help = help_end(SELF_TEST_EXAMPLES, FOLLOWING))]
    SelfTest(SelfTest),
    /// Show what has happened to a runner, also if it is gone
    #[command(long_about = LOGS_ABOUT, after_long_help = help_end(LOGS_EXAMPLES, FOLLOWING))]
    Logs(Logs),
    /// Destroy a runner of a monitor, for example one that hangs
    #[command(long_about = DESTROY_RUNNER_ABOUT, after_long_help = help_end(DESTROY_RUNNER_EXAMPLES, ASKING))]
    DestroyRunner(DestroyRunner),
    /// Let a server end its runners and make no others
    #[command(long_about = DRAIN_ABOUT, after_long_help = help_end(DRAIN_EXAMPLES, WAITING))]
    Drain(Drain),
    /// End the drain of a server
    #[command(long_about = UNDRAIN_ABOUT, after_long_help = help_end(UNDRAIN_EXAMPLES, ASKING))]
    Undrain(Undrain),
    /// Let a queue choose no job of a profile
    #[command(long_about = PAUSE_ABOUT, after_long_help = help_end(PAUSE_EXAMPLES, ASKING))]
    Pause(Pause),
    /// End the pause of a profile
    #[command(long_about = RESUME_ABOUT, after_long_help = help_end(RESUME_EXAMPLES, ASKING))]
    Resume(Resume),
    /// Rebuild the image of a profile of a server
    #[command(long_about = REBUILD_ABOUT, after_long_help = help_end(REBUILD_EXAMPLES, ASKING))]
    Rebuild(Rebuild),
    /// Let a daemon read its settings again
    #[command(long_about = RELOAD_ABOUT, after_long_help = help_end(RELOAD_EXAMPLES, ASKING))]
    Reload(Reload),
    /// Show, set or cancel the temporary targets of a server
    #[command(long_about = OVERRIDE_ABOUT, after_long_help = help_end(OVERRIDE_EXAMPLES, ASKING))]
    Override(Override),
    /// Make an existing disk the image of a profile of this server
    #[command(long_about = IMPORT_ABOUT, after_long_help = help_end(IMPORT_EXAMPLES, LOCAL))]
    Import(Import),
    /// Print completions for a shell
    #[command(long_about = COMPLETIONS_ABOUT, after_long_help = help_end(COMPLETIONS_EXAMPLES, LOCAL))]
    Completions(Completions),
    /// Print a manual page, or write all of them into a folder
    #[command(long_about = MAN_ABOUT, after_long_help = help_end(MAN_EXAMPLES, LOCAL))]
    Man(ManPages),
}

/// The options that describe a job and its queue.
#[derive(Debug, Args)]
pub struct JobArgs {
    /// The queue.
    #[command(flatten)]
    pub queue: QueueArg,

    /// The profile of the runners that the job needs
    #[arg(long, value_name = "KEY")]
    pub profile: ProfileKey,

    /// How many runners the job needs at once, 1 to 64 [default: 1]
    #[arg(long, value_name = "N")]
    pub count: Option<Count>,

    /// The repository that the job is for
    #[arg(long, value_name = "OWNER/REPO")]
    pub repo: QualifiedRepo,

    /// The workflow run that the job is for: ${{ github.run_id }}
    #[arg(long, value_name = "N")]
    pub run_id: RunId,

    /// The name of the job, unique among all jobs [default: a random UUID]
    #[arg(long, value_name = "ID")]
    pub unique_id: Option<UniqueId>,

    /// How many times as long the job takes on a hosted runner, for example 4.5: with it the queue refuses the
    /// job once it would probably be done earlier there
    #[arg(long, value_name = "N")]
    pub slowdown: Option<Slowdown>,

    /// How long the job takes on a hosted runner [default: by how long earlier jobs took here]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "slowdown")]
    pub hosted_duration: Option<Duration>,
}

impl JobArgs {
    /// The job, with a random name if the command line has none.
    pub fn job(&self) -> JobRequest {
        let mut job = self.without_limits();
        job.limits.slowdown = self.slowdown;
        job.limits.hosted_duration = self
            .hosted_duration
            .map(|it| LimitSeconds::nearest(it.as_secs()));
        job
    }

    fn without_limits(&self) -> JobRequest {
        JobRequest::new(
            self.unique_id.clone().unwrap_or_else(random_unique_id),
            self.profile.clone(),
            self.count,
            self.repo.clone(),
            self.run_id,
        )
    }
}

/// A random name for a job.
pub fn random_unique_id() -> UniqueId {
    let name: Result<UniqueId, InvalidValue> = Uuid::new_v4().to_string().parse();
    name.expect("a UUID has the form of a unique_id")
}

/// `ci-runners enqueue`
#[derive(Debug, Args)]
pub struct Enqueue {
    /// The job.
    #[command(flatten)]
    pub job: JobArgs,

    /// How long the job may wait: the queue refuses it once it would probably have to wait for longer
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub max_wait: Option<Duration>,

    /// Print {"unique_id", "ticket"} instead of the ticket alone
    #[arg(long)]
    pub json: bool,
}

/// `ci-runners take`
#[derive(Debug, Args)]
pub struct Take {
    /// The queue.
    #[command(flatten)]
    pub queue: QueueArg,

    /// The name of the job
    #[arg(long, value_name = "ID")]
    pub unique_id: UniqueId,

    /// The ticket that enqueue printed
    #[arg(
        long,
        value_name = "TICKET",
        env = "CI_RUNNERS_TICKET",
        hide_env_values = true,
        value_parser = secret
    )]
    pub ticket: Secret,
}

/// `ci-runners wait`
#[derive(Debug, Args)]
pub struct Wait {
    /// The job.
    #[command(flatten)]
    pub job: JobArgs,

    /// How long to wait before giving up: seconds, or for example 90s, 15m, 1h
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration)]
    pub max_wait: Duration,

    /// Print the runners as a JSON array, each with its label and server, instead of the labels
    #[arg(long)]
    pub json: bool,
}

/// `ci-runners self-test`
#[derive(Debug, Args)]
pub struct SelfTest {
    /// The queue.
    #[command(flatten)]
    pub queue: QueueArg,

    /// The profile to get runners of [default: the one with the most runners]
    #[arg(long, value_name = "KEY")]
    pub profile: Option<ProfileKey>,

    /// How many runners to get at once
    #[arg(long, value_name = "N", default_value = "2")]
    pub count: Count,

    /// The repository that the jobs are enqueued for
    #[arg(
        long,
        value_name = "OWNER/REPO",
        default_value = "ci-runners/self-test"
    )]
    pub repo: QualifiedRepo,

    /// How long each job may wait for its runners
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    pub max_wait: Duration,

    /// Run only this scenario; may be given several times
    #[arg(long, value_name = "NAME")]
    pub scenario: Vec<Scenario>,

    /// Print JSON, one line for each scenario: {"scenario", "passed", "result", "seconds"}
    #[arg(long)]
    pub json: bool,
}

/// A scenario of `ci-runners self-test`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// A job gets a runner
    One,
    /// A repeated take returns the same runner, and the next job gets another
    Again,
    /// A job gets several runners at once
    Several,
    /// A job that no server can satisfy is refused
    Unsatisfiable,
    /// A job with a wrong token is refused
    Unauthorised,
}

/// `ci-runners status`
#[derive(Debug, Args)]
pub struct Status {
    /// The daemon.
    #[command(flatten)]
    pub daemon: DaemonArg,

    /// Show it again every 2 s until Ctrl-C; in a pipe, whenever it has changed
    #[arg(long)]
    pub watch: bool,

    /// Print the dashboard as JSON, as the daemon sends it
    #[arg(long)]
    pub json: bool,
}

/// `ci-runners completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// `ci-runners man`
#[derive(Debug, Args)]
pub struct ManPages {
    /// The command that the page is about [default: the program]
    #[arg(value_name = "COMMAND", conflicts_with = "folder")]
    pub command: Option<String>,

    /// Write the pages of the program and of all commands into this folder, which must exist
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// `ci-runners top`
#[derive(Debug, Args)]
pub struct Top {
    /// The queue.
    #[command(flatten)]
    pub queue: QueueArg,

    /// The name under which changes are made.
    #[command(flatten)]
    pub by: AuthorArg,
}

/// A job that the queue knows, and what authorises the request about it.
#[derive(Debug, Args)]
pub struct NamedJob {
    /// The queue.
    #[command(flatten)]
    pub queue: QueueArg,

    /// The unique_id of the job, or with the API token its public id, which pages show
    #[arg(value_name = "ID")]
    pub unique_id: UniqueId,

    /// The ticket of the job, instead of the API token
    #[arg(
        long,
        value_name = "TICKET",
        env = "CI_RUNNERS_TICKET",
        hide_env_values = true,
        value_parser = secret
    )]
    pub ticket: Option<Secret>,
}

/// `ci-runners job`
#[derive(Debug, Args)]
pub struct Job {
    /// The job.
    #[command(flatten)]
    pub job: NamedJob,

    /// Print JSON, as the queue sends it
    #[arg(long)]
    pub json: bool,
}

/// `ci-runners history`
#[derive(Debug, Args)]
pub struct History {
    /// The queue.
    #[command(flatten)]
    pub queue: QueueArg,

    /// Only jobs of this repository
    #[arg(long, value_name = "OWNER/REPO")]
    pub repo: Option<QualifiedRepo>,

    /// Only jobs of this workflow run
    #[arg(long, value_name = "N")]
    pub run_id: Option<RunId>,

    /// Only jobs of this profile
    #[arg(long, value_name = "KEY")]
    pub profile: Option<ProfileKey>,

    /// Only jobs that ended like this
    #[arg(long, value_name = "OUTCOME")]
    pub outcome: Option<Outcome>,

    /// Only jobs that ended at this time (UTC) or later, such as 2026-12-24T02:00:00Z or 2026-12-24
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,

    /// Only jobs that ended at this time or before
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,

    /// How many jobs to list at most, 1 to 1000
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub limit: u64,

    /// Continue an earlier list, as it says at its end
    #[arg(long, value_name = "N")]
    pub before: Option<u64>,

    /// Print JSON, as the queue sends it
    #[arg(long)]
    pub json: bool,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Outcome {
    /// It used its runners
    Finished,
    /// Its runners went unused
    Expired,
    /// Its client or an operator withdrew it
    Withdrawn,
    /// Its client sent no request for too long
    Abandoned,
}

impl Outcome {
    /// Its name in the HTTP API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Abandoned => "abandoned",
        }
    }
}

/// `ci-runners destroy-runner`
#[derive(Debug, Args)]
pub struct DestroyRunner {
    /// The monitor.
    #[command(flatten)]
    pub monitor: MonitorArg,

    /// The id of the runner, as `ci-runners status` shows it
    #[arg(value_name = "ID")]
    pub id: u64,

    /// Destroy it even while GitHub shows that it runs a job
    #[arg(long)]
    pub force: bool,

    /// The name under which it is done.
    #[command(flatten)]
    pub by: AuthorArg,

    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,

    /// Print {"id", "force", "destroyed"}: true once the monitor has decided to destroy it
    #[arg(long)]
    pub json: bool,
}

/// `ci-runners import`
#[derive(Debug, Args)]
pub struct Import {
    /// The profile
    #[arg(value_name = "PROFILE")]
    pub profile: ProfileKey,

    /// The disk: a file in the format qcow2, or a raw disk
    #[arg(value_name = "DISK")]
    pub disk: PathBuf,

    /// The variables of its UEFI firmware
    #[arg(long, value_name = "FILE")]
    pub nvram: Option<PathBuf>,

    /// The data directory of the monitor
    #[arg(
        long,
        value_name = "FOLDER",
        env = "SERVO_CI_MONITOR_DATA_PATH",
        hide_env_values = true,
        default_value = "data"
    )]
    pub data: PathBuf,

    /// Keep a raw disk raw: for profiles with disks = "raw"
    #[arg(long, conflicts_with = "in_place")]
    pub raw: bool,

    /// Use the disk where it is instead of a copy; it must not be changed or removed afterwards
    #[arg(long)]
    pub in_place: bool,

    /// Print {"profile", "image"}, the image as the path of its folder
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    const JOB: &str = "--queue http://q --profile linux --repo a/b --run-id 7";

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(format!("ci-runners {line}").split_whitespace())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_options_describe_the_job() {
        let Command::Wait(wait) = parse(&format!("wait {JOB} --count 2 --unique-id x"))
            .unwrap()
            .command
        else {
            panic!("expected `wait`");
        };
        let queue = wait.job.queue.queue.as_ref().unwrap();
        assert_eq!(queue.as_str(), "http://q/");
        assert_eq!(wait.max_wait, Duration::from_secs(3600));
        let expected = JobRequest::new(
            "x".parse().unwrap(),
            "linux".parse().unwrap(),
            Some("2".parse().unwrap()),
            "a/b".parse().unwrap(),
            RunId(7),
        );
        assert_eq!(wait.job.job(), expected);
    }

    #[test]
    fn a_job_without_a_name_gets_a_random_one() {
        let Command::Enqueue(enqueue) = parse(&format!("enqueue {JOB}")).unwrap().command else {
            panic!("expected `enqueue`");
        };
        let [first, second] = [enqueue.job.job(), enqueue.job.job()];
        assert_ne!(first.spec.unique_id, second.spec.unique_id);
        assert_eq!((first.spec.count, first.is_array), (Count::ONE, false));
    }

    #[test]
    fn a_wrong_option_is_named_and_the_exit_status_is_2() {
        for (line, part) in [
            ("enqueue", "--profile <KEY>"),
            (
                "enqueue --queue nowhere --profile a --repo a/b --run-id 1",
                "a base URL is",
            ),
            (&format!("enqueue {JOB} --count 65"), "count must be"),
            (
                &format!("enqueue {JOB} --unique-id a/b"),
                "unique_id must be",
            ),
            (
                &format!("enqueue {JOB} --api-token x"),
                "unexpected argument '--api-token'",
            ),
            (
                &format!("wait {JOB} --max-wait soon"),
                "a duration is whole seconds",
            ),
            ("override set linux", "a target is a profile"),
            ("override set linux=-1", "a decimal number from 0 to 9999"),
            (
                "status --monitor ftp://m",
                "a base URL is an http or https URL",
            ),
            ("destroy-runner --monitor http://m -- -1", "invalid digit"),
            (
                "status --queue http://a --monitor http://b",
                "cannot be used with",
            ),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn debug_output_does_not_contain_the_ticket() {
        for ticket in ["hunter2", "hunter2\n", "", "-hunter2"] {
            let ticket = format!("--ticket={ticket}");
            let line = [
                "ci-runners",
                "take",
                "--queue=http://q",
                "--unique-id=x",
                &ticket,
            ];
            let cli = Cli::try_parse_from(line).unwrap();
            assert!(!format!("{cli:?}").contains("hunter2"));
        }
    }
}
