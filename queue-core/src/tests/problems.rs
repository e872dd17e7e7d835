//! What operators are shown as wrong.

use shared::problem::catalogue;

use super::harness::{MadeBy, TestQueue, linux, one_server};
use crate::{Guest, Input, ProfileReport, ServerFailure};

/// Code, subject and age in seconds of each problem.
fn problems(queue: &TestQueue) -> Vec<(String, String, u64)> {
    let problems = queue.core.problems(queue.now).into_iter();
    problems
        .map(|it| {
            let age = queue.now.since(it.since).as_secs();
            (it.code.into_owned(), it.subject, age)
        })
        .collect()
}

#[test]
fn a_server_that_no_longer_answers_is_a_problem_until_it_answers_again() {
    let mut queue = one_server(1, &[1]);
    assert_eq!(problems(&queue), []);
    queue.stop_answering("a");
    queue.advance(600);
    let down = ("server_not_answering".to_owned(), "a".to_owned(), 600);
    assert_eq!(problems(&queue), [down]);
    queue.report("a", linux(1, &[1]));
    assert_eq!(problems(&queue), []);
}

#[test]
fn a_server_that_has_not_answered_since_the_start_is_a_problem_after_fifteen_seconds() {
    let mut queue = TestQueue::starting(&["a"]);
    queue.advance(15);
    assert_eq!(problems(&queue), []);
    queue.advance(1);
    let subjects: Vec<_> = problems(&queue).into_iter().map(|it| it.1).collect();
    assert_eq!(subjects, ["a"]);
}

#[test]
fn the_silence_of_an_older_monitor_after_a_take_is_no_problem() {
    let mut queue = one_server(1, &[1]);
    let server = queue.stop_answering("a");
    let failure = ServerFailure::Status(503);
    queue.handle(Input::Unreachable { server, failure });
    queue.advance(15);
    assert_eq!(problems(&queue), []);
    queue.advance(1);
    assert_eq!(problems(&queue)[0].0, "server_not_answering");
}

#[test]
fn a_target_that_is_not_reached_is_a_problem() {
    let mut queue = TestQueue::with(&["a"]);
    queue.report("a", linux(5, &[1]).with_existing(3));
    queue.advance(899);
    assert_eq!(problems(&queue), []);
    queue.advance(1);
    let (code, subject, age) = problems(&queue).remove(0);
    assert_eq!(
        (&*code, &*subject, age),
        ("target_not_reached", "profile linux of a", 0)
    );
    queue.report("a", linux(5, &[1]).with_existing(5));
    assert_eq!(problems(&queue), []);
}

#[test]
fn a_server_that_refuses_the_token_is_a_problem() {
    let mut queue = one_server(1, &[1]);
    let server = queue.stop_answering("a");
    let by_poll = true;
    queue.handle(Input::TokenRefused { server, by_poll });
    queue.advance(60);
    assert_eq!(
        problems(&queue),
        [("server_refuses_token".to_owned(), "a".to_owned(), 60)]
    );
    // What came last is the cause.
    queue.become_unreachable("a");
    queue.advance(60);
    let (code, ..) = problems(&queue).remove(0);
    assert_eq!(code, "server_not_answering");
    queue.handle(Input::TokenRefused { server, by_poll });
    let (code, ..) = problems(&queue).remove(0);
    assert_eq!(code, "server_refuses_token");
}

#[test]
fn a_server_that_is_listed_twice_is_a_problem_of_the_url_that_is_not_used() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]).of_instance("one"));
    queue.report("b", linux(1, &[1]).of_instance("one"));
    queue.advance(5);
    assert_eq!(
        problems(&queue),
        [("server_listed_twice".to_owned(), "b".to_owned(), 5)]
    );
}

#[test]
fn a_url_that_leads_to_no_monitor_is_a_problem_at_once() {
    for (failure, code) in [
        (ServerFailure::IsQueue, "server_is_queue"),
        (ServerFailure::Redirect, "server_redirects"),
        (ServerFailure::NoDashboard, "server_is_no_monitor"),
        (ServerFailure::Status(404), "server_is_no_monitor"),
    ] {
        let mut queue = TestQueue::starting(&["a"]);
        let server = queue.server("a");
        let input = failure.clone();
        queue.handle(Input::Unreachable {
            server,
            failure: input,
        });
        queue.advance(1);
        assert_eq!(
            problems(&queue),
            [(code.to_owned(), "a".to_owned(), 1)],
            "{failure:?}"
        );
    }
}

