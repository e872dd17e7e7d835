//! Why an enqueue is refused: names in use, jobs that can never be assigned, limits.

use shared::values::{Count, RunId};
use std::time::Duration;

use super::harness::{
    MadeBy, TestQueue, config, linux, no_profiles, not_ready, one_job_waiting, one_server, request,
};
use crate::{Config, Input, JobRequest, Limits, ProfileReport, Refusal, TicketContent};

fn of_repo(job: &str, qualified_repo: &str) -> JobRequest {
    let mut request = request(job, "linux", 1);
    request.spec.qualified_repo = qualified_repo.parse().unwrap();
    request
}

#[test]
fn the_name_of_a_job_with_other_parameters_is_refused() {
    let mut queue = TestQueue::with(&["a"]);
    queue.report("a", linux(2, &[]).and("windows", 2, &[]));
    let ticket = queue.enqueue("job", "linux", 1);
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
        assert_eq!(queue.try_enqueue(other), Err(Refusal::AlreadyEnqueued));
    }
    assert_eq!(queue.try_enqueue(same), Ok(ticket.clone()));
    queue.withdraw(&ticket);
    queue.enqueue("job", "windows", 1);
}

#[test]
fn the_name_of_a_running_job_is_refused() {
    let mut queue = TestQueue::with(&["a"]);
    queue.report("a", linux(2, &[]).runs("job", &[1], MadeBy::older_queue()));
    assert_eq!(
        queue.try_enqueue(request("job", "linux", 1)),
        Err(Refusal::AlreadyEnqueued)
    );
}

#[test]
fn a_job_that_exceeds_all_targets_is_unsatisfiable() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(2, &[1, 2]));
    queue.report("b", linux(1, &[]));
    for (profile_key, count, target) in [("linux", 4, 3), ("windows", 1, 0)] {
        let refusal = Refusal::Unsatisfiable {
            profile_key: profile_key.parse().unwrap(),
            target,
            because: String::new(),
        };
        assert_eq!(
            queue.try_enqueue(request("job", profile_key, count)),
            Err(refusal)
        );
    }
    queue.enqueue("job", "linux", 3);
}

#[test]
fn the_refusal_of_a_job_tells_which_server_could_have_more_runners() {
    let mut queue = TestQueue::with(&["a"]);
    let drained = |linux: &mut ProfileReport| {
        linux.missing = 2;
        linux.missing_because = "the server is drained".to_owned();
    };
    queue.report("a", linux(0, &[]).with_linux(drained));
    assert_eq!(
        queue.try_enqueue(request("job", "linux", 1)),
        Err(Refusal::Unsatisfiable {
            profile_key: "linux".parse().unwrap(),
            target: 0,
            because:
                "2 are missing because a keeps fewer runners than it could: the server is drained"
                    .to_owned(),
        })
    );
}

#[test]
fn a_job_is_not_unsatisfiable_while_a_server_does_not_answer() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let job = request("job", "linux", 3);
    // No server has reported; then one has; then both have.
    assert_eq!(
        queue.try_enqueue(job.clone()),
        Err(not_ready(
            "a does not answer (not seen since the queue started), b does not answer (not seen since the queue started)"
        ))
    );
    queue.report("a", linux(2, &[]));
    assert_eq!(
        queue.try_enqueue(job.clone()),
        Err(not_ready(
            "b does not answer (not seen since the queue started)"
        ))
    );
    queue.report("b", linux(0, &[]));
    assert!(matches!(
        queue.try_enqueue(job.clone()),
        Err(Refusal::Unsatisfiable { target: 2, .. })
    ));
    // A server is unreachable, or does not answer for a while.
    queue.become_unreachable("b");
    assert_eq!(
        queue.try_enqueue(job.clone()),
        Err(not_ready("b does not answer (last seen 0 s ago)"))
    );
    queue.report("b", no_profiles());
    assert!(matches!(
        queue.try_enqueue(job.clone()),
        Err(Refusal::Unsatisfiable { target: 2, .. })
    ));
    queue.stop_answering("a");
    queue.advance(16);
    assert_eq!(
        queue.try_enqueue(job),
        Err(not_ready("a does not answer (last seen 16 s ago)"))
    );
}

#[test]
fn a_server_that_is_down_does_not_prevent_enqueueing() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.become_unreachable("a");
    queue.report("b", linux(1, &[1]));
    queue.enqueue("job", "linux", 1);
    queue.expect_forward("job", "b");
}

#[test]
fn jobs_are_limited() {
    let mut queue = TestQueue::with_config(
        Config {
            limits: Limits {
                jobs_max: 2,
                ..config().limits
            },
            ..config()
        },
        &["a"],
    );
    queue.report("a", linux(9, &[1]));
    let first = queue.enqueue("first", "linux", 1);
    let forward = queue.expect_forward("first", "a");
    queue.grant(&forward, &[1]);
    queue.enqueue("second", "linux", 1);
    let refusal = Refusal::TooManyJobs { jobs_max: 2 };
    assert_eq!(
        queue.try_enqueue(request("third", "linux", 1)),
        Err(refusal)
    );
    queue.enqueue("second", "linux", 1);
    queue.withdraw(&first);
    queue.expect_release("first", "a");
    queue.enqueue("third", "linux", 1);
}

