//! Report of a server: its dashboard, reduced to what the queue decides by.
//!
//! Responsible for reading the dashboards of monitors of all versions. Older ones state neither the
//! profile of a runner nor its status: both follow from its registration.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    clock::Timestamp,
    registration::RegistrationStatus,
    values::{ProfileKey, UniqueId},
    wire::{DashboardRunner, MonitorDashboard, ReservationReport, RunnerStatus},
};

/// A runner's id on its server.
pub type RunnerId = u64;

/// What a server reported.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// When the poll was sent: what happened later may be missing.
    pub asked_at: Timestamp,
    pub profiles: BTreeMap<ProfileKey, ProfileReport>,
    /// Every runner that exists, whatever its status.
    pub runners: BTreeSet<RunnerId>,
    /// The reservations, by job; `None` from an older monitor, which does not report them.
    pub reservations: Option<BTreeMap<UniqueId, ReservationReport>>,
}

/// What a server reported of one profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileReport {
    /// How many runners the server keeps ready.
    pub target: usize,
    pub idle: BTreeSet<RunnerId>,
}

impl Report {
    /// Reads the dashboard that answered a poll sent at `asked_at`.
    pub fn new(dashboard: MonitorDashboard, asked_at: Timestamp) -> Self {
        let mut profiles: BTreeMap<ProfileKey, ProfileReport> = dashboard
            .profile_runner_counts
            .iter()
            .map(|(key, counts)| {
                (
                    key.clone(),
                    ProfileReport {
                        target: counts.target,
                        idle: BTreeSet::new(),
                    },
                )
            })
            .collect();
        for shown in &dashboard.runners {
            if !is_idle(shown) {
                continue;
            }
            let key = match &shown.profile_key {
                Some(key) => Some(key.clone()),
                None => profile_by_name(shown, profiles.keys()).cloned(),
            };
            if let Some(profile) = key.and_then(|key| profiles.get_mut(&key)) {
                profile.idle.insert(shown.id);
            }
        }
        // Older monitors list runners as idle that are about to be destroyed. Only as many as they
        // count as idle can be taken.
        for (key, counts) in &dashboard.profile_runner_counts {
            if let Some(profile) = profiles.get_mut(key) {
                while profile.idle.len() > counts.idle {
                    profile.idle.pop_last();
                }
            }
        }
        let runners = dashboard.runners.iter().map(|shown| shown.id).collect();
        Self {
            asked_at,
            profiles,
            runners,
            reservations: dashboard.reservations,
        }
    }

    pub fn profile(&self, key: &ProfileKey) -> Option<&ProfileReport> {
        self.profiles.get(key)
    }
}

fn is_idle(shown: &DashboardRunner) -> bool {
    match shown.status {
        Some(status) => status == RunnerStatus::Idle,
        None => {
            shown.runner.guest_name.is_some()
                && shown
                    .runner
                    .registration
                    .as_ref()
                    .is_some_and(|registration| {
                        let is_reserved = registration
                            .labels
                            .iter()
                            .any(|label| label.name.starts_with("reserved-for:"));
                        registration.status == RegistrationStatus::Online
                            && !registration.busy
                            && !is_reserved
                    })
        }
    }
}

/// The profile in a runner's name, `<prefix>-<profile_key>.<id>@<suffix>`. Each server has its own
/// prefix, so the longest known key that fits is taken.
fn profile_by_name<'a>(
    shown: &DashboardRunner,
    keys: impl Iterator<Item = &'a ProfileKey>,
) -> Option<&'a ProfileKey> {
    let name = &shown.runner.registration.as_ref()?.name;
    let (guest, _) = name.rsplit_once('@')?;
    let (base, _) = guest.rsplit_once('.')?;
    keys.filter(|key| {
        base.strip_suffix(key.as_str())
            .is_some_and(|rest| rest.ends_with('-'))
    })
    .max_by_key(|key| key.as_str().len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn counts(target: usize, idle: usize) -> serde_json::Value {
        json!({"target": target, "healthy": idle, "started_or_crashed": 0, "idle": idle, "reserved": 0, "busy": 0,
            "excess_healthy": 0, "wanted": 0, "image_age": null})
    }

    fn older_runner(
        id: u64,
        name: &str,
        status: &str,
        busy: bool,
        label: &str,
    ) -> serde_json::Value {
        json!({"id": id, "runner": {"id": id, "created_time": {"secs_since_epoch": 1, "nanos_since_epoch": 0},
            "registration": {"id": id, "busy": busy, "name": name, "status": status, "labels": [{"name": label}]},
            "guest_name": "guest", "ipv4_address": null}})
    }

    fn idle(dashboard: serde_json::Value, key: &str) -> Vec<RunnerId> {
        let dashboard = serde_json::from_value(dashboard).unwrap();
        let report = Report::new(dashboard, Timestamp::from_seconds(1));
        report
            .profile(&key.parse().unwrap())
            .unwrap()
            .idle
            .iter()
            .copied()
            .collect()
    }

    #[test]
    fn the_runners_of_an_older_monitor_are_read_from_their_registrations() {
        let dashboard = json!({
            "profile_runner_counts": {"linux": counts(9, 1), "big-linux": counts(1, 1)},
            "runners": [
                older_runner(1, "ci-runner-linux.1@a", "online", false, "x"),
                older_runner(2, "ci-runner-linux.2@a", "online", true, "x"),
                older_runner(3, "ci-runner-linux.3@a", "offline", false, "x"),
                older_runner(4, "ci-runner-linux.4@a", "online", false, "reserved-for:job"),
                older_runner(5, "ci-runner-big-linux.5@a", "online", false, "x"),
                older_runner(6, "foreign", "online", false, "x"),
            ],
        });
        assert_eq!(idle(dashboard.clone(), "linux"), [1]);
        assert_eq!(idle(dashboard, "big-linux"), [5]);
    }

    #[test]
    fn a_reported_status_and_profile_count_more_than_a_registration() {
        let mut runner = older_runner(1, "ci-runner-linux.1@a", "online", false, "x");
        runner["status"] = json!("reserved");
        runner["profile_key"] = json!("linux");
        let mut other = older_runner(2, "whatever", "offline", false, "x");
        other["status"] = json!("idle");
        other["profile_key"] = json!("linux");
        let dashboard =
            json!({"profile_runner_counts": {"linux": counts(2, 1)}, "runners": [runner, other]});
        assert_eq!(idle(dashboard, "linux"), [2]);
    }

    #[test]
    fn no_more_runners_are_idle_than_are_counted() {
        let dashboard = json!({
            "profile_runner_counts": {"linux": counts(2, 1)},
            "runners": [
                older_runner(1, "ci-runner-linux.1@a", "online", false, "x"),
                older_runner(2, "ci-runner-linux.2@a", "online", false, "x"),
            ],
        });
        assert_eq!(idle(dashboard, "linux"), [1]);
    }
}
