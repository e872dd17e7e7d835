//! Snapshots for people: one job, or everything. Never a ticket, never a token.

use serde::Serialize;
use shared::{
    clock::Timestamp,
    operator::Intervention,
    problem::{self, Problem},
    values::{LaneName, ProfileKey, PublicId, UniqueId},
    wire::{Estimate, JobStatus, TakenFrom, TargetOverride, TargetReason},
};

use crate::{
    effect::WaitingAnswer,
    estimate::{Prospect, prospects},
    problems::problems,
    state::{
        State,
        fleet::{Health, ProfileReport, ServerId},
        job::Job,
        profile_queues::ProfileQueue,
        repo_use::LazyRepoUse,
    },
    wait_reason::{explanation, wait_reason, why_missing},
};

/// How many jobs of one profile are shown one by one.
const JOBS_SHOWN_MAX: usize = 200;
/// How many jobs with runners are shown.
const ASSIGNED_SHOWN_MAX: usize = 200;

/// Everything that the dashboard shows. A plain copy: rendering it needs no access to the queue.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct View {
    /// Whether runners are assigned: false during the startup grace period.
    pub is_dispatching: bool,
    /// How many jobs wait, over all profiles.
    pub waiting_count: usize,
    /// How many jobs have their runners.
    pub assigned_count: usize,
    /// Those that got them last, newest first.
    pub assigned: Vec<AssignedView>,
    pub profiles: Vec<ProfileView>,
    pub servers: Vec<ServerView>,
    /// What is wrong; the daemon adds what its adapters report.
    pub problems: Vec<Problem>,
}

/// One profile and its queue.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProfileView {
    pub profile_key: ProfileKey,
    /// Since when and why no job of it is assigned, without the address of the operator. Absent unless one has
    /// paused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Intervention>,
    /// How many runners all servers have or could have, also those that do not answer.
    pub target: usize,
    /// How many of them the servers do not offer.
    pub missing: usize,
    /// How many runners are idle there and can be requested.
    pub idle: usize,
    /// How many start, at the servers that answer.
    pub starting: usize,
    /// How many are reserved there.
    pub reserved: usize,
    /// How many are busy there.
    pub busy: usize,
    /// How many jobs wait.
    pub waiting_count: usize,
    /// The first of them, in order.
    pub jobs: Vec<JobView>,
}

/// One waiting job.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobView {
    pub public_id: PublicId,
    /// How many runners it needs.
    pub count: usize,
    pub qualified_repo: String,
    pub run_id: u64,
    /// The lane that a policy has put it into; left out if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub lane: Option<LaneName>,
    pub waited_seconds: u64,
    /// How long it will still wait; null if that cannot be estimated.
    pub estimate: Option<Estimate>,
    /// Why it cannot, as a clause; left out if it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_estimate_because: Option<String>,
    /// Why it waits, in one sentence.
    pub why: String,
    /// How long its client has sent no request; 0 while a poll of it is held.
    pub client_silent_seconds: u64,
}

/// One job that has its runners.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AssignedView {
    pub public_id: PublicId,
    pub profile_key: ProfileKey,
    /// How many runners it has.
    pub count: usize,
    pub qualified_repo: String,
    pub run_id: u64,
    /// How long it waited for them; null if another queue assigned them, or this one before a restart.
    pub waited_seconds: Option<u64>,
    /// Since when it has them; null as above.
    pub assigned_at: Option<Timestamp>,
    /// When a workflow job was first seen to run on one of them; null if none was yet.
    pub started_at: Option<Timestamp>,
    pub runners: Vec<TakenFrom>,
}

/// One server.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServerView {
    /// Its base URL.
    pub name: String,
    /// `fresh`, `stale`, `down`, or `unauthorised` if it refuses the API token.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub health: &'static str,
    /// Age of its last report; null if it has not reported yet.
    pub age_seconds: Option<u64>,
    pub profiles: Vec<ServerProfileView>,
    /// The drain that its monitor reports, without the address of the operator. Absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<Intervention>,
    /// The temporary targets that its monitor reports, without the address of the operator. Absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_override: Option<TargetOverride>,
    /// What its monitor says is wrong: a few of its problems, errors first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// How many more it has.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_problems: usize,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl View {
    /// The problems of the queue and those that its servers report, errors first. The subject of a server's
    /// problem begins with its name.
    pub fn all_problems(&self) -> Vec<Problem> {
        let servers = self.servers.iter();
        let servers = servers.map(|server| (&*server.name, &*server.problems));
        problem::with_servers(&self.problems, servers)
    }
}

