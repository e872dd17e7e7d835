//! Who is not let in, and why: names in use, waiting that could never help, limits.

use std::time::Duration;

use shared::values::{Count, RunId};

use super::{
    scene::{Scene, request, rules},
    word::{linux, nothing},
};
use crate::{
    events::Refusal,
    job::{Claims, JobRequest},
    queue::Rules,
};

fn of_repo(job: &str, qualified_repo: &str) -> JobRequest {
    let mut request = request(job, "linux", 1);
    request.spec.qualified_repo = qualified_repo.parse().unwrap();
    request
}

#[test]
fn a_name_in_use_by_a_job_with_other_parameters_is_refused() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[]).and("windows", 2, &[]));
    let ticket = scene.enqueue("job", "linux", 1);
    let same = request("job", "linux", 1);
    let changes: [fn(&mut JobRequest); 5] = [
        |other| other.spec.profile_key = "windows".parse().unwrap(),
        |other| other.spec.count = Count::new(2).unwrap(),
        |other| other.is_array = true,
        |other| other.spec.qualified_repo = "servo/other".parse().unwrap(),
        |other| other.spec.run_id = RunId(8),
    ];
    for change in changes {
        let mut other = same.clone();
        change(&mut other);
        assert_eq!(scene.try_enqueue(other), Err(Refusal::AlreadyEnqueued));
    }
    assert_eq!(scene.try_enqueue(same), Ok(ticket.clone()));
    scene.withdraw(&ticket);
    scene.enqueue("job", "windows", 1);
}

#[test]
fn a_name_under_which_a_job_is_running_is_refused() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[]).runs("job", &[1], 5));
    assert_eq!(
        scene.try_enqueue(request("job", "linux", 1)),
        Err(Refusal::AlreadyEnqueued)
    );
}

#[test]
fn what_no_server_is_set_up_for_is_unsatisfiable() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(2, &[1, 2]));
    scene.report("b", linux(1, &[]));
    for (profile_key, count, target) in [("linux", 4, 3), ("windows", 1, 0)] {
        let refusal = Refusal::Unsatisfiable {
            profile_key: profile_key.parse().unwrap(),
            target,
        };
        assert_eq!(
            scene.try_enqueue(request("job", profile_key, count)),
            Err(refusal)
        );
    }
    scene.enqueue("job", "linux", 3);
}

#[test]
fn what_might_be_satisfiable_is_never_called_unsatisfiable() {
    let mut scene = Scene::with(&["a", "b"]);
    let job = request("job", "linux", 3);
    // Nobody has said anything; then one has; then both.
    assert_eq!(scene.try_enqueue(job.clone()), Err(Refusal::NotReady));
    scene.report("a", linux(2, &[]));
    assert_eq!(scene.try_enqueue(job.clone()), Err(Refusal::NotReady));
    scene.report("b", linux(0, &[]));
    assert!(matches!(
        scene.try_enqueue(job.clone()),
        Err(Refusal::Unsatisfiable { target: 2, .. })
    ));
    // One of them is restarted, or answers 503 for a moment, or is silent.
    scene.go_down("b");
    assert_eq!(scene.try_enqueue(job.clone()), Err(Refusal::NotReady));
    scene.report("b", nothing());
    assert!(matches!(
        scene.try_enqueue(job.clone()),
        Err(Refusal::Unsatisfiable { target: 2, .. })
    ));
    scene.fall_silent("a");
    scene.pass(16);
    assert_eq!(scene.try_enqueue(job), Err(Refusal::NotReady));
}

#[test]
fn one_server_that_is_down_keeps_nobody_out_whom_the_others_can_serve() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.go_down("a");
    scene.report("b", linux(1, &[1]));
    scene.enqueue("job", "linux", 1);
    scene.forwarded("job", "b");
}