#[test]
fn the_problem_of_a_server_that_does_not_answer_states_what_failed() {
    for (failure, status) in [
        (ServerFailure::Status(502), " (it answers 502)"),
        (ServerFailure::NoResponse(String::new()), ""),
        (
            ServerFailure::NoResponse("failed to reach http://a/".to_owned()),
            " (failed to reach http://a/)",
        ),
    ] {
        let mut queue = one_server(1, &[1]);
        let server = queue.stop_answering("a");
        queue.handle(Input::Unreachable { server, failure });
        queue.advance(60);
        let problem = queue.core.problems(queue.now).remove(0);
        assert_eq!(
            problem.cause,
            format!(
                "its monitor no longer answers polls{status}, so none of its runners are assigned"
            )
        );
    }
}

#[test]
fn unreadable_entries_are_a_problem_since_the_first_report_with_them() {
    let mut queue = one_server(1, &[1]);
    queue.report("a", linux(1, &[1]).with_unreadable(1));
    queue.advance(30);
    queue.report("a", linux(1, &[1]).with_unreadable(2));
    let problem = queue.core.problems(queue.now).remove(0);
    assert_eq!(problem.code, "dashboard_entries_unreadable");
    assert_eq!(queue.now.since(problem.since).as_secs(), 30);
    assert_eq!(
        problem.cause,
        "2 entries of its dashboard cannot be read, or exceed what a server can have; they are left out"
    );
    queue.report("a", linux(1, &[1]));
    assert_eq!(problems(&queue), []);
}

#[test]
fn servers_with_one_suffix_are_a_problem_of_the_second_one_but_two_urls_of_one_are_not() {
    let report = |instance: &str, suffix: &str| {
        let guest = Guest {
            id: 1,
            created_time: instance.to_owned(),
            registration_id: 1,
            name: format!("linux.1@{suffix}"),
        };
        linux(1, &[1]).of_instance(instance).with_guests([guest])
    };
    let mut queue = TestQueue::with(&["a", "b", "c", "d"]);
    queue.report("a", report("one", "host"));
    queue.report("b", report("two", "other"));
    queue.report("c", report("three", "host"));
    queue.report("d", report("one", "host"));
    let listed_twice = ("server_listed_twice".to_owned(), "d".to_owned(), 0);
    let shared = ("suffix_shared".to_owned(), "c".to_owned(), 0);
    assert_eq!(problems(&queue), [listed_twice, shared]);
}

#[test]
fn a_server_that_cannot_be_reached_is_a_problem_five_seconds_after_the_first_failure() {
    for (failure, code) in [
        (
            ServerFailure::NoResponse("failed to reach it".to_owned()),
            "server_not_answering",
        ),
        (ServerFailure::Status(502), "server_not_answering"),
        (
            ServerFailure::NotReady("GitHub is down".to_owned()),
            "server_not_ready",
        ),
    ] {
        let mut queue = one_server(1, &[1]);
        let seen_at = queue.now;
        let server = queue.stop_answering("a");
        queue.advance(2);
        let failed_at = queue.now;
        let input = failure.clone();
        queue.handle(Input::Unreachable {
            server,
            failure: input,
        });
        queue.advance(4);
        assert_eq!(problems(&queue), [], "{failure:?}");
        queue.advance(1);
        let problem = queue.core.problems(queue.now).remove(0);
        assert_eq!(problem.code, code, "{failure:?}");
        assert_eq!(problem.last_healthy, Some(seen_at));
        assert_eq!(problem.since, failed_at);
        let is_named = problem
            .cause
            .contains("its monitor is not ready: GitHub is down");
        assert_eq!(is_named, code == "server_not_ready", "{problem}");
        queue.report("a", linux(1, &[1]));
        assert_eq!(problems(&queue), []);
    }
}

#[test]
fn a_server_that_refuses_twice_in_a_row_what_it_reports_as_idle_is_a_problem() {
    let mut queue = one_server(2, &[1, 2]);
    queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.refuse(&forward);
    assert_eq!(problems(&queue), [], "it may have been a race");
    queue.advance_by_backoff(1);
    let forward = queue.expect_forward("job", "a");
    queue.refuse(&forward);
    let problem = queue.core.problems(queue.now).remove(0);
    assert_eq!(problem.code, "server_refuses_runners");
    assert_eq!(problem.subject, "profile linux of a");
    assert!(
        problem.cause.contains("2 times in a row: it has none"),
        "{problem}"
    );
    queue.advance_by_backoff(2);
    let forward = queue.expect_forward("job", "a");
    queue.grant(&forward, &[1]);
    assert_eq!(problems(&queue), []);
}

