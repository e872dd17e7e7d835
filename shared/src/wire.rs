//! JSON bodies that clients, queue and monitors exchange.
//!
//! Existing clients read these keys, so they must not change. Fields that older monitors do not send
//! are optional. None of these types contains a secret.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    operator::Intervention,
    problem::Problem,
    registration::Registration,
    values::{LaneName, ProfileKey, PublicId, QualifiedRepo, RunId, UniqueId},
};

/// The response of a monitor to `GET /dashboard.json`: its report to the queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MonitorDashboard {
    /// A random value that is new at each start of the monitor, in hexadecimal: two URLs with the same
    /// one are one server. `None` from older monitors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Numbers of runners of each profile, by status.
    pub profile_runner_counts: BTreeMap<ProfileKey, RunnerCounts>,
    /// The profiles of which the server keeps fewer runners than its settings ask for and its host can
    /// hold, and why. Absent if there are none, and from older monitors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing: BTreeMap<ProfileKey, MissingRunners>,
    /// The drain that is in force. Absent if there is none, and from older monitors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Intervention>,
    /// The images whose rebuild an operator has ordered, until one that was begun later is complete. Absent if
    /// there are none, and from older monitors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rebuilds: BTreeMap<ProfileKey, Intervention>,
    /// The temporary targets that an operator has set. Absent if there are none, and from older monitors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_override: Option<TargetOverride>,
    /// The runners within the targets that do not become idle for now, by profile, and why. Absent if there are
    /// none, and from older monitors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub delayed: BTreeMap<ProfileKey, DelayedRunners>,
    /// What the host has for guests, and what they use of it. Absent from older monitors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostUse>,
    /// Every runner of this server.
    pub runners: Vec<DashboardRunner>,
    /// Reservations by `unique_id`. `None` from older monitors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservations: Option<BTreeMap<UniqueId, ReservationReport>>,
    /// What is wrong on this server. Absent from older monitors.
    #[serde(default)]
    pub problems: Vec<Problem>,
}

/// Temporary targets of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TargetOverride {
    /// How many runners of each profile it keeps.
    pub targets: BTreeMap<ProfileKey, usize>,
    /// Since when, why and by whom.
    #[serde(flatten)]
    pub order: Intervention,
}

impl TargetOverride {
    /// What readers without a token see: no address.
    pub fn public(&self) -> Self {
        Self {
            targets: self.targets.clone(),
            order: self.order.public(),
        }
    }

    /// The targets for people: `3 of linux, 0 of windows`.
    pub fn text(&self) -> String {
        let targets = self.targets.iter();
        let targets = targets.map(|(profile_key, count)| format!("{count} of {profile_key}"));
        targets.collect::<Vec<_>>().join(", ")
    }
}

/// Numbers of runners of one profile on one server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerCounts {
    /// The number to keep.
    pub target: usize,
    /// Existing ones that are neither invalid nor done.
    pub healthy: usize,
    /// Starting ones, including those that will never be online.
    pub started_or_crashed: usize,
    /// Idle ones.
    pub idle: usize,
    /// Reserved ones, whose job has not started yet.
    pub reserved: usize,
    /// Busy ones.
    pub busy: usize,
    /// Idle ones in excess of the target.
    pub excess_healthy: usize,
    /// Ones to be created.
    pub wanted: usize,
    /// How many there could be at once if jobs waited for them, at the expense of other profiles. Absent if
    /// the target does not follow demand, and from older monitors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<usize>,
    /// Why the target is another one than that of the settings. Absent if it is the same, and from older
    /// monitors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_reason: Option<TargetReason>,
    /// Age of the current image of the profile at the time of the response, as `{"secs", "nanos"}`;
    /// null without an image.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub image_age: Option<Duration>,
}

/// Why a target is another one than that of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TargetReason {
    /// Jobs wait for more of them.
    Demand,
    /// Jobs waited for more of them a short time ago.
    Kept,
    /// It makes room for runners of other profiles, which jobs wait for.
    Yielded,
    /// An operator has set temporary targets.
    Override,
}

