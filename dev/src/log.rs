//! Starts the log of the servers in this process.

use std::fs::File;

use env_logger::{Builder, Target};
use shared::settings::Environment;

/// The filter if RUST_LOG is not set.
const DEFAULT_FILTER: &str = "info,actix_server=warn";

/// Logs to standard error.
pub fn to_stderr(environment: &Environment) {
    start(environment, Target::Stderr);
}

/// Logs to `file`.
pub fn to_file(environment: &Environment, file: File) {
    start(environment, Target::Pipe(Box::new(file)));
}

fn start(environment: &Environment, target: Target) {
    let filter = environment.get("RUST_LOG").unwrap_or(DEFAULT_FILTER);
    let mut builder = Builder::new();
    // Fails if a log was started before, as in tests; that one is used then.
    let _ = builder.parse_filters(filter).target(target).try_init();
}
