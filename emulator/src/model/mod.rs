//! GitHub's own state, as plain data: runners, the jobs they are given, artifacts, and the limits
//! on requests.
//!
//! Deterministic: time comes in as an argument, ids come from a counter, and a secret comes from
//! whoever registers a runner. No I/O, no clock, no randomness, no waiting. So the same model
//! stands behind the HTTP server and inside a simulation on virtual time.
//!
//! ```text
//!  registered ──open_session──▶ online ──(a job fits)──▶ assigned ──start──▶ busy ──complete──▶ gone
//!   (offline) ◀──close_session,    ▲                        │
//!                or silent         └──not started in time───┘
//! ```
//!
//! Every method that takes `now` first lets happen what was due until then, in order of time (see
//! [`Model::advance`]); a simulation sleeps until [`Model::next_due_at`].

mod artifacts;
mod due;
mod ids;
mod jobs;
mod labels;
mod limits;
mod listing;
mod paging;
mod refusal;
mod registry;
mod runner;
mod scope;
mod sessions;
mod software;
mod state;

#[cfg(test)]
mod invariants;

pub use artifacts::{ARTIFACT_BYTES_MAX, Artifact, Direction, NewArtifact};
pub use ids::{ArtifactId, JobId, RunnerId, SessionId};
pub use jobs::{Completion, Conclusion, JobPhase, JobView, NewJob};
pub use labels::{LABEL_COUNT_MAX, LabelKind, LabelView};
pub use limits::Allowance;
pub use listing::{LAG_MAX, ListMode};
pub use paging::{PER_PAGE_MAX, Page, PageRequest};
pub use refusal::Refusal;
pub use registry::NewRunner;
pub use runner::{RunnerStatus, RunnerView};
pub use scope::Scope;
pub use sessions::{JobSignal, Offer};
pub use state::{Model, ModelSettings};
