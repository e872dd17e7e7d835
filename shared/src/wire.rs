//! What stands in the JSON that clients, queue and monitors exchange.
//!
//! Owns the shapes and their keys, which existing clients already read. What an older monitor
//! does not send is optional here. Nothing secret has a place in any of these types.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    registration::Registration,
    values::{ProfileKey, UniqueId},
};

/// The answer of a monitor's `GET /dashboard.json`: all that a queue knows about a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MonitorDashboard {
    /// How many runners of each profile there are, by what they are doing.
    pub profile_runner_counts: BTreeMap<ProfileKey, RunnerCounts>,
    /// Every runner of this server.
    pub runners: Vec<DashboardRunner>,
    /// What is held for whom. Older monitors do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservations: Option<BTreeMap<UniqueId, ReservationReport>>,
}

/// The runners of one profile on one server, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerCounts {
    /// How many there should be.
    pub target: usize,
    /// How many exist and are neither broken nor done.
    pub healthy: usize,
    /// How many are booting, or never came up.
    pub started_or_crashed: usize,
    /// How many wait for a job.
    pub idle: usize,
    /// How many are held for a job that has not started on them yet.
    pub reserved: usize,
    /// How many run a job.
    pub busy: usize,
    /// How many idle ones are beyond the target.
    pub excess_healthy: usize,
    /// How many are still to be created.
    pub wanted: usize,
    /// Age of the profile's current image when it was asked for, as `{"secs", "nanos"}`; null where
    /// there is none.
    #[serde(default)]
    pub image_age: Option<Duration>,
}

/// One runner on a monitor's dashboard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DashboardRunner {
    /// The runner's id on its server; ids only grow.
    pub id: u64,
    /// Where its screenshot can be had; null where the driver has none.
    #[serde(default)]
    pub screenshot_url: Option<String>,
    /// The runner itself.
    pub runner: Runner,
    /// Its profile. Older monitors do not say; it then stands in the registration's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_key: Option<ProfileKey>,
    /// What it is doing. Older monitors do not say; it then follows from the registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<RunnerStatus>,
}

/// A runner as takes and dashboards show it; never with its credential.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Runner {
    /// The runner's id on its server.
    pub id: u64,
    /// When its creation began, as `{"secs_since_epoch", "nanos_since_epoch"}`.
    pub created_time: SystemTime,
    /// GitHub's record of it; null while there is none.
    pub registration: Option<Registration>,
    /// The name of its guest at the hypervisor; null while there is none.
    pub guest_name: Option<String>,
    /// The guest's address, once it is known.
    pub ipv4_address: Option<Ipv4Addr>,
}

/// What a runner is doing, from outside in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunnerStatus {
    /// It has no guest: there is only something left to clean up.
    Invalid,
    /// The guest is up, but not online at GitHub yet; or it never will be.
    Starting,
    /// Waiting for a job.
    Idle,
    /// Held for a job that has not started yet.
    Reserved,
    /// Running a job.
    Busy,
    /// Its job has ended, or GitHub no longer knows it: to be destroyed.
    Done,
}

/// A reservation as a monitor reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationReport {
    /// The runners that are held, by id.
    pub runners: Vec<u64>,
    /// How far it has come.
    pub state: ReservationState,
    /// Highest sequence of a fencing token among the takes for it; 0 if no take had one. Only
    /// older queues compare it; a newer one reads no more from it than whether a queue took it.
    #[serde(default)]
    pub attempt: u64,
    /// When the job was enqueued, in microseconds since the epoch, according to the queue that took
    /// the runners. Distinguishes it from an earlier job of the same name. None if no queue took
    /// them, or an older one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enqueued_at: Option<Timestamp>,
}

/// How far a reservation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReservationState {
    /// All its runners wait for the job to start.
    Held,
    /// A job has started on at least one of its runners, which is still there.
    Used,
    /// It was used, and its runners are gone: remembered so that no second set is given out.
    Served,
}

/// One runner in the answer to a take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakenRunner {
    /// The runner's id on its server.
    pub id: u64,
    /// The runner, in whatever shape the monitor sent it.
    pub runner: serde_json::Value,
    /// What the workflow puts in `runs-on`. Older monitors do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Base URL of the server; filled in by the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

/// What monitors, old and new, answer to a take.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum TakeAnswer {
    /// Runners, perhaps fewer than asked.
    Many(Vec<TakenRunner>),
    /// One runner.
    One(Box<TakenRunner>),
    /// `null`: an older monitor that could not serve the take.
    Nothing(()),
}

impl TakeAnswer {
    /// The runners, however they were wrapped.
    pub fn into_runners(self) -> Vec<TakenRunner> {
        match self {
            Self::Many(runners) => runners,
            Self::One(runner) => vec![*runner],
            Self::Nothing(()) => Vec::new(),
        }
    }
}

/// The body of a take that has to wait, for clients that accept JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitingBody {
    /// Always `waiting`.
    pub code: String,
    /// One sentence a person can act on.
    pub message: String,
    /// The job's place in the line of its profile; 1 is next.
    pub position: u64,
    /// How many jobs of its profile are before it.
    pub ahead: u64,
    /// How long it will still take; null when nothing is known.
    pub estimate: Option<Estimate>,
}

