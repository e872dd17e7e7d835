//! `ci-runners enqueue`: puts a job in line and prints its ticket.

use http_client::Client;
use serde_json::json;
use shared::secret::Secret;

use crate::{
    args::Enqueue,
    client::{Job, QueueClient},
    exit::Exit,
    failure::Failure,
    output,
};

/// Runs the command.
///
/// # Errors
/// When the queue refuses or cannot be asked, or nobody reads the ticket.
pub async fn enqueue(args: &Enqueue, api_token: &Secret) -> Result<Exit, Failure> {
    let job = args.job.job();
    let queue = QueueClient::new(Client::new(), args.job.queue.clone());
    let ticket = queue.enqueue(&job, api_token).await?;
    output::print(&text(&job, &ticket, args.json))?;
    Ok(Exit::Done)
}

/// What is printed: the one place where a ticket is shown, because it was asked for.
fn text(job: &Job, ticket: &Secret, is_json: bool) -> String {
    if is_json {
        json!({"unique_id": job.unique_id, "ticket": ticket.expose()}).to_string()
    } else {
        ticket.expose().to_owned()
    }
}
