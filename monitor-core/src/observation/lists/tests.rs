//! What lists change: adoption of unknown runners, and lists that lag.

use std::{collections::BTreeMap, time::Duration};

use shared::{
    clock::Timestamp,
    registration::{Deletion, RegistrationStatus},
    wire::RunnerStatus,
};

use crate::{
    Effect, GuestAuth, HostCapacity, LabelPolicy, ObservedGuest, RunnerId,
    testing::{TestPool, hugepages, policy, profile_key},
};

#[test]
fn a_list_that_is_older_than_the_end_of_a_runner_does_not_bring_it_back() {
    let mut pool = TestPool::with_idle_linux(1);
    let asked_at = pool.now;
    let guest = ObservedGuest {
        name: "ci-runner-linux.0".into(),
        ipv4_address: None,
    };
    pool.world.end_job(0);
    pool.turn();
    assert_eq!(pool.status(0), None);
    pool.monitor
        .handle_guests(vec![guest.clone()], asked_at, pool.now);
    assert_eq!(pool.status(0), None, "the list was requested earlier");
    pool.advance(Duration::from_secs(1));
    pool.monitor.handle_guests(vec![guest], pool.now, pool.now);
    assert_eq!(
        pool.status(0),
        Some(RunnerStatus::Done),
        "a guest that exists after all is adopted"
    );
}

#[test]
fn a_list_that_is_not_newer_than_the_creation_does_not_show_that_the_guest_is_gone() {
    let mut pool = TestPool::with_idle_linux(1);
    let asked_at = pool.monitor.durable.runners[&RunnerId(0)].creation_ended_at;
    for _ in 0..5 {
        pool.monitor.handle_guests(Vec::new(), asked_at, pool.now);
    }
    let mut statuses = Vec::new();
    for _ in 0..5 {
        pool.advance(Duration::from_secs(1));
        pool.monitor.handle_guests(Vec::new(), pool.now, pool.now);
        statuses.extend(pool.status(0));
    }
    let [earlier @ .., last] = &statuses[..] else {
        panic!("there are five");
    };
    assert_eq!(earlier, [RunnerStatus::Starting; 4]);
    assert_eq!(*last, RunnerStatus::Invalid);
}

#[test]
fn a_list_of_github_that_lags_does_not_bring_a_runner_back() {
    let mut pool = TestPool::with_idle_linux(1);
    let outdated: Vec<_> = pool.world.registrations.values().cloned().collect();
    pool.world.end_job(0);
    pool.converge();
    for _ in 0..60 {
        pool.advance(Duration::from_secs(9));
        pool.monitor
            .handle_registrations(outdated.clone(), pool.now, pool.now);
        assert_eq!(pool.status(0), None);
        assert!(pool.monitor.observed.unclaimed.is_empty());
    }
    pool.advance(Duration::from_secs(600));
    pool.monitor
        .handle_registrations(outdated, pool.now, pool.now);
    assert!(
        pool.monitor.observed.unclaimed.contains_key(&RunnerId(0)),
        "no list lags that long"
    );
}

/// It may also be a runner of another server with the same suffix, which boots.
#[test]
fn a_leftover_registration_is_deleted_once_it_has_been_offline_for_an_hour() {
    let mut pool = TestPool::empty_with_target(0);
    pool.world.register("ci-runner-linux.5@host", &[]);
    for _ in 0..60 {
        pool.poll();
        pool.assert_no_steps();
        pool.advance(Duration::from_secs(60));
    }
    pool.poll();
    assert_eq!(
        pool.steps(),
        ["destroy runner 5 (linux): there is no record of it"]
    );
    pool.converge();
    assert!(pool.world.registrations.is_empty());
    assert_eq!(pool.statuses(), []);
}

/// Another server may use the same suffix there.
#[test]
fn a_registration_in_a_former_scope_that_no_record_names_is_left_alone() {
    let mut pool = TestPool::empty_with_target(0);
    pool.world.register("ci-runner-linux.5@host", &[]);
    for _ in 0..100 {
        pool.poll_guests();
        pool.advance(Duration::from_secs(60));
        let found = pool.world.registrations.values().cloned().collect();
        let lists = BTreeMap::from([
            ("/orgs/owner".to_owned(), Some(Vec::new())),
            ("/orgs/former".to_owned(), Some(found)),
        ]);
        let now = pool.now;
        pool.monitor.handle_registration_lists(lists, now, now);
        pool.assert_no_steps();
    }
    assert!(pool.monitor.observed.unclaimed.is_empty());
}

