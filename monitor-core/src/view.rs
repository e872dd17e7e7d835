//! The snapshot of the pool that pages, JSON and metrics are rendered from, outside the core's lock.
//!
//! It never contains a secret.

use std::{collections::BTreeMap, time::Duration};

use shared::{
    clock::Timestamp,
    values::{ProfileKey, UniqueId},
    wire::{
        DashboardRunner, JobOnRunner, MonitorDashboard, ReservationReport, Runner, RunnerStatus,
    },
};

use crate::{
    ActionLog, ImageView, Monitor, RunnerId, RunnerJob, SoftwareView,
    state::{observed::Presence, runner::RunnerRecord},
};

/// Everything that is shown to people and programs, at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The content of `/dashboard.json`, without the ages of images.
    pub dashboard: MonitorDashboard,
    /// The job that each reserved runner is held for.
    pub reserved_for: BTreeMap<u64, UniqueId>,
    /// When the creation of each runner began.
    pub created_at: BTreeMap<u64, Timestamp>,
    /// The images that exist, and those that are still to be built here.
    pub images: BTreeMap<ProfileKey, ImageView>,
    /// The runner software of the profiles of which a runner has connected.
    pub software: BTreeMap<ProfileKey, SoftwareView>,
    /// A sentence for each setting that exceeds what the host has.
    pub capacity_warnings: Vec<String>,
    /// The last actions, and what could not be done.
    pub action_log: ActionLog,
}

impl View {
    /// The content of `/dashboard.json` at the given moment.
    pub fn dashboard_at(&self, now: Timestamp) -> MonitorDashboard {
        let mut dashboard = self.dashboard.clone();
        for (profile_key, counts) in &mut dashboard.profile_runner_counts {
            let built_at = self.images.get(profile_key).and_then(|it| it.built_at);
            // Whole seconds: file systems do not record when an image was complete more exactly.
            let age = built_at.map(|built_at| now.since(built_at).as_secs());
            counts.image_age = age.map(Duration::from_secs);
        }
        dashboard
    }

    /// The content of `/dashboard.json` for readers without a token. Labels of runners are left out,
    /// because a job that names one gets the runner; reservations as well, because their names give the
    /// label `reserved-for:<unique_id>`. The keys stay. The addresses of operators are left out as well.
    pub fn public_dashboard_at(&self, now: Timestamp) -> MonitorDashboard {
        let mut dashboard = self.dashboard_at(now);
        for shown in &mut dashboard.runners {
            if let Some(registration) = &mut shown.runner.registration {
                registration.labels.clear();
            }
        }
        if let Some(reservations) = &mut dashboard.reservations {
            reservations.clear();
        }
        let of_override = dashboard.target_override.as_mut().map(|it| &mut it.order);
        let interventions = dashboard.rebuilds.values_mut();
        for intervention in interventions.chain(&mut dashboard.drain).chain(of_override) {
            *intervention = intervention.public();
        }
        for problem in &mut dashboard.problems {
            *problem = problem.for_strangers();
        }
        dashboard
    }

    /// Whether `/dashboard.json` is the same for both but for the ages of images.
    pub fn has_same_dashboard_as(&self, other: &Self) -> bool {
        let built_at = |view: &Self| {
            let images = view.images.iter();
            let built_at = images.filter_map(|(key, image)| Some((key.clone(), image.built_at?)));
            built_at.collect::<BTreeMap<_, _>>()
        };
        self.dashboard == other.dashboard && built_at(self) == built_at(other)
    }
}

impl Monitor {
    /// Copies everything that is shown; none before the first polls have been answered.
    pub fn view(&self) -> Option<View> {
        if !self.is_ready() {
            return None;
        }
        let reserved = self.reserved_runners().into_iter();
        let created_at = self.durable.runners.iter();
        Some(View {
            dashboard: self.dashboard(),
            reserved_for: reserved
                .map(|(id, unique_id)| (id.0, unique_id.clone()))
                .collect(),
            created_at: created_at
                .map(|(id, record)| (id.0, record.created_at))
                .collect(),
            images: self.image_views(),
            software: self.software.views(),
            capacity_warnings: self.capacity_warnings(),
            action_log: self.action_log.clone(),
        })
    }

