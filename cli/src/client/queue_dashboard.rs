//! The part of a queue's `/dashboard.json` that is shown.
//!
//! Responsible for which keys are read. Keys that older queues do not send have a default.

use serde::Deserialize;
use shared::{
    clock::Timestamp,
    operator::Intervention,
    problem::{self, Problem},
    wire::{Estimate, TakenFrom, TargetOverride},
};

/// The dashboard of a queue.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct QueueDashboard {
    /// Whether runners are assigned: false during the startup grace period.
    #[serde(default)]
    pub is_dispatching: bool,
    /// How many jobs wait.
    pub waiting_count: usize,
    /// How many jobs have their runners.
    #[serde(default)]
    pub assigned_count: usize,
    /// Those that got them last, newest first. Earlier queues do not send them.
    #[serde(default)]
    pub assigned: Vec<AssignedJob>,
    /// All profiles, and their jobs that wait.
    pub profiles: Vec<QueueProfile>,
    /// All servers.
    pub servers: Vec<QueueServer>,
    /// What is wrong, without what the servers report of themselves.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// When the queue wrote it.
    #[serde(default)]
    pub captured_at_micros: Option<Timestamp>,
}

/// One profile.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct QueueProfile {
    /// Its name.
    pub profile_key: String,
    /// Since when and why an operator has paused it, if one has.
    #[serde(default)]
    pub paused: Option<Intervention>,
    /// How many runners all servers have or could have.
    pub target: usize,
    /// How many of them the servers do not offer.
    #[serde(default)]
    pub missing: usize,
    /// How many runners are idle.
    pub idle: usize,
    /// How many start.
    #[serde(default)]
    pub starting: usize,
    /// How many are reserved.
    #[serde(default)]
    pub reserved: usize,
    /// How many are busy.
    #[serde(default)]
    pub busy: usize,
    /// How many jobs wait.
    pub waiting_count: usize,
    /// The first of them, in order.
    #[serde(default)]
    pub jobs: Vec<WaitingJob>,
}

/// One waiting job.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct WaitingJob {
    /// Its public id. Earlier queues show the `unique_id` itself.
    #[serde(alias = "unique_id")]
    pub public_id: String,
    /// How many runners it needs.
    pub count: usize,
    /// The repository that it is for.
    pub qualified_repo: String,
    /// The workflow run that it is for.
    pub run_id: u64,
    /// The time since it was enqueued.
    pub waited_seconds: u64,
    /// How long it will still wait.
    #[serde(default)]
    pub estimate: Option<Estimate>,
    /// Why that is unknown, as a clause; absent from earlier queues.
    #[serde(default)]
    pub no_estimate_because: Option<String>,
    /// Why it waits, in one sentence.
    #[serde(default)]
    pub why: String,
}

/// One job that has its runners.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct AssignedJob {
    /// Its public id.
    pub public_id: String,
    /// Its profile.
    pub profile_key: String,
    /// How many runners it has.
    pub count: usize,
    /// The repository that it is for.
    pub qualified_repo: String,
    /// The workflow run that it is for.
    pub run_id: u64,
    /// How long it waited for them; `None` if another queue assigned them, or this one before a restart.
    #[serde(default)]
    pub waited_seconds: Option<u64>,
    /// Since when it has them; `None` as above.
    #[serde(default)]
    pub assigned_at: Option<Timestamp>,
    /// When a workflow job was first seen to run on one of them; `None` if none was yet.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// Its runners.
    #[serde(default)]
    pub runners: Vec<TakenFrom>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct QueueServer {
    /// Its base URL.
    pub name: String,
    /// `fresh`, `stale`, `down` or `unauthorised`.
    pub health: String,
    /// Age of its last report; `None` if it has not reported yet.
    #[serde(default)]
    pub age_seconds: Option<u64>,
    /// Its drain, if there is one.
    #[serde(default)]
    pub drain: Option<Intervention>,
    /// Its temporary targets, if there are any.
    #[serde(default)]
    pub target_override: Option<TargetOverride>,
    /// What it has of each profile.
    #[serde(default)]
    pub profiles: Vec<ServerProfile>,
    /// What it says is wrong.
    #[serde(default)]
    pub problems: Vec<Problem>,
}

/// What one server has of one profile.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ServerProfile {
    /// Its name.
    pub profile_key: String,
    /// How many runners it has or could have.
    pub target: usize,
    /// How many of them it does not offer.
    #[serde(default)]
    pub missing: usize,
    /// Why; `None` if none are missing.
    #[serde(default)]
    pub missing_because: Option<String>,
    /// How many are idle.
    pub idle: usize,
}

impl QueueDashboard {
    /// The problems of the queue and those that its servers report, errors first.
    pub fn all_problems(&self) -> Vec<Problem> {
        let servers = self.servers.iter();
        let servers = servers.map(|server| (&*server.name, &*server.problems));
        problem::with_servers(&self.problems, servers)
    }
}
