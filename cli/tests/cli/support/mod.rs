//! What the tests of this crate share.
//!
//! - `fake_monitor`: a monitor whose state the tests change; shared with the tests of the queue
//! - `policy_monitor`: a monitor that operators change
//! - `queue`: a real queue in this process, which can be restarted

#[expect(dead_code, reason = "the tests of the queue need more of it")]
#[path = "../../../../queue/tests/fake_monitor/mod.rs"]
pub mod fake_monitor;
mod policy_monitor;
mod queue;

use tokio::process::Command;

pub use cli::testing::{API_TOKEN, Finished, Running, finish, start, stdout_of, wait_until};
pub use fake_monitor::FakeMonitor;
pub use policy_monitor::PolicyMonitor;
pub use queue::{TestQueue, public_id};

/// A queue with one server, which has no idle runner.
pub async fn one_server() -> (FakeMonitor, TestQueue) {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    (monitor, queue)
}

/// `ci-runners` with these arguments, which are separated by blanks.
pub fn ci_runners(arguments: &str) -> Command {
    cli::testing::command(env!("CARGO_BIN_EXE_ci-runners"), arguments)
}

/// Runs `ci-runners` with these arguments until it exits.
pub async fn run(arguments: &str) -> Finished {
    finish(ci_runners(arguments)).await
}

/// Runs `command` with a closed pipe as standard output, until it exits; returns its exit status and
/// standard error.
pub async fn finish_with_closed_stdout(mut command: Command) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    let output = command.spawn().unwrap().wait_with_output();
    let output = tokio::time::timeout(cli::testing::TIMEOUT, output).await;
    let output = output.expect("the command exits").unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}
