//! `ci-runners withdraw`: removes a job from the queue.

use serde_json::json;
use shared::secret::Secret;

use crate::{addresses::Daemon, args, confirmation, exit::Exit, failure::Failure, format, output};

/// Runs the command, authorised by the ticket of the job or by the API token.
///
/// # Errors
/// When it is not confirmed, or the queue does not know the job, refuses the request or is unreachable.
pub async fn withdraw(
    args: &args::Withdraw,
    daemon: &Daemon,
    bearer: &Secret,
) -> Result<Exit, Failure> {
    let queue = daemon.jobs();
    let unique_id = &args.job.unique_id;
    if !args.yes {
        let job = queue.status(unique_id, bearer).await?;
        let runners = format::count(job.count, "runner", "runners");
        let (profile, state) = (&job.profile_key, &job.state);
        let question = format!("Withdraw job {unique_id} ({runners} of {profile}, {state})");
        confirmation::ask(&question, &format!("withdraw job {unique_id}"))?;
    }
    if !queue.withdraw(unique_id, bearer).await? {
        return Err(Failure::WrongName(format!(
            "withdraw job {unique_id}: the queue has no such job, or it is over; \
             `ci-runners job {unique_id}` shows what became of it"
        )));
    }
    output::print(&match args.json {
        true => json!({"unique_id": unique_id, "withdrawn": true}).to_string(),
        false => format!("job {unique_id}: withdrawn"),
    })?;
    Ok(Exit::Done)
}
