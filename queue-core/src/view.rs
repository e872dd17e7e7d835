//! Snapshots for people: one job, or everything. Never a ticket, never a token.

use std::fmt;

use serde::Serialize;
use shared::{
    clock::Timestamp,
    problem::Problem,
    values::{ProfileKey, PublicId},
    wire::{Estimate, JobStatus},
};

use crate::{
    problems::problems,
    state::{
        State,
        fleet::{Health, ServerId},
        job::{Job, JobState},
        profile_queues::ProfileQueue,
    },
};

/// How many jobs of one profile are shown one by one.
const JOBS_SHOWN_MAX: usize = 200;

/// Everything that the dashboard shows. A plain copy: rendering it needs no access to the queue.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// Whether runners are assigned: false during the startup grace period.
    pub is_dispatching: bool,
    /// How many jobs wait, over all profiles.
    pub waiting_count: usize,
    /// How many jobs have their runners.
    pub assigned_count: usize,
    pub profiles: Vec<ProfileView>,
    pub servers: Vec<ServerView>,
    /// What is wrong; the daemon adds what its adapters report.
    pub problems: Vec<Problem>,
}

/// One profile and its queue.
#[derive(Clone, Debug, Serialize)]
pub struct ProfileView {
    pub profile_key: ProfileKey,
    /// Sum of the targets of the servers that answer.
    pub target: usize,
    /// How many runners are idle there and can be requested.
    pub idle: usize,
    /// How many jobs wait.
    pub waiting_count: usize,
    /// The first of them, in order.
    pub jobs: Vec<JobView>,
}

/// One waiting job.
#[derive(Clone, Debug, Serialize)]
pub struct JobView {
    pub public_id: PublicId,
    /// How many runners it needs.
    pub count: usize,
    pub qualified_repo: String,
    pub run_id: u64,
    pub waited_seconds: u64,
    /// How long it will still wait; null if that cannot be estimated.
    pub estimate: Option<Estimate>,
    /// Why it waits, in one sentence.
    pub why: String,
}

/// One server.
#[derive(Clone, Debug, Serialize)]
pub struct ServerView {
    /// Its base URL.
    pub name: String,
    /// `fresh`, `stale`, `down`, or `unauthorised` if it refuses the API token.
    pub health: &'static str,
    /// Age of its last report; null if it has not reported yet.
    pub age_seconds: Option<u64>,
    pub profiles: Vec<ServerProfileView>,
}

/// What a server reported of one profile.
#[derive(Clone, Debug, Serialize)]
pub struct ServerProfileView {
    pub profile_key: ProfileKey,
    pub target: usize,
    pub idle: usize,
}

/// Why a job waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
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
    /// A server was asked for its runners.
    BeingForwarded,
    /// It does not wait: it has its runners.
    HasRunners,
}

impl fmt::Display for WaitReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StartupGrace => formatter.write_str(
                "the queue has just started and assigns no runners until waiting clients have returned",
            ),
            Self::NoServer => formatter.write_str("no server that has this profile is answering"),
            Self::TokenRefused => formatter
                .write_str("the servers that have this profile refuse the queue's API token"),
            Self::Behind(1) => formatter.write_str("1 job is before it"),
            Self::Behind(ahead) => write!(formatter, "{ahead} jobs are before it"),
            Self::NoneIdle => {
                formatter.write_str("it is next; every runner of this profile is in use")
            }
            Self::Gathering { idle, needed } => {
                write!(
                    formatter,
                    "it is next; {idle} of the {needed} runners it needs are idle"
                )
            }
            Self::TooFewReachable { reach } => {
                write!(
                    formatter,
                    "the servers that answer can have at most {reach} runners of this profile"
                )
            }
            Self::BeingForwarded => formatter.write_str("a server was asked for its runners"),
            Self::HasRunners => formatter.write_str("it has its runners"),
        }
    }
}

/// Everything, as of `now`.
pub(crate) fn view(state: &State, now: Timestamp) -> View {
    let waiting_count = state.profile_queues.len();
    let keys = profile_keys(state).into_iter();
    let servers = state.fleet.ids();
    View {
        is_dispatching: state.is_dispatching(now),
        waiting_count,
        assigned_count: state.jobs.len() - waiting_count,
        profiles: keys.map(|key| profile_view(state, now, key)).collect(),
        servers: servers
            .map(|server| server_view(state, now, server))
            .collect(),
        problems: problems(state, now),
    }
}

