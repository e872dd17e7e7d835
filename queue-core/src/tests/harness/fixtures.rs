//! Set-ups that many tests begin with.

use super::{TestQueue, linux};
use crate::{Forward, RunnerId, TicketContent};

/// A queue whose server `a` has a target of `target` runners of the profile `linux`, of which these
/// are idle.
pub fn one_server(target: usize, idle: &[RunnerId]) -> TestQueue {
    let mut queue = TestQueue::with(&["a"]);
    queue.report("a", linux(target, idle));
    queue
}

/// The job `job` waits for one runner of `a`, which has none idle.
pub fn one_job_waiting() -> (TestQueue, TicketContent) {
    let mut queue = one_server(1, &[]);
    let ticket = queue.enqueue("job", "linux", 1);
    (queue, ticket)
}

/// The job `job` is being forwarded to `a`, which has runner 1 idle.
pub fn one_job_forwarded() -> (TestQueue, TicketContent, Forward) {
    let mut queue = one_server(1, &[1]);
    let ticket = queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    (queue, ticket, forward)
}

/// The client of the job `job` has received runner 1 of `a`.
pub fn one_job_delivered() -> (TestQueue, TicketContent, Forward) {
    let (mut queue, ticket, forward) = one_job_forwarded();
    queue.grant(&forward, &[1]);
    assert_eq!(queue.take_runners(&ticket), [1]);
    (queue, ticket, forward)
}
