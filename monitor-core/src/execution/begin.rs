//! The moment at which the steps of a plan begin: from then on an effect is in flight for each of
//! their runners, and nothing else is planned for them.

use std::time::Duration;

use shared::{
    clock::Timestamp,
    secret::Secret,
    values::{ProfileKey, UniqueId},
};

use super::effect::{Creation, Destruction, Effect, Entropy, Rebuild};
use crate::{
    LabelPolicy, Monitor, RunnerId,
    planning::{
        plan::{Action, Plan, Step},
        reason::Reason,
    },
    state::{
        runner::{InFlight, RunnerRecord},
        runner_event::RunnerStep,
    },
};

/// For how long after the next attempt would have been due it counts that a runner could not be destroyed, or
/// created, although no attempt is needed any more.
const FAILURES_KEPT: Duration = Duration::from_secs(600);

impl Monitor {
    /// Begins the steps of a plan and returns their effects. The state must not have changed since the
    /// plan was made.
    pub fn begin(
        &mut self,
        plan: Plan,
        now: Timestamp,
        mut entropy: impl FnMut() -> Entropy,
    ) -> Vec<Effect> {
        self.forget_failures_to_destroy_kept_runners(now);
        self.forget_failures_to_create_unneeded_runners(now);
        self.action_log.shortfalls = plan.shortfalls.iter().map(ToString::to_string).collect();
        let begin = |step: Step| {
            self.action_log.record(now, step.to_string());
            match step.action {
                Action::Create(id, profile_key) => {
                    self.begin_creation(id, profile_key, &step.reason, entropy(), now)
                }
                Action::Rebuild(profile_key) => {
                    let guest_secret = entropy().guest_secret;
                    self.begin_rebuild(profile_key, guest_secret, now)
                }
                Action::Destroy(id, _) => self.begin_destruction(id, &step.reason),
                Action::AddLabels(unique_id) => self.begin_adding_labels(unique_id),
                Action::RemoveLabels(id) => self.begin_removing_labels(id),
            }
        };
        plan.steps.into_iter().filter_map(begin).collect()
    }

    /// What could not be destroyed and is wanted again, for example because its target was raised, is not
    /// wrong any more. For some minutes another runner makes room in its place.
    fn forget_failures_to_destroy_kept_runners(&mut self, now: Timestamp) {
        let to_destroy = self.runners_to_destroy(now);
        for (id, record) in &mut self.durable.runners {
            let is_kept = record.in_flight.is_none() && !to_destroy.contains_key(id);
            if is_kept && record.destroy_failures.retry_at() + FAILURES_KEPT <= now {
                record.destroy_failures.reset();
            }
        }
    }

    /// What could not be created and is not needed any more is not wrong: its target was lowered, or a runner that
    /// was reserved is idle again in its place. A needed one is created, or starts, as soon as an attempt is due.
    fn forget_failures_to_create_unneeded_runners(&mut self, now: Timestamp) {
        if self.creation_failures.is_empty() {
            return;
        }
        let counts = self.counts();
        self.creation_failures.retain(|profile_key, known| {
            let is_needed = counts
                .get(profile_key)
                .is_some_and(|it| it.started_or_crashed > 0 || it.wanted > 0);
            is_needed || now < known.failures.retry_at() + FAILURES_KEPT
        });
    }

    fn begin_creation(
        &mut self,
        id: RunnerId,
        profile_key: ProfileKey,
        reason: &Reason,
        entropy: Entropy,
        now: Timestamp,
    ) -> Option<Effect> {
        let profile = self.policy.profiles.get(&profile_key)?;
        let registrar = self.current_registrar();
        let mut record = RunnerRecord::new(
            profile_key.clone(),
            profile.needs,
            profile.is_virtual(),
            registrar,
            now,
        );
        let labels = match self.policy.labels {
            LabelPolicy::FromBirth => {
                let own_label = format!("runner:{}", entropy.uuid);
                record.own_label = Some(own_label.clone());
                vec![own_label]
            }
            LabelPolicy::OnTake => profile.idle_labels.clone(),
        };
        self.durable.runners.insert(id, record);
        self.durable.next_id = self.durable.next_id.max(id.next());
        self.credentials.expect(id, entropy.guest_secret.clone());
        let reason = reason.cause();
        self.record_step(id, RunnerStep::Created { reason });
        self.mark_dirty();
        Some(Effect::Create(Creation {
            id,
            runner_name: self.policy.names.format(&profile_key, id.0),
            guest_name: self.policy.guest_name(&profile_key, id),
            profile_key,
            labels,
            guest_secret: entropy.guest_secret,
            revision: self.revision(),
        }))
    }

    fn begin_rebuild(
        &mut self,
        profile_key: ProfileKey,
        guest_secret: Secret,
        now: Timestamp,
    ) -> Option<Effect> {
        let needs = self.policy.profiles.get(&profile_key)?.needs;
        let secret = guest_secret.clone();
        self.images.start(profile_key.clone(), needs, secret, now);
        Some(Effect::Rebuild(Rebuild {
            guest_name: self.policy.builder_name(&profile_key),
            profile_key,
            guest_secret,
        }))
    }

    fn begin_destruction(&mut self, id: RunnerId, reason: &Reason) -> Option<Effect> {
        let registration = self.registration_ref(self.durable.runners.get(&id)?);
        let record = self.durable.runners.get_mut(&id)?;
        record.in_flight = Some(InFlight::Destroying);
        record.has_failed = reason.is_failure();
        record.destroyed_for = Some(reason.cause());
        let guest_name = self.policy.guest_name(&record.profile_key, id);
        Some(Effect::Destroy(Destruction {
            id,
            guest_name,
            is_virtual: record.is_virtual,
            registration,
        }))
    }

    fn begin_adding_labels(&mut self, unique_id: UniqueId) -> Option<Effect> {
        let reservation = self.durable.reservations.get(&unique_id)?;
        let labels = reservation.github_labels();
        let ids: Vec<RunnerId> = reservation.runners.iter().map(|it| it.id).collect();
        // A reservation of which a runner is gone before it has its labels has ended as well.
        let records = ids.iter().filter_map(|id| self.durable.runners.get(id));
        let to_label = records.filter(|record| reservation.needs_labels(record));
        let registrations = to_label.filter_map(|record| self.registration_ref(record));
        let registrations = registrations.collect();
        for id in &ids {
            if let Some(record) = self.durable.runners.get_mut(id) {
                record.in_flight = Some(InFlight::Labelling);
            }
        }
        let revision = self.revision();
        Some(Effect::AddLabels {
            unique_id,
            ids,
            registrations,
            labels,
            revision,
        })
    }

    fn begin_removing_labels(&mut self, id: RunnerId) -> Option<Effect> {
        let registration = self.registration_ref(self.durable.runners.get(&id)?);
        let record = self.durable.runners.get_mut(&id)?;
        record.in_flight = Some(InFlight::Labelling);
        Some(Effect::RemoveLabels {
            id,
            registration,
            labels: record.labels_to_remove.clone(),
        })
    }
}
