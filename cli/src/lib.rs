//! The `ci-runners` command: a person's and a script's way in.
//!
//! - [`args`]: what was typed
//! - [`commands`]: what each command does
//! - [`demo`]: queue, monitors, runners and a made-up GitHub at work, in one process
//! - [`client`]: the calls at a queue
//! - [`output`], [`words`], [`table`]: what is said, and how
//! - `listen`, `log`: what daemons inside this command need
//! - [`exit`], [`failure`]: how it ends: 0 done, 1 failed, 2 wrong command line, 3 token or ticket
//!   not accepted, 4 refused, 5 try later, 6 not yet, 7 waited too long, 130 Ctrl-C, 143 SIGTERM
//!
//! Only the demo, the emulator and its agent need the daemons and the emulator as libraries;
//! everything else speaks HTTP.

pub mod args;
pub mod client;
pub mod commands;
pub mod demo;
pub mod exit;
pub mod failure;
mod listen;
mod log;
pub mod output;
pub mod table;
pub mod words;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;
use shared::settings::Environment;

use crate::{args::Cli, exit::Exit, failure::Failure, output::note};

/// Runs the command from what was typed to its end.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // clap knows which output is right; where nobody reads, nobody is told.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let environment = Environment::from_process();
    http_client::install_tls();
    let system = actix_web::rt::System::new();
    let ended = system.block_on(commands::run(cli.command, &environment));
    ended.unwrap_or_else(|failure| explain(&failure)).into()
}

/// Says why a command failed, unless nobody wants to know.
fn explain(failure: &Failure) -> Exit {
    let exit = failure.exit();
    if exit != Exit::Done {
        note(&format!("ci-runners: failed to {failure}"));
    }
    exit
}
