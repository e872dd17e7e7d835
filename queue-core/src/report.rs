//! What a server said it has, reduced to what the queue decides by.
//!
//! Owns the reading of dashboards, of monitors old and new. Older ones say neither which profile
//! a runner is of nor what it is doing: both follow from its registration.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    clock::Timestamp,
    registration::RegistrationStatus,
    values::{ProfileKey, UniqueId},
    wire::{DashboardRunner, MonitorDashboard, ReservationReport, RunnerStatus},
};

/// A runner's id on its server.
pub type RunnerId = u64;

/// A server's last word.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// When it was asked: what happened later may not show in it.
    pub asked_at: Timestamp,
    /// What it has of each profile.
    pub profiles: BTreeMap<ProfileKey, ProfileReport>,
    /// Every runner that exists.
    pub runners: BTreeSet<RunnerId>,
    /// What it holds for whom; `None` for an older monitor, which does not say.
    pub reservations: Option<BTreeMap<UniqueId, ReservationReport>>,
}

/// What a server has of one profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileReport {
    /// How many runners it is set up to have.
    pub target: usize,
    /// Which ones wait for a job.
    pub idle: BTreeSet<RunnerId>,
}

impl Report {
    /// Reads a dashboard that was asked for at `asked_at`.
    pub fn of(dashboard: MonitorDashboard, asked_at: Timestamp) -> Self {
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
        // A runner that is listed as idle but not counted as such is not relied on.
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

    /// What it says of the profile.
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

/// The profile in a runner's name, `<prefix>-<profile_key>.<id>@<suffix>`. The prefix is the
/// server's own affair, so the longest known key that fits is taken.
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
        let report = Report::of(dashboard, Timestamp::from_seconds(1));
        report
            .profile(&key.parse().unwrap())
            .unwrap()
            .idle
            .iter()
            .copied()
            .collect()
    }

    #[test]
    fn an_older_monitor_is_read_by_its_registrations() {
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
    fn what_a_monitor_says_itself_goes_before_its_registrations() {
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
    fn no_more_are_relied_on_than_are_counted() {
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