/// What a server reported of one profile.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServerProfileView {
    pub profile_key: ProfileKey,
    /// How many runners the server has or could have.
    pub target: usize,
    pub idle: usize,
    /// How many of them it does not offer.
    pub missing: usize,
    /// Why, in one clause; null if none are missing.
    pub missing_because: Option<String>,
    /// Why the target is another one than that of the server's settings; absent if it is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_reason: Option<TargetReason>,
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
        assigned: assigned_jobs(state),
        profiles: keys.map(|key| profile_view(state, now, key)).collect(),
        servers: servers
            .map(|server| server_view(state, now, server))
            .collect(),
        problems: problems(state, now),
    }
}

/// Status of one job, with what its client is answered if it waits.
pub(crate) fn status(
    state: &State,
    now: Timestamp,
    job: &Job,
    waiting: Option<WaitingAnswer>,
) -> JobStatus {
    let spec = &job.request().spec;
    let ahead = waiting.as_ref().map(|waiting| waiting.ahead as u64);
    let (estimate, no_estimate_because) = waiting.map_or((None, None), |it| shown(it.prospect));
    JobStatus {
        unique_id: spec.unique_id.clone(),
        profile_key: spec.profile_key.clone(),
        count: spec.count.get(),
        state: job.state_name().to_owned(),
        lane: job.ticket.lane.clone(),
        waited_seconds: now.since(job.ticket.enqueued_at).as_secs(),
        position: ahead.map(|ahead| ahead + 1),
        ahead,
        estimate,
        no_estimate_because,
        why: {
            let repo_use = LazyRepoUse::new(state, now, &spec.profile_key);
            explanation(state, now, job, &repo_use)
        },
    }
}

/// An estimate, and the reason why there is none.
fn shown(prospect: Prospect) -> (Option<Estimate>, Option<String>) {
    match prospect {
        Ok(estimate) => (Some(estimate), None),
        Err(reason) => (None, Some(reason.to_string())),
    }
}

/// Every profile that a server reports, a job needs or an operator has paused.
pub(crate) fn profile_keys(state: &State) -> Vec<ProfileKey> {
    let servers = state.fleet.ids();
    let reported = servers.flat_map(|server| state.fleet.profiles(server));
    let needed = state.profile_queues.iter().map(|(key, _)| key.clone());
    let paused = state.pauses.iter().map(|(key, _)| key.clone());
    let mut keys: Vec<ProfileKey> = reported.chain(needed).chain(paused).collect();
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
    let servers = state.fleet.servers_with(&profile_key, now);
    let missing = servers.map(|(server, _)| state.fleet.missing(server, &profile_key, now));
    let jobs = {
        let repo_use = LazyRepoUse::new(state, now, &profile_key);
        let prospect_of = prospects(state, now, &profile_key, &repo_use);
        let view = |(index, job)| {
            let why = why(state, now, job, index == 0, &repo_use);
            job_view(state, now, job, prospect_of(job), why)
        };
        jobs.enumerate().map(view).collect()
    };
    let in_use =
        |number: fn(&ProfileReport) -> usize| state.fleet.sum_of_fresh(&profile_key, now, number);
    ProfileView {
        paused: state.pauses.get(&profile_key).map(Intervention::public),
        starting: in_use(|profile| profile.starting),
        reserved: in_use(|profile| profile.reserved),
        busy: in_use(|profile| profile.busy),
        target: state.fleet.capacity(&profile_key, now),
        missing: missing.fold(0, usize::saturating_add),
        idle: state.fleet.available_count(&profile_key, now),
        waiting_count: queue.map_or(0, ProfileQueue::len),
        jobs,
        profile_key,
    }
}

/// Why a job waits. That of the first one names what it waits for, which is the same for those behind it.
fn why(
    state: &State,
    now: Timestamp,
    job: &Job,
    is_first: bool,
    repo_use: &LazyRepoUse<'_>,
) -> String {
    match is_first {
        true => explanation(state, now, job, repo_use),
        false => wait_reason(state, now, job, repo_use).to_string(),
    }
}

