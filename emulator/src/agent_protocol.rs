//! The protocol between a runner agent and the emulator, below `/_runner/<runner_id>`. Bodies are
//! JSON. GitHub's own protocol is not public.
//!
//! ```text
//! POST   /session                                201 Opened; 409 while another one is online
//! POST   /session/<session>/poll                 200 OfferedJob, or 204 after a while
//! POST   /session/<session>/jobs/<job>/start     204; 409 if the job is no longer assigned
//! POST   /session/<session>/jobs/<job>/renew     Progress; 200 Renewed, at once if cancelled
//! POST   /session/<session>/jobs/<job>/complete  Report; 204, and the runner is removed
//! DELETE /session/<session>                      204
//! ```
//!
//! Every request has `Authorization: Bearer <the runner's secret>`. The status is 404 if the
//! registration or the session does not exist, and 401 if the secret is wrong.

use serde::{Deserialize, Serialize};
use shared::values::{QualifiedRepo, RunId};

use crate::model::{JobId, SessionId};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Opened {
    pub(crate) session_id: SessionId,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OfferedJob {
    pub(crate) job_id: JobId,
    pub(crate) repo: QualifiedRepo,
    pub(crate) run_id: RunId,
    pub(crate) command: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) output_tail: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Renewed {
    pub(crate) is_cancelled: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Null if the command was killed.
    pub(crate) exit_code: Option<i32>,
    pub(crate) output_tail: String,
}
