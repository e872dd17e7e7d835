//! All jobs: those that are not retired, and what is remembered of those that are.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    clock::Timestamp,
    values::{QualifiedRepo, UniqueId},
};

use super::{
    fleet::{RunnerId, ServerId},
    job::{GrantEnd, Job, Retirement, TicketContent},
    profile_queue::QueuePosition,
    retired::Retired,
};
use crate::input::JobReference;

/// The job table, with the indices that an input needs to touch only the jobs it concerns.
#[derive(Debug, Default)]
pub struct Jobs {
    by_id: BTreeMap<UniqueId, Job>,
    per_repo: BTreeMap<QualifiedRepo, usize>,
    /// The jobs that each server granted runners. An entry may outlive its grant.
    granted_by: BTreeMap<ServerId, BTreeSet<UniqueId>>,
    retired: Retired,
    last_enqueued_at: Timestamp,
}

impl Jobs {
    pub fn get(&self, unique_id: &UniqueId) -> Option<&Job> {
        self.by_id.get(unique_id)
    }

    pub fn get_mut(&mut self, unique_id: &UniqueId) -> Option<&mut Job> {
        self.by_id.get_mut(unique_id)
    }

    /// Every job that is not retired, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Job> {
        self.by_id.values()
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// How many jobs of a repository there are.
    pub fn count_of_repo(&self, qualified_repo: &QualifiedRepo) -> usize {
        self.per_repo
            .get(qualified_repo)
            .copied()
            .unwrap_or_default()
    }

    /// The job that a request means.
    pub fn find(&self, by: &JobReference) -> Option<&Job> {
        match by {
            JobReference::Operator(unique_id) => self.get(unique_id),
            JobReference::Ticket(ticket) => self.find_by_ticket(ticket),
        }
    }

    /// The job of a ticket. Two tickets can be for one job: when the answer to an enqueue was lost,
    /// and the same enqueue then reached another queue; or when it arrived late, after the runners
    /// that the first ticket got had expired unused. But the ticket of a job that was retired for
    /// another reason is not the ticket of a later job of the same name.
    pub fn find_by_ticket(&self, ticket: &TicketContent) -> Option<&Job> {
        let job = self.get(&ticket.request.spec.unique_id)?;
        let is_meant = job.request().is_same_job(&ticket.request)
            && (job.ticket.enqueued_at == ticket.enqueued_at
                || matches!(
                    self.retired.get(&ticket.position()),
                    None | Some(Retirement::Ended(GrantEnd::Expired))
                ));
        is_meant.then_some(job)
    }

    /// The time of enqueueing for a new job. No two jobs share one, and none is before that of a job
    /// known to be older, also if the clock was set back while the queue was down.
    pub fn next_enqueued_at(&self, now: Timestamp) -> Timestamp {
        now.max(Timestamp::from_micros(
            self.last_enqueued_at.as_micros() + 1,
        ))
    }

    /// Adds a job, which waits.
    pub fn insert(&mut self, ticket: TicketContent, now: Timestamp) {
        self.last_enqueued_at = self.last_enqueued_at.max(ticket.enqueued_at);
        let spec = &ticket.request.spec;
        let of_repo = self.per_repo.entry(spec.qualified_repo.clone());
        *of_repo.or_default() += 1;
        self.by_id
            .insert(spec.unique_id.clone(), Job::new(ticket, now));
    }

    /// Removes a job as if it had never been enqueued.
    pub fn remove(&mut self, unique_id: &UniqueId) -> Option<Job> {
        let job = self.by_id.remove(unique_id)?;
        let repo = &job.request().spec.qualified_repo;
        if let Some(count) = self.per_repo.get_mut(repo) {
            *count -= 1;
            if *count == 0 {
                self.per_repo.remove(repo);
            }
        }
        Some(job)
    }

    /// Removes a job, and remembers why until its tickets expire.
    pub fn retire(
        &mut self,
        unique_id: &UniqueId,
        retirement: Retirement,
        ticket_lifetime: std::time::Duration,
        now: Timestamp,
    ) -> Option<Job> {
        let job = self.remove(unique_id)?;
        for position in job.positions() {
            // A ticket of a queue whose clock was wrong can be valid for longer than it seems.
            let expires_at = position.enqueued_at.max(now) + ticket_lifetime;
            self.retired.insert(position, retirement, expires_at);
        }
        Some(job)
    }

