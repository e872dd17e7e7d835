//! Tests of lists in which virtual machines are missing because their hypervisor does not answer.

use super::*;
use crate::{
    GuestAuth, HostCapacity,
    testing::{TestPool, policy, profile_key},
};

/// A pool with an idle process, runner 0, and an idle virtual machine, runner 1.
fn pool() -> TestPool {
    let mut policy = policy(&[("command", 1), ("machine", 1)]);
    let machine = policy.profiles.get_mut(&profile_key("machine")).unwrap();
    machine.guest_auth = GuestAuth::SecretAndAddress;
    let mut pool = TestPool::new(policy);
    let images = [(profile_key("machine"), pool.now)];
    pool.monitor.handle_images(images.into());
    pool.monitor.handle_host(HostCapacity::default(), pool.now);
    pool.converge();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle; 2]);
    pool
}

/// Lists the guests of the driver `command`, while the hypervisor does not answer.
fn poll_processes(pool: &mut TestPool) {
    pool.advance(Duration::from_millis(1));
    let processes = pool.world.guests.iter();
    let processes = processes.filter(|name| name.contains("command"));
    let processes = processes.map(|name| ObservedGuest {
        name: name.clone(),
        ipv4_address: None,
    });
    let (processes, now) = (processes.collect(), pool.now);
    pool.monitor.handle_guest_lists(processes, None, now, now);
    pool.poll_registrations();
}

/// As the daemon lists guests: each driver apart.
fn poll_both(pool: &mut TestPool) {
    pool.advance(Duration::from_millis(1));
    let guests = pool.world.guests.iter().map(|name| ObservedGuest {
        name: name.clone(),
        ipv4_address: None,
    });
    let (machines, processes) = guests.partition(|guest| guest.name.contains("machine"));
    let now = pool.now;
    let monitor = &mut pool.monitor;
    monitor.handle_guest_lists(processes, Some(machines), now, now);
    pool.poll_registrations();
}

#[test]
fn while_the_hypervisor_does_not_answer_its_machines_stay_as_they_were() {
    let mut pool = pool();
    poll_both(&mut pool);
    for _ in 0..10 {
        poll_processes(&mut pool);
    }
    assert_eq!(pool.statuses(), [RunnerStatus::Idle; 2]);
    pool.assert_no_steps();
}

#[test]
fn while_the_hypervisor_does_not_answer_processes_are_replaced_and_machines_are_not() {
    let mut pool = pool();
    poll_both(&mut pool);
    pool.profile_mut("machine").target_count = 2;
    pool.world.end_job(0);
    for _ in 0..3 {
        poll_processes(&mut pool);
    }
    assert_eq!(
        pool.steps(),
        ["destroy runner 0 (command): its guest is gone"]
    );
    let effects = pool.begin();
    let Some(crate::Effect::Destroy(destruction)) = effects.first() else {
        panic!("{effects:?}");
    };
    assert_eq!(destruction.is_virtual, Some(false));
    pool.monitor.handle_destroyed(RunnerId(0), pool.now);
    pool.advance(Duration::from_secs(10));
    assert_eq!(
        pool.steps(),
        ["create runner 2 (command): there are fewer than the target"]
    );
    assert_eq!(
        pool.shortfalls(),
        ["1 more of machine: the hypervisor does not answer"]
    );
    poll_both(&mut pool);
    assert_eq!(pool.shortfalls(), [""; 0]);
}

#[test]
fn a_monitor_that_starts_without_its_hypervisor_keeps_machines_and_their_capacity() {
    let mut pool = pool();
    pool.restart();
    pool.monitor.handle_host(HostCapacity::default(), pool.now);
    for _ in 0..10 {
        poll_processes(&mut pool);
    }
    let expected = [RunnerStatus::Idle, RunnerStatus::Starting];
    assert_eq!(pool.statuses(), expected);
    pool.assert_no_steps();
    pool.monitor
        .handle_images([(profile_key("machine"), pool.now)].into());
    poll_both(&mut pool);
    assert_eq!(pool.statuses(), [RunnerStatus::Idle; 2]);
}

#[test]
fn a_machine_that_the_next_list_lacks_is_gone() {
    let mut pool = pool();
    poll_both(&mut pool);
    poll_processes(&mut pool);
    pool.world.end_job(1);
    for _ in 0..5 {
        poll_both(&mut pool);
    }
    assert_eq!(
        pool.steps(),
        ["destroy runner 1 (machine): its guest is gone"]
    );
}

#[test]
fn a_monitor_that_starts_without_its_hypervisor_replaces_processes_only() {
    for (is_virtual, expected) in [
        (
            Some(false),
            vec!["destroy runner 0 (command): its guest is gone"],
        ),
        (None, vec![]),
        (Some(true), vec![]),
    ] {
        let mut pool = pool();
        pool.restart();
        pool.monitor.handle_host(HostCapacity::default(), pool.now);
        let record = pool.monitor.durable.runners.get_mut(&RunnerId(0));
        record.unwrap().is_virtual = is_virtual;
        pool.world.end_job(0);
        for _ in 0..5 {
            poll_processes(&mut pool);
        }
        assert_eq!(pool.steps(), expected, "{is_virtual:?}");
    }
}
