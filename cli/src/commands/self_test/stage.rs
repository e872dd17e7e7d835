//! The jobs of the self-test: put in line, served or refused, and withdrawn whatever came of them.
//!
//! Owns the cleaning up. Judges nothing but whether there was an answer in time.

use std::{io, time::Duration};

use shared::{
    clock::Clock,
    secret::Secret,
    values::{Count, ProfileKey, QualifiedRepo, RunId},
};

use crate::{
    args::random_unique_id,
    client::{CallError, Job, QueueClient},
    commands::wait::{LOOK_PAUSE, Line, OnStderr},
    format, output,
    signal::{Signal, next_signal},
};

/// How long to wait before a queue that has no answer now is asked again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The run that the jobs claim to be of. No workflow has this number.
const RUN_ID: RunId = RunId(1);

/// What the scenarios have in common.
pub(super) struct Stage {
    pub(super) queue: QueueClient,
    pub(super) api_token: Secret,
    pub(super) profile_key: ProfileKey,
    pub(super) qualified_repo: QualifiedRepo,
    pub(super) count: Count,
    pub(super) max_wait: Duration,
}

/// Why a scenario came to no good end.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It did not go as it should.
    Problem(String),
    /// A signal of this name came.
    Signal(Signal),
    /// Signals cannot be listened for.
    NoSignals(io::Error),
}

/// A job in line, which has to be left at its end.
pub(super) struct Standing<'a> {
    stage: &'a Stage,
    line: Line<OnStderr>,
    unique_id: shared::values::UniqueId,
}

impl Stage {
    /// A new job.
    pub(super) fn job(&self, count: Option<Count>) -> Job {
        Job {
            unique_id: random_unique_id(),
            profile_key: self.profile_key.clone(),
            count,
            qualified_repo: self.qualified_repo.clone(),
            run_id: RUN_ID,
        }
    }

    /// A new job that will stand in line.
    pub(super) fn standing(&self, count: Option<Count>) -> Standing<'_> {
        let job = self.job(count);
        let unique_id = job.unique_id.clone();
        let progress = OnStderr::start(output::is_watched());
        let (queue, api_token) = (self.queue.clone(), self.api_token.clone());
        Standing {
            stage: self,
            line: Line::new(queue, job, api_token, progress, LOOK_PAUSE),
            unique_id,
        }
    }

    /// How the queue refuses `job`. One that it takes in is withdrawn at once.
    pub(super) async fn refusal_of(&self, job: &Job, token: &Secret) -> Result<CallError, Trouble> {
        let asked = async {
            loop {
                match self.queue.enqueue(job, token).await {
                    Err(error) if error.is_transient() => tokio::time::sleep(RETRY_PAUSE).await,
                    other => return other,
                }
            }
        };
        match self.in_time(asked).await? {
            Err(error) => Ok(error),
            Ok(ticket) => {
                // It fails only for a queue that is gone, with which the job is gone too.
                drop(self.queue.withdraw(&job.unique_id, &ticket).await);
                Err(Trouble::Problem("the job was not refused".to_owned()))
            }
        }
    }

    /// What `work` comes to, unless it takes too long or somebody says to stop.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Trouble> {
        tokio::select! {
            biased;
            result = work => Ok(result),
            signal = next_signal() => Err(signal.map_or_else(Trouble::NoSignals, Trouble::Signal)),
            () = tokio::time::sleep(self.max_wait) => {
                let wait = format::duration(self.max_wait);
                Err(Trouble::Problem(format!("nothing came of it within {wait}")))
            }
        }
    }
}

impl Standing<'_> {
    /// The labels of the job's runners, once it has them; the same ones each time.
    pub(super) async fn labels(&mut self) -> Result<Vec<String>, Trouble> {
        let stood = self.stage.in_time(self.line.stand()).await;
        match stood? {
            Ok(taken) => Ok(taken.labels(&self.unique_id)),
            Err(error) => Err(Trouble::Problem(format!("failed to {error}"))),
        }
    }

    /// Gives the job and its runners up.
    pub(super) async fn leave(self) {
        self.line.leave().await;
    }
}

/// What `work` came to, and how long it took.
pub(super) async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let clock = Clock::start();
    let started_at = clock.now();
    let result = work.await;
    (result, clock.now().since(started_at))
}
