//! All that GitHub is asked or told, by either daemon.
//!
//! Owns the shapes of GitHub's REST API as far as they are used, its paging, its limits and how
//! it says no. Decides nothing: what to register or to delete, and when to ask again, is the
//! caller's. No token, credential or signed address ever stands in an error.
//!
//! Read in this order: `client` (how a question is put), `credential` and `app_key` (as whom),
//! `runner_list`, `runners`, `software` and `artifacts` (the questions), `limits`, `budget`, `board` and
//! `error` (what GitHub says besides), `registration` and `runner_name` (the words).

#![warn(missing_docs)]

mod app_key;
pub mod artifact_auth;
mod artifacts;
mod board;
mod budget;
mod client;
mod credential;
mod error;
mod limits;
mod runner_list;
mod runners;
mod software;
#[cfg(test)]
mod tests;

pub use app_key::{AppKey, AppKeyError};
pub use artifacts::{Artifact, NamedArtifacts};
pub use board::{GithubBoard, GithubStanding};
pub use client::{Github, GithubSettings};
pub use credential::{Credential, CredentialError};
pub use error::GithubError;
pub use limits::RateLimit;
pub use runners::JitRunner;
