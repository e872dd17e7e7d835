//! What each command does, one module each.
//!
//! - `import`: makes an existing disk an image
//! - `enqueue`, `take`, `wait`: get the runners of a job
//! - `job`, `history`: show what has happened to one job, and the jobs that are over
//! - `withdraw`: removes a job
//! - `self_test`: tests a deployment
//! - `status`: shows a dashboard; `logs`: shows what happened to a runner
//! - `story`: how events are shown
//! - `generated`: completions and manual pages
//! - `drain`, `target_override`, `rebuild`, `destroy_runner`: change what a monitor does; `pause`: what a queue does;
//!   `reload`: lets either read its settings again
//! - `intervention`: how such an order is printed
//!
//! Each takes its arguments and the daemon that it is about, and returns the exit status.

mod destroy_runner;
mod drain;
mod enqueue;
mod generated;
mod history;
mod import;
mod intervention;
mod job;
mod logs;
mod pause;
mod rebuild;
mod reload;
mod self_test;
mod status;
mod story;
mod take;
mod target_override;
pub mod wait;
mod withdraw;

pub use self::{job::story_of, logs::story_of_runner, status::runner_status};

use shared::{operator::Author, secret::Secret, settings::Environment, values::ProfileKey};

use crate::{
    addresses::{Addresses, Daemon, explained},
    args::{Cli, Command, OverrideAction},
    exit::Exit,
    failure::Failure,
    terminal::Look,
    top::top,
};

/// Runs one command.
///
/// # Errors
/// When it fails; `Failure::exit` has the exit status.
pub async fn run(cli: Cli, environment: &Environment) -> Result<Exit, Failure> {
    let addresses = Addresses::new(&cli.fleet, author(&cli.command), environment);
    let daemon = match &cli.command {
        Command::Import(args) => return import::import(args),
        Command::Completions(args) => return generated::completions(args),
        Command::Man(args) => return generated::man_pages(args),
        command => daemon(command, &addresses)?,
    };
    let result = run_at(&cli.command, &daemon, environment).await;
    match result {
        Err(failure) => Err(explained(failure, &daemon, &profiles(&cli.command)).await),
        done => done,
    }
}

/// The daemon that a command is about.
fn daemon(command: &Command, addresses: &Addresses<'_>) -> Result<Daemon, Failure> {
    match command {
        Command::Enqueue(args) => addresses.queue(&args.job.queue),
        Command::Take(args) => addresses.queue(&args.queue),
        Command::Wait(args) => addresses.queue(&args.job.queue),
        Command::SelfTest(args) => addresses.queue(&args.queue),
        Command::Job(args) => addresses.queue(&args.job.queue),
        Command::Withdraw(args) => addresses.queue(&args.job.queue),
        Command::History(args) => addresses.queue(&args.queue),
        Command::Top(args) => addresses.queue(&args.queue),
        Command::Status(args) => addresses.daemon(&args.daemon),
        Command::Pause(args) => addresses.queue(&args.queue),
        Command::Resume(args) => addresses.queue(&args.queue),
        Command::Rebuild(args) => addresses.monitor(&args.monitor),
        Command::Reload(args) => addresses.daemon(&args.daemon),
        Command::Drain(args) => addresses.monitor(&args.monitor),
        Command::Undrain(args) => addresses.monitor(&args.monitor),
        Command::Override(args) => addresses.monitor(match &args.action {
            OverrideAction::Get(args) => &args.monitor,
            OverrideAction::Cancel(args) => &args.monitor,
            OverrideAction::Set(args) => &args.monitor,
        }),
        Command::Logs(args) => addresses.monitor(&args.monitor),
        Command::DestroyRunner(args) => addresses.monitor(&args.monitor),
        Command::Import(_) | Command::Completions(_) | Command::Man(_) => {
            unreachable!("it needs no daemon")
        }
    }
}

/// The name under which a command changes something, if an option gives one.
fn author(command: &Command) -> Option<&Author> {
    let by = match command {
        Command::Withdraw(args) => &args.by,
        Command::Drain(args) => &args.by,
        Command::Undrain(args) => &args.by,
        Command::Pause(args) => &args.by,
        Command::Resume(args) => &args.by,
        Command::Rebuild(args) => &args.by,
        Command::Reload(args) => &args.by,
        Command::DestroyRunner(args) => &args.by,
        Command::Top(args) => &args.by,
        Command::Override(args) => match &args.action {
            OverrideAction::Set(args) => &args.by,
            OverrideAction::Cancel(args) => &args.by,
            OverrideAction::Get(_) => return None,
        },
        _ => return None,
    };
    by.author.as_ref()
}

/// The profiles that a command asks for.
fn profiles(command: &Command) -> Vec<&ProfileKey> {
    match command {
        Command::Enqueue(args) => vec![&args.job.profile],
        Command::Wait(args) => vec![&args.job.profile],
        Command::Pause(args) => vec![&args.profile],
        Command::Rebuild(args) => vec![&args.profile],
        Command::Override(args) => match &args.action {
            OverrideAction::Set(args) => args.targets.iter().map(|it| &it.profile_key).collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

async fn run_at(
    command: &Command,
    daemon: &Daemon,
    environment: &Environment,
) -> Result<Exit, Failure> {
    let look = Look::of_stdout(environment);
    let bearer = |ticket: &Option<Secret>| match ticket {
        Some(ticket) => Ok(ticket.clone()),
        None => daemon.api_token(),
    };
    match command {
        Command::Enqueue(args) => enqueue::enqueue(args, daemon).await,
        Command::Take(args) => take::take(args, daemon).await,
        Command::Wait(args) => wait::wait(args, daemon).await,
        Command::SelfTest(args) => self_test::self_test(args, daemon).await,
        Command::Top(_) => top(daemon, environment).await,
        Command::Status(args) => status::status(args, daemon, look).await,
        Command::Job(args) => job::job(args, daemon, &bearer(&args.job.ticket)?, look).await,
        Command::Withdraw(args) => {
            withdraw::withdraw(args, daemon, &bearer(&args.job.ticket)?).await
        }
        Command::History(args) => history::history(args, daemon, look).await,
        Command::Pause(args) => pause::pause(args, daemon).await,
        Command::Resume(args) => pause::resume(args, daemon).await,
        Command::Rebuild(args) => rebuild::rebuild(args, daemon).await,
        Command::Reload(args) => reload::reload(args, daemon).await,
        Command::Drain(args) => drain::drain(args, daemon).await,
        Command::Undrain(args) => drain::undrain(args, daemon).await,
        Command::Override(args) => target_override::target_override(&args.action, daemon).await,
        Command::Logs(args) => logs::logs(args, daemon, look).await,
        Command::DestroyRunner(args) => destroy_runner::destroy_runner(args, daemon).await,
        Command::Import(_) | Command::Completions(_) | Command::Man(_) => {
            unreachable!("it needs no daemon")
        }
    }
}
