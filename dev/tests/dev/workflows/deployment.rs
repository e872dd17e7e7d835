//! A deployment: the emulator in this process, one monitor and one queue as processes.

use std::{fs, fs::File};

use cli::client::{JobRequest, QueueClient, Take};
use emulator::{
    EmulatorSettings, EmulatorThread,
    model::{JobPhase, JobView, NewJob},
};
use http_client::{Client, Method, Request};
use serde_json::{Value, json};
use shared::{secret::Secret, values::RunId};
use tempfile::TempDir;
use tokio::{
    process::Child,
    sync::{Notify, watch},
};

use super::{
    super::support::*,
    job::{ACTIONS, Job, RUN_ID},
};

/// The token of the emulator.
pub const GITHUB_TOKEN: &str = "emulated";

/// The repository whose jobs the deployment accepts.
pub const REPO: &str = "delan/servo";

/// The command of a job that runs until [`Deployment::finish`].
const UNTIL_FINISHED: &str = "until [ -e finished ]; do sleep 0.05; done";

/// The servers that a workflow uses.
pub struct Deployment {
    pub queue_url: String,
    pub monitor_url: String,
    pub github: EmulatorThread,
    settings: String,
    queue: Option<Child>,
    _monitor: Child,
    folder: TempDir,
}

impl Deployment {
    /// Starts a deployment of this many runners, and waits until they are idle.
    pub async fn start(runners: usize) -> Self {
        Self::start_with(runners, "").await
    }

    /// The same with more settings outside of tables.
    pub async fn start_with(runners: usize, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let github = EmulatorSettings::new(Secret::new(GITHUB_TOKEN));
        let github = emulator::spawn(github).unwrap();
        let [monitor_port, queue_port] = free_ports();
        let settings = settings_of_both(&github.base_url, monitor_port, queue_port, runners);
        let settings = format!("{more}\n{settings}");
        let monitor = run_daemon("monitor", &folder, &settings);
        let queue = run_daemon("queue", &folder, &settings);
        let deployment = Self {
            queue_url: url(queue_port),
            monitor_url: url(monitor_port),
            github,
            settings,
            queue: Some(queue),
            _monitor: monitor,
            folder,
        };
        wait_until("the runners are idle", async || {
            deployment.idle_count().await == runners
        })
        .await;
        deployment
    }

    /// Kills the queue with SIGKILL.
    pub async fn kill_queue(&mut self) {
        let mut queue = self.queue.take().expect("it runs");
        queue.kill().await.unwrap();
    }

    /// Starts the queue again.
    pub fn start_queue(&mut self) {
        self.queue = Some(run_daemon("queue", &self.folder, &self.settings));
    }

    /// A job of a workflow that has not started.
    pub fn job(&self) -> Job {
        job_at(&self.github)
    }

    /// Runs a job on a runner until [`Self::finish`].
    pub async fn occupy_one(&self) {
        let queue = QueueClient::new(Client::new(), self.queue_url.parse().unwrap());
        let token = Secret::new(API_TOKEN);
        let job = JobRequest::new(
            cli::args::random_unique_id(),
            "linux".parse().unwrap(),
            None,
            REPO.parse().unwrap(),
            RunId(7),
        );
        let ticket = queue.enqueue(&job, &token).await.unwrap();
        let hold = std::time::Duration::from_secs(30);
        let Take::Runners(taken) = queue
            .take(&job.spec.unique_id, &ticket, hold)
            .await
            .unwrap()
        else {
            panic!("a runner is idle");
        };
        let label = taken.labels(&job.spec.unique_id).remove(0);
        let finished = self.folder.path().join("finished");
        let command = UNTIL_FINISHED.replace("finished", finished.to_str().unwrap());
        let id = self.queue_job(7, &label, &command).id;
        wait_until("the job runs", async || {
            let job = self.github.emulator.model(|model, now| model.job(now, id));
            job.unwrap().phase == JobPhase::InProgress
        })
        .await;
    }

    /// Ends the job of [`Self::occupy_one`].
    pub fn finish(&self) {
        fs::write(self.folder.path().join("finished"), "").unwrap();
    }

    /// Queues a workflow job with `runs-on: <label>`.
    pub fn queue_job(&self, run_id: u64, label: &str, command: &str) -> JobView {
        let new = NewJob {
            repo: REPO.parse().unwrap(),
            run_id: RunId(run_id),
            labels: vec![label.to_owned()],
            command: command.to_owned(),
        };
        let queued = self.github.emulator.model(|model, now| {
            let id = model.queue_job(now, new)?;
            model.job(now, id)
        });
        queued.unwrap()
    }

    /// Runs a workflow job on the runner with this label until it ends.
    pub async fn run_job(&self, label: &str, command: &str) -> JobView {
        let id = self.queue_job(RUN_ID, label, command).id;
        let job = || {
            self.github
                .emulator
                .model(|model, now| model.job(now, id))
                .unwrap()
        };
        wait_until("the job has ended", async || {
            job().phase == JobPhase::Completed
        })
        .await;
        job()
    }

    /// The number of idle runners.
    pub async fn idle_count(&self) -> usize {
        let idle = queue_dashboard(&self.queue_url).await["profiles"][0]["idle"].as_u64();
        idle.unwrap_or_default() as usize
    }

    /// The public ids of the waiting jobs.
    pub async fn waiting_jobs(&self) -> Vec<String> {
        waiting_jobs(&queue_dashboard(&self.queue_url).await)
    }

    /// The number of artifacts of the workflow run.
    pub async fn artifact_count(&self) -> Value {
        artifact_count(&self.github).await
    }

    /// The logs of both daemons.
    pub fn daemon_logs(&self) -> String {
        let log = |name: &str| fs::read_to_string(self.folder.path().join(name)).unwrap();
        log("monitor.log") + &log("queue.log")
    }
}

/// The number of artifacts of the workflow run.
pub async fn artifact_count(github: &EmulatorThread) -> Value {
    let url = format!(
        "{}/repos/{REPO}/actions/runs/{RUN_ID}/artifacts",
        github.base_url
    );
    let token = Secret::new(GITHUB_TOKEN);
    let mut call = Request::new(Method::GET, &url);
    call.bearer = Some(&token);
    let list: Value = Client::new().send(call).await.unwrap().json().unwrap();
    list["total_count"].clone()
}

/// A job of a workflow at this GitHub that has not started.
pub fn job_at(github: &EmulatorThread) -> Job {
    Job {
        github: github.emulator.clone(),
        api_url: github.base_url.clone(),
        token: GITHUB_TOKEN.to_owned(),
        repo: REPO.to_owned(),
        takes_uploads: true,
        log: watch::Sender::default(),
        cancel: Notify::new(),
        signal: "INT",
        attempt: 1,
        event: json!({}),
        environment: "github-hosted",
        actions: ACTIONS,
        shell: "bash".into(),
        variables: Vec::new(),
        folder: tempfile::tempdir().unwrap(),
    }
}

/// Starts a daemon that logs to a file: a pipe would have to be read.
fn run_daemon(name: &str, folder: &TempDir, settings: &str) -> Child {
    let log = folder.path().join(format!("{name}.log"));
    let log = File::options().create(true).append(true).open(log).unwrap();
    let mut command = daemon(name, folder.path(), settings);
    command.stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap()
}
