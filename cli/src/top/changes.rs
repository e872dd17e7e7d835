//! Carries out what the state of `ci-runners top` wants.

use shared::{settings::BaseUrl, values::UniqueId, wire::JobReport};

use super::state::{Change, Effect, Event, runner_key, short_name};
use crate::{
    addresses::{Daemon, Kind},
    client::{RequestError, runner_output, runner_story},
    commands::{story_of, story_of_runner},
    failure::Failure,
};

/// Carries out an effect at `queue` or one of its servers; returns what became of it.
pub async fn perform(effect: Effect, queue: Daemon) -> Option<Event> {
    match effect {
        Effect::Quit => None,
        Effect::GetStory(unique_id) => {
            let result = get_story(&unique_id, &queue).await;
            let result = result.map_err(|error| error.to_string());
            Some(Event::Story(unique_id.to_string(), result))
        }
        Effect::GetRunner { server, id } => {
            let result = get_runner(&server, id, &queue).await;
            let result = result.map_err(|error| error.to_string());
            Some(Event::Story(runner_key(&server, id), result))
        }
        Effect::Change(change) => {
            let result = carry_out(change, &queue).await;
            Some(Event::Changed(
                result.map_err(|failure| format!("failed to {failure}")),
            ))
        }
    }
}

async fn get_story(unique_id: &UniqueId, queue: &Daemon) -> Result<Vec<String>, Failure> {
    let client = queue.jobs();
    let response = client.job(unique_id, &queue.api_token()?).await?;
    let report: JobReport = response.json().map_err(RequestError::from)?;
    Ok(story_of(&report))
}

/// The story of a runner, and the last lines of its guest.
async fn get_runner(server: &str, id: u64, queue: &Daemon) -> Result<Vec<String>, Failure> {
    let daemon = monitor(queue, server)?;
    let token = daemon.api_token()?;
    let response = runner_story(&daemon.client, &daemon.url, id, &token).await?;
    let mut lines = story_of_runner(&response)?;
    let output = runner_output(&daemon.client, &daemon.url, id, &token).await?;
    if !output.is_empty() {
        lines.extend([String::new(), "Its guest has printed:".to_owned()]);
        lines.extend(output);
    }
    Ok(lines)
}

async fn carry_out(change: Change, queue: &Daemon) -> Result<String, Failure> {
    match change {
        Change::Withdraw(unique_id) => {
            let client = queue.jobs();
            Ok(
                match client.withdraw(&unique_id, &queue.api_token()?).await? {
                    true => format!("Job {unique_id} was withdrawn"),
                    false => format!("Job {unique_id} was over already"),
                },
            )
        }
        Change::Drain { server, note } => {
            let (daemon, name) = (monitor(queue, &server)?, short_name(&server));
            let orders = daemon.orders();
            orders.drain(&note, &daemon.api_token()?).await?;
            Ok(format!("{name} is drained"))
        }
        Change::Undrain { server } => {
            let (daemon, name) = (monitor(queue, &server)?, short_name(&server));
            let orders = daemon.orders();
            Ok(match orders.undrain(&daemon.api_token()?).await? {
                Some(_) => format!("{name} is drained no more"),
                None => format!("{name} was not drained"),
            })
        }
        Change::Pause { profile, note } => {
            let orders = queue.orders();
            orders.pause(&profile, &note, &queue.api_token()?).await?;
            Ok(format!("{profile} is paused"))
        }
        Change::Resume { profile } => {
            let orders = queue.orders();
            Ok(match orders.resume(&profile, &queue.api_token()?).await? {
                Some(_) => format!("{profile} is resumed"),
                None => format!("{profile} was not paused"),
            })
        }
        Change::Rebuild {
            server,
            profile,
            note,
        } => {
            let (daemon, name) = (monitor(queue, &server)?, short_name(&server));
            let token = daemon.api_token()?;
            daemon.orders().rebuild(&profile, &note, &token).await?;
            Ok(format!("{name} rebuilds the image of {profile}"))
        }
        Change::CancelRebuild { server, profile } => {
            let (daemon, name) = (monitor(queue, &server)?, short_name(&server));
            let token = daemon.api_token()?;
            let cancelled = daemon.orders().cancel_rebuild(&profile, &token).await?;
            Ok(match cancelled {
                Some(_) => format!("The rebuild of the image of {profile} on {name} is cancelled"),
                None => format!("No rebuild of the image of {profile} was ordered on {name}"),
            })
        }
        Change::DestroyRunner { server, id } => {
            let (daemon, name) = (monitor(queue, &server)?, short_name(&server));
            let token = daemon.api_token()?;
            daemon.orders().destroy_runner(id, false, &token).await?;
            Ok(format!("{name} destroys runner {id}"))
        }
    }
}

fn monitor(queue: &Daemon, server: &str) -> Result<Daemon, Failure> {
    let url: BaseUrl = server
        .parse()
        .map_err(|error| Failure::Other(format!("reach {server}: {error}")))?;
    Ok(queue.sibling(Kind::Monitor, url))
}