/// How long a job will still wait, as seen from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// Half of such waits are shorter, in seconds.
    pub p50_seconds: u64,
    /// Nine in ten of such waits are shorter, in seconds.
    pub p90_seconds: u64,
}

/// The answer to `GET /job/<unique_id>` at the queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobStatus {
    /// The job.
    pub unique_id: UniqueId,
    /// What it waits for.
    pub profile_key: ProfileKey,
    /// How many runners it wants.
    pub count: usize,
    /// `waiting`, `forwarding`, `reserved`, `delivered`.
    pub state: String,
    /// How long it has been in the queue.
    pub waited_seconds: u64,
    /// Its place in line, 1 is next; null once it has its runners.
    pub position: Option<u64>,
    /// How many jobs are before it; null once it has its runners.
    pub ahead: Option<u64>,
    /// How long it will still take; null when nothing is known.
    pub estimate: Option<Estimate>,
    /// Why it waits, in one sentence.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A dashboard as a monitor of today's production sends it.
    const OLDER_DASHBOARD: &str = r#"{
        "profile_runner_counts": {"linux": {"target": 2, "healthy": 2, "started_or_crashed": 0, "idle": 1,
            "reserved": 0, "busy": 1, "excess_healthy": 0, "wanted": 0, "image_age": {"secs": 60, "nanos": 0}}},
        "runners": [{"id": 7, "screenshot_url": "http://[::1]:8000/runner/7/screenshot", "runner": {"id": 7,
            "created_time": {"secs_since_epoch": 1, "nanos_since_epoch": 2},
            "registration": {"id": 70, "busy": false, "name": "ci-runner-linux.7@host", "status": "online",
                "labels": [{"name": "self-hosted"}]},
            "guest_name": "ci-runner-linux.7", "ipv4_address": "192.168.100.7", "details": {"image_type": "Rust"}}}]
    }"#;

    #[test]
    fn a_dashboard_of_an_older_monitor_is_understood() {
        let dashboard: MonitorDashboard = serde_json::from_str(OLDER_DASHBOARD).unwrap();
        let counts = &dashboard.profile_runner_counts["linux"];
        assert_eq!(
            (counts.target, counts.idle, counts.image_age),
            (2, 1, Some(Duration::from_secs(60)))
        );
        let shown = &dashboard.runners[0];
        assert_eq!(
            (shown.id, shown.status, shown.profile_key.as_ref()),
            (7, None, None)
        );
        assert_eq!(
            shown.runner.registration.as_ref().unwrap().name,
            "ci-runner-linux.7@host"
        );
        assert_eq!(dashboard.reservations, None);
    }

    #[test]
    fn a_dashboard_has_the_keys_that_clients_read() {
        let mut dashboard: MonitorDashboard = serde_json::from_str(OLDER_DASHBOARD).unwrap();
        dashboard.runners[0].status = Some(RunnerStatus::Idle);
        dashboard.reservations = Some(BTreeMap::from([(
            "job".parse().unwrap(),
            ReservationReport {
                runners: vec![7],
                state: ReservationState::Held,
                attempt: 5,
                enqueued_at: Some(Timestamp::from_micros(4)),
            },
        )]));
        assert_eq!(
            serde_json::to_value(&dashboard).unwrap(),
            json!({
                "profile_runner_counts": {"linux": {"target": 2, "healthy": 2, "started_or_crashed": 0, "idle": 1,
                    "reserved": 0, "busy": 1, "excess_healthy": 0, "wanted": 0, "image_age": {"secs": 60, "nanos": 0}}},
                "runners": [{"id": 7, "screenshot_url": "http://[::1]:8000/runner/7/screenshot", "status": "idle",
                    "runner": {"id": 7, "created_time": {"secs_since_epoch": 1, "nanos_since_epoch": 2},
                        "registration": {"id": 70, "busy": false, "name": "ci-runner-linux.7@host",
                            "status": "online", "labels": [{"name": "self-hosted"}]},
                        "guest_name": "ci-runner-linux.7", "ipv4_address": "192.168.100.7"}}],
                "reservations": {"job": {"runners": [7], "state": "held", "attempt": 5, "enqueued_at": 4}},
            })
        );
    }

    #[test]
    fn every_form_of_a_take_answer_is_understood() {
        let runner = json!({"id": 7, "runner": {"id": 7}});
        for (answer, count) in [
            (runner.clone(), 1),
            (json!([runner]), 1),
            (json!([runner, runner]), 2),
            (json!([]), 0),
            (json!(null), 0),
        ] {
            let parsed: TakeAnswer = serde_json::from_value(answer.clone()).unwrap();
            assert_eq!(parsed.into_runners().len(), count, "{answer}");
        }
    }

    #[test]
    fn what_is_unknown_is_left_out_of_a_taken_runner() {
        let taken = TakenRunner {
            id: 7,
            runner: json!({}),
            label: None,
            server: None,
        };
        assert_eq!(
            serde_json::to_value(taken).unwrap(),
            json!({"id": 7, "runner": {}})
        );
    }
}
