//! Why a job waits: as data, and as a sentence that names what it waits for.
//!
//! Not responsible for what is wrong with servers as such: that is in `problems`.

use std::{collections::BTreeMap, fmt};

use shared::{
    clock::Timestamp,
    format,
    job_spec::JobSpec,
    operator::Intervention,
    values::{LaneName, ProfileKey},
};

use crate::state::{
    State,
    fleet::{Health, ProfileReport, ServerFailure, ServerId},
    job::{Job, JobState},
    repo_use::LazyRepoUse,
};

/// How many jobs before a job are looked at to find the one that is next.
const JOBS_REVIEWED_MAX: usize = 64;
/// How many servers a sentence names.
const SERVERS_NAMED_MAX: usize = 3;

/// Why a job waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// An operator has paused the profile.
    Paused(Intervention),
    /// The startup grace period is not over.
    StartupGrace,
    /// No server that has runners of this profile answers.
    NoServer,
    /// The servers that have runners of this profile refuse the API token.
    TokenRefused,
    /// Other jobs are before it.
    Behind(usize),
    /// It is next, and no runner is idle.
    NoneIdle,
    /// It is next, and needs more runners than are idle.
    Gathering { idle: usize, needed: usize },
    /// It needs more runners than the servers that answer could ever have.
    TooFewReachable { reach: usize },
    /// Its repository uses `used` runners of the profile, and may use `max`.
    RepositoryLimit {
        used: usize,
        max: usize,
        needed: usize,
    },
    /// A server was asked for its runners.
    BeingForwarded,
    /// It does not wait: it has its runners.
    HasRunners,
}

