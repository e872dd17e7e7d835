//! What operators are shown as wrong.

use super::harness::{TestQueue, linux, one_server};

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
