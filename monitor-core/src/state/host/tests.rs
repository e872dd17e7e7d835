//! What a host that has less than was promised changes, and what one that does not say leaves alone.

use super::*;
use crate::{
    GuestAuth, OverrideRefusal, Poll,
    testing::{TestPool, hugepages, policy, profile_key},
};

/// A pool of virtual machines for which the settings promise 100 hugepages and 16 GiB.
fn pool(target: usize) -> TestPool {
    let mut policy = policy(&[("linux", target)]);
    policy.capacity.memory = gibibytes(16);
    let profile = policy.profiles.get_mut(&profile_key("linux")).unwrap();
    profile.guest_auth = GuestAuth::SecretAndAddress;
    TestPool::new(policy)
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
fn of_everything_the_smaller_one_counts() {
    let mut pool = pool(0);
    for (host, hugepages_1g, memory) in [
        (host(Some(7), Some(gibibytes(12))), 7, 12),
        (host(Some(7), Some(gibibytes(20))), 7, 16),
        (host(Some(200), Some(gibibytes(12))), 100, 12),
        (host(Some(0), None), 0, 16),
        (host(None, Some(gibibytes(0))), 100, 0),
        (host(None, None), 100, 16),
    ] {
        pool.monitor.handle_host(host);
        let capacity = pool.monitor.capacity();
        assert_eq!(capacity.hugepages_1g, hugepages_1g, "{host:?}");
        assert_eq!(capacity.memory, gibibytes(memory), "{host:?}");
    }
}

#[test]
fn a_broken_promise_is_told_once_and_shown_for_as_long_as_it_is_one() {
    let mut pool = pool(0);
    pool.look();
    let told = pool.monitor.handle_host(host(Some(4), Some(gibibytes(12))));
    let broken = [
        "available_normal_memory is 16G, but all of this host's is 12G: that is what counts",
        "available_1g_hugepages is 100, but this host has set aside 4: that is what counts",
    ];
    assert_eq!(told, broken);
    let again = pool.monitor.handle_host(host(Some(4), Some(gibibytes(12))));
    assert_eq!(again, [""; 0]);
    assert_eq!(pool.monitor.view().unwrap().capacity_warnings, broken);
    let more = host(Some(100), Some(gibibytes(16)));
    assert_eq!(pool.monitor.handle_host(more), [""; 0]);
    assert_eq!(pool.monitor.view().unwrap().capacity_warnings, [""; 0]);
}

#[test]
fn nothing_is_made_that_the_host_cannot_hold() {
    let mut pool = pool(5);
    pool.monitor.handle_host(host(Some(3), None));
    pool.settle();
    assert_eq!(pool.world.guests_max, 3);
    let refusal = pool.shortfalls().pop().unwrap();
    assert!(refusal.starts_with("2 more of linux: each needs 1 hugepages of 1G"));
    let counts = [(profile_key("linux"), 4)].into();
    let refused = pool.monitor.set_override(counts, pool.now).unwrap_err();
    let OverrideRefusal::BeyondCapacity { needs, capacity } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((needs, capacity.hugepages_1g), (hugepages(4), 3));
}

#[test]
fn what_runs_on_a_host_that_has_lost_memory_goes_on() {
    let mut pool = pool(3);
    pool.monitor.handle_host(HostCapacity::default());
    pool.settle();
    pool.monitor.handle_host(host(Some(1), None));
    pool.settle();
    assert_eq!(pool.world.guests.len(), 3);
    pool.do_job(0);
    assert_eq!(pool.world.guests.len(), 2, "but nothing takes its place");
}

#[test]
fn nothing_is_decided_before_the_host_has_answered_or_has_no_answer() {
    let mut pool = pool(1);
    assert_eq!(
        pool.monitor.start_polls(pool.now),
        [Poll::Guests, Poll::Registrations, Poll::Host]
    );
    pool.look();
    assert!(!pool.monitor.is_ready());
    assert_eq!(pool.steps(), [""; 0]);
    pool.monitor.handle_poll_failed(Poll::Host, None, pool.now);
    assert!(pool.monitor.is_ready());
    assert_eq!(pool.steps().len(), 1);
    pool.pass(Duration::from_millis(1500));
    assert_eq!(pool.monitor.start_polls(pool.now), [Poll::Host]);
}

#[test]
fn an_answer_is_kept_when_the_next_question_has_none() {
    let mut pool = pool(1);
    pool.monitor.handle_host(host(Some(3), None));
    pool.monitor.handle_poll_failed(Poll::Host, None, pool.now);
    assert_eq!(pool.monitor.capacity().hugepages_1g, 3);
}

#[test]
fn the_host_is_asked_now_and_then_if_there_are_virtual_machines() {
    let looks = |pool: &mut TestPool| {
        let mut count = 0;
        for _ in 0..1200 {
            pool.pass(Duration::from_secs(1));
            let looks = pool.monitor.start_polls(pool.now);
            for _ in looks.iter().filter(|look| **look == Poll::Host) {
                pool.monitor.handle_host(HostCapacity::default());
                count += 1;
            }
        }
        count
    };
    assert_eq!(looks(&mut pool(1)), 2);
    assert_eq!(looks(&mut TestPool::new(policy(&[("linux", 1)]))), 0);
}
