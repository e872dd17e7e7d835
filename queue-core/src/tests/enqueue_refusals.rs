//! Who is not let in, and why: names in use, waiting that could never help, limits.

use shared::values::{Count, RunId};
use std::time::Duration;

use super::harness::{MadeBy, TestQueue, config, linux, no_profiles, one_job_waiting, request};
use crate::{Config, JobRequest, Refusal, TicketContent};

fn of_repo(job: &str, qualified_repo: &str) -> JobRequest {
    let mut request = request(job, "linux", 1);
    request.spec.qualified_repo = qualified_repo.parse().unwrap();
    request
}

#[test]
fn a_name_in_use_by_a_job_with_other_parameters_is_refused() {
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
fn a_name_under_which_a_job_is_running_is_refused() {
    let mut queue = TestQueue::with(&["a"]);
    queue.report("a", linux(2, &[]).runs("job", &[1], MadeBy::older_queue()));
    assert_eq!(
        queue.try_enqueue(request("job", "linux", 1)),
        Err(Refusal::AlreadyEnqueued)
    );
}

#[test]
fn what_no_server_is_set_up_for_is_unsatisfiable() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(2, &[1, 2]));
    queue.report("b", linux(1, &[]));
    for (profile_key, count, target) in [("linux", 4, 3), ("windows", 1, 0)] {
        let refusal = Refusal::Unsatisfiable {
            profile_key: profile_key.parse().unwrap(),
            target,
        };
        assert_eq!(
            queue.try_enqueue(request("job", profile_key, count)),
            Err(refusal)
        );
    }
    queue.enqueue("job", "linux", 3);
}

#[test]
fn what_might_be_satisfiable_is_never_called_unsatisfiable() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let job = request("job", "linux", 3);
    // Nobody has said anything; then one has; then both.
    assert_eq!(queue.try_enqueue(job.clone()), Err(Refusal::NotReady));
    queue.report("a", linux(2, &[]));
    assert_eq!(queue.try_enqueue(job.clone()), Err(Refusal::NotReady));
    queue.report("b", linux(0, &[]));
    assert!(matches!(
        queue.try_enqueue(job.clone()),
        Err(Refusal::Unsatisfiable { target: 2, .. })
    ));
    // One of them is restarted, or answers 503 for a moment, or is silent.
    queue.become_unreachable("b");
    assert_eq!(queue.try_enqueue(job.clone()), Err(Refusal::NotReady));
    queue.report("b", no_profiles());
    assert!(matches!(
        queue.try_enqueue(job.clone()),
        Err(Refusal::Unsatisfiable { target: 2, .. })
    ));
    queue.stop_answering("a");
    queue.advance(16);
    assert_eq!(queue.try_enqueue(job), Err(Refusal::NotReady));
}

#[test]
fn one_server_that_is_down_keeps_nobody_out_whom_the_others_can_serve() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.become_unreachable("a");
    queue.report("b", linux(1, &[1]));
    queue.enqueue("job", "linux", 1);
    queue.expect_forward("job", "b");
}

#[test]
fn there_can_be_only_so_many_jobs() {
    let mut queue = TestQueue::with_config(
        Config {
            jobs_max: 2,
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
fn there_can_be_only_so_many_jobs_of_one_repository() {
    let config = Config {
        jobs_per_repo_max: Some(1),
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
fn jobs_that_come_back_are_let_in_whatever_the_limits() {
    let config = Config {
        jobs_max: 1,
        jobs_per_repo_max: Some(1),
        ..config()
    };
    let mut queue = TestQueue::with_config(config, &["a"]);
    queue.report("a", linux(9, &[]));
    let enqueued_at = queue.now;
    let come_back = |job| TicketContent {
        request: request(job, "linux", 1),
        enqueued_at,
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
fn with_as_many_takes_held_as_allowed_others_are_answered_at_once() {
    let mut queue = TestQueue::with_config(
        Config {
            held_max: 2,
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
    // There is room again as soon as one of them has ended.
    queue.disconnect(held, &first);
    let held = queue.take_held(&second, 10);
    queue.advance(10);
    queue.expect_waiting(held);
    queue.take_held(&second, 60);
}

#[test]
fn a_take_that_asks_for_no_time_is_answered_at_once() {
    let (mut queue, ticket) = one_job_waiting();
    let call = queue.take_held(&ticket, 0);
    queue.expect_waiting(call);
    assert_eq!(queue.core.state.held_calls.len(), 0);
}

#[test]
fn a_queue_that_hears_nothing_wants_no_profiles() {
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
