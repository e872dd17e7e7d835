//! The queues of all profiles.

use std::collections::BTreeMap;

use shared::values::ProfileKey;

use super::job::TicketContent;
pub use super::profile_queue::{ProfileQueue, QueuePosition};

/// Every profile queue that is not empty.
#[derive(Debug, Default)]
pub struct ProfileQueues {
    queues: BTreeMap<ProfileKey, ProfileQueue>,
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
}