#[test]
fn there_can_be_only_so_many_jobs() {
    let mut scene = Scene::with_rules(
        Rules {
            jobs_max: 2,
            ..rules()
        },
        &["a"],
    );
    scene.report("a", linux(9, &[1]));
    let first = scene.enqueue("first", "linux", 1);
    let forward = scene.forwarded("first", "a");
    scene.grant(&forward, &[1]);
    scene.enqueue("second", "linux", 1);
    let refusal = Refusal::TooManyJobs { jobs_max: 2 };
    assert_eq!(
        scene.try_enqueue(request("third", "linux", 1)),
        Err(refusal)
    );
    scene.enqueue("second", "linux", 1);
    scene.withdraw(&first);
    scene.released("first", "a");
    scene.enqueue("third", "linux", 1);
}

#[test]
fn there_can_be_only_so_many_jobs_of_one_repository() {
    let rules = Rules {
        jobs_per_repo_max: Some(1),
        ..rules()
    };
    let mut scene = Scene::with_rules(rules, &["a"]);
    scene.report("a", linux(9, &[]));
    let first = scene.try_enqueue(of_repo("first", "servo/servo")).unwrap();
    let refusal = Refusal::TooManyJobsOfRepository { jobs_max: 1 };
    assert_eq!(
        scene.try_enqueue(of_repo("second", "servo/servo")),
        Err(refusal)
    );
    scene.try_enqueue(of_repo("other", "servo/other")).unwrap();
    scene.withdraw(&first);
    scene.try_enqueue(of_repo("second", "servo/servo")).unwrap();
}

#[test]
fn jobs_that_come_back_are_let_in_whatever_the_limits() {
    let rules = Rules {
        jobs_max: 1,
        jobs_per_repo_max: Some(1),
        ..rules()
    };
    let mut scene = Scene::with_rules(rules, &["a"]);
    scene.report("a", linux(9, &[]));
    let enqueued_at = scene.now;
    let come_back = |job| Claims {
        request: request(job, "linux", 1),
        enqueued_at,
        nonce: 0,
    };
    scene.wait(&come_back("first"));
    scene.wait(&come_back("second"));
    let refusal = Refusal::TooManyJobs { jobs_max: 1 };
    assert_eq!(
        scene.try_enqueue(request("third", "linux", 1)),
        Err(refusal)
    );
}

#[test]
fn with_as_many_takes_held_as_allowed_others_are_answered_at_once() {
    let mut scene = Scene::with_rules(
        Rules {
            held_max: 2,
            ..rules()
        },
        &["a"],
    );
    scene.report("a", linux(9, &[]));
    let first = scene.enqueue("first", "linux", 1);
    let second = scene.enqueue("second", "linux", 1);
    let held = scene.take_held(&first, 60);
    scene.take_held(&first, 60);
    let at_once = scene.take_held(&second, 60);
    assert_eq!(scene.must_wait(at_once).ahead, 1);
    // There is room again as soon as one of them has ended.
    scene.hang_up(held, &first);
    let held = scene.take_held(&second, 10);
    scene.pass(10);
    scene.must_wait(held);
    scene.take_held(&second, 60);
}

#[test]
fn a_take_that_asks_for_no_time_is_answered_at_once() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let ticket = scene.enqueue("job", "linux", 1);
    let call = scene.take_held(&ticket, 0);
    scene.must_wait(call);
    assert_eq!(scene.queue.held_count, 0);
}

#[test]
fn a_queue_that_hears_nothing_wants_nothing() {
    let mut scene = Scene::with(&["a"]);
    scene.pass(1);
    assert_eq!(scene.queue.poll_timeout(), None);
    scene.report("a", linux(1, &[]));
    let stale_at = scene.now + Duration::from_secs(15) + Duration::from_micros(1);
    assert_eq!(scene.queue.poll_timeout(), Some(stale_at));
    scene.fall_silent("a");
    scene.pass(16);
    assert_eq!(scene.queue.poll_timeout(), None);
}