impl TargetReason {
    /// A clause that says why.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Demand => "jobs wait for more of them",
            Self::Kept => "jobs waited for more of them a short time ago",
            Self::Yielded => "it makes room for runners of other profiles, which jobs wait for",
            Self::Override => "an operator has set temporary targets",
        }
    }
}

/// What a host has for guests, and what they use of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostUse {
    /// What all guests together may use: what the settings allow and the host has.
    pub capacity: Amounts,
    /// What is left of it.
    pub free: Amounts,
    /// What the guests of each profile use. Profiles without guests are left out.
    pub profiles: BTreeMap<ProfileKey, ProfileUse>,
}

/// What the guests of one profile use of their host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProfileUse {
    /// By runners that run a job.
    pub busy: Amounts,
    /// By runners that are reserved for a job.
    pub reserved: Amounts,
    /// By all other runners: idle and starting ones, and those that are not gone yet.
    pub other: Amounts,
    /// By the guest that builds the image of the profile.
    pub build: Amounts,
}

/// An amount of what the guests of a host share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Amounts {
    /// Hugepages of 1 GiB.
    pub hugepages_1g: u64,
    /// Memory other than hugepages, in bytes.
    pub memory_bytes: u64,
}

/// Runners of one profile that a server could have and does not offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MissingRunners {
    /// How many; the target of the profile is lower by this number.
    pub count: usize,
    /// Why: a clause such as `the server is drained`.
    pub reason: String,
}

impl MissingRunners {
    /// How many are not there, when so many work and the target is this: a server that is drained still has
    /// those that are in use.
    pub fn beside(&self, working: usize, target: usize) -> usize {
        missing_beside(self.count, working, target)
    }
}

/// See [`MissingRunners::beside`].
pub fn missing_beside(missing: usize, working: usize, target: usize) -> usize {
    missing.saturating_sub(working.saturating_sub(target))
}

/// Runners of one profile that a server keeps trying to offer, and that something delays for longer than a start
/// takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DelayedRunners {
    /// How many: some of those that start or are still to be created, so the target includes them.
    pub count: usize,
    /// Why: a clause such as `the hypervisor does not answer`.
    pub reason: String,
}

/// One runner on a monitor's dashboard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "some types explain their fields")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DashboardRunner {
    /// The id of the runner on its server; ids only grow.
    pub id: u64,
    /// URL of its screenshot; null if the driver has no screenshots.
    #[serde(default)]
    pub screenshot_url: Option<String>,
    pub runner: Runner,
    /// Its profile. `None` from older monitors; then the name of the registration contains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_key: Option<ProfileKey>,
    /// Its status. `None` from older monitors; then it follows from the registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<RunnerStatus>,
    /// Since when it has this status, in microseconds since the epoch by the server's clock. `None` if that
    /// is unknown, and from older monitors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_since: Option<Timestamp>,
    /// The job that it runs or is reserved for. Absent if there is none, or its run is not known, and from
    /// older monitors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobOnRunner>,
}

/// The job of a runner, as every reader of a dashboard may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobOnRunner {
    /// Its public id. Absent for a job that has the runner without a reservation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_id: Option<PublicId>,
    /// Its repository.
    pub qualified_repo: QualifiedRepo,
    /// Its workflow run.
    pub run_id: RunId,
}

/// A runner in takes and dashboards, without its JIT configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Runner {
    /// The id of the runner on its server.
    pub id: u64,
    /// When its creation began, as `{"secs_since_epoch", "nanos_since_epoch"}`.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub created_time: SystemTime,
    /// Its registration at GitHub; null before it is registered.
    pub registration: Option<Registration>,
    /// The name of its guest at the hypervisor; null without a guest.
    pub guest_name: Option<String>,
    /// The address of its guest; null until it is known.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub ipv4_address: Option<Ipv4Addr>,
}

