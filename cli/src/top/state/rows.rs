//! The rows of each list, as text. Pure.

use shared::{
    clock::Timestamp,
    operator::Intervention,
    problem::Severity,
    wire::{DashboardRunner, TakenFrom},
};

use super::{State, Tab};
use crate::{
    client::{AssignedJob, QueueServer, WaitingJob},
    commands::runner_status,
    format,
    output::printable,
};

/// The longest text of a cell, in characters.
const CELL_MAX: usize = 500;

/// A row of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is about, whatever its place.
    pub key: String,
    /// One for each column.
    pub cells: Vec<String>,
    /// Whether it needs attention.
    pub tone: Tone,
}

/// Whether a row needs attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something does not work.
    Error,
    /// Something may soon not work.
    Warning,
    /// Nothing special.
    Normal,
    /// It matters less than others.
    Dim,
}

/// A column of a list.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its head.
    pub head: &'static str,
    /// How narrow it may be made if there is not enough room; `None`: never narrower than its cells.
    pub width_min: Option<usize>,
    /// Whether a cell without enough room loses its beginning, because its end tells more.
    pub keeps_end: bool,
}

const fn column(head: &'static str) -> Column {
    Column {
        head,
        width_min: None,
        keeps_end: false,
    }
}

const fn flexible(head: &'static str, width_min: usize) -> Column {
    Column {
        head,
        width_min: Some(width_min),
        keeps_end: false,
    }
}

/// A job, of which the number of the run tells more than the owner of the repository.
const JOB: Column = Column {
    head: "JOB",
    width_min: Some(18),
    keeps_end: true,
};

const WAITING: &[Column] = &[
    column("#"),
    flexible("PROFILE", 5),
    JOB,
    column("N"),
    column("WAITED"),
    column("ESTIMATE"),
    flexible("WHY", 10),
];
const RUNNING: &[Column] = &[
    JOB,
    flexible("PROFILE", 5),
    column("N"),
    column("STATE"),
    column("FOR"),
    column("WAITED"),
    flexible("RUNNERS", 10),
];
const FINISHED: &[Column] = &[
    column("ENDED"),
    column("OUTCOME"),
    JOB,
    flexible("PROFILE", 5),
    column("WAITED"),
    column("RAN"),
    flexible("RUNNERS", 10),
];
const RUNNERS: &[Column] = &[
    flexible("SERVER", 8),
    column("ID"),
    flexible("PROFILE", 5),
    column("STATUS"),
    column("AGE"),
    JOB,
];
const SERVERS: &[Column] = &[
    flexible("SERVER", 12),
    column("HEALTH"),
    column("SEEN"),
    flexible("RUNNERS", 12),
    flexible("NOTE", 10),
];
const PROBLEMS: &[Column] = &[
    column("SEVERITY"),
    flexible("SUBJECT", 16),
    column("FOR"),
    flexible("CAUSE", 16),
];

impl Tab {
    /// Its columns.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Waiting => WAITING,
            Self::Running => RUNNING,
            Self::Finished => FINISHED,
            Self::Runners => RUNNERS,
            Self::Servers => SERVERS,
            Self::Problems => PROBLEMS,
        }
    }
}

impl State {
    /// The rows of a list that have the text of the filter.
    pub fn rows_of(&self, tab: Tab) -> Vec<Row> {
        let mut rows = match tab {
            Tab::Waiting => self.waiting(),
            Tab::Running => self.running(),
            Tab::Finished => self.finished(),
            Tab::Runners => self.runners(),
            Tab::Servers => self.server_rows(),
            Tab::Problems => self.problems(),
        };
        let filter = self.filter.to_lowercase();
        if !filter.is_empty() {
            let has = |text: &String| text.to_lowercase().contains(&filter);
            rows.retain(|row| has(&row.key) || row.cells.iter().any(has));
        }
        rows
    }

    fn waiting(&self) -> Vec<Row> {
        let dashboard = self.queue.get();
        let profiles = dashboard.into_iter().flat_map(|it| &it.profiles);
        let rows = profiles.flat_map(|profile| {
            let jobs = profile.jobs.iter().enumerate();
            jobs.map(|(index, job)| Row {
                key: cell(&job.public_id),
                cells: vec![
                    (index + 1).to_string(),
                    cell(&profile.profile_key),
                    job_name(&job.qualified_repo, job.run_id),
                    job.count.to_string(),
                    clock(job.waited_seconds),
                    estimate(job, self.look.is_unicode),
                    cell(&job.why),
                ],
                tone: Tone::Normal,
            })
        });
        rows.collect()
    }

