//! How things stand, for people: one job, or everything. Never a ticket, never a token.

use serde::Serialize;
use shared::{
    clock::Timestamp,
    values::{ProfileKey, UniqueId},
    wire::{Estimate, JobStatus},
};

use super::{
    events::{Answer, CallId, JobReference, Refusal, Why},
    fleet::Health,
    job::{Job, State},
    queue::Queue,
};

/// How many jobs of one line are shown one by one.
const JOBS_SHOWN_MAX: usize = 200;

/// Everything that the dashboard shows.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// Whether runners are given out: false for the first seconds after a start.
    pub is_settled: bool,
    /// How many jobs wait, over all profiles.
    pub waiting_count: usize,
    /// How many jobs hold runners that nobody uses yet, or run.
    pub served_count: usize,
    /// The lines, by profile.
    pub profiles: Vec<ProfileView>,
    /// The servers, by name.
    pub servers: Vec<ServerView>,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
pub struct ProfileView {
    /// Which profile.
    pub profile_key: ProfileKey,
    /// How many runners the servers that answer are set up to have.
    pub target: usize,
    /// How many are idle there.
    pub idle: usize,
    /// How many jobs wait.
    pub waiting_count: usize,
    /// The first of them, in order.
    pub jobs: Vec<JobView>,
}

/// One job in line.
#[derive(Clone, Debug, Serialize)]
pub struct JobView {
    /// Which job.
    pub unique_id: UniqueId,
    /// How many runners it wants.
    pub count: usize,
    /// The repository it is for.
    pub qualified_repo: String,
    /// The workflow run it is for.
    pub run_id: u64,
    /// How long it has waited.
    pub waited_seconds: u64,
    /// How long it will still wait; null when nothing is known.
    pub estimate: Option<Estimate>,
    /// Why it waits.
    pub why: String,
}

/// One server.
#[derive(Clone, Debug, Serialize)]
pub struct ServerView {
    /// Its base URL.
    pub name: String,
    /// `fresh`, `stale` or `down`.
    pub health: &'static str,
    /// How old its last word is; null if it has not said anything yet.
    pub age_seconds: Option<u64>,
    /// What it has, by profile.
    pub profiles: Vec<ServerProfileView>,
}

/// What a server has of one profile.
#[derive(Clone, Debug, Serialize)]
pub struct ServerProfileView {
    /// Which profile.
    pub profile_key: ProfileKey,
    /// How many runners it is set up to have.
    pub target: usize,
    /// How many it says are idle.
    pub idle: usize,
}

impl Queue {
    pub(super) fn inspect(&mut self, now: Timestamp, call: CallId, by: &JobReference) {
        let answer = match self.referenced(by) {
            Some(job) => Answer::Status(self.status_of(now, job)),
            None => Answer::Refused(Refusal::UnknownJob),
        };
        self.answer(call, answer);
    }

    /// Why a job waits.
    pub fn why(&self, now: Timestamp, job: &Job) -> Why {
        let request = job.request();
        match job.state {
            State::Reserved(_) | State::Delivered { .. } => return Why::HasRunners,
            State::Forwarding { .. } => return Why::BeingForwarded,
            State::Waiting => {}
        }
        if !self.is_settled(now) {
            return Why::Settling;
        }
        let wanted = request.spec.count.get();
        match self.fleet.reach(&request.spec.profile_key, now) {
            0 => return Why::NoServer,
            reachable if reachable < wanted => return Why::TooFewReachable { reachable },
            _ => {}
        }
        match self.ahead_of(job) {
            0 => {
                let idle = self
                    .fleet
                    .offers(&request.spec.profile_key, now)
                    .iter()
                    .map(|(_, idle)| idle)
                    .sum();
                if wanted > 1 {
                    Why::Gathering { idle, wanted }
                } else {
                    Why::NoneIdle
                }
            }
            ahead => Why::Behind(ahead),
        }
    }

    /// Everything, as it stands now.
    pub fn view(&self, now: Timestamp) -> View {
        let waiting_count = self.lines.values().map(|line| line.len()).sum();
        View {
            is_settled: self.is_settled(now),
            waiting_count,
            served_count: self.jobs.len() - waiting_count,
            profiles: self
                .profile_keys()
                .into_iter()
                .map(|key| self.profile_view(now, key))
                .collect(),
            servers: self
                .fleet
                .ids()
                .map(|server| self.server_view(now, server))
                .collect(),
        }
    }

    fn status_of(&self, now: Timestamp, job: &Job) -> JobStatus {
        let request = job.request();
        let waiting = self.waiting_answer(now, &request.spec.unique_id);
        let ahead = job.is_in_line().then_some(waiting.ahead as u64);
        JobStatus {
            unique_id: request.spec.unique_id.clone(),
            profile_key: request.spec.profile_key.clone(),
            count: request.spec.count.get(),
            state: job.state_name().to_owned(),
            waited_seconds: now.since(job.claims.enqueued_at).as_secs(),
            position: ahead.map(|ahead| ahead + 1),
            ahead,
            estimate: waiting.estimate.filter(|_| job.is_in_line()),
            why: self.why(now, job).to_string(),
        }
    }

    fn profile_keys(&self) -> Vec<ProfileKey> {
        let reported = self
            .fleet
            .ids()
            .flat_map(|server| self.fleet.profiles(server));
        let mut keys: Vec<ProfileKey> = reported.chain(self.lines.keys().cloned()).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    fn profile_view(&self, now: Timestamp, profile_key: ProfileKey) -> ProfileView {
        let line = self.lines.get(&profile_key);
        let shown = line
            .into_iter()
            .flat_map(|line| line.iter())
            .take(JOBS_SHOWN_MAX);
        let jobs = shown.filter_map(|place| {
            let job = self.jobs.get(&place.unique_id)?;
            let request = job.request();
            Some(JobView {
                unique_id: request.spec.unique_id.clone(),
                count: request.spec.count.get(),
                qualified_repo: request.spec.qualified_repo.to_string(),
                run_id: request.spec.run_id.0,
                waited_seconds: now.since(job.claims.enqueued_at).as_secs(),
                estimate: self.waiting_answer(now, &request.spec.unique_id).estimate,
                why: self.why(now, job).to_string(),
            })
        });
        ProfileView {
            target: self.fleet.target(&profile_key, now),
            idle: self
                .fleet
                .offers(&profile_key, now)
                .iter()
                .map(|(_, idle)| idle)
                .sum(),
            waiting_count: line.map_or(0, |line| line.len()),
            jobs: jobs.collect(),
            profile_key,
        }
    }

    fn server_view(&self, now: Timestamp, server: usize) -> ServerView {
        let profiles = self
            .fleet
            .report(server)
            .into_iter()
            .flat_map(|report| &report.profiles);
        ServerView {
            name: self.fleet.name(server).to_owned(),
            health: match self.fleet.health(server, now) {
                Health::Fresh => "fresh",
                Health::Stale => "stale",
                Health::Down => "down",
            },
            age_seconds: self
                .fleet
                .confirmed_at(server)
                .map(|at| now.since(at).as_secs()),
            profiles: profiles
                .map(|(key, profile)| ServerProfileView {
                    profile_key: key.clone(),
                    target: profile.target,
                    idle: profile.idle.len(),
                })
                .collect(),
        }
    }
}
