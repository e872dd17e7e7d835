//! A job of ours at the queue: sends the requests that `machine` decides on, and shows their results.
//!
//! Responsible for the ticket. Has no deadline; callers drop the future when they stop waiting.

use std::{convert::Infallible, time::Duration};

use shared::{secret::Secret, values::UniqueId};
use uuid::Uuid;

use super::{
    machine::{Step, WaitMachine},
    progress::Progress,
};
use crate::{
    client::{JobRequest, QueueClient, RequestError, Take, Taken},
    format,
    output::printable,
};

/// How long the withdrawal of a job may take, with all its retries.
const WITHDRAW_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause between two attempts to withdraw.
const WITHDRAW_PAUSE: Duration = Duration::from_millis(250);

/// The longest reason that is shown, in characters.
const WHY_MAX: usize = 300;

/// A job that waits for its runners.
pub struct QueuedJob<P> {
    queue: QueueClient,
    job: JobRequest,
    api_token: Secret,
    progress: P,
    /// How often the displayed position is updated while a take is held.
    status_interval: Duration,
    /// `None` until the job is enqueued.
    ticket: Option<Secret>,
}

impl<P: Progress> QueuedJob<P> {
    /// A job that is not enqueued yet.
    pub fn new(
        queue: QueueClient,
        job: JobRequest,
        api_token: Secret,
        progress: P,
        status_interval: Duration,
    ) -> Self {
        Self {
            queue,
            job,
            api_token,
            progress,
            status_interval,
            ticket: None,
        }
    }

    /// The name of the job.
    pub fn unique_id(&self) -> &UniqueId {
        &self.job.spec.unique_id
    }

    /// Prints a line about the job.
    pub fn print(&self, text: &str) {
        self.progress.print(text);
    }

    /// Enqueues the job and waits until it has its runners. May be dropped at any moment; call
    /// [`Self::withdraw`] then. May be called again, and returns the same runners.
    ///
    /// # Errors
    /// When the queue refuses the job or its ticket.
    pub async fn wait_for_runners(&mut self) -> Result<Taken, RequestError> {
        let (entropy, _) = Uuid::new_v4().as_u64_pair();
        let mut machine = WaitMachine::new(entropy);
        let mut step = Step::Enqueue(Duration::ZERO);
        loop {
            step = match step {
                Step::Enqueue(after) => {
                    tokio::time::sleep(after).await;
                    self.enqueue(&mut machine).await
                }
                Step::Take { after, hold } => {
                    tokio::time::sleep(after).await;
                    self.take(&mut machine, hold).await
                }
                Step::Finish(taken) => return Ok(taken),
                Step::GiveUp(error) => return Err(error),
            };
        }
    }

    /// Withdraws the job; prints a line if that fails.
    pub async fn withdraw(&self) {
        let withdraw = async {
            // The job may be enqueued although the response with its ticket was lost.
            let bearer = self.ticket.as_ref().unwrap_or(&self.api_token);
            loop {
                match self.queue.withdraw(&self.job.spec.unique_id, bearer).await {
                    Err(error) if error.is_transient() => tokio::time::sleep(WITHDRAW_PAUSE).await,
                    result => return result,
                }
            }
        };
        let reason = match tokio::time::timeout(WITHDRAW_TIMEOUT, withdraw).await {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "reach the queue in time".to_owned(),
        };
        self.print(&format!(
            "failed to {reason}; the queue abandons a job that stops asking for its runners"
        ));
    }

    async fn enqueue(&mut self, machine: &mut WaitMachine) -> Step {
        match self.queue.enqueue(&self.job, &self.api_token).await {
            Ok(ticket) => {
                self.ticket = Some(ticket);
                self.print(&format!("enqueued as {}", self.job.spec.unique_id));
                machine.on_ticket()
            }
            Err(error) => {
                self.show_failure(&error);
                machine.on_failed_enqueue(error)
            }
        }
    }

    async fn take(&self, machine: &mut WaitMachine, hold: Duration) -> Step {
        let ticket = self.ticket.as_ref();
        let ticket = ticket.expect("the machine takes only after an enqueue succeeded");
        let taken = tokio::select! {
            biased;
            taken = self.queue.take(&self.job.spec.unique_id, ticket, hold) => taken,
            never = self.show_position(ticket) => match never {},
        };
        match taken {
            Ok(Take::Runners(taken)) => Step::Finish(taken),
            Ok(Take::Waiting(waiting)) => {
                self.progress.update(&waiting.position_text());
                machine.on_waiting(&waiting)
            }
            Err(error) => {
                self.show_failure(&error);
                machine.on_failed_take(error)
            }
        }
    }

    /// Keeps the displayed position current while the queue holds a take.
    async fn show_position(&self, ticket: &Secret) -> Infallible {
        loop {
            // Errors are ignored here: the take meets them too, and handles them.
            if let Ok(status) = self.queue.status(&self.job.spec.unique_id, ticket).await
                && status.position.is_some()
            {
                let because = status.no_estimate_because.as_deref();
                let position = format::position(status.position, status.estimate, because);
                let why = printable(&status.why, WHY_MAX);
                self.progress.update_position(&position, &why);
            }
            tokio::time::sleep(self.status_interval).await;
        }
    }

    fn show_failure(&self, error: &RequestError) {
        if error.is_transient() {
            self.progress
                .update(&format!("failed to {error}; retrying"));
        }
    }
}
