//! The queues of all profiles.

use std::collections::BTreeMap;

use shared::values::ProfileKey;

use super::job::TicketContent;
pub use super::profile_queue::{Group, ProfileQueue, QueuePosition};
use crate::config::Limits;

/// Every profile queue that is not empty.
#[derive(Debug, Default)]
pub struct ProfileQueues {
    queues: BTreeMap<ProfileKey, ProfileQueue>,
    /// Whether there is a limit of runners for each repository, so that their jobs are kept apart.
    by_repo: bool,
}

impl ProfileQueues {
    /// No queue yet; with the groups that these limits need.
    pub fn grouped(limits: &Limits) -> Self {
        let policy = limits.policy.as_ref();
        Self {
            queues: BTreeMap::new(),
            by_repo: policy.is_some_and(|policy| policy.runners_per_repo_max.is_some()),
        }
    }

    /// Whether these limits need other groups.
    pub fn needs_regrouping(&self, limits: &Limits) -> bool {
        Self::grouped(limits).by_repo != self.by_repo
    }

    fn group_of(&self, ticket: &TicketContent) -> Group {
        let spec = &ticket.request.spec;
        Group {
            count: spec.count,
            repo: self.by_repo.then(|| spec.qualified_repo.clone()),
        }
    }

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
        let (group, spec) = (self.group_of(ticket), &ticket.request.spec);
        let queue = self.queues.entry(spec.profile_key.clone()).or_default();
        queue.insert(ticket.position(), group);
    }

    /// Removes a job, if it is in its queue.
    pub fn remove(&mut self, ticket: &TicketContent) {
        let (group, spec) = (self.group_of(ticket), &ticket.request.spec);
        if let Some(queue) = self.queues.get_mut(&spec.profile_key) {
            queue.remove(&ticket.position(), &group);
            if queue.is_empty() {
                self.queues.remove(&spec.profile_key);
            }
        }
    }

    /// Keeps a job at its position, but no longer as one that can be next.
    pub fn set_forwarding(&mut self, ticket: &TicketContent) {
        let (group, spec) = (self.group_of(ticket), &ticket.request.spec);
        if let Some(queue) = self.queues.get_mut(&spec.profile_key) {
            queue.set_forwarding(&ticket.position(), group);
        }
    }

    /// Lets a job be next again, at its position.
    pub fn set_waiting(&mut self, ticket: &TicketContent) {
        let (group, spec) = (self.group_of(ticket), &ticket.request.spec);
        if let Some(queue) = self.queues.get_mut(&spec.profile_key) {
            queue.set_waiting(&ticket.position(), group);
        }
    }

    /// How many jobs are before this one in its queue.
    pub fn ahead_of(&self, ticket: &TicketContent) -> usize {
        self.get(&ticket.request.spec.profile_key)
            .map_or(0, |queue| queue.ahead_of(&ticket.position()))
    }
}