/// The status of a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RunnerStatus {
    /// It has no guest, only leftovers to be cleaned up.
    Invalid,
    /// Its guest runs, but it is not online at GitHub yet.
    Starting,
    /// It is online and waits for a job.
    Idle,
    /// It is reserved for a job that has not started yet.
    Reserved,
    /// It runs a job.
    Busy,
    /// Its job has ended, or its registration is gone: it will be destroyed.
    Done,
}

impl RunnerStatus {
    /// Its name in snake case, as it is sent and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Reserved => "reserved",
            Self::Busy => "busy",
            Self::Done => "done",
        }
    }
}

/// A reservation as a monitor reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReservationReport {
    /// Ids of the reserved runners.
    pub runners: Vec<u64>,
    /// Its state.
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
    /// What the queue sent with its take, to recognise the reservation by: `None` if no queue took the
    /// runners, or an older one, and from older monitors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// The state of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ReservationState {
    /// The job has not started on any of its runners.
    Held,
    /// The job has started on at least one of its runners, which still exists.
    Used,
    /// The job has used its runners, and they are gone. Remembered so that the job gets no others.
    // State files and peers of earlier releases have this name.
    #[serde(rename = "served")]
    Finished,
}

/// One runner in the response to a take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TakenRunner {
    /// The id of the runner on its server.
    pub id: u64,
    /// The runner, in the form in which the monitor sent it.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub runner: serde_json::Value,
    /// What the workflow puts into `runs-on`. `None` from older monitors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Base URL of the server; added by the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

/// The response of a monitor to a take; current and older monitors use different forms.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum TakeAnswer {
    /// Runners, possibly fewer than requested.
    Many(Vec<TakenRunner>),
    /// One runner.
    One(Box<TakenRunner>),
    /// `null`, from an older monitor without idle runners.
    Nothing(()),
}

impl TakeAnswer {
    /// The runners, in one form for all.
    pub fn into_runners(self) -> Vec<TakenRunner> {
        match self {
            Self::Many(runners) => runners,
            Self::One(runner) => vec![*runner],
            Self::Nothing(()) => Vec::new(),
        }
    }
}

/// The body of the response to a take that has to wait, for clients that accept JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WaitingBody {
    /// Always `waiting`.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// The position of the job in the queue of its profile; 1 is next.
    pub position: u64,
    /// The number of jobs of its profile before it.
    pub ahead: u64,
    /// The estimated wait; null if there is no estimate.
    pub estimate: Option<Estimate>,
    /// Why there is no estimate, as a clause. Absent if there is one, and from older queues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_estimate_because: Option<String>,
}

/// The estimated time that a job will still wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Estimate {
    /// The median, in seconds.
    pub p50_seconds: u64,
    /// The 90th percentile, in seconds.
    pub p90_seconds: u64,
}

/// The response of the queue to `GET /job/<unique_id>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "some types explain their fields")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobStatus {
    pub unique_id: UniqueId,
    pub profile_key: ProfileKey,
    /// The number of runners that it needs.
    pub count: usize,
    /// `waiting`, `forwarding`, `reserved` or `delivered`.
    pub state: String,
    /// The lane that the policy of the queue has put it into. Absent without a policy, and from older queues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub lane: Option<LaneName>,
    /// The time since it was enqueued.
    pub waited_seconds: u64,
    /// Its position in the queue, 1 is next; null once it has runners.
    pub position: Option<u64>,
    /// The number of jobs before it; null once it has runners.
    pub ahead: Option<u64>,
    /// The estimated wait; null if there is no estimate.
    pub estimate: Option<Estimate>,
    /// Why a job that waits has no estimate, as a clause. Absent if it has one, once it has runners, and
    /// from older queues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_estimate_because: Option<String>,
    /// Why it waits, in one sentence.
    pub why: String,
}

