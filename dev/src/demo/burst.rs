//! Plays the cast: every job goes the way of a real one, over the calls that curl would make.
//!
//! Owns how one job goes from its enqueueing to the end of its command. Judges nothing; `verdict`
//! does.

use std::{rc::Rc, time::Duration};

use http_client::Client;
use shared::{secret::Secret, values::Count};
use tokio::task::JoinSet;

use super::{
    board::{Board, Seat},
    cast::{CAST, Role},
    github::{self, Ended},
    hosts::{API_TOKEN, Addresses, HOSTS, REPO},
};
use cli::{
    client::{CallError, Job, QueueClient, Taken},
    commands::wait::{Line, Progress},
    format,
};

/// How often it is looked where a job stands.
const LOOK_PAUSE: Duration = Duration::from_millis(300);
/// A token that the queue does not know.
const WRONG_TOKEN: &str = "guessed";
/// The workflow run of the first job; the next ones follow.
const FIRST_RUN_ID: u64 = 1001;

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How long it was in line.
    pub waited: Duration,
    /// How it ended.
    pub end: End,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It had its runners, and ran on each of them.
    Ran(Vec<Run>),
    /// The queue refused it, with this code.
    Refused(String),
    /// Something else went wrong; a text that follows "failed to".
    Failed(String),
}

/// What happened on one runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The host that the runner is on.
    pub host: String,
    /// The runner's label.
    pub label: String,
    /// How the job ended there.
    pub ended: Ended,
}

/// Sends all jobs at once; returns what became of each, in the order of the cast.
pub async fn play(addresses: &Addresses, board: &Rc<Board>) -> Vec<Outcome> {
    let client = Client::new();
    let mut playing = JoinSet::new();
    for (index, role) in CAST.iter().enumerate() {
        let player = Player {
            role,
            run_id: FIRST_RUN_ID + index as u64,
            client: client.clone(),
            addresses: addresses.clone(),
            seat: board.seat(role.name),
            board: board.clone(),
        };
        playing.spawn_local(async move { (index, player.play().await) });
    }
    let mut outcomes = playing.join_all().await;
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// One job on its way.
struct Player {
    role: &'static Role,
    run_id: u64,
    client: Client,
    addresses: Addresses,
    seat: Seat,
    board: Rc<Board>,
}

impl Player {
    async fn play(self) -> Outcome {
        let joined_at = self.board.elapsed();
        let token = if self.role.is_token_right {
            API_TOKEN
        } else {
            WRONG_TOKEN
        };
        let base_url = self.addresses.queue.parse().expect("that is a base URL");
        let queue = QueueClient::new(self.client.clone(), base_url);
        let job = job(self.role, self.run_id);
        let mut line = Line::new(queue, job, Secret::new(token), &self.seat, LOOK_PAUSE);
        let stood = line.stand().await;
        let waited = self.board.elapsed().saturating_sub(joined_at);
        let end = match stood {
            Ok(taken) => {
                let labels = taken.labels(line.unique_id());
                self.run(&taken, &labels, waited).await
            }
            Err(CallError::Refused(refusal)) => {
                self.seat.finish(&format!("refused: {}", refusal.message));
                End::Refused(refusal.code)
            }
            Err(error) => {
                self.seat.finish(&format!("failed to {error}"));
                End::Failed(error.to_string())
            }
        };
        Outcome { waited, end }
    }

    /// Has the job run on all of its runners at once, as the jobs of a workflow do.
    async fn run(&self, taken: &Taken, labels: &[String], waited: Duration) -> End {
        let hosts: Vec<String> = taken
            .runners
            .iter()
            .map(|runner| host(&self.addresses, runner.server.as_deref()))
            .collect();
        self.seat.show(&format!(
            "runs on {} after {}",
            hosts.join(" and "),
            format::short_duration(waited)
        ));
        let mut running = JoinSet::new();
        for (index, label) in labels.iter().cloned().enumerate() {
            let (client, url) = (self.client.clone(), self.addresses.github.clone());
            let (run_id, command) = (self.run_id, self.role.command);
            running.spawn_local(async move {
                let ended = github::run_job(&client, &url, run_id, &label, command).await;
                (index, label, ended)
            });
        }
        let mut ended = running.join_all().await;
        ended.sort_by_key(|(index, ..)| *index);
        let mut runs = Vec::new();
        for ((_, label, ended), host) in ended.into_iter().zip(hosts) {
            match ended {
                Ok(ended) => runs.push(Run { host, label, ended }),
                Err(error) => {
                    self.seat.finish(&format!("failed to {error}"));
                    return End::Failed(error.to_string());
                }
            }
        }
        self.seat.finish(&closing_words(&runs, waited));
        End::Ran(runs)
    }
}

fn job(role: &Role, run_id: u64) -> Job {
    let count = role.count.map(Count::new).transpose();
    Job {
        unique_id: role.name.parse().expect("a name is a unique_id"),
        profile_key: role.profile_key.parse().expect("that is a profile key"),
        count: count.expect("a count is 1 to 64"),
        qualified_repo: REPO.parse().expect("that is a repository"),
        run_id: run_id.to_string().parse().expect("a number is a run_id"),
    }
}

/// The name of the host whose monitor has this base URL.
fn host(addresses: &Addresses, server: Option<&str>) -> String {
    let server = server.unwrap_or_default().trim_end_matches('/');
    let mut hosts = addresses.monitors.iter().zip(HOSTS);
    hosts.find(|(url, _)| *url == server).map_or_else(
        || "an unknown host".to_owned(),
        |(_, (name, _))| format!("host {name}"),
    )
}

fn closing_words(runs: &[Run], waited: Duration) -> String {
    let each: Vec<String> = runs
        .iter()
        .map(|run| match run.ended.exit_code {
            Some(code) => format!("exit {code} on {}", run.host),
            None => format!("no exit code on {}", run.host),
        })
        .collect();
    let waited = format::short_duration(waited);
    format!("{}, after {waited} in line", each.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_a_job_that_can_be_sent() {
        for role in &CAST {
            let job = job(role, 7);
            assert_eq!(job.unique_id.as_str(), role.name);
            assert_eq!(
                job.count.map(|count| count.get() as u64),
                role.count,
                "{}",
                role.name
            );
        }
    }

    #[test]
    fn a_host_is_known_by_its_monitor() {
        let addresses = Addresses {
            monitors: ["http://a:1".into(), "http://b:2".into()],
            queue: String::new(),
            github: String::new(),
        };
        for (server, name) in [
            (Some("http://a:1/"), "host a"),
            (Some("http://b:2/"), "host b"),
            (Some("http://c:3/"), "an unknown host"),
            (None, "an unknown host"),
        ] {
            assert_eq!(host(&addresses, server), name);
        }
    }

    #[test]
    fn the_last_words_name_every_runner() {
        let run = |host: &str, exit_code| Run {
            host: host.into(),
            label: String::new(),
            ended: Ended {
                conclusion: String::new(),
                exit_code,
                output_tail: String::new(),
            },
        };
        assert_eq!(
            closing_words(
                &[run("host a", Some(0)), run("host b", None)],
                Duration::ZERO
            ),
            "exit 0 on host a and no exit code on host b, after 0.0 s in line"
        );
    }
}
