//! What the monitor shows of itself.
//!
//! Owns the numbers and runners of the dashboard, and what only its page shows. No secret is in
//! any of it.

use std::{collections::BTreeMap, time::Duration};

use shared::{
    clock::Timestamp,
    values::{ProfileKey, UniqueId},
    wire::{DashboardRunner, MonitorDashboard, ReservationReport, Runner},
};

use crate::{
    ImageView, Monitor, RunnerId, SoftwareView, state::action_log::ActionLog,
    state::observed::Sighting,
};

/// Everything that is shown to people and programs, at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// What `/dashboard.json` tells, without the ages of images.
    pub dashboard: MonitorDashboard,
    /// For whom each runner is held.
    pub reserved_for: BTreeMap<u64, UniqueId>,
    /// When the creation of each runner began.
    pub created_at: BTreeMap<u64, Timestamp>,
    /// Temporary targets, if there are any.
    pub target_override: Option<BTreeMap<ProfileKey, usize>>,
    /// The images that there are, and those that are still to be built here.
    pub images: BTreeMap<ProfileKey, ImageView>,
    /// The runner software of the profiles whose runners have connected.
    pub software: BTreeMap<ProfileKey, SoftwareView>,
    /// Where the settings promise more than the host has.
    pub capacity_warnings: Vec<String>,
    /// What was done lately.
    pub action_log: ActionLog,
}

impl View {
    /// What `/dashboard.json` tells at this moment.
    pub fn dashboard_at(&self, now: Timestamp) -> MonitorDashboard {
        let mut dashboard = self.dashboard.clone();
        for (profile_key, counts) in &mut dashboard.profile_runner_counts {
            let built_at = self.images.get(profile_key).and_then(|it| it.built_at);
            // An age to the nanosecond would be more than anybody knows.
            let age = built_at.map(|built_at| now.since(built_at).as_secs());
            counts.image_age = age.map(Duration::from_secs);
        }
        dashboard
    }

    /// Whether `/dashboard.json` tells the same of both, but for the time that has passed.
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
    /// What is shown now; none before the first look at the world.
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
            target_override: self.target_override().cloned(),
            images: self.image_views(),
            software: self.software_views(),
            capacity_warnings: self.capacity_warnings(),
            action_log: self.action_log.clone(),
        })
    }

    fn dashboard(&self) -> MonitorDashboard {
        let statuses = self.statuses();
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
            });
        let reservations = self
            .durable
            .reservations
            .iter()
            .map(|(unique_id, reservation)| {
                let report = ReservationReport {
                    runners: reservation.runners.iter().map(|it| it.id.0).collect(),
                    state: reservation.state,
                    attempt: reservation.latest_attempt(),
                    enqueued_at: reservation.enqueued_at,
                };
                (unique_id.clone(), report)
            });
        MonitorDashboard {
            profile_runner_counts: self.counts(),
            runners: runners.collect(),
            reservations: Some(reservations.collect()),
        }
    }

    /// Where the screen of a runner can be seen, if it is one that has a screen.
    fn screenshot_url(&self, id: RunnerId, profile_key: &ProfileKey) -> Option<String> {
        let profile = self.policy.profiles.get(profile_key)?;
        let is_virtual = profile.is_virtual();
        is_virtual.then(|| format!("{}runner/{id}/screenshot.png", self.policy.base_url))
    }

    /// A runner as it is shown. Of one that is gone there are only id and age.
    pub(crate) fn runner_view(&self, id: RunnerId, created_at: Timestamp) -> Runner {
        let record = self.durable.runners.get(&id);
        let registration = record.map(|record| self.observed.registration(id, record));
        let guest = record.map(|record| self.observed.guest(id, record));
        let registration = match registration {
            Some(Sighting::Present(registration)) => Some(registration.clone()),
            _ => None,
        };
        let guest = match guest {
            Some(Sighting::Present(guest)) => Some(guest),
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

#[cfg(test)]
mod tests;