/// What is shown of a waiting job.
fn job_view(state: &State, now: Timestamp, job: &Job, prospect: Prospect, why: String) -> JobView {
    let spec = &job.request().spec;
    let (estimate, no_estimate_because) = shown(prospect);
    JobView {
        public_id: spec.unique_id.public_id(),
        count: spec.count.get(),
        qualified_repo: spec.qualified_repo.to_string(),
        run_id: spec.run_id.0,
        lane: job.ticket.lane.clone(),
        waited_seconds: now.since(job.ticket.enqueued_at).as_secs(),
        estimate,
        no_estimate_because,
        why,
        client_silent_seconds: if state.held_calls.has_any(&spec.unique_id) {
            0
        } else {
            now.since(job.last_seen_at).as_secs()
        },
    }
}

/// The waiting jobs of these names with their positions, counted from 1.
pub(crate) fn job_views<'a>(
    state: &State,
    now: Timestamp,
    unique_ids: impl Iterator<Item = &'a UniqueId>,
) -> Vec<(u64, ProfileKey, JobView)> {
    let jobs = unique_ids.filter_map(|unique_id| state.jobs.get(unique_id));
    let queued = jobs.filter(|job| job.is_queued());
    let view = |job: &Job| {
        let ahead = state.profile_queues.ahead_of(&job.ticket);
        let profile_key = job.request().spec.profile_key.clone();
        let repo_use = LazyRepoUse::new(state, now, &profile_key);
        let prospect = prospects(state, now, &profile_key, &repo_use)(job);
        let why = why(state, now, job, ahead == 0, &repo_use);
        let view = job_view(state, now, job, prospect, why);
        (ahead as u64 + 1, profile_key, view)
    };
    queued.map(view).collect()
}

/// The jobs with runners, those that got them last first.
fn assigned_jobs(state: &State) -> Vec<AssignedView> {
    let servers = state.fleet.ids();
    let mut jobs: Vec<&Job> = servers
        .flat_map(|server| state.jobs.with_runners_of(server))
        .collect();
    jobs.sort_by_key(|job| {
        let assignment = job.assignment.as_ref();
        let assigned_at = assignment.and_then(|it| it.assigned_at);
        (std::cmp::Reverse(assigned_at), job.unique_id())
    });
    // A job can have runners of several servers.
    jobs.dedup_by_key(|job| job.unique_id());
    jobs.truncate(ASSIGNED_SHOWN_MAX);
    jobs.into_iter()
        .map(|job| assigned_view(state, job))
        .collect()
}

fn assigned_view(state: &State, job: &Job) -> AssignedView {
    let spec = &job.request().spec;
    let assignment = job.assignment.as_ref();
    let assigned_at = assignment.and_then(|it| it.assigned_at);
    let runners = job.grants().flat_map(|grant| {
        let server = state.fleet.name(grant.server);
        grant.runners.iter().map(move |runner| TakenFrom {
            server: server.to_owned(),
            runner: runner.id,
        })
    });
    AssignedView {
        public_id: spec.unique_id.public_id(),
        profile_key: spec.profile_key.clone(),
        count: spec.count.get(),
        qualified_repo: spec.qualified_repo.to_string(),
        run_id: spec.run_id.0,
        waited_seconds: assigned_at.map(|at| at.since(job.ticket.enqueued_at).as_secs()),
        assigned_at,
        started_at: assignment.and_then(|it| it.started_at),
        runners: runners.collect(),
    }
}

fn server_view(state: &State, now: Timestamp, server: ServerId) -> ServerView {
    let report = state.fleet.report(server);
    let profiles = report.into_iter().flat_map(|report| &report.profiles);
    let health = state.fleet.health(server, now);
    // What an old report says may be over. A URL that is not used would show them a second time.
    let is_shown = health == Health::Fresh && state.fleet.duplicate_of(server, now).is_none();
    let current = report.filter(|_| is_shown);
    ServerView {
        name: state.fleet.name(server).to_owned(),
        health: match health {
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
            .map(|(key, profile)| {
                let missing = state.fleet.missing(server, key, now);
                ServerProfileView {
                    profile_key: key.clone(),
                    target: profile.capacity(),
                    idle: state.fleet.shown_idle(server, key, now),
                    missing,
                    missing_because: (missing > 0).then(|| why_missing(state, now, server, key)),
                    target_reason: profile.target_reason,
                }
            })
            .collect(),
        drain: current.and_then(|report| Some(report.drain.as_ref()?.public())),
        target_override: current.and_then(|report| Some(report.target_override.as_ref()?.public())),
        problems: current.map_or_else(Vec::new, |report| report.problems.clone()),
        more_problems: current.map_or(0, |report| report.more_problems),
    }
}