/// The response of the queue to `GET /job/<unique_id>`, for jobs that are over as well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobReport {
    /// Where it stands. If it is over, `state` is `finished`, `expired`, `withdrawn` or `abandoned`, and `why`
    /// says what became of it.
    #[serde(flatten)]
    pub status: JobStatus,
    /// What has happened to it, oldest first: objects with `id`, `at`, `event` and further facts. Empty from
    /// an older queue.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub events: Vec<serde_json::Value>,
    /// Whether events before these are missing.
    #[serde(default)]
    pub is_truncated: bool,
}

/// The response of the queue to `GET /history.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct History {
    /// Jobs that are over, the last ended first.
    pub jobs: Vec<PastJob>,
    /// The parameter `before` of the request for older ones; null if there are none. A response may have
    /// few jobs or none, and yet not be the last.
    pub next: Option<u64>,
}

/// A job that is over. Times are in microseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "some types explain their fields")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PastJob {
    pub unique_id: UniqueId,
    pub qualified_repo: QualifiedRepo,
    pub run_id: RunId,
    pub profile_key: ProfileKey,
    /// The number of runners that it needed.
    pub count: u64,
    /// `finished`, `expired`, `withdrawn` or `abandoned`.
    pub outcome: String,
    pub enqueued_at: Timestamp,
    /// When it got its runners; null if it got none, or another process assigned them.
    pub assigned_at: Option<Timestamp>,
    /// When a workflow job was first seen on one of them.
    pub started_at: Option<Timestamp>,
    pub ended_at: Timestamp,
    pub runners: Vec<TakenFrom>,
}

impl PastJob {
    /// How long it waited for its runners, or in vain.
    pub fn waited(&self) -> Duration {
        let until = self.assigned_at.unwrap_or(self.ended_at);
        until.since(self.enqueued_at)
    }
}

/// A runner of a past job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TakenFrom {
    /// The URL of its server.
    pub server: String,
    /// Its id on that server.
    pub runner: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A dashboard of a monitor as it is in production today.
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
    fn the_dashboard_of_an_older_monitor_is_parsed() {
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
        assert_eq!(dashboard.instance, None);
    }

    #[test]
    fn a_dashboard_has_the_keys_that_clients_read() {
        let mut dashboard: MonitorDashboard = serde_json::from_str(OLDER_DASHBOARD).unwrap();
        dashboard.instance = Some("5f0c".to_owned());
        dashboard.runners[0].status = Some(RunnerStatus::Idle);
        dashboard.reservations = Some(BTreeMap::from([(
            "job".parse().unwrap(),
            ReservationReport {
                runners: vec![7],
                state: ReservationState::Held,
                attempt: 5,
                enqueued_at: Some(Timestamp::from_micros(4)),
                proof: None,
            },
        )]));
        assert_eq!(
            serde_json::to_value(&dashboard).unwrap(),
            json!({
                "instance": "5f0c",
                "profile_runner_counts": {"linux": {"target": 2, "healthy": 2, "started_or_crashed": 0, "idle": 1,
                    "reserved": 0, "busy": 1, "excess_healthy": 0, "wanted": 0, "image_age": {"secs": 60, "nanos": 0}}},
                "runners": [{"id": 7, "screenshot_url": "http://[::1]:8000/runner/7/screenshot", "status": "idle",
                    "runner": {"id": 7, "created_time": {"secs_since_epoch": 1, "nanos_since_epoch": 2},
                        "registration": {"id": 70, "busy": false, "name": "ci-runner-linux.7@host",
                            "status": "online", "labels": [{"name": "self-hosted"}]},
                        "guest_name": "ci-runner-linux.7", "ipv4_address": "192.168.100.7"}}],
                "reservations": {"job": {"runners": [7], "state": "held", "attempt": 5, "enqueued_at": 4}},
                "problems": [],
            })
        );
    }

    #[test]
    fn every_form_of_a_response_to_a_take_is_parsed() {
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
    fn unknown_fields_of_a_taken_runner_are_left_out() {
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
