//! What becomes of reservations as their runners change.

use std::time::Duration;

use shared::{
    clock::Timestamp,
    values::UniqueId,
    wire::{ReservationState, RunnerStatus},
};

use crate::{Monitor, RunnerId, reservations::release::Fate};

/// How long finished reservations and fences are kept.
const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// Maximum number of finished reservations, and of fences. A server runs some hundred jobs a day.
const RETAINED_MAX: usize = 2000;

impl Monitor {
    /// Marks reservations as used of which GitHub has shown the job. Called after every list, webhook and
    /// response about the jobs of a run.
    ///
    /// A refusal to delete a runner protects the runner, but does not end the wait of its job: GitHub
    /// also refuses for runners that do nothing.
    pub(crate) fn note_used_reservations(&mut self, now: Timestamp) {
        let is_seen = |id: &RunnerId| {
            let record = self.durable.runners.get(id);
            record.is_some_and(|record| record.job_was_seen)
        };
        let used: Vec<UniqueId> = (self.durable.reservations.iter())
            .filter(|(_, reservation)| reservation.state == ReservationState::Held)
            .filter(|(_, reservation)| reservation.runners.iter().any(|it| is_seen(&it.id)))
            .map(|(unique_id, _)| unique_id.clone())
            .collect();
        for unique_id in used {
            let runners = &self.durable.runners;
            let has_ended = |id: &RunnerId| {
                let record = runners.get(id);
                record.is_none_or(|record| record.guest_end.is_some())
            };
            if let Some(reservation) = self.durable.reservations.get_mut(&unique_id) {
                reservation.state = ReservationState::Used;
                // The job has ended before GitHub showed it, so that its start is unknown.
                if reservation.runners.iter().all(|it| has_ended(&it.id)) {
                    reservation.state = ReservationState::Finished;
                    reservation.finished_at = Some(now);
                }
                // Its workflow has found the runner, by whatever label.
                reservation.has_labels = true;
                self.mark_dirty();
            }
        }
    }

    /// Ends reservations that lost a runner before they had their labels, perhaps to a job that was
    /// not meant to get it. Their takes have not been answered yet.
    pub(crate) fn end_broken_reservations(&mut self) {
        let statuses = self.statuses();
        let is_lost = |id: &RunnerId| statuses.get(id) != Some(&RunnerStatus::Reserved);
        let broken: Vec<UniqueId> = (self.durable.reservations.iter())
            .filter(|(_, reservation)| !reservation.has_labels && !reservation.own_labels_known)
            .filter(|(_, reservation)| reservation.runners.iter().any(|it| is_lost(&it.id)))
            .map(|(unique_id, _)| unique_id.clone())
            .collect();
        for unique_id in broken {
            self.end_reservation(&unique_id, Fate::Idle);
        }
    }

    /// Nothing is left of a runner. Once that holds for all runners of its reservation, the
    /// reservation is finished if it was used, and otherwise ends, so that its job may take again.
    ///
    /// Only a runner that GitHub has shown with a job counts as used. Another one may have had a job that
    /// GitHub could not be asked about, or GitHub may have dropped it. If it is wrongly taken for unused,
    /// a job that is over and still asks gets another runner; wrongly taken for used, a waiting job
    /// would be lost.
    pub(crate) fn note_runner_gone(&mut self, id: RunnerId, now: Timestamp) {
        let Some(unique_id) = self.reserved_runners().get(&id).map(|&it| it.clone()) else {
            return;
        };
        let Some(reservation) = self.durable.reservations.get_mut(&unique_id) else {
            return;
        };
        let runners = &self.durable.runners;
        if reservation
            .runners
            .iter()
            .any(|it| runners.contains_key(&it.id))
        {
            return;
        }
        if reservation.state == ReservationState::Used {
            reservation.state = ReservationState::Finished;
            reservation.finished_at = Some(now);
        } else {
            self.durable.reservations.remove(&unique_id);
        }
        self.mark_dirty();
    }

    /// Forgets finished reservations and fences that are too old or too many.
    pub(crate) fn forget_old_reservations(&mut self, now: Timestamp) {
        let finished = self.durable.reservations.iter();
        let finished =
            finished.filter_map(|(unique_id, it)| Some((it.finished_at?, unique_id.clone())));
        for unique_id in beyond_retention(finished.collect(), now) {
            self.durable.reservations.remove(&unique_id);
            self.mark_dirty();
        }
        let fences = self.durable.fences.iter();
        let fences = fences.map(|(unique_id, fence)| (fence.set_at, unique_id.clone()));
        for unique_id in beyond_retention(fences.collect(), now) {
            self.durable.fences.remove(&unique_id);
            self.mark_dirty();
        }
    }
}

/// Those that are older than [`RETENTION`] or, oldest first, beyond [`RETAINED_MAX`].
fn beyond_retention(mut retained: Vec<(Timestamp, UniqueId)>, now: Timestamp) -> Vec<UniqueId> {
    retained.sort();
    let surplus = retained.len().saturating_sub(RETAINED_MAX);
    retained
        .into_iter()
        .enumerate()
        .filter(|(index, (moment, _))| *index < surplus || now.since(*moment) > RETENTION)
        .map(|(_, (_, unique_id))| unique_id)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::unique_id;

    #[test]
    fn what_is_over_is_retained_for_a_day() {
        let over_at = Timestamp::from_seconds(1000);
        for (age, is_forgotten) in [(0, false), (86_400, false), (86_401, true)] {
            let now = over_at + Duration::from_secs(age);
            let forgotten = beyond_retention(vec![(over_at, unique_id("job"))], now);
            assert_eq!(!forgotten.is_empty(), is_forgotten, "{age}");
        }
    }

    #[test]
    fn of_too_many_the_oldest_are_forgotten() {
        let at = |second: usize| Timestamp::from_seconds(second as u64);
        let all = 0..RETAINED_MAX + 2;
        let all = all
            .rev()
            .map(|second| (at(second), unique_id(&format!("job-{second}"))));
        let forgotten = beyond_retention(all.collect(), at(RETAINED_MAX + 2));
        assert_eq!(forgotten, [unique_id("job-0"), unique_id("job-1")]);
    }
}
