//! The queues of all profiles, and how fast each of them moves.

use std::collections::BTreeMap;

use shared::{clock::Timestamp, values::ProfileKey, wire::Estimate};

pub use super::profile_queue::{ProfileQueue, QueuePosition};
use super::{estimate::WaitEstimator, job::TicketContent};

/// Every profile queue that is not empty, and the wait estimator of every profile.
#[derive(Debug, Default)]
pub struct ProfileQueues {
    queues: BTreeMap<ProfileKey, ProfileQueue>,
    estimators: BTreeMap<ProfileKey, WaitEstimator>,
}

impl ProfileQueues {
    /// The queue of a profile, unless it is empty.
    pub fn get(&self, profile_key: &ProfileKey) -> Option<&ProfileQueue> {
        self.queues.get(profile_key)
    }

    /// Every queue that is not empty, by profile.
    pub fn iter(&self) -> impl Iterator<Item = (&ProfileKey, &ProfileQueue)> {
        self.queues.iter()
    }

    /// How many jobs there are in all queues.
    pub fn len(&self) -> usize {
        self.queues.values().map(ProfileQueue::len).sum()
    }

    /// Adds a waiting job.
    pub fn insert(&mut self, ticket: &TicketContent) {
        let spec = &ticket.request.spec;
        let queue = self.queues.entry(spec.profile_key.clone()).or_default();
        queue.insert(ticket.position(), spec.count);
    }

    /// Removes a job, if it is in its queue.
    pub fn remove(&mut self, ticket: &TicketContent) {
        let spec = &ticket.request.spec;
        if let Some(queue) = self.queues.get_mut(&spec.profile_key) {
            queue.remove(&ticket.position(), spec.count);
            if queue.is_empty() {
                self.queues.remove(&spec.profile_key);
            }
        }
    }

    /// Removes a job whose runners were granted, and records that for the wait estimates.
    pub fn remove_granted(&mut self, ticket: &TicketContent, now: Timestamp) {
        self.remove(ticket);
        let spec = &ticket.request.spec;
        let is_contended = self
            .get(&spec.profile_key)
            .is_some_and(ProfileQueue::has_waiting);
        self.estimators
            .entry(spec.profile_key.clone())
            .or_default()
            .record_grant(now, spec.count.get(), is_contended);
    }

    /// Keeps a job at its position, but no longer as one that can be next.
    pub fn set_forwarding(&mut self, ticket: &TicketContent) {
        let spec = &ticket.request.spec;
        if let Some(queue) = self.queues.get_mut(&spec.profile_key) {
            queue.set_forwarding(&ticket.position(), spec.count);
        }
    }

    /// Lets a job be next again, at its position.
    pub fn set_waiting(&mut self, ticket: &TicketContent) {
        let spec = &ticket.request.spec;
        if let Some(queue) = self.queues.get_mut(&spec.profile_key) {
            queue.set_waiting(&ticket.position(), spec.count);
        }
    }

    /// How many jobs are before this one in its queue.
    pub fn ahead_of(&self, ticket: &TicketContent) -> usize {
        self.get(&ticket.request.spec.profile_key)
            .map_or(0, |queue| queue.ahead_of(&ticket.position()))
    }

    /// Estimates the wait for `runners` more runners of a profile.
    pub fn estimate(
        &self,
        now: Timestamp,
        profile_key: &ProfileKey,
        runners: usize,
    ) -> Option<Estimate> {
        self.estimators.get(profile_key)?.estimate(now, runners)
    }
}