    fn running(&self) -> Vec<Row> {
        let assigned = self.queue.get().into_iter().flat_map(|it| &it.assigned);
        // The longest first.
        let rows = assigned.rev().map(|job| {
            let (state, since) = match (job.started_at, job.assigned_at) {
                (Some(started_at), _) => ("running", Some(started_at)),
                (None, assigned_at) => ("assigned", assigned_at),
            };
            Row {
                key: cell(&job.public_id),
                cells: vec![
                    job_name(&job.qualified_repo, job.run_id),
                    cell(&job.profile_key),
                    job.count.to_string(),
                    state.to_owned(),
                    since.map_or_else(|| "-".to_owned(), |since| self.clock_since(since)),
                    job.waited_seconds.map_or_else(|| "-".to_owned(), clock),
                    runners_of(&job.runners),
                ],
                tone: Tone::Normal,
            }
        });
        rows.collect()
    }

    /// The job that has this runner of this server.
    pub(super) fn job_on(&self, server: &str, runner: u64) -> Option<&AssignedJob> {
        let mut assigned = self.queue.get()?.assigned.iter();
        let has = |it: &TakenFrom| it.server == server && it.runner == runner;
        assigned.find(|job| job.runners.iter().any(has))
    }

    fn finished(&self) -> Vec<Row> {
        let rows = self.ended.iter().map(|job| {
            let between = |from: Option<Timestamp>, to: Timestamp| {
                from.map_or_else(|| "-".to_owned(), |from| clock(to.since(from).as_secs()))
            };
            let waited_until = job.assigned_at.unwrap_or(job.ended_at);
            Row {
                key: job.public_id.clone(),
                cells: vec![
                    format!("{} ago", clock(self.now.since(job.ended_at).as_secs())),
                    job.outcome.clone(),
                    job_name(&job.qualified_repo, job.run_id),
                    cell(&job.profile_key),
                    between(job.enqueued_at, waited_until),
                    between(job.started_at, job.ended_at),
                    runners_of(&job.runners),
                ],
                tone: match job.outcome.as_str() {
                    "finished" => Tone::Normal,
                    "expired" | "abandoned" => Tone::Warning,
                    _ => Tone::Dim,
                },
            }
        });
        rows.collect()
    }

    fn runners(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (server, latest) in &self.servers {
            let Some(report) = latest.get() else { continue };
            rows.extend(report.runners.iter().map(|runner| Row {
                key: runner_key(server, runner.id),
                cells: vec![
                    short_name(server),
                    runner.id.to_string(),
                    runner
                        .profile_key
                        .as_ref()
                        .map_or_else(|| "-".to_owned(), ToString::to_string),
                    runner_status(runner).to_owned(),
                    self.age(runner),
                    self.job_on(server, runner.id)
                        .map_or_else(String::new, |job| {
                            job_name(&job.qualified_repo, job.run_id)
                        }),
                ],
                tone: match latest.failure.is_some() {
                    true => Tone::Dim,
                    false => Tone::Normal,
                },
            }));
        }
        rows
    }

    fn server_rows(&self) -> Vec<Row> {
        let dashboard = self.queue.get();
        let servers = dashboard.into_iter().flat_map(|it| &it.servers);
        let rows = servers.map(|server| {
            let drain = server.drain.as_ref();
            let note = match (drain, &server.target_override, server.problems.len()) {
                (Some(drain), ..) => ordered("drained", drain),
                (None, Some(set), _) => ordered("temporary targets", &set.order),
                (None, None, 0) => missing_because(server),
                (None, None, count) => format::count(count, "problem", "problems"),
            };
            Row {
                key: server.name.clone(),
                cells: vec![
                    short_name(&server.name),
                    health(&server.health),
                    match server.age_seconds {
                        Some(age) => format!("{} ago", clock(age)),
                        None => "never".to_owned(),
                    },
                    server_profiles(server),
                    note,
                ],
                tone: match (server.health.as_str(), drain.is_some()) {
                    ("fresh", false) if server.problems.is_empty() => Tone::Normal,
                    ("fresh", _) => Tone::Warning,
                    _ => Tone::Error,
                },
            }
        });
        rows.collect()
    }