/// GitHub refuses to delete its registration, loses it, and has never listed it.
#[test]
fn a_refused_deletion_does_not_show_that_a_runner_came_online() {
    let mut pool = TestPool::empty_with_target(1);
    pool.poll();
    pool.execute_plan();
    pool.world.registrations.clear();
    pool.advance(Duration::from_secs(101));
    pool.poll();
    assert_eq!(pool.begin().len(), 1);
    let (id, asked_at) = (RunnerId(0), pool.now);
    pool.advance(Duration::from_millis(1));
    let now = pool.now;
    assert!(!pool.monitor.handle_unregistered(id, Deletion::Busy, now));
    // Requested before the refusal, so that the runner counts as busy.
    pool.monitor.handle_registrations(Vec::new(), asked_at, now);
    assert_eq!(pool.status(0), Some(RunnerStatus::Busy));
    pool.restart();
    pool.advance(Duration::from_secs(3600));
    pool.poll_until_confirmed();
    pool.converge();
    assert_eq!(pool.status(0), None);
}

/// Each change costs a write to the disk.
#[test]
fn a_list_is_saved_only_if_it_shows_something_for_the_first_time() {
    let mut pool = TestPool::empty_with_target(1);
    pool.poll();
    pool.execute_plan();
    let is_saved = |pool: &mut TestPool| {
        pool.poll_guests();
        let before = pool.monitor.revision();
        pool.poll_registrations();
        pool.monitor.revision() > before
    };
    assert!(is_saved(&mut pool), "it is listed");
    assert!(!is_saved(&mut pool));
    pool.world.registration(0).status = RegistrationStatus::Online;
    assert!(is_saved(&mut pool), "it is online");
    assert!(!is_saved(&mut pool));
    pool.take("job", "linux", 1).unwrap();
    pool.world.start_job(0);
    assert!(is_saved(&mut pool), "it is busy");
    assert!(!is_saved(&mut pool));
}

#[test]
fn a_list_that_is_not_newer_than_the_creation_does_not_show_that_a_registration_is_gone() {
    let mut pool = TestPool::with_idle_linux(1);
    let record = pool.monitor.durable.runners.get_mut(&RunnerId(0)).unwrap();
    record.creation_ended_at = pool.now + Duration::from_millis(1);
    pool.world.registrations.clear();
    let is_unlisted = |pool: &mut TestPool| {
        pool.poll_registrations();
        let record = &pool.monitor.durable.runners[&RunnerId(0)];
        record.unlisted_since.is_some()
    };
    assert!(!is_unlisted(&mut pool));
    assert!(is_unlisted(&mut pool));
}

fn problem_codes(pool: &mut TestPool) -> Vec<String> {
    pool.monitor.start_polls(pool.now);
    let problems = pool.monitor.problems().into_iter();
    problems.map(|it| it.code.into_owned()).collect()
}

#[test]
fn two_servers_with_one_suffix_do_not_delete_the_runners_of_each_other() {
    let mut one = TestPool::with_idle_linux(1);
    let mut other = TestPool::empty_with_target(1);
    // They share GitHub, and neither sees the guests of the other.
    other.world.registrations = one.world.registrations.clone();
    other.world.next_registration_id = 10;
    other.converge();
    assert_eq!(other.statuses(), [RunnerStatus::Idle]);
    assert_eq!(other.world.registrations.len(), 2);
    assert_eq!(other.status(0), None, "that id is taken");
    one.world.registrations = other.world.registrations.clone();
    for pool in [&mut one, &mut other] {
        for _ in 0..100 {
            pool.advance(Duration::from_secs(60));
            pool.turn();
        }
        assert_eq!(pool.world.registrations.len(), 2);
        assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
        assert_eq!(problem_codes(pool), ["suffix_shared"]);
    }
    // The registration of the other server goes, and with it the problem.
    one.world.registrations.retain(|id, _| *id < 10);
    one.turn();
    assert_eq!(problem_codes(&mut one), [""; 0]);
}

/// The names differ in the profile.
#[test]
fn a_shared_suffix_is_shown_although_a_runner_here_has_the_number_of_the_other_servers() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.world.register("ci-runner-windows.0@host", &[]);
    let other = pool.world.registrations.values_mut().last().unwrap();
    other.status = RegistrationStatus::Online;
    for _ in 0..2 {
        assert_eq!(problem_codes(&mut pool), [""; 0]);
        pool.poll();
        pool.advance(Duration::from_secs(60));
    }
    pool.poll();
    assert_eq!(problem_codes(&mut pool), ["suffix_shared"]);
}

