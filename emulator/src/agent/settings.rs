//! What an agent is told by its caller.

use std::{path::PathBuf, pin::pin, time::Duration};

use shared::secret::Secret;
use tokio::{sync::watch, time::timeout};

/// How long what is under way, or the last word, may take after the order to stop.
pub(super) const PARTING_TIMEOUT: Duration = Duration::from_secs(2);

/// Everything an agent has to know. The durations have defaults that suit a host; tests shorten
/// them.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// The monitor's base address, with or without a slash at the end.
    pub monitor_url: String,
    /// What shows the monitor which guest this is.
    pub guest_secret: Secret,
    /// Where the job's command runs; where the agent runs if none is given.
    pub work_dir: Option<PathBuf>,
    /// Names of environment variables that the job's command does not get to see (default
    /// `CI_RUNNERS_GUEST_SECRET`).
    pub withheld_variables: Vec<String>,
    /// How long to go on asking for the credential (default 5 min).
    pub credential_timeout: Duration,
    /// How long GitHub may be out of reach before the agent gives up (default 5 min).
    pub unreachable_timeout: Duration,
    /// How long the job's command may run (default 6 h).
    pub job_timeout: Duration,
    /// How long to wait before asking again for the first time (default 0.5 s); the waits grow
    /// to ten times that.
    pub retry_pause: Duration,
    /// What tells the agent to stop.
    pub stop: StopSignal,
}

impl AgentSettings {
    /// The defaults, and an agent that nobody stops.
    pub fn new(monitor_url: impl Into<String>, guest_secret: Secret) -> Self {
        Self {
            monitor_url: monitor_url.into(),
            guest_secret,
            work_dir: None,
            withheld_variables: vec!["CI_RUNNERS_GUEST_SECRET".into()],
            credential_timeout: Duration::from_mins(5),
            unreachable_timeout: Duration::from_mins(5),
            job_timeout: Duration::from_hours(6),
            retry_pause: Duration::from_millis(500),
            stop: StopSignal::never(),
        }
    }
}

/// The pause that was `asked` for, as far as it suits an agent: ten times its own at most.
pub(super) fn reasonable(asked: Option<Duration>, retry_pause: Duration) -> Option<Duration> {
    asked.map(|asked| asked.min(retry_pause * 10))
}

/// Tells agents to stop. Cheap to clone; the order holds for all clones.
#[derive(Clone, Debug)]
pub struct StopSignal(Option<watch::Receiver<bool>>);

impl StopSignal {
    /// No order ever comes.
    pub fn never() -> Self {
        Self(None)
    }

    /// The order comes when the sender sends `true`, or goes away.
    pub fn pair() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(Some(receiver)))
    }

    /// Ends like `work`, or without it a moment after the order was given: for calls that leave
    /// something behind when nobody waits for their answer.
    pub(super) async fn see_through<W: Future>(&self, work: W) -> Option<W::Output> {
        let mut work = pin!(work);
        tokio::select! {
            result = &mut work => Some(result),
            () = self.given() => timeout(PARTING_TIMEOUT, work).await.ok(),
        }
    }

    /// Ends once the order was given.
    pub(super) async fn given(&self) {
        match self.0.clone() {
            Some(mut order) => drop(order.wait_for(|&is_given| is_given).await),
            None => std::future::pending().await,
        }
    }
}
