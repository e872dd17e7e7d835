//! Keeps the queue of the demo moving, so that its pages can be seen at work.

use std::{convert::Infallible, time::Duration};

use cli::{
    client::{JobRequest, QueueClient},
    commands::wait::{Progress, QueuedJob},
};
use http_client::Client;
use shared::{
    secret::Secret,
    values::{Count, RunId},
};
use tokio::task::JoinSet;

use super::{
    servers::{API_TOKEN, Addresses},
    workflow_job,
};

/// How many jobs there are at once: twice as many as runners, so that some wait.
pub const JOB_COUNT: usize = 9;
/// The workflow run of the first job. Each further job has the next number.
const FIRST_RUN_ID: u64 = 2001;
/// The repositories that the jobs are for, in turn.
const REPOS: [&str; 3] = ["delan/servo", "delan/stylo", "delan/mozjs"];
/// The pause after a job that failed, as while a server is stopped to see what happens.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// How often a job asks for its position.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);

/// A job of which nothing is shown here: the pages show it.
struct Silent;

impl Progress for Silent {
    fn update(&self, _: &str) {}

    fn print(&self, _: &str) {}
}

/// Replaces each job that has ended by another, for ever.
pub async fn keep_busy(addresses: &Addresses) -> Infallible {
    let client = Client::new();
    let mut running = JoinSet::new();
    let mut number = 0;
    loop {
        while running.len() < JOB_COUNT {
            let (client, addresses) = (client.clone(), addresses.clone());
            let job = job(number);
            running.spawn_local(async move { run(&client, &addresses, job).await });
            number += 1;
        }
        if let Some(Ok(None)) = running.join_next().await {
            tokio::time::sleep(FAILURE_PAUSE).await;
        }
    }
}

/// A job: what is enqueued, and for how many seconds it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BusyJob {
    request: JobRequest,
    seconds: u64,
}

/// The job with this number. Each fifth is of the other profile, each seventh needs two runners.
fn job(number: u64) -> BusyJob {
    let is_macos = number % 5 == 4;
    let count = if !is_macos && number % 7 == 6 { 2 } else { 1 };
    let repo = REPOS[number as usize % REPOS.len()];
    let profile = if is_macos { "macos" } else { "linux" };
    BusyJob {
        request: JobRequest::new(
            format!("busy-{number}").parse().expect("it is a unique_id"),
            profile.parse().expect("it is a profile key"),
            Some(Count::new(count).expect("a count is 1 to 64")),
            repo.parse().expect("it is a repository"),
            RunId(FIRST_RUN_ID + number),
        ),
        seconds: 3 + number * 7 % 13,
    }
}

/// Runs a job to its end; `None` if it failed.
async fn run(client: &Client, addresses: &Addresses, job: BusyJob) -> Option<()> {
    let base_url = addresses.queue.parse().expect("it is a base URL");
    let queue = QueueClient::new(client.clone(), base_url);
    let run_id = job.request.spec.run_id.0;
    let token = Secret::new(API_TOKEN);
    let mut queued = QueuedJob::new(queue, job.request, token, Silent, STATUS_INTERVAL);
    let taken = queued.wait_for_runners().await.ok()?;
    let command = format!("sleep {}", job.seconds);
    let mut ended = JoinSet::new();
    for label in taken.labels(queued.unique_id()) {
        let (client, url, command) = (client.clone(), addresses.github.clone(), command.clone());
        ended.spawn_local(async move {
            workflow_job::run(&client, &url, run_id, &label, &command)
                .await
                .ok()
        });
    }
    let all = ended.join_all().await;
    all.into_iter().all(|it| it.is_some()).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jobs_are_of_both_profiles_and_some_need_two_runners() {
        let jobs: Vec<BusyJob> = (0..35).map(job).collect();
        let count =
            |is_wanted: fn(&BusyJob) -> bool| jobs.iter().filter(|it| is_wanted(it)).count();
        assert_eq!(
            count(|job| job.request.spec.profile_key.as_str() == "macos"),
            7
        );
        assert_eq!(count(|job| job.request.spec.count.get() == 2), 4);
        assert!(jobs.iter().all(|job| (3..16).contains(&job.seconds)));
    }
}
