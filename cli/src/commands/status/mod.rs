//! `ci-runners status`: how a queue or a monitor stands, as tables or as JSON.
//!
//! - `queue`, `monitor`: how each daemon's dashboard is laid out
//!
//! This file owns the command. Nothing in here changes anything.

mod monitor;
mod queue;

use http_client::{Answer, Client, HttpError};
use serde_json::Value;
use shared::wire::MonitorDashboard;

use self::queue::QueueDashboard;
use crate::{
    args::Status,
    client::{CallError, dashboard},
    exit::Exit,
    failure::Failure,
    output,
};

/// Runs the command.
///
/// # Errors
/// When the daemon cannot be asked, or nobody reads the answer.
pub async fn status(args: &Status) -> Result<Exit, Failure> {
    let client = Client::new();
    let (base_url, lay_out): (_, LayOut) = match (&args.daemon.queue, &args.daemon.monitor) {
        (Some(url), _) => (url, of_queue),
        (None, Some(url)) => (url, of_monitor),
        (None, None) => unreachable!("clap takes exactly one of the two"),
    };
    let answer = dashboard(&client, base_url).await?;
    let text = if args.json {
        // Parsed, so that nothing but JSON reaches a terminal.
        answer.json::<Value>().map_err(CallError::from)?.to_string()
    } else {
        lay_out(&answer).map_err(CallError::from)?
    };
    output::print(&text)?;
    Ok(Exit::Done)
}

/// Lays out the dashboard in an answer.
type LayOut = fn(&Answer) -> Result<String, HttpError>;

fn of_queue(answer: &Answer) -> Result<String, HttpError> {
    Ok(queue::lay_out(&answer.json::<QueueDashboard>()?))
}

fn of_monitor(answer: &Answer) -> Result<String, HttpError> {
    Ok(monitor::lay_out(&answer.json::<MonitorDashboard>()?))
}
