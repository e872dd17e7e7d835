//! Stands in line: makes the calls that `patience` asks for, and tells what came of them.
//!
//! Owns the ticket and the calls. Decides nothing, and never ends by itself for lack of time.

use std::{convert::Infallible, time::Duration};

use shared::{secret::Secret, values::UniqueId};

use super::patience::{Patience, Step};
use crate::{
    client::{CallError, Job, QueueClient, Take, Taken},
    format,
};

/// How long the withdrawal of a job may take, over all attempts.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause between two attempts to withdraw.
const LEAVE_PAUSE: Duration = Duration::from_millis(250);

/// Where it is shown how a job stands.
pub trait Progress {
    /// Shows how things stand now, in the place of what was shown before.
    fn show(&self, text: &str);
    /// Says something that stays.
    fn say(&self, text: &str);
}

impl<P: Progress> Progress for &P {
    fn show(&self, text: &str) {
        (**self).show(text);
    }

    fn say(&self, text: &str) {
        (**self).say(text);
    }
}

/// A job and its place in line.
pub struct Line<P> {
    queue: QueueClient,
    job: Job,
    api_token: Secret,
    progress: P,
    /// How often to look where the job stands, while its take is held.
    look_pause: Duration,
    /// None as long as the queue has not given one.
    ticket: Option<Secret>,
}

impl<P: Progress> Line<P> {
    /// A job that is not in line yet.
    pub fn new(
        queue: QueueClient,
        job: Job,
        api_token: Secret,
        progress: P,
        look_pause: Duration,
    ) -> Self {
        Self {
            queue,
            job,
            api_token,
            progress,
            look_pause,
            ticket: None,
        }
    }

    /// The name of the job.
    pub fn unique_id(&self) -> &UniqueId {
        &self.job.unique_id
    }

    /// Tells whoever watches.
    pub fn say(&self, text: &str) {
        self.progress.say(text);
    }

    /// Joins the line and stays until the runners are there. May be dropped at any moment; then
    /// [`Self::leave`].
    ///
    /// # Errors
    /// When waiting cannot help.
    pub async fn stand(&mut self) -> Result<Taken, CallError> {
        let mut patience = Patience::default();
        let mut step = Step::Enqueue(Duration::ZERO);
        loop {
            step = match step {
                Step::Enqueue(after) => {
                    tokio::time::sleep(after).await;
                    self.enqueue(&mut patience).await
                }
                Step::Take { after, hold } => {
                    tokio::time::sleep(after).await;
                    self.take(&mut patience, hold).await
                }
                Step::Finish(taken) => return Ok(taken),
                Step::GiveUp(error) => return Err(error),
            };
        }
    }

    /// Withdraws the job; says so if that cannot be done.
    pub async fn leave(&self) {
        let withdraw = async {
            // The queue may have put the job in line although its answer never came.
            let bearer = self.ticket.as_ref().unwrap_or(&self.api_token);
            loop {
                match self.queue.withdraw(&self.job.unique_id, bearer).await {
                    Err(error) if error.is_transient() => tokio::time::sleep(LEAVE_PAUSE).await,
                    ended => return ended,
                }
            }
        };
        let reason = match tokio::time::timeout(LEAVE_TIMEOUT, withdraw).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "reach the queue in time".to_owned(),
        };
        self.say(&format!(
            "failed to {reason}; the queue gives the job up when it has heard nothing for a while"
        ));
    }

    async fn enqueue(&mut self, patience: &mut Patience) -> Step {
        match self.queue.enqueue(&self.job, &self.api_token).await {
            Ok(ticket) => {
                self.ticket = Some(ticket);
                self.say(&format!("in line as {}", self.job.unique_id));
                patience.after_ticket()
            }
            Err(error) => {
                self.show_failure(&error);
                patience.after_failed_enqueue(error)
            }
        }
    }

    async fn take(&self, patience: &mut Patience, hold: Duration) -> Step {
        let ticket = self.ticket.as_ref();
        let ticket = ticket.expect("a job takes only after it was enqueued");
        let taken = tokio::select! {
            biased;
            taken = self.queue.take(&self.job.unique_id, ticket, hold) => taken,
            never = self.keep_looking(ticket) => match never {},
        };
        match taken {
            Ok(Take::Runners(taken)) => Step::Finish(taken),
            Ok(Take::Waiting(waiting)) => {
                self.progress.show(&waiting.words());
                patience.after_waiting(&waiting)
            }
            Err(error) => {
                self.show_failure(&error);
                patience.after_failed_take(error)
            }
        }
    }

    /// Shows where the job stands, again and again: the answer to its take may be held for long.
    async fn keep_looking(&self, ticket: &Secret) -> Infallible {
        loop {
            // Only a courtesy: whatever goes wrong here shows in the take as well.
            if let Ok(status) = self.queue.look(&self.job.unique_id, ticket).await
                && status.position.is_some()
            {
                let place = format::position(status.position, status.estimate);
                self.progress.show(&place);
            }
            tokio::time::sleep(self.look_pause).await;
        }
    }

    fn show_failure(&self, error: &CallError) {
        if error.is_transient() {
            self.progress
                .show(&format!("failed to {error}; asking again"));
        }
    }
}