/// GitHub refuses to register a name that is taken, or its response is lost.
#[test]
fn the_registration_of_another_server_is_not_taken_for_one_that_was_refused() {
    for (is_certain, status, labels) in [
        (true, RegistrationStatus::Online, LabelPolicy::FromBirth),
        (true, RegistrationStatus::Offline, LabelPolicy::FromBirth),
        (false, RegistrationStatus::Online, LabelPolicy::FromBirth),
        (false, RegistrationStatus::Offline, LabelPolicy::FromBirth),
        (false, RegistrationStatus::Offline, LabelPolicy::OnTake),
    ] {
        let mut settings = policy(&[("linux", 1)]);
        settings.labels = labels;
        let mut pool = TestPool::new(settings);
        pool.poll();
        pool.begin();
        let other = ["runner:other".to_owned()];
        pool.world.register("ci-runner-linux.0@host", &other);
        pool.world.registration(0).status = status;
        let (id, now) = (RunnerId(0), pool.now);
        match is_certain {
            true => pool.monitor.handle_not_registered(id, "fail", now),
            false => pool.monitor.handle_creation_failed(id, "fail", now),
        }
        for _ in 0..5 {
            pool.poll();
            pool.advance(Duration::from_secs(10));
            pool.execute_plan();
        }
        assert_eq!(pool.status(0), None);
        let names = pool.world.registrations.values().map(|it| it.name.as_str());
        assert!(
            names
                .collect::<Vec<_>>()
                .contains(&"ci-runner-linux.0@host"),
            "{is_certain} {status:?}"
        );
    }
}

/// The scope or the suffix in the settings was changed while a job ran.
#[test]
fn a_registration_is_listed_and_deleted_where_it_was_made() {
    for (scope, suffix) in [("/orgs/other", "host"), ("/orgs/owner", "renamed")] {
        let mut pool = TestPool::with_idle_linux(3);
        pool.world.start_job(0);
        pool.poll();
        pool.take("job", "linux", 1).unwrap();
        pool.monitor.policy.scope = scope.to_owned();
        pool.monitor.policy.names.suffix = suffix.to_owned();
        pool.restart();
        let is_moved = scope != "/orgs/owner";
        let scopes = pool.monitor.registration_scopes();
        assert_eq!(scopes.len(), 1 + usize::from(is_moved), "{scopes:?}");
        let list = |pool: &mut TestPool, is_listable: bool| {
            pool.poll_guests();
            pool.advance(Duration::from_secs(1));
            let all: Vec<_> = pool.world.registrations.values().cloned().collect();
            let mut lists =
                BTreeMap::from([("/orgs/owner".to_owned(), is_listable.then_some(all))]);
            if is_moved {
                lists.insert(scope.to_owned(), Some(Vec::new()));
            }
            let now = pool.now;
            pool.monitor.handle_registration_lists(lists, now, now);
        };
        if is_moved {
            for _ in 0..10 {
                list(&mut pool, false);
                pool.advance(Duration::from_secs(10));
                assert_eq!(
                    pool.status(0),
                    Some(RunnerStatus::Busy),
                    "it cannot be seen"
                );
                assert_eq!(pool.status(1), Some(RunnerStatus::Reserved));
            }
        }
        list(&mut pool, true);
        assert_eq!(pool.status(0), Some(RunnerStatus::Busy));
        assert_eq!(pool.status(1), Some(RunnerStatus::Reserved));
        let idle = match is_moved {
            true => RunnerStatus::Done,
            false => RunnerStatus::Idle,
        };
        assert_eq!(
            pool.status(2),
            Some(idle),
            "no job of the new scope finds it"
        );
        if is_moved {
            let effects = pool.begin();
            let Some(Effect::Destroy(destruction)) = effects.first() else {
                panic!("it is destroyed: {effects:?}");
            };
            let registration = destruction.registration.clone().unwrap();
            assert_eq!(
                (registration.scope.as_str(), registration.id),
                ("/orgs/owner", 3)
            );
        }
    }
}

/// The files of older releases do not contain the own label of a runner.
#[test]
fn a_registration_without_a_known_label_belongs_to_a_runner_that_has_a_guest() {
    for has_guest in [true, false] {
        let mut pool = TestPool::with_idle_linux(1);
        if !has_guest {
            pool.world.guests.clear();
        }
        pool.poll_guests();
        let record = pool.monitor.durable.runners.get_mut(&RunnerId(0)).unwrap();
        record.own_label = None;
        record.registration_id = None;
        pool.poll_registrations();
        let record = &pool.monitor.durable.runners[&RunnerId(0)];
        assert_eq!(record.registration_id.is_some(), has_guest);
    }
}

/// A runner that only a list showed was registered where that list is from.
#[test]
fn an_adopted_runner_is_deleted_where_it_was_found() {
    let mut pool = TestPool::with_idle_linux(0);
    pool.world.guests.insert("ci-runner-linux.7".to_owned());
    pool.poll();
    pool.monitor.policy.scope = "/orgs/other".to_owned();
    pool.restart();
    assert_eq!(
        pool.monitor.registration_scopes(),
        ["/orgs/other", "/orgs/owner"]
    );
}

