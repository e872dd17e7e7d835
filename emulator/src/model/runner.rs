//! A runner: its registration, its session, and its job.

use serde::Serialize;
use shared::{clock::Timestamp, secret::Secret};

use super::{JobId, LabelView, RunnerId, Scope, SessionId, labels::Labels};

/// A runner in the format of GitHub's API description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunnerView {
    pub id: RunnerId,
    /// Unique in its scope.
    pub name: String,
    /// The operating system; `unknown` until the runner has been online once.
    pub os: &'static str,
    pub status: RunnerStatus,
    /// Whether it runs a job.
    pub busy: bool,
    /// Whether it is single-use, as all runners with a JIT configuration are.
    pub ephemeral: bool,
    pub runner_group_id: u64,
    pub labels: Vec<LabelView>,
    /// The version of its software; none until the runner has been online once.
    pub version: Option<String>,
}

/// Whether a runner listens for jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunnerStatus {
    Online,
    /// It has no session, or its session is silent.
    Offline,
}

/// A registration with its session and its job.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    pub(super) id: RunnerId,
    pub(super) scope: Scope,
    pub(super) name: String,
    pub(super) labels: Labels,
    pub(super) group_id: u64,
    /// The secret in its JIT configuration.
    pub(super) secret: Secret,
    pub(super) registered_at: Timestamp,
    /// The version of its software; none before its first session.
    pub(super) version: Option<String>,
    pub(super) session: Option<Session>,
    /// Meaningless while the runner is online.
    pub(super) offline_since: Timestamp,
    pub(super) work: Work,
    /// The number of assigned jobs that it did not start. Runners with fewer are preferred.
    pub(super) missed_count: u32,
}

/// A session in which a runner listens for a job.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) last_request_at: Timestamp,
    /// False after a silence, until the next request.
    pub(super) is_online: bool,
}

/// The job of a runner. The job's state refers back to the runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Idle,
    /// The job is offered to the runner, which has not started it.
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