#[test]
fn jobs_of_one_repository_are_limited() {
    let config = Config {
        limits: Limits {
            jobs_per_repo_max: Some(1),
            ..config().limits
        },
        ..config()
    };
    let mut queue = TestQueue::with_config(config, &["a"]);
    queue.report("a", linux(9, &[]));
    let first = queue.try_enqueue(of_repo("first", "servo/servo")).unwrap();
    let refusal = Refusal::TooManyJobsOfRepository { jobs_max: 1 };
    assert_eq!(
        queue.try_enqueue(of_repo("second", "servo/servo")),
        Err(refusal)
    );
    queue.try_enqueue(of_repo("other", "servo/other")).unwrap();
    queue.withdraw(&first);
    queue.try_enqueue(of_repo("second", "servo/servo")).unwrap();
}

#[test]
fn limits_do_not_apply_to_restored_jobs() {
    let config = Config {
        limits: Limits {
            jobs_max: 1,
            jobs_per_repo_max: Some(1),
            ..config().limits
        },
        ..config()
    };
    let mut queue = TestQueue::with_config(config, &["a"]);
    queue.report("a", linux(9, &[]));
    let enqueued_at = queue.now;
    let come_back = |job| TicketContent {
        request: request(job, "linux", 1),
        enqueued_at,
        queued_at: enqueued_at,
        lane: None,
        nonce: 0,
    };
    queue.assert_waiting(&come_back("first"));
    queue.assert_waiting(&come_back("second"));
    let refusal = Refusal::TooManyJobs { jobs_max: 1 };
    assert_eq!(
        queue.try_enqueue(request("third", "linux", 1)),
        Err(refusal)
    );
}

#[test]
fn takes_beyond_the_limit_of_held_takes_are_answered_at_once() {
    let mut queue = TestQueue::with_config(
        Config {
            limits: Limits {
                held_max: 2,
                ..config().limits
            },
            ..config()
        },
        &["a"],
    );
    queue.report("a", linux(9, &[]));
    let first = queue.enqueue("first", "linux", 1);
    let second = queue.enqueue("second", "linux", 1);
    let held = queue.take_held(&first, 60);
    queue.take_held(&first, 60);
    let at_once = queue.take_held(&second, 60);
    assert_eq!(queue.expect_waiting(at_once).ahead, 1);
    // A hold that ends makes room for another.
    queue.disconnect(held, &first);
    let held = queue.take_held(&second, 10);
    queue.advance(10);
    queue.expect_waiting(held);
    queue.take_held(&second, 60);
}

#[test]
fn a_take_with_a_hold_of_zero_is_answered_at_once() {
    let (mut queue, ticket) = one_job_waiting();
    let call = queue.take_held(&ticket, 0);
    queue.expect_waiting(call);
    assert_eq!(queue.core.state.held_calls.len(), 0);
}

#[test]
fn without_inputs_there_are_no_timers() {
    let mut queue = TestQueue::with(&["a"]);
    queue.advance(1);
    assert_eq!(queue.core.poll_timeout(), None);
    queue.report("a", linux(1, &[]));
    let stale_at = queue.now + Duration::from_secs(15) + Duration::from_micros(1);
    assert_eq!(queue.core.poll_timeout(), Some(stale_at));
    queue.stop_answering("a");
    queue.advance(16);
    assert_eq!(queue.core.poll_timeout(), None);
}

#[test]
fn for_five_minutes_the_last_report_of_a_server_decides_what_is_accepted() {
    // The monitors in production answer no poll for seconds after each take.
    let mut queue = TestQueue::with(&["a"]);
    queue.report("a", linux(2, &[]));
    queue.become_unreachable("a");
    queue.enqueue("one", "linux", 2);
    assert_eq!(
        queue.try_enqueue(request("too-many", "linux", 3)),
        Err(not_ready("a does not answer (last seen 0 s ago)"))
    );
    queue.advance(5 * 60);
    queue.enqueue("two", "linux", 1);
    queue.advance(1);
    assert_eq!(
        queue.try_enqueue(request("three", "linux", 1)),
        Err(not_ready("a does not answer (last seen 5 min ago)"))
    );
    queue.report("a", linux(2, &[]));
    queue.enqueue("three", "linux", 1);
}

#[test]
fn a_server_that_has_not_answered_for_an_hour_no_longer_makes_requests_uncertain() {
    let mut queue = TestQueue::with(&["a", "never", "retired"]);
    queue.report("a", linux(1, &[]));
    queue.report("retired", linux(1, &[]));
    queue.stop_answering("retired");
    let job = request("job", "linux", 4);
    queue.advance(3595);
    assert_eq!(
        queue.try_enqueue(job.clone()),
        Err(not_ready(
            "never does not answer (not seen since the queue started), retired does not answer (last seen 60 min ago)"
        ))
    );
    queue.advance(6);
    assert!(matches!(
        queue.try_enqueue(job),
        Err(Refusal::Unsatisfiable { target: 1, .. })
    ));
}

#[test]
fn other_limits_hold_from_the_moment_at_which_they_are_set() {
    let mut queue = one_server(1, &[]);
    let ticket = queue.enqueue("first", "linux", 1);
    let limits = |jobs_max| Limits {
        abandon_after: Duration::from_secs(60),
        jobs_max,
        held_max: 0,
        ..config().limits
    };
    queue.handle(Input::SetLimits(limits(1)));
    let refused = queue.try_enqueue(request("second", "linux", 1));
    assert_eq!(refused, Err(Refusal::TooManyJobs { jobs_max: 1 }));
    let call = queue.take_held(&ticket, 10);
    queue.expect_waiting(call);
    queue.advance(40);
    queue.assert_waiting(&ticket);
    queue.handle(Input::SetLimits(limits(2)));
    queue.enqueue("second", "linux", 1);
}
