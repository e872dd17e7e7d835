//! Client for GitHub's REST API, for both daemons.
//!
//! Responsible for credentials, paging, rate limits, the shapes of GitHub's requests and responses
//! as far as they are used, and the meaning of its errors. Not responsible for what to register or
//! delete, nor for when to retry. No token, credential or signed URL is ever part of an error.
//!
//! | module | contents |
//! | --- | --- |
//! | `client` | how a request is sent: URL, headers, token, limits |
//! | `credentials`, `app_key` | personal access tokens and GitHub Apps |
//! | `runner_list`, `runners`, `jobs`, `software`, `artifacts`, `workflow_runs` | the requests |
//! | `redirects` | redirects, such as those of renamed repositories |
//! | `limits`, `priority` | rate limits, and which requests are deferred when little is left |
//! | `api_status`, `problems` | rate limit, token expiry, permissions and problems, for dashboards and metrics |
//! | `error` | how a request can fail |
//! | [`artifact_auth`] | authentication of workflow runs without a token |

#![warn(missing_docs)]

mod api_status;
mod app_key;
pub mod artifact_auth;
mod artifacts;
mod client;
mod credentials;
mod endpoint;
mod error;
mod github_time;
mod jobs;
mod limits;
mod priority;
mod problems;
mod redirects;
mod runner_list;
mod runners;
mod software;
#[cfg(test)]
mod tests;
mod workflow_runs;

pub use api_status::{ApiStatus, ApiStatusCell, Call};
pub use app_key::{AppKey, AppKeyError};
pub use artifacts::{Artifact, NamedArtifacts};
pub use client::{Github, GithubConfig};
pub use credentials::{Credentials, CredentialsError};
pub use error::GithubError;
pub use github_time::GithubTime;
pub use jobs::WorkflowJob;
pub use limits::{RateLimit, retry_after};
pub use runners::JitRunner;
