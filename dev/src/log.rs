//! Where the log of daemons goes that run inside this command.
//!
//! Owns the choice of what is logged. A command without daemons has no log: it tells its user what
//! went wrong.

use std::fs::File;

use env_logger::{Builder, Target};
use shared::settings::Environment;

/// What is logged unless RUST_LOG says otherwise.
const DEFAULT_FILTER: &str = "info,actix_server=warn";

/// Sends the log to standard error.
pub fn to_stderr(environment: &Environment) {
    start(environment, Target::Stderr);
}

/// Sends the log to `file`.
pub fn to_file(environment: &Environment, file: File) {
    start(environment, Target::Pipe(Box::new(file)));
}

fn start(environment: &Environment, target: Target) {
    let filter = environment.get("RUST_LOG").unwrap_or(DEFAULT_FILTER);
    let mut builder = Builder::new();
    // Fails if there is a log already, which is then as good.
    let _ = builder.parse_filters(filter).target(target).try_init();
}
