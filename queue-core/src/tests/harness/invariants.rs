//! What holds in a queue after every input.

use std::collections::BTreeMap;

use shared::{clock::Timestamp, values::UniqueId};

use crate::{
    Queue, RunnerId, ServerId,
    scheduling::assign::assign_servers,
    state::{
        State,
        repo_use::{may_have, repo_use},
    },
};

/// Panics if an invariant does not hold after an input at `now`.
pub fn check(queue: &Queue, now: Timestamp) {
    let state = &queue.state;
    every_runner_is_granted_to_one_job(state);
    profile_queues_contain_the_queued_jobs(state);
    counts_are_right(state);
    state.fleet.assert_indices_are_minimal();
    every_silence_is_watched(state);
    everything_was_scheduled(state, now);
    no_job_waits_for_runners_that_are_idle(state, now);
}

/// Panics unless a tick at `now` left nothing to be done at `now`.
pub fn check_rest(queue: &Queue, now: Timestamp) {
    if let Some(timeout) = queue.poll_timeout() {
        assert!(
            timeout > now,
            "after a tick at {now:?} the next is due {timeout:?}"
        );
    }
}

fn every_runner_is_granted_to_one_job(state: &State) {
    let mut granted: BTreeMap<(ServerId, RunnerId), &UniqueId> = BTreeMap::new();
    for job in state.jobs.iter() {
        for grant in job.grants().filter(|grant| grant.end.is_none()) {
            for runner in &grant.runners {
                let unique_id = job.unique_id();
                let other = granted.insert((grant.server, runner.id), unique_id);
                assert_eq!(
                    other, None,
                    "runner {} of server {} was granted to {unique_id} too",
                    runner.id, grant.server
                );
            }
        }
    }
}

fn profile_queues_contain_the_queued_jobs(state: &State) {
    let mut in_queues: Vec<_> = state
        .profile_queues
        .iter()
        .flat_map(|(_, queue)| queue.iter().cloned())
        .collect();
    in_queues.sort();
    let mut queued: Vec<_> = state
        .jobs
        .iter()
        .filter(|job| job.is_queued())
        .map(|job| job.ticket().position())
        .collect();
    queued.sort();
    assert_eq!(in_queues, queued);
    let has_waiting = state.jobs.iter().any(|job| job.is_waiting());
    let mut queues = state.profile_queues.iter();
    assert_eq!(queues.any(|(_, it)| it.has_waiting()), has_waiting);
    for (key, queue) in state.profile_queues.iter() {
        assert!(!queue.is_empty(), "the queue of {key} is empty");
        assert!(queue.iter().is_sorted(), "{key}");
    }
}

fn counts_are_right(state: &State) {
    let held: usize = state.held_calls.jobs().map(|(_, count)| count).sum();
    assert_eq!(state.held_calls.len(), held);
    for (unique_id, _) in state.held_calls.jobs() {
        let job = state.jobs.get(unique_id);
        assert!(
            job.is_some_and(|job| job.is_queued()),
            "a take of {unique_id} is held for no reason"
        );
    }
    let mut per_repo = BTreeMap::new();
    for job in state.jobs.iter() {
        let repo = job.request().spec.qualified_repo.clone();
        *per_repo.entry(repo).or_default() += 1;
    }
    assert_eq!(*state.jobs.per_repo(), per_repo);
}

fn every_silence_is_watched(state: &State) {
    for job in state.jobs.iter() {
        let unique_id = job.unique_id();
        let is_exempt = state.held_calls.has_any(unique_id) || job.is_delivered();
        assert!(
            is_exempt || job.has_silence_timer,
            "{unique_id} could be silent for ever"
        );
    }
}

/// Nothing is left for a scheduling pass, except during the startup grace period.
fn everything_was_scheduled(state: &State, now: Timestamp) {
    assert!(state.dirty.is_empty() || !state.is_dispatching(now));
}

/// The first job of each queue that is not paused and can be assigned is being forwarded as soon as that is possible:
/// no later input need come that could cause it.
fn no_job_waits_for_runners_that_are_idle(state: &State, now: Timestamp) {
    if !state.is_dispatching(now) {
        return;
    }
    let queues = state.profile_queues.iter();
    for (key, queue) in queues.filter(|(key, _)| state.pauses.get(key).is_none()) {
        let available = state.fleet.available(key, now);
        let idle: usize = available.iter().map(|(_, idle)| idle).sum();
        let repo_use = repo_use(state, now, key);
        let reach = state.fleet.reach(key, now);
        let first = queue.next_waiting(None, reach, may_have(repo_use.as_ref()));
        let Some((position, count)) = first.filter(|(_, count)| count.get() <= idle) else {
            continue;
        };
        let allowed: Vec<_> = available
            .into_iter()
            .filter(|&(server, _)| state.can_forward(now, server, &position.unique_id))
            .collect();
        assert_eq!(
            assign_servers(count, &allowed),
            None,
            "{} is first in the queue of {key} and waits",
            position.unique_id
        );
    }
}
