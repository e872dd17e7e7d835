//! The settings of an agent, and the signal that stops it.

use std::{path::PathBuf, pin::pin, time::Duration};

use shared::secret::Secret;
use tokio::{sync::watch, time::timeout};

/// How long a request may take after the agent was stopped.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The settings of an agent. Tests shorten the durations.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// The monitor's base URL, with or without a slash at the end.
    pub monitor_url: String,
    /// Authenticates the guest to the monitor.
    pub guest_secret: Secret,
    /// The directory in which the job's command runs; by default that of the agent.
    pub work_dir: Option<PathBuf>,
    /// Names of environment variables that are removed for the job's command (default
    /// `CI_RUNNERS_GUEST_SECRET`).
    pub removed_variables: Vec<String>,
    /// How long to retry to fetch the JIT configuration (default 5 min).
    pub jit_config_timeout: Duration,
    /// How long GitHub may be unreachable before the agent gives up (default 5 min).
    pub unreachable_timeout: Duration,
    /// How long the job's command may run (default 6 h).
    pub job_timeout: Duration,
    /// The pause before the first retry (default 0.5 s). Later pauses grow to ten times that.
    pub retry_pause: Duration,
    pub stop: StopSignal,
}

impl AgentSettings {
    /// The defaults, without a stop signal.
    pub fn new(monitor_url: impl Into<String>, guest_secret: Secret) -> Self {
        Self {
            monitor_url: monitor_url.into(),
            guest_secret,
            work_dir: None,
            removed_variables: vec!["CI_RUNNERS_GUEST_SECRET".into()],
            jit_config_timeout: Duration::from_mins(5),
            unreachable_timeout: Duration::from_mins(5),
            job_timeout: Duration::from_hours(6),
            retry_pause: Duration::from_millis(500),
            stop: StopSignal::never(),
        }
    }
}

/// The `Retry-After` of a response, limited to ten times the agent's own pause.
pub(super) fn limited(retry_after: Option<Duration>, retry_pause: Duration) -> Option<Duration> {
    retry_after.map(|pause| pause.min(retry_pause * 10))
}

/// Stops agents. Cheap to clone; all clones are stopped together.
#[derive(Clone, Debug)]
pub struct StopSignal(Option<watch::Receiver<bool>>);

impl StopSignal {
    /// A signal that is never sent.
    pub fn never() -> Self {
        Self(None)
    }

    /// The signal is sent when the sender sends `true` or is dropped.
    pub fn pair() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(Some(receiver)))
    }

    /// Waits for `work`; after the stop signal at most [`STOP_TIMEOUT`]. For requests that would
    /// leave a session or a job behind if their response were not awaited.
    pub(super) async fn finish<W: Future>(&self, work: W) -> Option<W::Output> {
        let mut work = pin!(work);
        tokio::select! {
            result = &mut work => Some(result),
            () = self.stopped() => timeout(STOP_TIMEOUT, work).await.ok(),
        }
    }

    /// Waits for the stop signal.
    pub(super) async fn stopped(&self) {
        match self.0.clone() {
            Some(mut signal) => drop(signal.wait_for(|&is_stopped| is_stopped).await),
            None => std::future::pending().await,
        }
    }
}
