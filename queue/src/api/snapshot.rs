//! Copies of the queue's state from which pages and metrics are rendered, a few times a second at
//! most, without the core's lock.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use actix_web::web::Bytes;
use daemon::snapshot::SnapshotCache;
use serde::Serialize;
use shared::{clock::Timestamp, problem, values::ProfileKey};

use queue_core::View;

use super::AppState;
use crate::waits::ProfileWaits;

/// The last snapshot, shared by all requests and threads.
pub type Snapshots = SnapshotCache<Snapshot>;

/// The queue at one moment, and what was rendered from it.
pub struct Snapshot {
    pub captured_at: Timestamp,
    pub view: View,
    /// How long jobs waited lately.
    pub waits: BTreeMap<ProfileKey, ProfileWaits>,
    pub page: OnceLock<Bytes>,
    pub text: OnceLock<Bytes>,
    pub json: OnceLock<Bytes>,
    pub metrics: OnceLock<Bytes>,
    /// The body of `/readyz`.
    pub ready: OnceLock<Bytes>,
}

/// The JSON form.
#[derive(Serialize)]
struct Json<'a> {
    captured_at_micros: u64,
    #[serde(flatten)]
    view: &'a View,
    waits: &'a BTreeMap<ProfileKey, ProfileWaits>,
}

impl Snapshot {
    /// The last snapshot, or a new one if that is too old.
    pub fn latest(snapshots: &Snapshots, state: &AppState) -> Arc<Self> {
        snapshots.get(state.event_loop.now(), || {
            let (mut view, captured_at) =
                state.event_loop.read(|queue, now| (queue.view(now), now));
            view.problems.extend(state.problem_board.list());
            problem::sort(&mut view.problems);
            Self {
                waits: state.waits.summaries(captured_at),
                ..Self::of(view, captured_at)
            }
        })
    }

    /// A snapshot of this view.
    pub fn of(view: View, captured_at: Timestamp) -> Self {
        Self {
            captured_at,
            view,
            waits: BTreeMap::new(),
            page: OnceLock::new(),
            text: OnceLock::new(),
            json: OnceLock::new(),
            metrics: OnceLock::new(),
            ready: OnceLock::new(),
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        let json = Json {
            captured_at_micros: self.captured_at.as_micros(),
            view: &self.view,
            waits: &self.waits,
        };
        serde_json::to_string(&json).expect("a view has only text keys and plain values")
    }
}

/// A queue for the snapshot tests of the rendered forms.
#[cfg(test)]
pub(super) mod example {
    use queue_core::{AssignedView, JobView, ProfileView, ServerProfileView, ServerView};
    use shared::{
        operator::Intervention,
        problem::catalogue,
        values::UniqueId,
        wire::{Estimate, PastJob, TakenFrom, TargetOverride},
    };

    use super::*;
    use crate::waits::{HourOfWaits, WaitSummary};

    /// Two profiles, of which one has waiting jobs, and a server in each state of health.
    pub fn view() -> View {
        View {
            is_dispatching: true,
            waiting_count: 3,
            assigned_count: 1,
            assigned: vec![assigned()],
            profiles: profiles(),
            servers: vec![
                ServerView {
                    problems: vec![catalogue::RUNNERS_FAIL.problem(
                        "profile linux",
                        "<3> of them ended",
                        "read the log",
                        Timestamp::from_micros(1_699_999_940_123_456),
                    )],
                    more_problems: 2,
                    ..server("ci1", "fresh", Some(3))
                },
                server("ci2", "stale", Some(17)),
                server("ci3", "down", None),
            ],
            problems: vec![catalogue::SERVER_NOT_ANSWERING.problem(
                "http://ci3:8000/",
                "its monitor no longer answers",
                "check that it runs",
                Timestamp::from_micros(1_699_999_940_123_456),
            )],
        }
    }

