//! `ci-runners status`: the dashboard of a queue or monitor, as tables or as JSON. Read-only.
//!
//! - `queue`, `monitor`: render the dashboard of each daemon
//! - `problems`: renders what is wrong, which comes first

mod monitor;
mod problems;
mod queue;

use std::time::Duration;

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
    format, output,
    signal::next_signal,
    terminal::{Colour, Look},
};

/// How often a dashboard that is watched is read.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Runs the command.
///
/// # Errors
/// When the dashboard cannot be fetched, parsed or printed. While it is watched, an unreachable daemon is asked
/// again.
pub async fn status(args: &Status, daemon: &Daemon, look: Look) -> Result<Exit, Failure> {
    if args.watch {
        return tokio::select! {
            ended = watch(args, daemon, look) => ended,
            signal = next_signal() => signal.map(Exit::from).map_err(Failure::Signals),
        };
    }
    let response = match dashboard(&daemon.client, &daemon.url).await {
        // The dashboard has the problems, but there is none yet.
        Err(error) if error.is_not_ready() && !args.json => {
            let problems = client::problems(&daemon.client, &daemon.url).await;
            if let Some(text) = problems::render(&problems, Clock::start().now(), look) {
                output::print_coloured(look, &text)?;
            }
            return Err(error.into());
        }
        response => response?,
    };
    output::print_coloured(look, &rendered(args, daemon, &response, look)?)?;
    Ok(Exit::Done)
}

/// Shows the dashboard until a signal ends the program: on a terminal always in the same place, anywhere else
/// whenever it differs from the last one.
async fn watch(args: &Status, daemon: &Daemon, look: Look) -> Result<Exit, Failure> {
    let clock = Clock::start();
    let mut last = String::new();
    loop {
        let shown = match dashboard(&daemon.client, &daemon.url).await {
            Ok(response) => rendered(args, daemon, &response, look)?,
            Err(error) if error.is_transient() => format!("failed to {error}; asking again"),
            Err(error) => return Err(error.into()),
        };
        if look.width.is_some() {
            let at = clock.now().date_and_time();
            let interval = format::duration(WATCH_INTERVAL);
            let head = format!("{} at {at}, every {interval}, Ctrl-C ends it", daemon.url);
            let text = format!("{}\n\n{shown}", look.paint(Colour::Dim, &head));
            output::redraw(look, &text)?;
        } else if shown != last {
            output::print(&shown)?;
            last = shown;
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

/// A dashboard as text, or as JSON in one line.
fn rendered(
    args: &Status,
    daemon: &Daemon,
    response: &Response,
    look: Look,
) -> Result<String, Failure> {
    if args.json {
        // Parsed and printed again, so that only JSON reaches the terminal.
        let json = response.json::<Value>().map_err(RequestError::from)?;
        return Ok(json.to_string());
    }
    let render: Render = match daemon.kind {
        Kind::Queue => render_queue,
        Kind::Monitor => render_monitor,
    };
    Ok(render(response, look).map_err(RequestError::from)?)
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
