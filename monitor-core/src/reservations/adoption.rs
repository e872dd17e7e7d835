//! Adoption of reservations from the labels of registrations: those that the monitor of the production
//! system made before this one took over, or that this one made before it lost its state.
//!
//! Responsible for what the labels mean. Only runners without a record are adopted like this; for all
//! others the record counts.

use std::collections::BTreeMap;

use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    values::{Count, QualifiedRepo, RunId, UniqueId},
    wire::ReservationState,
};

use crate::{
    Monitor, RunnerId,
    state::{
        fencing::LatestTokens,
        reservation::{Reservation, ReservedRunner},
        runner::MustDestroy,
        runner_event::RunnerStep,
    },
};

/// What the labels of a registration say about its reservation.
struct Labels<'a> {
    reserved_for: &'a str,
    since: Option<Timestamp>,
    qualified_repo: Option<QualifiedRepo>,
    run_id: Option<RunId>,
}

impl<'a> Labels<'a> {
    /// None if the labels show no reservation.
    fn parse(labels: impl Iterator<Item = &'a str> + Clone) -> Option<Self> {
        let value = |key: &str| labels.clone().find_map(|label| value_of(label, key));
        let seconds = value("reserved-since").and_then(|text| text.parse().ok());
        let run = value("reserved-by").and_then(|text| text.rsplit_once("/actions/runs/"));
        Some(Self {
            reserved_for: value("reserved-for")?,
            since: seconds.map(Timestamp::from_seconds),
            qualified_repo: run.and_then(|(repo, _)| repo.parse().ok()),
            run_id: run.and_then(|(_, run_id)| run_id.parse().ok()),
        })
    }
}

/// The value of a label of the form `key:value`. GitHub ignores upper and lower case.
fn value_of<'a>(label: &'a str, key: &str) -> Option<&'a str> {
    let (own, value) = label.split_once(':')?;
    own.eq_ignore_ascii_case(key).then_some(value)
}

impl Monitor {
    /// Adopts the reservations of runners that were found without a record.
    pub(crate) fn adopt_reservations(&mut self) {
        let Some(listing) = &self.observed.registrations else {
            return;
        };
        let asked_at = listing.asked_at;
        let mut adopted: BTreeMap<UniqueId, Reservation> = BTreeMap::new();
        for (id, registration) in &listing.seen {
            let Some(record) = self.durable.runners.get(id) else {
                continue;
            };
            let names = registration.labels.iter().map(|label| label.name.as_str());
            let labels = match record.must_destroy {
                Some(MustDestroy::Unknown) => Labels::parse(names),
                _ => None,
            };
            let Some(labels) = labels else {
                continue;
            };
            let Some(job) = job_of(&labels, *id, record.profile_key.clone()) else {
                continue;
            };
            let since = labels.since.unwrap_or(asked_at).min(asked_at);
            let created_at = record.created_at;
            let unique_id = job.unique_id.clone();
            if self.durable.reservations.contains_key(&unique_id) {
                continue;
            }
            let reservation = adopted.entry(unique_id).or_insert_with(|| Reservation {
                job,
                enqueued_at: None,
                proof: None,
                since,
                granted_to: LatestTokens::default(),
                state: ReservationState::Held,
                finished_at: None,
                runners: Vec::new(),
                labels_requested: true,
                has_labels: true,
                own_labels_known: true,
                made_at_revision: 0,
            });
            reservation.runners.push(ReservedRunner {
                id: *id,
                label: format!("reserved-for:{}", labels.reserved_for),
                created_at,
            });
        }
        for (unique_id, mut reservation) in adopted {
            let count = u64::try_from(reservation.runners.len()).unwrap_or(u64::MAX);
            // More than a job can have cannot be one reservation.
            let Ok(count) = Count::new(count) else {
                continue;
            };
            reservation.job.count = count;
            reservation.grant(None, None, None);
            for reserved in &reservation.runners {
                if let Some(record) = self.durable.runners.get_mut(&reserved.id) {
                    record.must_destroy = None;
                }
            }
            let job = reservation.runner_job();
            for reserved in &reservation.runners {
                self.record_step_of_job(reserved.id, Some(job.clone()), RunnerStep::Reserved);
            }
            self.durable.reservations.insert(unique_id, reservation);
            self.mark_dirty();
        }
    }
}

/// The job of a reservation; none if the runner cannot be held for any.
fn job_of(
    labels: &Labels<'_>,
    id: RunnerId,
    profile_key: shared::values::ProfileKey,
) -> Option<JobSpec> {
    let unique_id = labels.reserved_for.parse();
    Some(JobSpec {
        // Another form than ours is no reason to destroy the runner of a job.
        unique_id: unique_id
            .or_else(|_| format!("adopted-{id}").parse())
            .ok()?,
        profile_key,
        count: Count::ONE,
        qualified_repo: match &labels.qualified_repo {
            Some(qualified_repo) => qualified_repo.clone(),
            None => "unknown/unknown".parse().ok()?,
        },
        run_id: labels.run_id.unwrap_or(RunId(0)),
    })
}

#[cfg(test)]
mod tests;
