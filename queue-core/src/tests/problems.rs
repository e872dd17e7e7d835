//! What operators are shown as wrong.

use super::harness::{TestQueue, linux, one_server};
use crate::{Guest, Input, ServerFailure};

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
    queue.become_unreachable("a");
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
        queue.handle(Input::Unreachable { server, failure });
        queue.advance(1);
        assert_eq!(
            problems(&queue),
            [(code.to_owned(), "a".to_owned(), 1)],
            "{failure:?}"
        );
    }
}

#[test]
fn the_problem_of_a_server_that_does_not_answer_states_the_status_that_it_answers_with() {
    for (failure, status) in [
        (ServerFailure::Status(502), " (it answers 502)"),
        (ServerFailure::NoResponse, ""),
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
