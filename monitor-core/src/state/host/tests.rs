//! Hosts that have less than the settings allow, and hosts that do not report what they have.

use std::time::Duration;

use super::*;
use crate::{
    GuestAuth, OverrideRefusal, Poll,
    testing::{TestPool, hugepages, order, policy, profile_key},
};

/// A pool of virtual machines for which the settings allow 100 hugepages and 16 GiB.
fn pool(target: usize) -> TestPool {
    let mut policy = policy(&[("linux", target)]);
    policy.capacity.memory = gibibytes(16);
    let profile = policy.profiles.get_mut(&profile_key("linux")).unwrap();
    profile.guest_auth = GuestAuth::SecretAndAddress;
    let mut pool = TestPool::new(policy);
    let images = [(profile_key("linux"), pool.now)];
    pool.monitor.handle_images(images.into());
    pool
}

fn gibibytes(count: u64) -> Memory {
    Memory::from_bytes(count << 30)
}

fn host(hugepages_1g: Option<u64>, memory: Option<Memory>) -> HostCapacity {
    HostCapacity {
        hugepages_1g,
        memory,
    }
}

#[test]
fn of_each_resource_the_smaller_amount_counts() {
    let mut pool = pool(0);
    for (host, hugepages_1g, memory) in [
        (host(Some(7), Some(gibibytes(12))), 7, 12),
        (host(Some(7), Some(gibibytes(20))), 7, 16),
        (host(Some(200), Some(gibibytes(12))), 100, 12),
        (host(Some(0), None), 0, 16),
        (host(None, Some(gibibytes(0))), 100, 0),
        (host(None, None), 100, 16),
    ] {
        pool.monitor.handle_host(host, pool.now);
        let capacity = pool.monitor.capacity();
        assert_eq!(capacity.hugepages_1g, hugepages_1g, "{host:?}");
        assert_eq!(capacity.memory, gibibytes(memory), "{host:?}");
    }
}

#[test]
fn a_setting_beyond_the_host_is_returned_once_and_shown_for_as_long_as_it_lasts() {
    let mut pool = pool(0);
    pool.poll();
    let warnings = pool
        .monitor
        .handle_host(host(Some(4), Some(gibibytes(12))), pool.now);
    let expected = [
        "available_normal_memory is 16G, but this host has only 12G; using the smaller value",
        "available_1g_hugepages is 100, but this host has only 4; using the smaller value",
    ];
    assert_eq!(warnings, expected);
    let again = pool
        .monitor
        .handle_host(host(Some(4), Some(gibibytes(12))), pool.now);
    assert_eq!(again, [""; 0]);
    assert_eq!(pool.monitor.view().unwrap().capacity_warnings, expected);
    let more = host(Some(100), Some(gibibytes(16)));
    assert_eq!(pool.monitor.handle_host(more, pool.now), [""; 0]);
    assert_eq!(pool.monitor.view().unwrap().capacity_warnings, [""; 0]);
}

#[test]
fn no_more_runners_are_created_than_the_host_can_hold() {
    let mut pool = pool(5);
    pool.monitor.handle_host(host(Some(3), None), pool.now);
    pool.converge();
    assert_eq!(pool.world.guests_max, 3);
    let refusal = pool.shortfalls().pop().unwrap();
    assert!(refusal.starts_with("2 more of linux: each needs 1 hugepage of 1G;"));
    let counts = [(profile_key("linux"), 4)].into();
    let refused = pool
        .monitor
        .set_override(counts, order(""), pool.now)
        .unwrap_err();
    let OverrideRefusal::BeyondCapacity { needs, capacity } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((needs, capacity.hugepages_1g), (hugepages(4), 3));
}

#[test]
fn runners_of_a_host_that_has_lost_memory_are_kept_but_not_replaced() {
    let mut pool = pool(3);
    pool.monitor.handle_host(HostCapacity::default(), pool.now);
    pool.converge();
    pool.monitor.handle_host(host(Some(1), None), pool.now);
    pool.converge();
    assert_eq!(pool.world.guests.len(), 3);
    pool.run_job(0);
    assert_eq!(pool.world.guests.len(), 2, "not replaced");
}

#[test]
fn nothing_is_planned_before_the_host_poll_has_succeeded_or_failed() {
    let mut pool = pool(1);
    assert_eq!(
        pool.monitor.start_polls(pool.now),
        [Poll::Guests, Poll::Registrations, Poll::Host]
    );
    pool.poll();
    assert!(!pool.monitor.is_ready());
    pool.assert_no_steps();
    pool.monitor.handle_poll_failed(Poll::Host, None, pool.now);
    assert!(pool.monitor.is_ready());
    assert_eq!(pool.steps().len(), 1);
    pool.advance(Duration::from_millis(1500));
    assert_eq!(pool.monitor.start_polls(pool.now), [Poll::Host]);
}

#[test]
fn a_failed_host_poll_keeps_the_last_result() {
    let mut pool = pool(1);
    pool.monitor.handle_host(host(Some(3), None), pool.now);
    pool.monitor.handle_poll_failed(Poll::Host, None, pool.now);
    assert_eq!(pool.monitor.capacity().hugepages_1g, 3);
}

#[test]
fn the_host_is_polled_rarely_and_only_if_there_are_virtual_machines() {
    let polls = |pool: &mut TestPool| {
        let mut count = 0;
        for _ in 0..1200 {
            pool.advance(Duration::from_secs(1));
            let started = pool.monitor.start_polls(pool.now);
            for _ in started.iter().filter(|poll| **poll == Poll::Host) {
                pool.monitor.handle_host(HostCapacity::default(), pool.now);
                count += 1;
            }
        }
        count
    };
    assert_eq!(polls(&mut pool(1)), 2);
    assert_eq!(polls(&mut TestPool::empty_with_target(1)), 0);
}