#[test]
fn a_refusal_is_no_longer_a_problem_a_minute_after_the_quarantine() {
    let mut queue = one_server(2, &[1, 2]);
    let ticket = queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.refuse(&forward);
    queue.advance_by_backoff(1);
    let forward = queue.expect_forward("job", "a");
    queue.refuse(&forward);
    queue.withdraw(&ticket);
    assert_eq!(problems(&queue)[0].0, "server_refuses_runners");
    queue.advance(60);
    assert_eq!(problems(&queue)[0].0, "server_refuses_runners");
    queue.advance(5);
    assert_eq!(problems(&queue), []);
}

#[test]
fn jobs_that_no_server_can_serve_are_a_problem_of_their_profile() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(2, &[]));
    queue.report("b", linux(3, &[]));
    let ticket = queue.enqueue("job", "linux", 5);
    queue.take_held(&ticket, 60);
    assert_eq!(problems(&queue), []);
    queue.advance(10);
    queue.report("b", linux(1, &[]));
    let problem = queue.core.problems(queue.now).remove(0);
    assert_eq!(
        (&*problem.code, &*problem.subject),
        ("job_not_servable", "profile linux")
    );
    assert!(
        problem
            .cause
            .contains("5 for the first of them, but they can have 3"),
        "{problem}"
    );
    queue.report("b", linux(0, &[]));
    let drained = |linux: &mut ProfileReport| {
        linux.missing = 5;
        linux.missing_because = "it is drained".to_owned();
    };
    queue.report("a", linux(0, &[]).with_linux(drained));
    let problem = queue.core.problems(queue.now).remove(0);
    assert_eq!(
        problem.cause,
        "1 job waits, but no server that answers offers runners of this profile: 5 are missing because a keeps \
         fewer runners than it could: it is drained"
    );
    queue.report("a", linux(5, &[]));
    assert_eq!(problems(&queue), []);
}

#[test]
fn a_job_is_servable_until_all_servers_had_time_to_report() {
    let mut queue = one_server(2, &[]);
    let ticket = queue.enqueue("job", "linux", 2);
    queue.restart();
    queue.take_held(&ticket, 60);
    queue.advance(10);
    assert_eq!(problems(&queue), []);
    queue.advance(1);
    assert_eq!(problems(&queue)[0].0, "job_not_servable");
}

#[test]
fn a_server_with_reservations_of_another_queue_is_a_problem_while_they_last() {
    let mut queue = one_server(2, &[1, 2]);
    let ticket = queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.grant(&forward, &[1]);
    queue.report("a", linux(2, &[2]).holds("job", &[1], &ticket));
    assert_eq!(problems(&queue), [], "its own");
    let mut queue = one_server(2, &[1, 2]);
    let by = MadeBy::queue_at(queue.now);
    let foreign = || linux(2, &[2]).holds("other", &[1], by).without_proof();
    queue.report("a", foreign());
    queue.advance(3);
    queue.report("a", foreign());
    let found = problems(&queue);
    assert_eq!(
        found,
        [("server_used_by_another_queue".to_owned(), "a".to_owned(), 3)]
    );
    queue.report(
        "a",
        linux(2, &[2])
            .has_finished("other", &[1], by)
            .without_proof(),
    );
    assert_eq!(problems(&queue), []);
}

#[test]
fn the_problems_of_a_server_are_shown_with_its_name_while_it_answers() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let report = || {
        linux(1, &[1])
            .of_instance("one")
            .with_problem(&catalogue::LOG_LINES_DROPPED)
            .with_problem(&catalogue::STATE_NOT_SAVED)
    };
    queue.report("a", report());
    queue.report("b", report());
    let view = queue.core.view(queue.now);
    let all = view.all_problems().into_iter();
    let all: Vec<String> = all
        .map(|it| format!("{} {}", it.code, it.subject))
        .collect();
    let expected = [
        "state_not_saved a: disk",
        "server_listed_twice b",
        "log_lines_dropped a: disk",
    ];
    assert_eq!(all, expected);
    queue.become_unreachable("a");
    let servers = queue.core.view(queue.now).servers;
    assert_eq!(servers[0].problems, []);
}