    /// One profile with waiting jobs, and one that is paused.
    fn profiles() -> Vec<ProfileView> {
        let profile_key = |key: &str| key.parse().unwrap();
        let job = |unique_id: &str, count, estimate: Option<Estimate>, why: &str| JobView {
            public_id: unique_id.parse::<UniqueId>().unwrap().public_id(),
            count,
            qualified_repo: "servo/servo".to_owned(),
            lane: None,
            run_id: 42,
            waited_seconds: 150,
            estimate,
            no_estimate_because: match estimate {
                Some(_) => None,
                None => Some("no job has finished yet".to_owned()),
            },
            why: why.to_owned(),
            client_silent_seconds: 17,
        };
        let estimate = Some(Estimate {
            p50_seconds: 90,
            p90_seconds: 360,
        });
        vec![
            ProfileView {
                paused: None,
                profile_key: profile_key("linux"),
                target: 12,
                missing: 8,
                idle: 0,
                starting: 1,
                reserved: 1,
                busy: 2,
                waiting_count: 3,
                jobs: vec![
                    job("first-job", 1, estimate, "no runner is idle"),
                    job("second-job", 2, None, "1 job is ahead of it"),
                ],
            },
            ProfileView {
                paused: Some(Intervention {
                    since: Timestamp::from_seconds(1_699_999_900),
                    note: "new <disks>".to_owned(),
                    author: "alice@<laptop>".to_owned(),
                    client_address: None,
                }),
                profile_key: profile_key("windows"),
                target: 2,
                missing: 0,
                idle: 2,
                starting: 0,
                reserved: 0,
                busy: 0,
                waiting_count: 0,
                jobs: Vec::new(),
            },
        ]
    }

    /// A job that is over.
    pub fn past_job() -> PastJob {
        let at = |seconds: u64| Timestamp::from_seconds(1_699_999_000 + seconds);
        PastJob {
            unique_id: "fourth-job".parse().unwrap(),
            qualified_repo: "servo/servo".parse().unwrap(),
            run_id: "40".parse().unwrap(),
            profile_key: "linux".parse().unwrap(),
            count: 1,
            outcome: "finished".to_owned(),
            enqueued_at: at(0),
            assigned_at: Some(at(18)),
            started_at: Some(at(20)),
            ended_at: at(560),
            runners: assigned().runners,
        }
    }

    /// A job that runs.
    fn assigned() -> AssignedView {
        AssignedView {
            public_id: "third-job".parse::<UniqueId>().unwrap().public_id(),
            profile_key: "linux".parse().unwrap(),
            count: 1,
            qualified_repo: "servo/servo".to_owned(),
            run_id: 41,
            waited_seconds: Some(12),
            assigned_at: Some(Timestamp::from_seconds(1_699_999_900)),
            started_at: Some(Timestamp::from_seconds(1_699_999_905)),
            runners: vec![TakenFrom {
                server: "http://ci1:8000/".to_owned(),
                runner: 7,
            }],
        }
    }

    fn order(note: &str) -> Intervention {
        Intervention {
            since: Timestamp::from_seconds(1_699_999_900),
            note: note.to_owned(),
            author: "alice@laptop".to_owned(),
            client_address: None,
        }
    }

    /// A server with four runners of one profile.
    fn server(name: &str, health: &'static str, age_seconds: Option<u64>) -> ServerView {
        ServerView {
            name: format!("http://{name}:8000/"),
            health,
            age_seconds,
            profiles: vec![ServerProfileView {
                profile_key: "linux".parse().unwrap(),
                target: 4,
                idle: 0,
                missing: if health == "fresh" { 0 } else { 4 },
                missing_because: (health != "fresh").then(|| format!("{name} is {health}")),
                target_reason: None,
            }],
            drain: (name == "ci2").then(|| order("new memory")),
            target_override: (name == "ci1").then(|| TargetOverride {
                targets: [("linux".parse().unwrap(), 3)].into(),
                order: order("a <fair>"),
            }),
            problems: Vec::new(),
            more_problems: 0,
        }
    }

    /// A queue that has just started.
    pub fn view_after_start() -> View {
        View {
            is_dispatching: false,
            waiting_count: 0,
            assigned_count: 0,
            assigned: Vec::new(),
            profiles: Vec::new(),
            servers: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// A snapshot of `view`, in which jobs waited in the hour before.
    pub fn snapshot() -> Snapshot {
        let (summary, from) = (summary(), Timestamp::from_seconds(1_699_995_600));
        let hours = vec![HourOfWaits { from, summary }];
        let linux = ProfileWaits {
            total: summary,
            hours,
        };
        Snapshot {
            waits: BTreeMap::from([("linux".parse().unwrap(), linux)]),
            ..Snapshot::of(view(), Timestamp::from_micros(1_700_000_000_123_456))
        }
    }

    fn summary() -> WaitSummary {
        WaitSummary {
            jobs: 12,
            p50_seconds: 45,
            p90_seconds: 130,
        }
    }
}