    /// Remembers a job as retired that is not in the table.
    pub fn remember_retired(
        &mut self,
        position: QueuePosition,
        retirement: Retirement,
        expires_at: Timestamp,
    ) {
        self.retired.insert(position, retirement, expires_at);
    }

    /// Why the job of this position is retired, if it is.
    pub fn retirement(&self, position: &QueuePosition) -> Option<Retirement> {
        self.retired.get(position)
    }

    /// Forgets retired jobs whose tickets have expired.
    pub fn forget_expired(&mut self, now: Timestamp) {
        self.retired.forget_expired(now);
    }

    /// Records that `server` granted runners to a job.
    pub fn record_grant(&mut self, server: ServerId, unique_id: UniqueId) {
        self.granted_by.entry(server).or_default().insert(unique_id);
    }

    /// Forgets that `server` granted runners to a job.
    pub fn forget_grant(&mut self, server: ServerId, unique_id: &UniqueId) {
        if let Some(granted) = self.granted_by.get_mut(&server) {
            granted.remove(unique_id);
        }
    }

    /// The jobs that `server` may have granted runners.
    pub fn granted_by(&self, server: ServerId) -> Vec<UniqueId> {
        let granted = self.granted_by.get(&server).into_iter().flatten();
        granted.cloned().collect()
    }

    /// The jobs that have their runners, all or some of them from `server`.
    pub fn with_runners_of(&self, server: ServerId) -> impl Iterator<Item = &Job> {
        let granted = self.granted_by.get(&server).into_iter().flatten();
        granted
            .filter_map(|unique_id| self.by_id.get(unique_id))
            .filter(move |job| !job.is_queued() && job.grants().any(|it| it.server == server))
    }

    /// The runners of `server` that jobs hold, each with its job.
    pub fn runners_in_use(&self, server: ServerId) -> impl Iterator<Item = (&Job, RunnerId)> {
        let granted = self.granted_by.get(&server).into_iter().flatten();
        let jobs = granted.filter_map(|unique_id| self.by_id.get(unique_id));
        jobs.flat_map(move |job| {
            let grants = job.grants();
            let grants = grants.filter(move |grant| grant.server == server && grant.end.is_none());
            grants.flat_map(move |grant| grant.runners.iter().map(move |runner| (job, runner.id)))
        })
    }

    /// Whether one of these labels, in lower case, is that of a runner which any server granted to another
    /// job than this one.
    pub fn have_others_label(&self, unique_id: &UniqueId, labels: &BTreeSet<String>) -> bool {
        let granted = self.granted_by.values().flatten();
        let others = granted.filter(|it| *it != unique_id);
        let grants = others
            .filter_map(|other| self.by_id.get(other))
            .flat_map(Job::grants)
            .filter(|grant| grant.end.is_none());
        let runners = grants.flat_map(|grant| &grant.runners);
        let mut known = runners.filter_map(|runner| runner.label.as_deref());
        !labels.is_empty() && known.any(|label| labels.contains(&label.to_lowercase()))
    }

    /// The runners of `server` that other jobs than this one hold.
    pub fn runners_of_others(&self, server: ServerId, unique_id: &UniqueId) -> BTreeSet<RunnerId> {
        let granted = self.granted_by.get(&server).into_iter().flatten();
        granted
            .filter(|other| *other != unique_id)
            .filter_map(|other| self.by_id.get(other))
            .flat_map(Job::grants)
            .filter(|grant| grant.server == server && grant.end.is_none())
            .flat_map(|grant| grant.runners.iter().map(|runner| runner.id))
            .collect()
    }

    #[cfg(test)]
    pub fn per_repo(&self) -> &BTreeMap<QualifiedRepo, usize> {
        &self.per_repo
    }

    #[cfg(test)]
    pub fn retired_is_empty(&self) -> bool {
        self.retired.is_empty()
    }
}
