//! `ci-runners enqueue`: enqueues a job and prints its ticket.

use serde_json::json;
use shared::{secret::Secret, wait_limits::LimitSeconds};

use crate::{
    addresses::Daemon, args::Enqueue, client::JobRequest, exit::Exit, failure::Failure, output,
};

/// Runs the command.
///
/// # Errors
/// When the queue refuses the job or is unreachable, or the ticket cannot be printed.
pub async fn enqueue(args: &Enqueue, daemon: &Daemon) -> Result<Exit, Failure> {
    let mut job = args.job.job();
    let max_wait = args.max_wait.map(|it| it.as_secs());
    job.limits.max_wait = max_wait.map(LimitSeconds::nearest);
    let queue = daemon.jobs();
    let ticket = queue.enqueue(&job, &daemon.api_token()?).await?;
    output::print(&text(&job, &ticket, args.json))?;
    Ok(Exit::Done)
}

/// The output. The only place that exposes a ticket, because printing it is the command's purpose.
fn text(job: &JobRequest, ticket: &Secret, is_json: bool) -> String {
    if is_json {
        json!({"unique_id": job.spec.unique_id, "ticket": ticket.expose()}).to_string()
    } else {
        ticket.expose().to_owned()
    }
}
