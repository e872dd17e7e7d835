//! What a runner and the emulator say to each other below `/_runner/<runner_id>`, as JSON. GitHub's
//! own words for this are not public.
//!
//! ```text
//! POST   /session                                201 Opened; 409 while another is heard of
//! POST   /session/<session>/poll                 200 OfferedJob, or 204 after a while
//! POST   /session/<session>/jobs/<job>/start     204; 409 when the job went elsewhere
//! POST   /session/<session>/jobs/<job>/renew     Progress; 200 Renewed, at once if cancelled
//! POST   /session/<session>/jobs/<job>/complete  Report; 204, and the runner is gone
//! DELETE /session/<session>                      204
//! ```
//!
//! Each carries `Authorization: Bearer <the runner's secret>`. 404 means that the registration or
//! the session is gone, 401 that the secret is wrong.

use serde::{Deserialize, Serialize};
use shared::values::{QualifiedRepo, RunId};

use crate::model::{JobId, SessionId};

/// A session was opened.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Opened {
    pub(crate) session_id: SessionId,
}

/// A job to start.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OfferedJob {
    pub(crate) job_id: JobId,
    pub(crate) repo: QualifiedRepo,
    pub(crate) run_id: RunId,
    pub(crate) command: String,
}

/// How far a job is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) output_tail: String,
}

/// Whether to go on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Renewed {
    pub(crate) is_cancelled: bool,
}

/// How a job ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// None if the command was killed.
    pub(crate) exit_code: Option<i32>,
    pub(crate) output_tail: String,
}
