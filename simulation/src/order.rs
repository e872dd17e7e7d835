//! What a scheduling policy promises of the places of jobs: bounds, order within a lane, and what counts.

use std::{collections::BTreeMap, time::Duration};

use queue_core::{Forward, Job, Queue, TicketContent};
use shared::{
    clock::Timestamp,
    policy::{FairShare, Policy},
    values::{LaneName, QualifiedRepo},
};

/// Rounding of places, which are in microseconds.
const TOLERANCE: Duration = Duration::from_millis(1);

/// The newest ticket that a queue process has issued, by lane and repository.
#[derive(Debug, Default)]
pub struct IssuedTickets(BTreeMap<(LaneName, QualifiedRepo), TicketContent>);

impl IssuedTickets {
    /// Checks the answer to an enqueue; what is wrong with it.
    pub fn check(&mut self, policy: Option<&Policy>, ticket: &TicketContent) -> Result<(), String> {
        let name = &ticket.request.spec.unique_id;
        let (Some(policy), Some(lane)) = (policy, &ticket.lane) else {
            let is_plain = policy.is_none() && ticket.queued_at == ticket.enqueued_at;
            return is_plain.then_some(()).ok_or(format!(
                "{name} counts as enqueued at another time without a policy"
            ));
        };
        let key = (lane.clone(), ticket.request.spec.qualified_repo.clone());
        let before = self.0.get(&key);
        // A repeated enqueue is answered with the former ticket.
        if before.is_some_and(|before| before.enqueued_at >= ticket.enqueued_at) {
            return Ok(());
        }
        let is_in_order = before.is_none_or(|before| before.position() < ticket.position());
        self.0.insert(key, ticket.clone());
        match is_in_order {
            true => Ok(()),
            false => Err(format!(
                "{name} is before an earlier job of its repository and lane {lane} in {policy:?}"
            )),
        }
    }
}

/// A job that has waited for longer than the bound while one that was enqueued later is forwarded.
pub fn starved<'a>(
    policy: &Policy,
    forwarded: &TicketContent,
    mut waiting: impl Iterator<Item = &'a TicketContent>,
) -> Option<&'a TicketContent> {
    let bound = policy.overtaking_max() + TOLERANCE;
    waiting.find(|other| other.enqueued_at + bound < forwarded.enqueued_at)
}

/// Whether the repository of a forwarded job has more runners of its profile than it may have; what it has.
pub fn exceeds_limit(policy: &Policy, queue: &Queue, forward: &Forward) -> Option<usize> {
    let max = policy.runners_per_repo_max?;
    let spec = &forward.request.spec;
    let others = queue.jobs().filter(|job| {
        let other = &job.request().spec;
        other.unique_id != spec.unique_id
            && other.qualified_repo == spec.qualified_repo
            && other.profile_key == spec.profile_key
    });
    let used: usize = others.map(least_use).sum();
    (used > 0 && used + spec.count.get() > max).then_some(used)
}

/// How many runners a job has or is about to get, at least.
fn least_use(job: &Job) -> usize {
    match job.state_name() {
        "forwarding" | "reserved" => job.request().spec.count.get(),
        // Some of its servers may have ended theirs.
        "delivered" => 1,
        _ => 0,
    }
}

/// Whether a job that was just enqueued counts as enqueued too early: jobs of its repository and lane that are not
/// over count, by the entry penalty.
pub fn counts_too_little(
    policy: &Policy,
    queue: &Queue,
    now: Timestamp,
    ticket: &TicketContent,
) -> Option<String> {
    let share: &FairShare = policy.fair_share.as_ref()?;
    let lane = ticket.lane.as_ref()?;
    let properties = policy.lane(lane.as_str());
    let repo = &ticket.request.spec.qualified_repo;
    let others = queue.jobs().map(Job::ticket).filter(|other| {
        other.lane.as_ref() == Some(lane)
            && other.request.spec.qualified_repo == *repo
            && other.position() < ticket.position()
    });
    let counted: f64 = others
        .map(|other| {
            let age = now.since(other.enqueued_at).as_secs_f64();
            let part = (-age / share.half_life.as_secs_f64()).exp2();
            share.entry_penalty.as_secs_f64() * other.request.spec.count.get() as f64 * part
        })
        .sum();
    let counted = counted / f64::from(properties.weight);
    let delay_max = share.delay_max.as_secs_f64();
    let delay = Duration::from_secs_f64(delay_max * counted / (counted + delay_max));
    let ranks = policy.ageing * u32::from(properties.rank.unsigned_abs());
    let ranked_at = match properties.rank > 0 {
        true => ticket.enqueued_at - ranks,
        false => ticket.enqueued_at + ranks,
    };
    let is_too_early = ticket.queued_at + TOLERANCE < ranked_at + delay;
    is_too_early.then(|| {
        format!(
            "{} counts as enqueued at {:?}, although jobs of its repository count by {delay:?}",
            ticket.request.spec.unique_id, ticket.queued_at
        )
    })
}
