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
fn a_server_that_never_answered_is_a_problem_once_the_startup_grace_period_is_over() {
    let mut queue = TestQueue::starting(&["a"]);
    assert_eq!(problems(&queue), []);
    queue.end_startup_grace();
    let subjects: Vec<_> = problems(&queue).into_iter().map(|it| it.1).collect();
    assert_eq!(subjects, ["a"]);
}
