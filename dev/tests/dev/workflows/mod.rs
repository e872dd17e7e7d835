//! The actions and workflows of `.github` and of the book, executed as GitHub does, against real
//! daemons and the emulator.
//!
//! - `select`, `fallback`, `timeout`, `checkout`: tests of the actions; `self_test`: of the workflow
//!   `self-test`; `book`: of the workflows in the book
//! - `other_machines`, `proxies`, `servo_queue`: the actions on other machines, behind proxies, and in front of
//!   the queue of servo/ci-runners
//! - `files`, `expression`, `job`, `workflow`: read and execute actions and workflows
//! - `deployment`: emulator, monitor and queue; `scripted_queue`: a queue with prepared responses

mod book;
mod checkout;
pub mod deployment;
mod expression;
mod fallback;
mod files;
mod job;
mod other_machines;
mod proxies;
mod scripted_queue;
mod select;
mod self_test;
mod servo_queue;
mod timeout;
mod workflow;

use std::rc::Rc;

use emulator::EmulatorThread;
use serde_json::{Map, Value, json};
use tokio::{sync::watch, task::JoinHandle};

pub use self::deployment::GITHUB_TOKEN;
use self::{
    deployment::job_at,
    job::{Job, Outputs, StepsResult},
};
use super::support::*;

/// An action that runs in a job.
pub struct RunningAction {
    job: Rc<Job>,
    log: watch::Receiver<String>,
    task: JoinHandle<(StepsResult, Outputs)>,
}

/// An action that has ended.
pub struct Done {
    job: Rc<Job>,
    ended: StepsResult,
    pub outputs: Outputs,
    pub log: String,
}

/// Starts `runner-select` as a workflow for servo/ci-runners does, with more inputs.
pub fn start_select(github: &EmulatorThread, repo: &str, more: Value) -> RunningAction {
    let mut job = job_at(github);
    job.repo = repo.to_owned();
    job.actions = "actions";
    let mut with = json!({"GITHUB_TOKEN": GITHUB_TOKEN, "github-hosted-runner-label": "ubuntu-22.04",
        "NO_SELF_HOSTED_RUNNERS": "", "force-github-hosted-runner": "false"});
    for (name, value) in more.as_object().unwrap() {
        with[name] = value.clone();
    }
    start_action(job, "runner-select", with)
}

/// Starts an action in a job, with these inputs.
fn start_action(job: Job, name: &'static str, with: Value) -> RunningAction {
    let job = Rc::new(job);
    let log = job.log.subscribe();
    let with: Map<String, Value> = with.as_object().unwrap().clone();
    let runs = Rc::clone(&job);
    let task = actix_web::rt::spawn(async move { runs.run_action(name, &with).await });
    RunningAction { job, log, task }
}

impl RunningAction {
    /// Waits until its log contains `part`.
    async fn expect_log(&mut self, part: &str) {
        let logged = self.log.wait_for(|log| log.contains(part));
        let logged = tokio::time::timeout(TIMEOUT, logged)
            .await
            .map(|logged| logged.map(drop));
        assert!(
            matches!(logged, Ok(Ok(()))),
            "{part:?} is not in {}",
            self.job.log.borrow().as_str()
        );
    }

    /// Cancels the job.
    fn cancel(&self) {
        self.job.cancel.notify_one();
    }

    /// Waits until it has ended.
    pub async fn finish(self) -> Done {
        let ended = tokio::time::timeout(TIMEOUT, self.task).await;
        let log = self.job.log.borrow().clone();
        let (ended, outputs) = ended.unwrap_or_else(|_| panic!("it ends: {log}")).unwrap();
        Done {
            job: self.job,
            ended,
            outputs,
            log,
        }
    }
}

impl Done {
    /// The outputs without the random `unique-id`, and the status as `status`.
    fn status_and_outputs(&self) -> Value {
        let mut outputs = json!(self.outputs);
        let id = outputs.as_object_mut().unwrap().remove("unique-id");
        assert!(self.ended.status != "success" || id.unwrap().as_str().unwrap().len() == 36);
        outputs["status"] = self.ended.status.into();
        outputs
    }

    /// Asserts that the log contains `part`.
    #[track_caller]
    fn assert_log_has(&self, part: &str) {
        assert!(self.log.contains(part), "{part:?} is not in {}", self.log);
    }
}
