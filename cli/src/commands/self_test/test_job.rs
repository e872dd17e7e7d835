//! The jobs of the self-test, and what its scenarios have in common.
//!
//! Responsible for the deadline of each scenario and for withdrawing its jobs.

use std::{io, time::Duration};

use shared::{
    clock::Clock,
    secret::Secret,
    values::{Count, ProfileKey, QualifiedRepo, RunId},
};

use crate::{
    args::random_unique_id,
    client::{JobRequest, QueueClient, RequestError},
    commands::wait::{QueuedJob, STATUS_INTERVAL, StderrProgress},
    format, output,
    signal::{Signal, next_signal},
};

/// The pause before an enqueue is repeated after a transient error.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The workflow run that the jobs are enqueued for. GitHub has no run with this number.
const RUN_ID: RunId = RunId(1);

/// What all scenarios need.
pub(super) struct TestContext {
    pub(super) queue: QueueClient,
    pub(super) api_token: Secret,
    pub(super) profile_key: ProfileKey,
    pub(super) qualified_repo: QualifiedRepo,
    /// How many runners the scenario `several` asks for.
    pub(super) count: Count,
    /// The deadline of each wait.
    pub(super) max_wait: Duration,
}

/// How a client finds its runners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LabelMode {
    /// By the labels in the response to its take.
    FromResponse,
    /// By the label `reserved-for:<unique_id>`, like the clients of servo/ci-runners.
    ReservedFor,
}

/// Why a scenario did not pass.
#[derive(Debug)]
pub(super) enum ScenarioError {
    /// It ended otherwise than expected.
    Failed(String),
    Interrupted(Signal),
    /// No signal handler could be installed.
    Signals(io::Error),
}

/// A job of a scenario. Has to be withdrawn at its end.
pub(super) struct TestJob<'a> {
    context: &'a TestContext,
    job: QueuedJob<StderrProgress>,
}

impl TestContext {
    /// The description of a new job.
    pub(super) fn job(&self, count: Option<Count>) -> JobRequest {
        JobRequest::new(
            random_unique_id(),
            self.profile_key.clone(),
            count,
            self.qualified_repo.clone(),
            RUN_ID,
        )
    }

    /// A new job, which is enqueued as soon as its labels are asked for.
    pub(super) fn test_job(&self, count: Option<Count>, mode: LabelMode) -> TestJob<'_> {
        let mut job = self.job(count);
        job.labels_from_response = mode == LabelMode::FromResponse;
        let progress = StderrProgress::start(output::stderr_is_terminal());
        let (queue, api_token) = (self.queue.clone(), self.api_token.clone());
        let job = QueuedJob::new(queue, job, api_token, progress, STATUS_INTERVAL);
        TestJob { context: self, job }
    }

    /// The permanent error of an enqueue. Fails if the queue accepts the job, and withdraws it.
    pub(super) async fn enqueue_error(
        &self,
        job: &JobRequest,
        token: &Secret,
    ) -> Result<RequestError, ScenarioError> {
        let enqueue = async {
            loop {
                match self.queue.enqueue(job, token).await {
                    Err(error) if error.is_transient() => tokio::time::sleep(RETRY_PAUSE).await,
                    result => return result,
                }
            }
        };
        match self.before_deadline(enqueue).await? {
            Err(error) => Ok(error),
            Ok(ticket) => {
                // Not reported if it fails: the queue then abandons the job after a while.
                drop(self.queue.withdraw(&job.spec.unique_id, &ticket).await);
                Err(ScenarioError::Failed("the job was not refused".to_owned()))
            }
        }
    }

    /// The result of `work`, unless it takes longer than `max_wait` or a signal arrives.
    async fn before_deadline<T>(&self, work: impl Future<Output = T>) -> Result<T, ScenarioError> {
        tokio::select! {
            biased;
            result = work => Ok(result),
            signal = next_signal() => {
                Err(signal.map_or_else(ScenarioError::Signals, ScenarioError::Interrupted))
            }
            () = tokio::time::sleep(self.max_wait) => {
                let wait = format::duration(self.max_wait);
                Err(ScenarioError::Failed(format!("no result within {wait}")))
            }
        }
    }
}

impl TestJob<'_> {
    /// The labels of the job's runners, once it has them. A repeated call takes again.
    pub(super) async fn labels(&mut self) -> Result<Vec<String>, ScenarioError> {
        let wait = self.job.wait_for_runners();
        match self.context.before_deadline(wait).await? {
            Ok(taken) => Ok(taken.labels(self.job.unique_id())),
            Err(error) => Err(ScenarioError::Failed(format!("failed to {error}"))),
        }
    }

    /// Withdraws the job, which releases its runners.
    pub(super) async fn withdraw(self) {
        self.job.withdraw().await;
    }
}

/// The result of `work`, and how long it took.
pub(super) async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let clock = Clock::start();
    let started_at = clock.now();
    let result = work.await;
    (result, clock.now().since(started_at))
}
