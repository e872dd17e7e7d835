//! The scheduling pass: which jobs get runners now, and from which servers.
//!
//! Runs once at the end of each `Queue::handle`, over what the transitions marked. It is the only
//! place where runners are requested.
//!
//! The first job of a profile queue that can be assigned is assigned. A job that needs more runners
//! than are idle blocks the jobs behind it until there are enough, so that it is not starved. There
//! are two exceptions, in which waiting would not help it: it is skipped if it needs more runners
//! than the servers that answer could ever have, or if too few of the idle runners are on servers
//! that may be asked for it at the moment.
//!
//! A job is also skipped, with all others of its repository behind it, while that already has as many runners of
//! the profile as the policy allows.
//!
//! No job is chosen of a profile that an operator has paused.

mod adopt;
pub mod assign;
mod forward;

use self::{adopt::adopt_reservations, assign::assign_servers, forward::begin_forward};
use std::collections::BTreeSet;

use shared::{
    clock::Timestamp,
    values::{Count, ProfileKey, QualifiedRepo},
};

use crate::{
    event::{JobStep, PassOverReason},
    state::{
        State,
        profile_queues::QueuePosition,
        repo_use::{RepoUse, may_have, repo_use},
    },
};

/// Maximum number of jobs of a profile that are skipped in one pass because their servers may not
/// be asked: bounds the work of one input.
const SKIPPED_MAX: usize = 64;

/// The most jobs of a profile and a count that are recorded as passed over each time one is chosen.
const PASSED_OVER_MAX: usize = 16;

/// Schedules every marked job and profile.
pub fn run(state: &mut State, now: Timestamp) {
    while let Some(unique_id) = state.dirty.pop_job() {
        adopt_reservations(state, now, &unique_id);
    }
    if !state.is_dispatching(now) {
        // The profiles stay marked until the startup grace period ends.
        return;
    }
    while let Some(profile_key) = state.dirty.pop_profile() {
        dispatch(state, now, &profile_key);
    }
}

/// Forwards as many jobs of a profile as can be assigned now.
fn dispatch(state: &mut State, now: Timestamp, profile_key: &ProfileKey) {
    if state.pauses.get(profile_key).is_some() {
        // The profile is marked again when it is resumed.
        return;
    }
    let mut repo_use = repo_use(state, now, profile_key);
    let mut after: Option<QueuePosition> = None;
    let mut skipped = 0;
    loop {
        let available = state.fleet.available(profile_key, now);
        let idle = available
            .iter()
            .fold(0_usize, |sum, (_, idle)| sum.saturating_add(*idle));
        let Some(queue) = state.profile_queues.get(profile_key).filter(|_| idle > 0) else {
            return;
        };
        let reach = state.fleet.reach(profile_key, now);
        let Some((position, count)) =
            queue.next_waiting(after.as_ref(), reach, may_have(repo_use.as_ref()))
        else {
            return;
        };
        let unique_id = position.unique_id.clone();
        if adopt_reservations(state, now, &unique_id) {
            continue;
        }
        if count.get() > idle {
            // The job gathers runners, and blocks those behind it.
            return;
        }
        let allowed: Vec<_> = available
            .into_iter()
            .filter(|&(server, _)| state.can_forward(now, server, &unique_id))
            .collect();
        match assign_servers(count, &allowed) {
            Some(servers) => {
                record_passed_over(state, now, &position, reach, repo_use.as_ref());
                let job = state.jobs.get(&unique_id);
                if let Some((job, repo_use)) = job.zip(repo_use.as_mut()) {
                    repo_use.add(&job.request().spec.qualified_repo, count);
                }
                begin_forward(state, now, &unique_id, servers);
            }
            None if skipped < SKIPPED_MAX => {
                skipped += 1;
                after = Some(position);
            }
            None => return,
        }
    }
}

/// Records of the jobs before `chosen` that another one is chosen, unless that is known already.
fn record_passed_over(
    state: &mut State,
    now: Timestamp,
    chosen: &QueuePosition,
    reach: usize,
    repo_use: Option<&RepoUse>,
) {
    let job = state.jobs.get(&chosen.unique_id);
    let queue = job.and_then(|job| state.profile_queues.get(&job.request().spec.profile_key));
    let Some(queue) = queue else {
        return;
    };
    let passed_over: Vec<_> = queue.waiting_before(chosen, PASSED_OVER_MAX).collect();
    let is_limited = |position: &QueuePosition, count: Count| {
        let job = state.jobs.get(&position.unique_id)?;
        let repo = &job.request().spec.qualified_repo;
        let is_limited = count.get() <= reach && !repo_use?.allows(repo, count);
        is_limited.then(|| repo.clone())
    };
    // Jobs of such a repository do not pass its first one.
    let limited: BTreeSet<QualifiedRepo> = passed_over
        .iter()
        .filter_map(|(position, count)| is_limited(position, *count))
        .collect();
    for (position, count) in passed_over {
        let Some(job) = state.jobs.get_mut(&position.unique_id) else {
            continue;
        };
        let repo = &job.request().spec.qualified_repo;
        let reason = if count.get() > reach {
            PassOverReason::TooFewReachable
        } else if limited.contains(repo) {
            PassOverReason::RepositoryLimit
        } else {
            PassOverReason::ServersExcluded
        };
        if job.passed_over.replace(reason) != Some(reason) {
            let ticket = job.ticket.clone();
            state.record(now, &ticket, JobStep::PassedOver { reason });
        }
    }
}
