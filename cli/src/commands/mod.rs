//! What each command does, one module each.
//!
//! - `import`: makes an existing disk an image
//! - `enqueue`, `take`, `wait`: get the runners of a job
//! - `job`, `history`: show what has happened to one job, and the jobs that are over
//! - `self_test`: tests a deployment
//! - `status`: shows a dashboard
//! - `destroy_runner`: destroys a runner of a monitor
//!
//! Each takes its arguments and returns the exit status.

mod destroy_runner;
mod enqueue;
mod history;
mod import;
mod job;
mod self_test;
mod status;
mod take;
pub mod wait;

use http_client::Client;
use shared::{
    secret::Secret,
    settings::{Environment, Proxies},
};

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
    let client = || client(environment);
    let api_token = || api_token(environment);
    match command {
        Command::Enqueue(args) => enqueue::enqueue(&args, client()?, &api_token()?).await,
        Command::Take(args) => take::take(&args, client()?).await,
        Command::Wait(args) => wait::wait(&args, client()?, &api_token()?).await,
        Command::SelfTest(args) => self_test::self_test(&args, client()?, &api_token()?).await,
        Command::Status(args) => status::status(&args, &client()?).await,
        Command::Job(args) => {
            let bearer = match &args.ticket {
                Some(ticket) => ticket.clone(),
                None => api_token()?,
            };
            job::job(&args, client()?, &bearer).await
        }
        Command::History(args) => history::history(&args, client()?, &api_token()?).await,
        Command::DestroyRunner(args) => {
            destroy_runner::destroy_runner(&args, &client()?, &api_token()?).await
        }
        Command::Import(args) => import::import(&args),
    }
}

/// A client that uses the proxies of the environment as the daemons do.
fn client(environment: &Environment) -> Result<Client, Failure> {
    let proxies = Proxies::read(environment).map_err(|error| Failure::Proxy(error.to_string()))?;
    Ok(Client::with_proxies(proxies.but_not_for_loopback()))
}

fn api_token(environment: &Environment) -> Result<Secret, Failure> {
    environment
        .get(API_TOKEN_VARIABLE)
        .map(Secret::new)
        .ok_or(Failure::NoApiToken)
}