/// Status of one job.
pub(crate) fn status(state: &State, now: Timestamp, job: &Job) -> JobStatus {
    let spec = &job.request().spec;
    let waiting = job.is_queued().then(|| state.waiting_answer(now, job));
    let ahead = waiting.as_ref().map(|waiting| waiting.ahead as u64);
    JobStatus {
        unique_id: spec.unique_id.clone(),
        profile_key: spec.profile_key.clone(),
        count: spec.count.get(),
        state: job.state_name().to_owned(),
        waited_seconds: now.since(job.ticket.enqueued_at).as_secs(),
        position: ahead.map(|ahead| ahead + 1),
        ahead,
        estimate: waiting.and_then(|waiting| waiting.estimate),
        why: wait_reason(state, now, job).to_string(),
    }
}

/// Why a job waits.
pub(crate) fn wait_reason(state: &State, now: Timestamp, job: &Job) -> WaitReason {
    match job.state {
        JobState::Reserved(_) | JobState::Delivered { .. } => return WaitReason::HasRunners,
        JobState::Forwarding { .. } => return WaitReason::BeingForwarded,
        JobState::Waiting => {}
    }
    if !state.is_dispatching(now) {
        return WaitReason::StartupGrace;
    }
    let spec = &job.request().spec;
    let needed = spec.count.get();
    match state.fleet.reach(&spec.profile_key, now) {
        0 if state.fleet.is_refused(&spec.profile_key) => return WaitReason::TokenRefused,
        0 => return WaitReason::NoServer,
        reach if reach < needed => return WaitReason::TooFewReachable { reach },
        _ => {}
    }
    match state.profile_queues.ahead_of(&job.ticket) {
        0 if needed == 1 => WaitReason::NoneIdle,
        0 => {
            let idle = state.fleet.available_count(&spec.profile_key, now);
            WaitReason::Gathering { idle, needed }
        }
        ahead => WaitReason::Behind(ahead),
    }
}

/// Every profile that a server reports or a job needs.
fn profile_keys(state: &State) -> Vec<ProfileKey> {
    let servers = state.fleet.ids();
    let reported = servers.flat_map(|server| state.fleet.profiles(server));
    let needed = state.profile_queues.iter().map(|(key, _)| key.clone());
    let mut keys: Vec<ProfileKey> = reported.chain(needed).collect();
    keys.sort();
    keys.dedup();
    keys
}

fn profile_view(state: &State, now: Timestamp, profile_key: ProfileKey) -> ProfileView {
    let queue = state.profile_queues.get(&profile_key);
    let shown = queue.into_iter().flat_map(ProfileQueue::iter);
    let jobs = shown
        .take(JOBS_SHOWN_MAX)
        .filter_map(|position| state.jobs.get(&position.unique_id));
    ProfileView {
        target: state.fleet.target(&profile_key, now),
        idle: state.fleet.available_count(&profile_key, now),
        waiting_count: queue.map_or(0, ProfileQueue::len),
        jobs: jobs.map(|job| job_view(state, now, job)).collect(),
        profile_key,
    }
}

fn job_view(state: &State, now: Timestamp, job: &Job) -> JobView {
    let spec = &job.request().spec;
    JobView {
        public_id: spec.unique_id.public_id(),
        count: spec.count.get(),
        qualified_repo: spec.qualified_repo.to_string(),
        run_id: spec.run_id.0,
        waited_seconds: now.since(job.ticket.enqueued_at).as_secs(),
        estimate: state.waiting_answer(now, job).estimate,
        why: wait_reason(state, now, job).to_string(),
    }
}

fn server_view(state: &State, now: Timestamp, server: ServerId) -> ServerView {
    let report = state.fleet.report(server).into_iter();
    let profiles = report.flat_map(|report| &report.profiles);
    ServerView {
        name: state.fleet.name(server).to_owned(),
        health: match state.fleet.health(server, now) {
            Health::Fresh => "fresh",
            Health::Stale => "stale",
            Health::Down => "down",
            Health::Unauthorised => "unauthorised",
        },
        age_seconds: state
            .fleet
            .confirmed_at(server)
            .map(|at| now.since(at).as_secs()),
        profiles: profiles
            .map(|(key, profile)| ServerProfileView {
                profile_key: key.clone(),
                target: profile.target,
                idle: state.fleet.shown_idle(server, key, now),
            })
            .collect(),
    }
}
