//! Takes whose answer is held until the job has its runners.

use std::collections::BTreeMap;

use shared::values::UniqueId;

use crate::input::CallId;

/// The most takes of one job that are held at once. A client has one, and a second one for a moment after
/// it was disconnected; so one ticket cannot use up all places.
pub const HELD_PER_JOB_MAX: usize = 4;

/// Held takes, by job.
#[derive(Debug)]
pub struct HeldCalls {
    by_job: BTreeMap<UniqueId, Vec<CallId>>,
    count: usize,
    max: usize,
}

impl HeldCalls {
    pub fn new(max: usize) -> Self {
        Self {
            by_job: BTreeMap::new(),
            count: 0,
            max,
        }
    }

    /// Changes the limit. Takes that are held beyond it stay held.
    pub fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// Whether one more take of this job may be held.
    pub fn has_room(&self, unique_id: &UniqueId) -> bool {
        let of_job = self.by_job.get(unique_id).map_or(0, Vec::len);
        self.count < self.max && of_job < HELD_PER_JOB_MAX
    }

    /// Whether a take of this job is held, so that its client is certainly present.
    pub fn has_any(&self, unique_id: &UniqueId) -> bool {
        self.by_job.contains_key(unique_id)
    }

    pub fn hold(&mut self, unique_id: UniqueId, call: CallId) {
        self.by_job.entry(unique_id).or_default().push(call);
        self.count += 1;
    }

    /// Removes one held take; `false` if it is not held any more.
    pub fn remove(&mut self, unique_id: &UniqueId, call: CallId) -> bool {
        let Some(calls) = self.by_job.get_mut(unique_id) else {
            return false;
        };
        let Some(index) = calls.iter().position(|held| *held == call) else {
            return false;
        };
        calls.swap_remove(index);
        if calls.is_empty() {
            self.by_job.remove(unique_id);
        }
        self.count -= 1;
        true
    }

    /// Removes and returns all held takes of a job.
    pub fn remove_all(&mut self, unique_id: &UniqueId) -> Vec<CallId> {
        let calls = self.by_job.remove(unique_id).unwrap_or_default();
        self.count -= calls.len();
        calls
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.count
    }

    #[cfg(test)]
    pub fn jobs(&self) -> impl Iterator<Item = (&UniqueId, usize)> {
        self.by_job
            .iter()
            .map(|(unique_id, calls)| (unique_id, calls.len()))
    }
}