    /// The images that exist, and those that are still to be built here.
    fn image_views(&self) -> BTreeMap<ProfileKey, ImageView> {
        let profiles = self.policy.profiles.iter();
        profiles
            .map(|(profile_key, profile)| {
                let view = self.images.view(profile_key);
                (profile_key, profile.builds_image, view)
            })
            .filter(|(_, builds_image, view)| *builds_image || view.built_at.is_some())
            .map(|(profile_key, _, view)| (profile_key.clone(), view))
            .collect()
    }

    fn dashboard(&self) -> MonitorDashboard {
        let statuses = self.statuses();
        let reserved = self.reserved_runners();
        let runners = self
            .durable
            .runners
            .iter()
            .map(|(id, record)| DashboardRunner {
                id: id.0,
                screenshot_url: self.screenshot_url(*id, &record.profile_key),
                runner: self.runner_view(*id, record.created_at),
                profile_key: Some(record.profile_key.clone()),
                status: statuses.get(id).copied(),
                status_since: statuses.get(id).and_then(|status| match status {
                    RunnerStatus::Reserved => self.reserved_since(reserved.get(id)?),
                    status => status_since(record, *status),
                }),
                job: self.job_among(&reserved, *id).map(job_on_runner),
            });
        let reservations = self
            .durable
            .reservations
            .iter()
            .map(|(unique_id, reservation)| {
                let report = ReservationReport {
                    runners: reservation.runners.iter().map(|it| it.id.0).collect(),
                    state: reservation.state,
                    attempt: reservation.highest_sequence(),
                    enqueued_at: reservation.enqueued_at,
                    proof: reservation.proof.clone(),
                };
                (unique_id.clone(), report)
            });
        let offered = self.offered_counts();
        MonitorDashboard {
            missing: self.missing_runners(&offered),
            delayed: self.delayed_runners(&offered),
            // Added by the API: it is of the process, and not of the pool.
            instance: None,
            drain: self.drained().cloned(),
            rebuilds: self.rebuild_orders().clone(),
            target_override: self.target_override(),
            profile_runner_counts: offered,
            host: Some(self.host_use()),
            runners: runners.collect(),
            reservations: Some(reservations.collect()),
            problems: self.problems(),
        }
    }

    /// Since when runners are reserved for a job.
    fn reserved_since(&self, unique_id: &UniqueId) -> Option<Timestamp> {
        let reservation = self.durable.reservations.get(unique_id)?;
        Some(reservation.since)
    }

    /// URL of a runner's screenshot; none if it has no screen.
    fn screenshot_url(&self, id: RunnerId, profile_key: &ProfileKey) -> Option<String> {
        let profile = self.policy.profiles.get(profile_key)?;
        let is_virtual = profile.is_virtual();
        is_virtual.then(|| format!("{}runner/{id}/screenshot.png", self.policy.base_url))
    }

    /// A runner, for JSON. Of one that is gone there are only id and age.
    pub(crate) fn runner_view(&self, id: RunnerId, created_at: Timestamp) -> Runner {
        let record = self.durable.runners.get(&id);
        let registration = record.map(|record| self.observed.registration(id, record));
        let guest = record.map(|record| self.observed.guest(id, record));
        let registration = match registration {
            Some(Presence::Present(registration)) => Some(registration.clone()),
            _ => None,
        };
        let guest = match guest {
            Some(Presence::Present(guest)) => Some(guest),
            _ => None,
        };
        Runner {
            id: id.0,
            created_time: created_at.to_system_time(),
            registration,
            guest_name: guest.map(|guest| guest.name.clone()),
            ipv4_address: guest.and_then(|guest| guest.ipv4_address),
        }
    }
}

/// Since when a runner that is not reserved has its status, as far as that is known.
fn status_since(record: &RunnerRecord, status: RunnerStatus) -> Option<Timestamp> {
    match status {
        RunnerStatus::Starting => Some(record.created_at),
        RunnerStatus::Idle => record.online_since,
        RunnerStatus::Busy => record.busy_since,
        RunnerStatus::Reserved | RunnerStatus::Invalid | RunnerStatus::Done => None,
    }
}

fn job_on_runner(job: RunnerJob) -> JobOnRunner {
    JobOnRunner {
        public_id: job.unique_id.map(|unique_id| unique_id.public_id()),
        qualified_repo: job.qualified_repo,
        run_id: job.run_id,
    }
}

#[cfg(test)]
mod tests;
