//! `ci-runners-dev demo`: queue, monitors, runners and a made-up GitHub at work, in one process but
//! over real HTTP, with real child processes as runners.
//!
//! - `ports`, `folder`, `hosts`: where it listens, where its files are, what its settings say
//! - `fleet`, `children`: starts and ends the daemons and the runners
//! - `cast`, `burst`, `github`: which jobs there are, and how each goes its way
//! - `board`, `pool`: shows what happens, and waits until all runners are there
//! - `verdict`, `next_steps`: what is said at the end
//!
//! This file owns the order of it all, and how it ends.

mod board;
mod burst;
mod cast;
mod children;
mod fleet;
mod folder;
mod github;
mod hosts;
mod next_steps;
mod pool;
mod ports;
mod verdict;

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    pin::pin,
    rc::Rc,
    time::Duration,
};

use cli::{exit::Exit, failure::Failure, format, output, signal::next_signal};
use http_client::Client;
use shared::settings::Environment;
use tokio::time::timeout;

use self::{
    board::Board, cast::CAST, fleet::Fleet, folder::Folder, hosts::Addresses, ports::Ports,
};
use crate::{args::Demo, log};

/// How long the runners may take to be there, at the start and after the burst.
const FULL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the burst may take: some ten seconds, and much more on a busy machine.
const BURST_TIMEOUT: Duration = Duration::from_secs(120);

/// What is said when somebody asks for the end.
const ENDING: &str = "\nEnding everything.";

/// Runs the command. Ctrl-C after the summary is its proper end.
///
/// # Errors
/// When something cannot be started or does not stay up.
pub async fn demo(args: &Demo, environment: &Environment) -> Result<Exit, Failure> {
    let ports = Ports::chosen(args)?;
    let folder = Folder::make(args.keep_data.as_deref())?;
    log::to_file(environment, folder.log_file()?);
    let stage = Stage {
        board: Board::new(io::stdout().is_terminal() && output::is_watched()),
        addresses: Addresses::of(ports),
        executable: own_executable()?,
        folder: folder.path(),
        client: Client::new(),
    };
    let mut fleet = Fleet::start(stage.folder, ports, &stage.executable).await?;
    let ended = attend(args, &stage, &mut fleet).await;
    fleet.end().await;
    ended
}

/// Shows everything, for as long as the fleet holds and nobody asks for the end.
async fn attend(args: &Demo, stage: &Stage<'_>, fleet: &mut Fleet) -> Result<Exit, Failure> {
    let mut signal = pin!(next_signal());
    let shown = tokio::select! {
        shown = stage.show() => shown?,
        signal = &mut signal => {
            let signal = signal.map_err(Failure::Signals)?;
            stage.board.take_bars_off();
            stage.board.print(ENDING);
            return Ok(Exit::from(signal));
        }
        failure = fleet.broken() => return Err(failure),
        error = stage.board.closed() => return Err(error.into()),
    };
    if args.exit {
        return Ok(shown);
    }
    let steps = next_steps::next_steps(&stage.addresses, &stage.executable);
    stage.board.print(&format!("\n{steps}"));
    tokio::select! {
        signal = &mut signal => {
            signal.map_err(Failure::Signals)?;
            stage.board.print(ENDING);
            Ok(shown)
        }
        failure = fleet.broken() => Err(failure),
        error = stage.board.closed() => Err(error.into()),
    }
}

/// What the show needs to know.
struct Stage<'a> {
    board: Rc<Board>,
    addresses: Addresses,
    executable: PathBuf,
    folder: &'a Path,
    client: Client,
}

impl Stage<'_> {
    /// The show itself, up to the verdict.
    async fn show(&self) -> Result<Exit, Failure> {
        self.board.print(&self.opening());
        self.until_full("at the start").await?;
        let (jobs, elapsed) = (CAST.len(), format::short_duration(self.board.elapsed()));
        self.board.print(&format!(
            "All runners are idle after {elapsed}. Now {jobs} jobs come at once.\n"
        ));
        let outcomes = timeout(BURST_TIMEOUT, burst::play(&self.addresses, &self.board)).await;
        self.board.take_bars_off();
        let outcomes =
            outcomes.map_err(|_| self.too_slow("bring all jobs to an end", BURST_TIMEOUT))?;
        let summary = verdict::summary(&CAST, &outcomes);
        self.board.print(&format!("\n{summary}\n"));
        self.until_full("again after the burst").await?;

        let problems = verdict::problems(&CAST, &outcomes);
        if problems.is_empty() {
            let all = "Everything went as it should, and the pools are full again.";
            self.board.print(all);
            return Ok(Exit::Done);
        }
        for problem in problems {
            self.board.print(&format!("Not as it should: {problem}"));
        }
        Ok(Exit::Failed)
    }

    fn opening(&self) -> String {
        let (folder, github) = (self.folder.display(), &self.addresses.github);
        let (queue, [a, b]) = (&self.addresses.queue, &self.addresses.monitors);
        format!(
            "\
Started, in this process:
  a made-up GitHub       {github}
  the monitor of host a  {a}  settings: {folder}/a/monitor.toml
  the monitor of host b  {b}  settings: {folder}/b/monitor.toml
  the queue              {queue}  log of all: {folder}/demo.log
Host a keeps 2 linux runners, host b 1 linux and 1 macos runner; each is a process of its own."
        )
    }

    async fn until_full(&self, when: &str) -> Result<(), Failure> {
        let queue = self.addresses.queue.parse().expect("that is a base URL");
        let full = timeout(FULL_TIMEOUT, pool::full(&self.client, &queue)).await;
        full.map_err(|_| self.too_slow(&format!("have all runners idle {when}"), FULL_TIMEOUT))
    }

    fn too_slow(&self, what: &str, timeout: Duration) -> Failure {
        let timeout = format::duration(timeout);
        Failure::Other(format!(
            "{what} within {timeout}; with --keep-data DIR the log stays, and says why"
        ))
    }
}

/// The file that this process was started from: runners are made of it.
fn own_executable() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::Other(format!("find its own executable: {error}")))
}