/// What a scope that cannot be listed shows is unknown.
#[test]
fn a_busy_runner_whose_scope_could_not_be_listed_is_busy_until_several_lists_differ() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.world.start_job(0);
    pool.poll();
    pool.monitor.policy.scope = "/orgs/other".to_owned();
    let mut status_after = |is_listable: bool| {
        pool.poll_guests();
        pool.advance(Duration::from_secs(10));
        let mut registrations: Vec<_> = pool.world.registrations.values().cloned().collect();
        registrations[0].busy = false;
        let lists = BTreeMap::from([
            ("/orgs/other".to_owned(), Some(Vec::new())),
            (
                "/orgs/owner".to_owned(),
                is_listable.then_some(registrations),
            ),
        ]);
        let now = pool.now;
        pool.monitor.handle_registration_lists(lists, now, now);
        pool.status(0)
    };
    for _ in 0..100 {
        assert_eq!(status_after(false), Some(RunnerStatus::Busy));
    }
    assert_eq!(status_after(true), Some(RunnerStatus::Busy));
    status_after(true);
    assert_eq!(status_after(true), Some(RunnerStatus::Done));
}

#[test]
fn a_scope_that_differs_in_case_is_the_same() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.monitor.policy.scope = "/orgs/Owner".to_owned();
    pool.restart();
    assert_eq!(pool.monitor.registration_scopes(), ["/orgs/Owner"]);
    pool.poll();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
}

/// Each scope costs a request at every poll.
#[test]
fn registrations_are_listed_in_eight_scopes_at_most() {
    let mut pool = TestPool::with_idle_linux(10);
    for (id, record) in &mut pool.monitor.durable.runners {
        record.registrar.as_mut().unwrap().scope = format!("/orgs/former{id}");
    }
    let scopes = pool.monitor.registration_scopes();
    assert_eq!((scopes.len(), &*scopes[0]), (8, "/orgs/owner"));
}

/// The machine started in 1970 and learned the time later.
#[test]
fn a_clock_that_was_set_after_the_start_ends_no_timeout() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.take("job", "linux", 1).unwrap();
    pool.now = Timestamp::from_seconds(1_790_000_000);
    pool.restart();
    pool.poll();
    pool.assert_no_steps();
    assert_eq!(pool.statuses(), [RunnerStatus::Reserved]);
    pool.advance(Duration::from_secs(201));
    pool.poll();
    assert_eq!(pool.steps().len(), 1);
}

#[test]
fn queues_hear_of_targets_that_the_host_can_reach() {
    for (targets, capacity, expected) in [
        (&[("linux", 5)][..], 3, &[3][..]),
        (&[("linux", 5)], 9, &[5]),
        (&[("linux", 5), ("windows", 5)], 7, &[4, 3]),
        (&[("linux", 5), ("windows", 1)], 3, &[2, 1]),
    ] {
        let mut pool = TestPool::new(policy(targets));
        pool.monitor.policy.capacity = hugepages(capacity);
        pool.converge();
        let view = pool.monitor.view().unwrap();
        let counts = view.dashboard.profile_runner_counts.into_values();
        let offered: Vec<_> = counts.map(|it| (it.target, it.idle, it.wanted)).collect();
        let expected: Vec<_> = expected.iter().map(|&count| (count, count, 0)).collect();
        assert_eq!(offered, expected, "{targets:?}");
        let is_reached = targets
            .iter()
            .map(|it| it.1)
            .eq(offered.iter().map(|it| it.0));
        let codes = problem_codes(&mut pool);
        assert_eq!(codes.is_empty(), is_reached, "{codes:?}");
    }
}

#[test]
fn a_profile_without_an_image_offers_nothing_and_registers_nothing() {
    let mut pool = TestPool::new(policy(&[("linux", 2)]));
    pool.profile_mut("linux").guest_auth = GuestAuth::Address;
    pool.monitor.handle_host(HostCapacity::default(), pool.now);
    pool.monitor.handle_images(BTreeMap::new());
    pool.converge();
    let target = |pool: &TestPool| pool.monitor.offered_counts()["linux"].target;
    assert_eq!((target(&pool), pool.world.effects.len()), (0, 0));
    assert_eq!(pool.shortfalls(), ["2 more of linux: there is no image"]);
    assert_eq!(problem_codes(&mut pool), ["profile_without_image"]);
    let images = [(profile_key("linux"), pool.now)];
    pool.monitor.handle_images(images.into());
    pool.converge();
    assert_eq!((target(&pool), pool.statuses().len()), (2, 2));
    assert_eq!(problem_codes(&mut pool), [""; 0]);
}

#[test]
fn lists_that_were_requested_at_the_epoch_count() {
    let mut pool = TestPool::empty_with_target(0);
    pool.monitor
        .handle_guests(vec![], Timestamp::default(), pool.now);
    pool.monitor
        .handle_registrations(vec![], Timestamp::default(), pool.now);
    assert!(pool.monitor.is_ready());
    pool.assert_no_steps();
}