    fn problems(&self) -> Vec<Row> {
        let dashboard = self.queue.get();
        let problems = dashboard.map_or_else(Vec::new, |it| it.all_problems());
        let rows = problems.into_iter().map(|problem| Row {
            key: format!("{} {}", problem.code, problem.subject),
            cells: vec![
                problem.severity.to_string(),
                cell(&problem.subject),
                self.clock_since(problem.since),
                cell(&problem.cause),
            ],
            tone: tone_of(problem.severity),
        });
        rows.collect()
    }

    fn age(&self, runner: &DashboardRunner) -> String {
        let created_at = runner.runner.created_time;
        let since_epoch = created_at.duration_since(std::time::UNIX_EPOCH);
        let created_at = since_epoch.map(|since| Timestamp::default() + since);
        created_at.map_or_else(|_| "-".to_owned(), |at| self.clock_since(at))
    }

    pub(super) fn clock_since(&self, at: Timestamp) -> String {
        clock(self.now.since(at).as_secs())
    }
}

/// How a problem of this severity is shown.
pub fn tone_of(severity: Severity) -> Tone {
    match severity {
        Severity::Error => Tone::Error,
        Severity::Warning => Tone::Warning,
    }
}

/// The key of a runner.
pub fn runner_key(server: &str, id: u64) -> String {
    format!("{server} {id}")
}

/// A job as people know it: `acme/app run 7`.
pub(super) fn job_name(qualified_repo: &str, run_id: u64) -> String {
    format!("{} run {run_id}", cell(qualified_repo))
}

/// The runners of a job: `ci1:8000/17`.
fn runners_of(runners: &[TakenFrom]) -> String {
    let runners = runners
        .iter()
        .map(|it| format!("{}/{}", short_name(&it.server), it.runner));
    runners.collect::<Vec<_>>().join(", ")
}

/// A URL without its scheme and the slash at its end.
pub fn short_name(url: &str) -> String {
    let name = url.split_once("://").map_or(url, |(_, rest)| rest);
    cell(name.trim_end_matches('/'))
}

fn server_profiles(server: &QueueServer) -> String {
    let profiles = server.profiles.iter();
    let profiles = profiles.map(|profile| {
        let (key, idle, target) = (cell(&profile.profile_key), profile.idle, profile.target);
        match profile.missing {
            0 => format!("{key} {idle}/{target}"),
            missing => format!("{key} {idle}/{target} (-{missing})"),
        }
    });
    profiles.collect::<Vec<_>>().join(", ")
}

fn missing_because(server: &QueueServer) -> String {
    let mut reasons = server.profiles.iter().filter_map(|profile| {
        let because = profile.missing_because.as_deref()?;
        Some(cell(because))
    });
    reasons.next().unwrap_or_default()
}

/// The health as people read it.
fn health(health: &str) -> String {
    match health {
        "fresh" => "OK".to_owned(),
        "unauthorised" => "refuses".to_owned(),
        other => cell(other),
    }
}

/// The estimate of a job: `~2 min (≤ 8 min)`.
pub fn estimate(job: &WaitingJob, is_unicode: bool) -> String {
    let Some(estimate) = job.estimate else {
        return "-".to_owned();
    };
    let likely = format::duration(std::time::Duration::from_secs(estimate.p50_seconds));
    let late = format::upper_limit(estimate.p90_seconds);
    let at_most = if is_unicode { "≤" } else { "<=" };
    match likely == late {
        true => format!("~{likely}"),
        false => format!("~{likely} ({at_most} {late})"),
    }
}

/// A duration in few columns, to the second while that matters: `42s`, `6m12s`, `3h05m`, `2d04h`.
pub fn clock(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

fn cell(text: &str) -> String {
    printable(text, CELL_MAX)
}

/// `drained: new disk, by alice@laptop since <time>`: the note first, because narrow screens cut the rest.
fn ordered(what: &str, order: &Intervention) -> String {
    let (author, since) = (order.author_or_operator(), order.since.date_and_time());
    cell(&match order.note.as_str() {
        "" => format!("{what} by {author} since {since}"),
        note => format!("{what}: {note}, by {author} since {since}"),
    })
}
