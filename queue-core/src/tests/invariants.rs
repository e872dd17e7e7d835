//! What holds in a queue after every step, whatever has happened to it.

use std::collections::BTreeMap;

use shared::{clock::Timestamp, values::UniqueId};

use crate::{assign::assign, fleet::ServerId, job::State, queue::Queue, report::RunnerId};

/// Panics if anything is wrong with the queue after a step at `now`.
pub fn check(queue: &Queue, now: Timestamp) {
    every_runner_is_given_to_one_job(queue);
    lines_hold_those_who_are_in_line(queue);
    counts_are_right(queue);
    every_silence_is_watched(queue);
    nobody_waits_for_what_is_there(queue, now);
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

fn every_runner_is_given_to_one_job(queue: &Queue) {
    let mut given: BTreeMap<(ServerId, RunnerId), &UniqueId> = BTreeMap::new();
    for job in queue.jobs.values() {
        for grant in job.grants().filter(|grant| grant.end.is_none()) {
            for runner in &grant.runners {
                let unique_id = &job.request().spec.unique_id;
                let other = given.insert((grant.server, runner.id), unique_id);
                assert_eq!(
                    other, None,
                    "runner {} of server {} was given to {unique_id} too",
                    runner.id, grant.server
                );
            }
        }
    }
}

fn lines_hold_those_who_are_in_line(queue: &Queue) {
    let in_lines: Vec<_> = queue.lines.values().flat_map(|line| line.iter()).collect();
    let mut in_line: Vec<_> = queue
        .jobs
        .values()
        .filter(|job| job.is_in_line())
        .map(|job| job.claims.place())
        .collect();
    in_line.sort();
    let mut sorted = in_lines.clone();
    sorted.sort();
    assert!(sorted.into_iter().eq(in_line.iter()), "{in_lines:?}");
    for (key, line) in &queue.lines {
        assert!(!line.is_empty(), "nobody is in the line of {key}");
        assert!(line.iter().is_sorted(), "{key}");
    }
}

fn counts_are_right(queue: &Queue) {
    let held: usize = queue.jobs.values().map(|job| job.calls.len()).sum();
    assert_eq!(queue.held_count, held);
    let mut of_repos = BTreeMap::new();
    for job in queue.jobs.values() {
        *of_repos
            .entry(job.request().spec.qualified_repo.clone())
            .or_default() += 1;
    }
    assert_eq!(queue.jobs_per_repo, of_repos);
}

fn every_silence_is_watched(queue: &Queue) {
    for job in queue.jobs.values() {
        let may_go_unwatched =
            !job.calls.is_empty() || matches!(job.state, State::Delivered { .. });
        assert!(
            may_go_unwatched || job.silence_checked_at.is_some(),
            "{} could be silent for ever",
            job.request().spec.unique_id
        );
    }
}

/// The first in each line whose needs could be met is being served, in the very step in which
/// that became possible: nothing else will happen that could do it later.
fn nobody_waits_for_what_is_there(queue: &Queue, now: Timestamp) {
    if !queue.is_settled(now) {
        return;
    }
    for (key, line) in &queue.lines {
        let offers = queue.fleet.offers(key, now);
        let idle: usize = offers.iter().map(|(_, idle)| idle).sum();
        let first = line.next_waiting(None, queue.fleet.reach(key, now));
        let Some((place, count)) = first.filter(|(_, count)| count.get() <= idle) else {
            continue;
        };
        let offers: Vec<_> = offers
            .into_iter()
            .filter(|&(server, _)| queue.can_ask(now, server, &place.unique_id))
            .collect();
        assert_eq!(
            assign(count, &offers),
            None,
            "{} is first in the line of {key} and waits nevertheless",
            place.unique_id
        );
    }
}
