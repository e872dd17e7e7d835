//! `ci-runners logs`: what has happened to a runner, and with `--follow` what happens to it.

use std::time::Duration;

use http_client::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::{backoff::Backoff, clock::Clock, secret::Secret, wire::RunnerStatus};

use super::story;
use crate::{
    addresses::Daemon,
    args::Logs,
    client::{EventStream, JournalEvent, Part, RequestError, runner_story},
    exit::Exit,
    failure::Failure,
    output::{self, printable},
    signal::next_signal,
    terminal::Look,
};

/// The pauses before the stream of events is opened again.
const RECONNECT: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_secs(15),
    jitter_percent: 50,
};
/// The longest name that is printed, in characters.
const NAME_MAX: usize = 120;

/// The response of a monitor to `GET /runner/<id>`.
#[derive(Debug, Deserialize)]
struct RunnerStory {
    id: u64,
    #[serde(default)]
    profile_key: Option<String>,
    /// The same as on the dashboard; `None` if the runner is gone.
    #[serde(default)]
    status: Option<RunnerStatus>,
    #[serde(default)]
    runner: Option<Value>,
    #[serde(default)]
    events: Vec<Value>,
    #[serde(default)]
    is_truncated: bool,
}

/// Runs the command.
///
/// # Errors
/// When the monitor knows nothing of the runner, refuses the request or is unreachable. While it follows, an
/// unreachable monitor is asked again.
pub async fn logs(args: &Logs, daemon: &Daemon, look: Look) -> Result<Exit, Failure> {
    let token = daemon.api_token()?;
    let response = runner_story(&daemon.client, &daemon.url, args.id, &token).await?;
    let story: RunnerStory = response.json().map_err(RequestError::from)?;
    match (args.json, args.follow) {
        (true, false) => {
            let json = response.json::<Value>().map_err(RequestError::from)?;
            output::print(&json.to_string())?;
        }
        (true, true) => {
            for event in &story.events {
                output::print(&event.to_string())?;
            }
        }
        (false, _) => output::print_coloured(look, &render(&story, look))?,
    }
    let is_gone = story.runner.is_none() && !story.events.is_empty();
    if !args.follow || is_gone {
        return Ok(Exit::Done);
    }
    let last = story.events.iter().filter_map(|event| event["id"].as_u64());
    let last = last.max().unwrap_or_default();
    tokio::select! {
        followed = follow(args, daemon, &token, last, look) => followed.map(|()| Exit::Done),
        signal = next_signal() => signal.map(Exit::from).map_err(Failure::Signals),
    }
}

fn render(story: &RunnerStory, look: Look) -> String {
    let profile = story.profile_key.as_deref().unwrap_or("an unknown profile");
    let state = match (story.status, &story.runner) {
        (Some(status), _) => status.name(),
        (None, Some(_)) => "there",
        (None, None) => "gone",
    };
    let profile = printable(profile, NAME_MAX);
    let mut text = format!("Runner {} of {profile}: {state}", story.id);
    let lines = story::lines(&story.events, story.is_truncated, look);
    if !lines.is_empty() {
        text += &format!("\n\n{}", lines.join("\n"));
    }
    text
}

/// The events of a response of a monitor to `GET /runner/<id>`, in lines.
///
/// # Errors
/// When it is malformed.
pub fn story_of_runner(response: &Response) -> Result<Vec<String>, RequestError> {
    let story: RunnerStory = response.json()?;
    Ok(story::lines(&story.events, story.is_truncated, Look::PLAIN))
}

/// Prints the events of a runner after the one with the id `last`, until it is destroyed.
async fn follow(
    args: &Logs,
    daemon: &Daemon,
    token: &Secret,
    mut last: u64,
    look: Look,
) -> Result<(), Failure> {
    let clock = Clock::start();
    let mut failures = 0;
    loop {
        let opened = EventStream::open(&daemon.client, &daemon.url, Some(token), Some(last)).await;
        let failure = match opened {
            Ok(mut stream) => loop {
                match stream.next().await {
                    Ok(Some(Part::Event(event))) => {
                        failures = 0;
                        last = event.get("id").and_then(Value::as_u64).unwrap_or(last);
                        if print_if_of(args, &event, look)? {
                            return Ok(());
                        }
                    }
                    Ok(Some(Part::Gap)) => output::note("some events may be missing here"),
                    Ok(Some(Part::Comment)) => failures = 0,
                    Ok(None) => break "the monitor ended the stream of events".to_owned(),
                    Err(error) => break error.to_string(),
                }
            },
            Err(error) if error.is_transient() => error.to_string(),
            Err(error) => return Err(error.into()),
        };
        failures += 1;
        let pause = RECONNECT.pause(failures, Duration::ZERO, clock.now().as_micros());
        output::note(&format!("{failure}; reading them again"));
        tokio::time::sleep(pause).await;
    }
}

/// Prints an event if it is of the runner. Returns whether it is the last one.
fn print_if_of(args: &Logs, event: &JournalEvent, look: Look) -> Result<bool, Failure> {
    if event.get("runner").and_then(Value::as_u64) != Some(args.id) {
        return Ok(false);
    }
    let text = match args.json {
        true => json!(event).to_string(),
        false => story::event_lines(event, look).join("\n"),
    };
    output::print(&text)?;
    Ok(event.get("event").and_then(Value::as_str) == Some("runner_destroyed"))
}
