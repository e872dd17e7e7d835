//! All programs of the workspace together, as processes.
//!
//! - `advisories`: `.ci/advisories`
//! - `destroy_runner`: `ci-runners destroy-runner`
//! - `demo`: `ci-runners-dev demo`; `emulator`: `ci-runners-dev emulator` and `agent`
//! - `end_to_end`: one job from curl to the end of its command
//! - `help`: the help texts
//! - `migration`: the page "Migrating from servo/ci-runners" of the book
//! - `faults`: processes are killed and stopped, connections cut
//! - `self_test`: `ci-runners self-test` against a deployment
//! - `workflows`: the actions and workflows of `.github`, executed as GitHub would

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod advisories;
mod demand;
mod demo;
mod destroy_runner;
mod emulator;
mod end_to_end;
mod faults;
mod help;
mod migration;
mod self_test;
mod support;
mod workflows;
