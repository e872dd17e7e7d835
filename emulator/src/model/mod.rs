//! The state machine of the emulated GitHub: runners, jobs, artifacts and rate limits.
//!
//! Deterministic and without I/O: the time and the secrets are arguments, and ids come from a
//! counter. So the model serves both the HTTP server and a simulation on virtual time.
//!
//! ```text
//!  registered ──open_session──▶ online ──(a job fits)──▶ assigned ──start──▶ busy ──complete──▶ removed
//!   (offline) ◀──close_session,    ▲                        │
//!                or silent         └──not started in time───┘
//! ```
//!
//! Every method with a `now` argument first applies all deadlines until then, see
//! [`Model::advance`]. The next one is at [`Model::next_deadline`].
//!
//! | modules | contents |
//! | --- | --- |
//! | `state` | [`Model`] and its settings |
//! | `registry`, `runner`, `labels`, `listing`, `software` | runners: registration, labels, the list, software versions |
//! | `names` | renamed and reused names, and what the caller may not see |
//! | `misreports` | registrations that lists and actions disagree about |
//! | `sessions` | what runners request |
//! | `jobs` | jobs: queueing, assignment, cancellation |
//! | `artifacts` | artifacts of workflow runs |
//! | `deadlines` | what happens when time passes |
//! | `rate_limit`, `paging`, `scope`, `ids`, `error` | values |

mod artifacts;
mod deadlines;
mod error;
mod ids;
mod jobs;
mod labels;
mod listing;
mod misreports;
mod names;
mod paging;
mod rate_limit;
mod registry;
mod runner;
mod scope;
mod sessions;
mod software;
mod state;

#[cfg(test)]
mod testing;

pub use artifacts::{ARTIFACT_BYTES_MAX, Artifact, Direction, NewArtifact};
pub use error::ModelError;
pub use ids::{ArtifactId, JobId, RunnerId, SessionId};
pub use jobs::{Completion, Conclusion, JobPhase, JobView, NewJob};
pub use labels::{LABEL_COUNT_MAX, LabelKind, LabelView};
pub use listing::{LAG_MAX, ListMode};
pub use misreports::Misreport;
pub use names::Access;
pub use paging::{PER_PAGE_MAX, Page, PageRequest};
pub use rate_limit::RateLimit;
pub use registry::NewRunner;
pub use runner::{RunnerStatus, RunnerView};
pub use scope::Scope;
pub use sessions::{JobSignal, Offer};
pub use state::{Model, ModelSettings};
