//! What each command does, one module each.
//!
//! - `import`: makes an existing disk an image
//! - `enqueue`, `take`, `wait`: get the runners of a job
//! - `self_test`: tests a deployment
//! - `status`: shows a dashboard
//!
//! Each takes its arguments and returns the exit status.

mod enqueue;
mod import;
mod self_test;
mod status;
mod take;
pub mod wait;

use shared::{secret::Secret, settings::Environment};

use crate::{
    args::{API_TOKEN_VARIABLE, Command},
    exit::Exit,
    failure::Failure,
};

/// Runs one command.
///
/// # Errors
/// When it fails; `Failure::exit` has the exit status.
pub async fn run(command: Command, environment: &Environment) -> Result<Exit, Failure> {
    match command {
        Command::Enqueue(args) => enqueue::enqueue(&args, &api_token(environment)?).await,
        Command::Take(args) => take::take(&args).await,
        Command::Wait(args) => wait::wait(&args, &api_token(environment)?).await,
        Command::SelfTest(args) => self_test::self_test(&args, &api_token(environment)?).await,
        Command::Status(args) => status::status(&args).await,
        Command::Import(args) => import::import(&args),
    }
}

fn api_token(environment: &Environment) -> Result<Secret, Failure> {
    environment
        .get(API_TOKEN_VARIABLE)
        .map(Secret::new)
        .ok_or(Failure::NoApiToken)
}
