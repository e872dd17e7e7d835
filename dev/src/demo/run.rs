//! Runs the jobs, each from its enqueue to the end of its command, with the requests that curl can send.
//!
//! Not responsible for judging how a job ended; `report` is.

use std::{rc::Rc, time::Duration};

use cli::{
    client::{JobRequest, QueueClient, RequestError, Taken},
    commands::wait::{Progress, QueuedJob},
    format,
};
use http_client::Client;
use shared::{
    secret::Secret,
    values::{Count, RunId},
};
use tokio::task::JoinSet;

use super::{
    jobs::{DemoJob, JOBS},
    progress::{JobProgress, Screen},
    servers::{API_TOKEN, Addresses, REPO, SERVERS},
    workflow_job::{self, Ended},
};

/// How often the displayed position is updated.
const STATUS_INTERVAL: Duration = Duration::from_millis(300);
/// A token that the queue rejects.
const WRONG_TOKEN: &str = "guessed";
/// The workflow run of the first job. Each further job has the next number.
const FIRST_RUN_ID: u64 = 1001;

/// What happened to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The time from the enqueue to the runners, or to the refusal.
    pub waited: Duration,
    pub end: End,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Its command ran on each of its runners.
    Ran(Vec<RunnerResult>),
    /// The queue refused it with this code.
    Refused(String),
    /// Another error; the text follows "failed to".
    Failed(String),
}

/// What happened on one runner of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerResult {
    /// The name of the runner's server: `server a`.
    pub server: String,
    /// The runner's label.
    pub label: String,
    pub ended: Ended,
}