impl WaitReason {
    /// The reason as a clause that holds for any job of the profile: of one that is next, without saying so.
    pub(crate) fn clause(&self) -> String {
        match self {
            Self::Paused(pause) => format!("its profile is paused {pause}"),
            Self::StartupGrace => {
                "the queue has just started and assigns no runners until waiting clients have returned".to_owned()
            }
            Self::NoServer => "no server that has this profile is answering".to_owned(),
            Self::TokenRefused => {
                "the servers that have this profile refuse the queue's API token".to_owned()
            }
            Self::Behind(1) => "1 job is before it".to_owned(),
            Self::Behind(ahead) => format!("{ahead} jobs are before it"),
            Self::NoneIdle => "no runner of this profile is idle".to_owned(),
            Self::Gathering { idle, needed } => {
                format!("{idle} of the {needed} runners it needs are idle")
            }
            Self::TooFewReachable { reach } => {
                let runners = format::count(*reach, "runner", "runners");
                format!("the servers that answer can have at most {runners} of this profile")
            }
            Self::RepositoryLimit { used, max, needed } => {
                let needed = match needed {
                    1 => String::new(),
                    needed => format!(", and it needs {needed}"),
                };
                format!("its repository already uses {used} of {max} runners of this profile{needed}")
            }
            Self::BeingForwarded => "a server was asked for its runners".to_owned(),
            Self::HasRunners => "it has its runners".to_owned(),
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(self, Self::NoneIdle | Self::Gathering { .. }) {
            formatter.write_str("it is next; ")?;
        }
        formatter.write_str(&self.clause())
    }
}

/// Why a job waits.
pub(crate) fn wait_reason(
    state: &State,
    now: Timestamp,
    job: &Job,
    repo_use: &LazyRepoUse<'_>,
) -> WaitReason {
    let reason = wait_reason_if_next(state, now, job, repo_use);
    match (state.profile_queues.ahead_of(&job.ticket), reason) {
        (ahead, WaitReason::NoneIdle | WaitReason::Gathering { .. }) if ahead > 0 => {
            WaitReason::Behind(ahead)
        }
        (_, reason) => reason,
    }
}

/// Why a job would wait if no other were before it.
fn wait_reason_if_next(
    state: &State,
    now: Timestamp,
    job: &Job,
    repo_use: &LazyRepoUse<'_>,
) -> WaitReason {
    match job.state {
        JobState::Reserved(_) | JobState::Delivered { .. } => return WaitReason::HasRunners,
        JobState::Forwarding { .. } => return WaitReason::BeingForwarded,
        JobState::Waiting => {}
    }
    let spec = &job.request().spec;
    if let Some(pause) = state.pauses.get(&spec.profile_key) {
        return WaitReason::Paused(pause.clone());
    }
    if !state.is_dispatching(now) {
        return WaitReason::StartupGrace;
    }
    let needed = spec.count.get();
    if let Some(reason) = obstacle(state, now, &spec.profile_key, needed) {
        return reason;
    }
    if let Some(reason) = repository_limit(repo_use, spec) {
        return reason;
    }
    if needed == 1 {
        return WaitReason::NoneIdle;
    }
    let idle = state.fleet.available_count(&spec.profile_key, now);
    WaitReason::Gathering { idle, needed }
}

/// Whether the repository of a job has as many runners as it may have.
fn repository_limit(repo_use: &LazyRepoUse<'_>, spec: &JobSpec) -> Option<WaitReason> {
    let repo_use = repo_use.get()?;
    let (repo, count) = (&spec.qualified_repo, spec.count);
    let is_reached = !repo_use.allows(repo, count);
    is_reached.then(|| WaitReason::RepositoryLimit {
        used: repo_use.of(repo),
        max: repo_use.max,
        needed: count.get(),
    })
}

/// Why no job that needs so many runners of a profile can get them as things are, however long it waits.
pub(crate) fn obstacle(
    state: &State,
    now: Timestamp,
    profile_key: &ProfileKey,
    needed: usize,
) -> Option<WaitReason> {
    if let Some(pause) = state.pauses.get(profile_key) {
        return Some(WaitReason::Paused(pause.clone()));
    }
    match state.fleet.reach_on_demand(profile_key, now) {
        0 if state.fleet.is_refused(profile_key, now) => Some(WaitReason::TokenRefused),
        0 => Some(WaitReason::NoServer),
        reach if reach < needed => Some(WaitReason::TooFewReachable { reach }),
        _ => None,
    }
}

/// Why a job waits, in a sentence that names the cause: the servers whose runners are missing and why,
/// what the others are used for, and which job is next.
pub(crate) fn explanation(
    state: &State,
    now: Timestamp,
    job: &Job,
    repo_use: &LazyRepoUse<'_>,
) -> String {
    let reason = wait_reason(state, now, job, repo_use);
    let WaitReason::Behind(ahead) = reason else {
        return reason.to_string() + &causes(state, now, job, &reason);
    };
    let key = &job.request().spec.profile_key;
    let queue = state.profile_queues.get(key).into_iter();
    let before = queue
        .flat_map(|queue| queue.iter())
        .take(ahead.min(JOBS_REVIEWED_MAX))
        .filter_map(|position| state.jobs.get(&position.unique_id));
    // Jobs that no server can have enough runners for do not block others, nor do those that only their
    // repository keeps waiting.
    let next = before
        .map(|job| (job, wait_reason_if_next(state, now, job, repo_use)))
        .find(|(_, reason)| {
            !matches!(
                reason,
                WaitReason::TooFewReachable { .. } | WaitReason::RepositoryLimit { .. }
            )
        });
    match next {
        Some((next, next_reason)) => {
            let (run, clause) = (run_of(next), next_reason.clause());
            let causes = causes(state, now, next, &next_reason);
            let behind = behind(state, job, ahead).unwrap_or_else(|| reason.to_string());
            format!("{behind}, of which {run} is next; {clause}{causes}")
        }
        None if ahead <= JOBS_REVIEWED_MAX => {
            let reason = wait_reason_if_next(state, now, job, repo_use);
            reason.to_string() + &causes(state, now, job, &reason)
        }
        None => reason.to_string(),
    }
}

/// How many jobs of which lanes are before a job; `None` if they are all of its own lane, or too many.
fn behind(state: &State, job: &Job, ahead: usize) -> Option<String> {
    let queue = state.profile_queues.get(&job.request().spec.profile_key)?;
    let mut lanes = BTreeMap::<&LaneName, usize>::new();
    if ahead > JOBS_REVIEWED_MAX {
        return None;
    }
    for position in queue.iter().take(ahead) {
        let lane = state.jobs.get(&position.unique_id)?.ticket.lane.as_ref()?;
        *lanes.entry(lane).or_default() += 1;
    }
    let own = job.ticket.lane.as_ref()?;
    match &lanes.into_iter().collect::<Vec<_>>()[..] {
        [(lane, _)] if *lane == own => None,
        [(lane, 1)] => Some(format!("1 job of lane {lane} is before it")),
        [(lane, count)] => Some(format!("{count} jobs of lane {lane} are before it")),
        lanes => {
            let lanes = lanes
                .iter()
                .map(|(lane, count)| format!("{count} of lane {lane}"));
            let lanes: Vec<String> = lanes.collect();
            Some(format!("{ahead} jobs are before it ({})", lanes.join(", ")))
        }
    }
}

/// The causes of a reason, to be appended to it; empty if it has none that it does not name itself.
fn causes(state: &State, now: Timestamp, job: &Job, reason: &WaitReason) -> String {
    let key = &job.request().spec.profile_key;
    let mut causes = match reason {
        WaitReason::NoneIdle | WaitReason::Gathering { .. } => in_use(state, now, key),
        WaitReason::NoServer | WaitReason::TokenRefused | WaitReason::TooFewReachable { .. } => {
            Vec::new()
        }
        WaitReason::Paused(_)
        | WaitReason::StartupGrace
        | WaitReason::RepositoryLimit { .. }
        | WaitReason::Behind(_)
        | WaitReason::BeingForwarded
        | WaitReason::HasRunners => return String::new(),
    };
    causes.extend(missing(state, now, key));
    match causes.is_empty() {
        true => String::new(),
        false => format!(": {}", causes.join(", ")),
    }
}

/// What the runners of the servers that answer do, as clauses.
fn in_use(state: &State, now: Timestamp, key: &ProfileKey) -> Vec<String> {
    let servers = state.fleet.servers_with(key, now);
    let fresh = servers.map(|(server, _)| server);
    let fresh: Vec<ServerId> = fresh
        .filter(|&server| state.fleet.health(server, now) == Health::Fresh)
        .collect();
    let sum = |number: fn(&ProfileReport) -> usize| state.fleet.sum_of_fresh(key, now, number);
    let mut causes = Vec::new();
    let busy = sum(|profile| profile.busy);
    if busy > 0 {
        causes.push(are(busy, "busy") + &longest(state, now, key, fresh.iter().copied()));
    }
    for (count, what) in [
        (sum(|profile| profile.reserved), "reserved"),
        (sum(|profile| profile.starting), "starting"),
        (
            sum(|profile| profile.target.saturating_sub(profile.existing)),
            "still to be created",
        ),
    ] {
        if count > 0 {
            causes.push(are(count, what));
        }
    }
    let delays = delays(state, now, key);
    let delays = delays.map(|(count, because)| format!("{} {because}", of_them(count)));
    causes.extend(delays.take(SERVERS_NAMED_MAX));
    let refused = fresh.iter().filter_map(|&server| {
        let quarantined = state.fleet.quarantined(server, key)?;
        let refused = are(quarantined.count, "idle");
        let name = state.fleet.name(server);
        let reason = match quarantined.reason {
            "" => String::new(),
            reason => format!(" ({reason})"),
        };
        let pause = format::duration(quarantined.until.since(now));
        Some(format!(
            "{refused} at {name}, which refused to assign them{reason} and is asked again in {pause}"
        ))
    });
    causes.extend(refused.take(SERVERS_NAMED_MAX));
    causes
}

/// How many runners of a profile each server that answers says to be delayed, and where and why:
/// `delayed at NAME because …`.
fn delays(
    state: &State,
    now: Timestamp,
    key: &ProfileKey,
) -> impl Iterator<Item = (usize, String)> {
    let servers = state.fleet.servers_with(key, now);
    let fresh =
        servers.filter(move |&(server, _)| state.fleet.health(server, now) == Health::Fresh);
    fresh.filter_map(|(server, profile)| {
        let delayed = profile.delayed.as_ref().filter(|it| it.count > 0)?;
        let name = state.fleet.name(server);
        let because = format!("delayed at {name} because {}", delayed.reason);
        Some((delayed.count, because))
    })
}

/// What delays runners of a profile at the first server where something does, as a clause.
pub(crate) fn first_delay(state: &State, now: Timestamp, key: &ProfileKey) -> Option<String> {
    let (_, because) = delays(state, now, key).next()?;
    Some(format!("its runners are {because}"))
}

/// Which job of these servers has had runners of a profile for the longest time; empty if that is unknown.
fn longest(
    state: &State,
    now: Timestamp,
    key: &ProfileKey,
    servers: impl Iterator<Item = ServerId>,
) -> String {
    let jobs = servers.flat_map(|server| state.jobs.with_runners_of(server));
    let of_profile = jobs.filter(|job| job.request().spec.profile_key == *key);
    let assigned = of_profile.filter_map(|job| {
        let assigned_at = job.grants().map(|grant| grant.granted_at).min()?;
        Some((assigned_at, job))
    });
    let longest = assigned.min_by_key(|(assigned_at, job)| (*assigned_at, job.unique_id()));
    longest.map_or_else(String::new, |(assigned_at, job)| {
        let age = format::duration(now.since(assigned_at));
        format!(" (the longest with {}, assigned {age} ago)", run_of(job))
    })
}

/// The servers that could have more runners of a profile, and why they have not, as clauses.
fn missing(state: &State, now: Timestamp, key: &ProfileKey) -> Vec<String> {
    let servers = state.fleet.servers_with(key, now);
    let missing: Vec<_> = servers
        .map(|(server, _)| (server, state.fleet.missing(server, key, now)))
        .filter(|&(_, count)| count > 0)
        .collect();
    let named = missing.iter().take(SERVERS_NAMED_MAX);
    let mut clauses: Vec<String> = named
        .map(|&(server, count)| {
            let why = why_missing(state, now, server, key);
            format!("{} because {why}", are(count, "missing"))
        })
        .collect();
    let others = missing.iter().skip(SERVERS_NAMED_MAX);
    let others = others.fold(0_usize, |sum, (_, count)| sum.saturating_add(*count));
    if others > 0 {
        clauses.push(are(others, "missing at other servers"));
    }
    clauses
}

/// Why there are fewer runners of a profile than the servers are set up to have; empty if there are not.
pub(crate) fn why_fewer(state: &State, now: Timestamp, key: &ProfileKey) -> String {
    missing(state, now, key).join(", ")
}

/// Why runners of a server are missing: a clause that begins with its name.
pub(crate) fn why_missing(
    state: &State,
    now: Timestamp,
    server: ServerId,
    key: &ProfileKey,
) -> String {
    if state.fleet.health(server, now) != Health::Fresh {
        return why_not_fresh(state, now, server);
    }
    let report = state.fleet.report(server);
    let profile = report.and_then(|report| report.profile(key));
    let reason = profile.map_or("", |profile| &profile.missing_because);
    let name = state.fleet.name(server);
    format!("{name} keeps fewer runners than it could: {reason}")
}

/// Why the report of a server cannot be used: a clause that begins with its name.
pub(crate) fn why_not_fresh(state: &State, now: Timestamp, server: ServerId) -> String {
    let name = state.fleet.name(server);
    let seen = match state.fleet.confirmed_at(server) {
        Some(at) => format!("last seen {} ago", format::duration(now.since(at))),
        None => "not seen since the queue started".to_owned(),
    };
    let failure = state.fleet.failure(server).map(|(failure, _)| failure);
    match (state.fleet.health(server, now), failure) {
        (Health::Unauthorised, _) => format!("{name} refuses the token of the queue"),
        (_, Some(ServerFailure::NotReady(reason))) => format!("{name} is not ready: {reason}"),
        (_, Some(ServerFailure::Status(status))) => {
            format!("{name} answers with status {status} ({seen})")
        }
        (
            _,
            Some(ServerFailure::Redirect | ServerFailure::IsQueue | ServerFailure::NoDashboard),
        ) => {
            format!("{name} does not answer like a monitor ({seen})")
        }
        (_, Some(ServerFailure::NoResponse(_)) | None) => {
            format!("{name} does not answer ({seen})")
        }
    }
}

/// Why it is not known how many runners there could be: the servers whose reports are missing.
pub(crate) fn why_uncertain(state: &State, now: Timestamp) -> String {
    let uncertain: Vec<ServerId> = state.fleet.uncertain(now).collect();
    let named = uncertain.iter().take(SERVERS_NAMED_MAX);
    let mut clauses: Vec<String> = named
        .map(|&server| why_not_fresh(state, now, server))
        .collect();
    let others = uncertain.len().saturating_sub(SERVERS_NAMED_MAX);
    if others > 0 {
        let others = format::count(others, "other report is", "other reports are");
        clauses.push(format!("{others} missing"));
    }
    clauses.join(", ")
}

/// A number of runners and what they are: `1 is busy`, `2 are busy`.
fn are(count: usize, what: &str) -> String {
    format!("{} {what}", format::count(count, "is", "are"))
}

/// A number of runners among those that were named: `1 of them is`, `2 of them are`.
fn of_them(count: usize) -> String {
    format::count(count, "of them is", "of them are")
}

/// Names a job by the workflow run that it belongs to.
fn run_of(job: &Job) -> String {
    let spec = &job.request().spec;
    format!("{} run {}", spec.qualified_repo, spec.run_id.0)
}
