//! `ci-runners status`: the dashboard of a queue or monitor, as tables or as JSON. Read-only.
//!
//! - `queue`, `monitor`: render the dashboard of each daemon
//! - `problems`: renders what is wrong, which comes first

mod monitor;
mod problems;
mod queue;

use http_client::{HttpError, Response};
use serde_json::Value;
use shared::{clock::Clock, wire::MonitorDashboard};

pub use self::monitor::runner_status;
use crate::{
    addresses::{Daemon, Kind},
    args::Status,
    client::{self, QueueDashboard, RequestError, dashboard},
    exit::Exit,
    failure::Failure,
    output,
    terminal::Look,
};

/// Runs the command.
///
/// # Errors
/// When the dashboard cannot be fetched, parsed or printed.
pub async fn status(args: &Status, daemon: &Daemon, look: Look) -> Result<Exit, Failure> {
    let render: Render = match daemon.kind {
        Kind::Queue => render_queue,
        Kind::Monitor => render_monitor,
    };
    let (client, base_url) = (&daemon.client, &daemon.url);
    let response = match dashboard(client, base_url).await {
        // The dashboard has the problems, but there is none yet.
        Err(error) if error.is_not_ready() && !args.json => {
            let problems = client::problems(client, base_url).await;
            if let Some(text) = problems::render(&problems, Clock::start().now(), look) {
                output::print_coloured(look, &text)?;
            }
            return Err(error.into());
        }
        response => response?,
    };
    let text = if args.json {
        // Parsed and printed again, so that only JSON reaches the terminal.
        response
            .json::<Value>()
            .map_err(RequestError::from)?
            .to_string()
    } else {
        render(&response, look).map_err(RequestError::from)?
    };
    output::print_coloured(look, &text)?;
    Ok(Exit::Done)
}

/// Renders the dashboard in a response as text.
type Render = fn(&Response, Look) -> Result<String, HttpError>;

fn render_queue(response: &Response, look: Look) -> Result<String, HttpError> {
    let now = Clock::start().now();
    Ok(queue::render(
        &response.json::<QueueDashboard>()?,
        now,
        look,
    ))
}

fn render_monitor(response: &Response, look: Look) -> Result<String, HttpError> {
    let now = Clock::start().now();
    Ok(monitor::render(
        &response.json::<MonitorDashboard>()?,
        now,
        look,
    ))
}
