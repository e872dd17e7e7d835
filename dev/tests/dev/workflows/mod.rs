//! The actions and workflows of `.github` and of the book, as they are shipped, against the real
//! daemons and the emulator.
//!
//! - `select`, `fallback`, `timeout`: what the actions do; `self_test`: the workflow of that name;
//!   `book`: what the book says to copy
//! - `files`, `expression`, `step`, `run`: reads them, and runs them as GitHub does
//! - `site`: emulator, monitor and queue; `scripted`: a queue that says what a test wants

mod book;
mod expression;
mod fallback;
mod files;
mod run;
mod scripted;
mod select;
mod self_test;
pub mod site;
mod step;
mod timeout;

use std::rc::Rc;

use serde_json::{Map, Value, json};
use tokio::{sync::watch, task::JoinHandle};

use self::step::{Ended, Job, Outputs};
use super::support::*;

/// An action of ours that runs in a job.
struct Running {
    job: Rc<Job>,
    log: watch::Receiver<String>,
    task: JoinHandle<(Ended, Outputs)>,
}

/// How it ended, and all that it said.
struct Done {
    job: Rc<Job>,
    ended: Ended,
    outputs: Outputs,
    log: String,
}

/// Starts an action of ours in a job; `with` is what a workflow gives it.
fn start_action(job: Job, name: &'static str, with: Value) -> Running {
    let job = Rc::new(job);
    let log = job.log.subscribe();
    let with: Map<String, Value> = with.as_object().unwrap().clone();
    let runs = Rc::clone(&job);
    let task = actix_web::rt::spawn(async move { runs.run_action(name, &with).await });
    Running { job, log, task }
}

impl Running {
    /// Waits until its log has `part`.
    async fn says(&mut self, part: &str) {
        let said = self.log.wait_for(|log| log.contains(part));
        let said = tokio::time::timeout(PATIENCE, said)
            .await
            .map(|said| said.map(drop));
        assert!(
            matches!(said, Ok(Ok(()))),
            "{part:?} is not in {}",
            self.job.log.borrow().as_str()
        );
    }

    /// Cancels its job.
    fn cancel(&self) {
        self.job.cancel.notify_one();
    }

    async fn end(self) -> Done {
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
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
    /// The status, and then the outputs but for the unique id.
    fn seen(&self) -> Value {
        let mut seen = json!(self.outputs);
        let id = seen.as_object_mut().unwrap().remove("unique-id");
        assert!(self.ended.status != "success" || id.unwrap().as_str().unwrap().len() == 36);
        seen["status"] = self.ended.status.into();
        seen
    }
}
