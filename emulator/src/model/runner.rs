//! One runner: its registration, whether it listens, and what it works on.

use serde::Serialize;
use shared::{clock::Timestamp, secret::Secret};

use super::{JobId, LabelView, RunnerId, Scope, SessionId, labels::Labels};

/// A runner as GitHub shows it. Serialises to the shape of GitHub's API description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunnerView {
    /// Its number.
    pub id: RunnerId,
    /// Its name, unique in its scope.
    pub name: String,
    /// The operating system, `unknown` until it has listened once.
    pub os: &'static str,
    /// Whether it listens for jobs.
    pub status: RunnerStatus,
    /// Whether it has a job.
    pub busy: bool,
    /// Whether it is single-use, which every runner with a JIT configuration is.
    pub ephemeral: bool,
    /// The group it was registered into.
    pub runner_group_id: u64,
    /// Its labels, in the order they came.
    pub labels: Vec<LabelView>,
    /// The version of its software, once it has listened.
    pub version: Option<String>,
}

/// Whether a runner listens for jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunnerStatus {
    /// Its session was heard of just now.
    Online,
    /// It has not started, has ended, or is silent.
    Offline,
}

/// A registration and all that hangs on it.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    pub(super) id: RunnerId,
    pub(super) scope: Scope,
    pub(super) name: String,
    pub(super) labels: Labels,
    pub(super) group_id: u64,
    /// What the holder of its JIT configuration shows when it opens a session.
    pub(super) secret: Secret,
    pub(super) registered_at: Timestamp,
    /// The version of its software; none before it has opened a session.
    pub(super) version: Option<String>,
    pub(super) session: Option<Session>,
    /// Since when it has not been online; without meaning while it is.
    pub(super) offline_since: Timestamp,
    pub(super) work: Work,
    /// How many jobs were assigned to it that it did not start; who has fewer goes first.
    pub(super) missed_count: u32,
}

/// A connection of a runner that listens.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) heard_at: Timestamp,
    /// False once it was silent for too long. It may speak again.
    pub(super) is_online: bool,
}

/// What a runner has to do. Each value but `Idle` has its counterpart in the job's own state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Idle,
    /// A job waits for this runner to start it.
    Assigned(JobId),
    Running(JobId),
}

impl Runner {
    pub(super) fn is_online(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| session.is_online)
    }

    pub(super) fn is_busy(&self) -> bool {
        matches!(self.work, Work::Running(_))
    }

    pub(super) fn view(&self) -> RunnerView {
        RunnerView {
            id: self.id,
            name: self.name.clone(),
            os: if self.version.is_some() {
                "linux"
            } else {
                "unknown"
            },
            status: if self.is_online() {
                RunnerStatus::Online
            } else {
                RunnerStatus::Offline
            },
            busy: self.is_busy(),
            ephemeral: true,
            runner_group_id: self.group_id,
            labels: self.labels.view(),
            version: self.version.clone(),
        }
    }
}
