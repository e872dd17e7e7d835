//! The demand that is stated to servers, and jobs of profiles whose runners are made on demand.

use super::harness::{ReportBuilder, TestQueue, linux};
use crate::{NoEstimate, Refusal, queue::Queue};

/// A server whose targets follow demand: its target, how many there could be, and which runners are idle.
fn elastic(target: usize, max: usize, idle: &[u64]) -> ReportBuilder {
    linux(target, idle).with_linux(|profile| profile.max = Some(max))
}

/// The demand for `linux` that is stated to each server; none if nothing is stated.
fn stated(queue: &TestQueue, servers: &[&str]) -> Vec<Option<usize>> {
    let demand_of = |name: &&str| {
        let demand = queue.core.demand(queue.now, queue.server(name))?;
        Some(demand.counts.get("linux").copied().unwrap_or(0))
    };
    servers.iter().map(demand_of).collect()
}

#[test]
fn servers_share_what_waits_by_how_many_runners_each_could_still_have() {
    let mut queue = TestQueue::with(&["a", "b", "c", "d"]);
    queue.report("a", elastic(2, 6, &[]));
    queue.report("b", elastic(2, 4, &[]));
    queue.report("c", elastic(2, 2, &[]));
    queue.report("d", linux(2, &[]));
    let servers = ["a", "b", "c", "d"];
    assert_eq!(stated(&queue, &servers), [Some(0), Some(0), Some(0), None]);
    for (jobs, expected) in [
        (1, [0, 1]),
        (2, [1, 1]),
        (3, [2, 1]),
        (6, [4, 2]),
        (9, [4, 2]),
    ] {
        while queue.core.jobs().count() < jobs {
            let job = format!("job-{}", queue.core.jobs().count());
            queue.enqueue(&job, "linux", 1);
        }
        let [a, b] = expected.map(Some);
        assert_eq!(stated(&queue, &servers), [a, b, Some(0), None], "{jobs}");
    }
}

#[test]
fn what_is_idle_or_starts_is_used_first() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report(
        "a",
        elastic(3, 6, &[]).with_linux(|linux| linux.starting = 2),
    );
    queue.report("b", elastic(3, 6, &[]));
    for job in ["one", "two", "three", "four"] {
        queue.enqueue(job, "linux", 1);
    }
    assert_eq!(stated(&queue, &["a", "b"]), [Some(3), Some(1)]);
    // Those that something delays do not count.
    let delayed = elastic(3, 6, &[]).with_linux(|linux| {
        linux.starting = 2;
        linux.delayed = Some(shared::wire::DelayedRunners {
            count: 2,
            reason: "no image".to_owned(),
        });
    });
    queue.report("a", delayed);
    assert_eq!(stated(&queue, &["a", "b"]), [Some(2), Some(2)]);
}

#[test]
fn paused_profiles_and_jobs_that_no_server_could_serve_are_no_demand() {
    let mut queue = TestQueue::with(&["a"]);
    queue.report("a", elastic(1, 2, &[]));
    queue.enqueue("small", "linux", 2);
    assert_eq!(stated(&queue, &["a"]), [Some(1)]);
    queue.report("a", elastic(1, 1, &[]));
    assert_eq!(stated(&queue, &["a"]), [Some(0)]);
    queue.report("a", elastic(1, 3, &[]));
    assert_eq!(stated(&queue, &["a"]), [Some(2)]);
    let pauses = [(
        "linux".parse().unwrap(),
        shared::operator::Intervention::order(None, Default::default(), queue.now),
    )];
    let core = std::mem::replace(
        &mut queue.core,
        Queue::new(super::harness::config(), &[], 1, queue.now),
    );
    queue.core = core.with_pauses(pauses);
    assert_eq!(stated(&queue, &["a"]), [Some(0)]);
}

#[test]
fn a_job_whose_runners_are_made_on_demand_is_accepted_and_waits_for_them() {
    let mut queue = TestQueue::with(&["a"]);
    queue.report("a", elastic(0, 2, &[]));
    let ticket = queue.enqueue("rare", "linux", 2);
    assert_eq!(stated(&queue, &["a"]), [Some(2)]);
    let waiting = queue.assert_waiting(&ticket);
    assert_eq!(waiting.prospect, Err(NoEstimate::NotMadeYet));
    queue.advance(20);
    queue.report("a", elastic(0, 2, &[]));
    assert!(queue.core.problems(queue.now).is_empty());
    queue.report("a", elastic(2, 2, &[1, 2]));
    queue.expect_forward("rare", "a");
    let refusal = queue.try_enqueue(super::harness::request("large", "linux", 3));
    assert!(matches!(
        refusal,
        Err(Refusal::Unsatisfiable { target: 2, .. })
    ));
}
