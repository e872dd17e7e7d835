//! The plan as work: everything an executor needs to know, and no choice left to it.
//!
//! Owns the moment at which a step begins, after which nothing else is begun with its runner.

use shared::{
    clock::Timestamp,
    secret::Secret,
    values::{ProfileKey, UniqueId},
};

use crate::{
    LabelPolicy, Monitor, Plan, Rebuild, RunnerId, RunnerRecord,
    planning::plan::{Action, Step},
    state::runner::InFlight,
};

/// Something to be done outside.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Make a runner.
    Create(Creation),
    /// Build an image.
    Rebuild(Rebuild),
    /// Unmake a runner.
    Destroy(Destruction),
    /// Put labels on the runners of a reservation.
    AddLabels {
        /// Whose reservation.
        unique_id: UniqueId,
        /// Its runners.
        ids: Vec<RunnerId>,
        /// GitHub's ids of those that need the labels.
        registration_ids: Vec<u64>,
        /// The labels.
        labels: Vec<String>,
        /// What has to be on disk before.
        revision: u64,
    },
    /// Remove labels from a runner.
    RemoveLabels {
        /// Which runner.
        id: RunnerId,
        /// GitHub's id of it; none if it never had one, and so no labels.
        registration_id: Option<u64>,
        /// The labels.
        labels: Vec<String>,
    },
}

/// Register a runner, then make its guest.
#[derive(Clone, Debug)]
pub struct Creation {
    /// Which runner.
    pub id: RunnerId,
    /// Of which profile.
    pub profile_key: ProfileKey,
    /// The name at GitHub.
    pub runner_name: String,
    /// The name at the hypervisor.
    pub guest_name: String,
    /// The labels from the start.
    pub labels: Vec<String>,
    /// By which the guest proves that it is this runner's.
    pub guest_secret: Secret,
    /// What has to be on disk before: the id counts as used only then.
    pub revision: u64,
}

/// Delete the registration; if GitHub does not say that it is busy, destroy the guest.
#[derive(Clone, Debug)]
pub struct Destruction {
    /// Which runner.
    pub id: RunnerId,
    /// The name at the hypervisor.
    pub guest_name: String,
    /// GitHub's id of it; none if it is unregistered already, or never was registered.
    pub registration_id: Option<u64>,
}

/// Random values for a new runner or rebuild.
pub struct Entropy {
    /// A UUID, for a runner's own label.
    pub uuid: String,
    /// The guest's secret.
    pub guest_secret: Secret,
}

impl Monitor {
    /// Begins the steps of a plan that was made of this very state.
    pub fn begin(
        &mut self,
        plan: Plan,
        now: Timestamp,
        mut fresh: impl FnMut() -> Entropy,
    ) -> Vec<Effect> {
        self.action_log.shortfalls = plan.shortfalls.iter().map(ToString::to_string).collect();
        let begin = |step: Step| {
            self.action_log.note(now, step.to_string());
            match step.action {
                Action::Create(id, profile_key) => {
                    self.begin_creation(id, profile_key, fresh(), now)
                }
                Action::Rebuild(profile_key) => {
                    let guest_secret = fresh().guest_secret;
                    let rebuild = self.begin_rebuild(profile_key, guest_secret, now);
                    rebuild.map(Effect::Rebuild)
                }
                Action::Destroy(id, _) => self.begin_destruction(id),
                Action::AddLabels(unique_id) => self.begin_adding_labels(unique_id),
                Action::RemoveLabels(id) => self.begin_removing_labels(id),
            }
        };
        plan.steps.into_iter().filter_map(begin).collect()
    }

    fn begin_creation(
        &mut self,
        id: RunnerId,
        profile_key: ProfileKey,
        fresh: Entropy,
        now: Timestamp,
    ) -> Option<Effect> {
        let profile = self.policy.profiles.get(&profile_key)?;
        let mut record = RunnerRecord::new(profile_key.clone(), profile.needs, now);
        let labels = match self.policy.labels {
            LabelPolicy::FromBirth => {
                let own_label = format!("runner:{}", fresh.uuid);
                record.own_label = Some(own_label.clone());
                vec![own_label]
            }
            LabelPolicy::OnTake => profile.idle_labels.clone(),
        };
        self.durable.runners.insert(id, record);
        self.durable.next_id = self.durable.next_id.max(RunnerId(id.0 + 1));
        self.credentials.expect(id, fresh.guest_secret.clone());
        self.mark_dirty();
        Some(Effect::Create(Creation {
            id,
            runner_name: self.policy.names.format(&profile_key, id.0),
            guest_name: self.policy.guest_name(&profile_key, id),
            profile_key,
            labels,
            guest_secret: fresh.guest_secret,
            revision: self.revision,
        }))
    }

    fn begin_destruction(&mut self, id: RunnerId) -> Option<Effect> {
        let record = self.durable.runners.get_mut(&id)?;
        record.flight = Some(InFlight::Destroying);
        let registration_id = record
            .registration_id
            .filter(|_| record.unregistered.is_none());
        let guest_name = self.policy.guest_name(&record.profile_key, id);
        Some(Effect::Destroy(Destruction {
            id,
            guest_name,
            registration_id,
        }))
    }

    fn begin_adding_labels(&mut self, unique_id: UniqueId) -> Option<Effect> {
        let reservation = self.durable.reservations.get(&unique_id)?;
        let labels = reservation.github_labels(&unique_id);
        let ids: Vec<RunnerId> = reservation.runners.iter().map(|it| it.id).collect();
        let mut registration_ids = Vec::new();
        for id in &ids {
            // Were one of them gone, the reservation would be as well.
            let Some(record) = self.durable.runners.get_mut(id) else {
                continue;
            };
            record.flight = Some(InFlight::Labelling);
            if record.own_label.is_none() {
                registration_ids.extend(record.registration_id);
            }
        }
        let revision = self.revision;
        Some(Effect::AddLabels {
            unique_id,
            ids,
            registration_ids,
            labels,
            revision,
        })
    }

    fn begin_removing_labels(&mut self, id: RunnerId) -> Option<Effect> {
        let record = self.durable.runners.get_mut(&id)?;
        record.flight = Some(InFlight::Labelling);
        Some(Effect::RemoveLabels {
            id,
            registration_id: record.registration_id,
            labels: record.labels_to_remove.clone(),
        })
    }
}