/// Runs all jobs at once; returns their outcomes in the order of [`JOBS`].
pub async fn run_all(addresses: &Addresses, screen: &Rc<Screen>) -> Vec<Outcome> {
    let client = Client::new();
    let mut running = JoinSet::new();
    for (index, job) in JOBS.iter().enumerate() {
        let run = JobRun {
            job,
            run_id: FIRST_RUN_ID + index as u64,
            client: client.clone(),
            addresses: addresses.clone(),
            progress: screen.add_job(job.name),
            screen: screen.clone(),
        };
        running.spawn_local(async move { (index, run.run().await) });
    }
    let mut outcomes = running.join_all().await;
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// One job, while it runs.
struct JobRun {
    job: &'static DemoJob,
    run_id: u64,
    client: Client,
    addresses: Addresses,
    progress: JobProgress,
    screen: Rc<Screen>,
}

impl JobRun {
    async fn run(self) -> Outcome {
        let enqueued_at = self.screen.elapsed();
        let token = if self.job.is_token_right {
            API_TOKEN
        } else {
            WRONG_TOKEN
        };
        let base_url = self.addresses.queue.parse().expect("it is a base URL");
        let queue = QueueClient::new(self.client.clone(), base_url);
        let request = request(self.job, self.run_id);
        let token = Secret::new(token);
        let mut queued = QueuedJob::new(queue, request, token, &self.progress, STATUS_INTERVAL);
        let result = queued.wait_for_runners().await;
        let waited = self.screen.elapsed().saturating_sub(enqueued_at);
        let end = match result {
            Ok(taken) => {
                let labels = taken.labels(queued.unique_id());
                self.run_on_runners(&taken, &labels, waited).await
            }
            Err(RequestError::Refused(response)) => {
                self.progress
                    .finish(&format!("refused: {}", response.message));
                End::Refused(response.code)
            }
            Err(error) => {
                self.progress.finish(&format!("failed to {error}"));
                End::Failed(error.to_string())
            }
        };
        Outcome { waited, end }
    }

    /// Runs the job's command on all of its runners at once, as a workflow does.
    async fn run_on_runners(&self, taken: &Taken, labels: &[String], waited: Duration) -> End {
        let servers: Vec<String> = taken
            .runners
            .iter()
            .map(|runner| server_name(&self.addresses, runner.server.as_deref()))
            .collect();
        self.progress.update(&format!(
            "runs on {} after {}",
            places(&servers),
            format::short_duration(waited)
        ));
        let mut running = JoinSet::new();
        for (index, label) in labels.iter().cloned().enumerate() {
            let (client, url) = (self.client.clone(), self.addresses.github.clone());
            let (run_id, command) = (self.run_id, self.job.command);
            running.spawn_local(async move {
                let ended = workflow_job::run(&client, &url, run_id, &label, command).await;
                (index, label, ended)
            });
        }
        let mut ended = running.join_all().await;
        ended.sort_by_key(|(index, ..)| *index);
        let mut results = Vec::new();
        for ((_, label, ended), server) in ended.into_iter().zip(servers) {
            match ended {
                Ok(ended) => results.push(RunnerResult {
                    server,
                    label,
                    ended,
                }),
                Err(error) => {
                    self.progress.finish(&format!("failed to {error}"));
                    return End::Failed(error.to_string());
                }
            }
        }
        self.progress.finish(&results_text(&results, waited));
        End::Ran(results)
    }
}

/// What is enqueued for a job.
fn request(job: &DemoJob, run_id: u64) -> JobRequest {
    let count = job.count.map(Count::new).transpose();
    JobRequest::new(
        job.name.parse().expect("a name is a unique_id"),
        job.profile_key.parse().expect("it is a profile key"),
        count.expect("a count is 1 to 64"),
        REPO.parse().expect("it is a repository"),
        RunId(run_id),
    )
}

/// The name of the server whose monitor has this base URL.
fn server_name(addresses: &Addresses, url: Option<&str>) -> String {
    let url = url.unwrap_or_default().trim_end_matches('/');
    let mut servers = addresses.monitors.iter().zip(SERVERS);
    servers.find(|(monitor, _)| *monitor == url).map_or_else(
        || "an unknown server".to_owned(),
        |(_, (name, _))| format!("server {name}"),
    )
}

/// The servers of a job's runners: `server a and 2 runners of server b`.
fn places(servers: &[String]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for server in servers {
        match counts.iter_mut().find(|(name, _)| name == server) {
            Some((_, count)) => *count += 1,
            None => counts.push((server, 1)),
        }
    }
    let places = counts.iter().map(|(server, count)| match count {
        1 => (*server).to_owned(),
        _ => format!("{count} runners of {server}"),
    });
    places.collect::<Vec<_>>().join(" and ")
}

fn results_text(results: &[RunnerResult], waited: Duration) -> String {
    let each: Vec<String> = results
        .iter()
        .map(|result| match result.ended.exit_code {
            Some(code) => format!("exit {code} on {}", result.server),
            None => format!("no exit code on {}", result.server),
        })
        .collect();
    let waited = format::short_duration(waited);
    format!("{}, waited {waited}", each.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_can_be_enqueued() {
        for job in &JOBS {
            let request = request(job, 7);
            assert_eq!(request.spec.unique_id.as_str(), job.name);
            let count = request.spec.count.get() as u64;
            assert_eq!(count, job.count.unwrap_or(1), "{}", job.name);
            assert_eq!(request.is_array, job.count.is_some(), "{}", job.name);
        }
    }

    #[test]
    fn a_server_is_named_after_the_url_of_its_monitor() {
        let addresses = Addresses {
            monitors: ["http://a:1".into(), "http://b:2".into()],
            queue: String::new(),
            github: String::new(),
        };
        for (url, name) in [
            (Some("http://a:1/"), "server a"),
            (Some("http://b:2/"), "server b"),
            (Some("http://c:3/"), "an unknown server"),
            (None, "an unknown server"),
        ] {
            assert_eq!(server_name(&addresses, url), name);
        }
    }

    #[test]
    fn several_runners_of_a_server_are_counted() {
        let servers = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            places(&names)
        };
        assert_eq!(servers(&["server a"]), "server a");
        assert_eq!(servers(&["server a", "server b"]), "server a and server b");
        assert_eq!(
            servers(&["server b", "server a", "server b"]),
            "2 runners of server b and server a"
        );
    }

    #[test]
    fn the_text_of_the_results_names_every_runner() {
        let result = |server: &str, exit_code| RunnerResult {
            server: server.into(),
            label: String::new(),
            ended: Ended {
                conclusion: String::new(),
                exit_code,
                output_tail: String::new(),
            },
        };
        assert_eq!(
            results_text(
                &[result("server a", Some(0)), result("server b", None)],
                Duration::ZERO
            ),
            "exit 0 on server a and no exit code on server b, waited 0.0 s"
        );
    }
}
