//! The `ci-runners` command: a client of the queue for people and scripts.
//!
//! - [`args`]: the command line, parsed into typed values
//! - [`addresses`]: which daemon a command is about, and the credentials for it
//! - [`commands`]: what each command does
//! - [`client`]: HTTP requests to a queue or monitor
//! - [`output`], [`mod@format`], [`table`]: what is printed, where, and in which form
//! - [`terminal`]: its width, colours and characters; [`top`]: the full screen
//! - [`confirmation`]: asks before a change
//! - [`signal`], [`exit`], [`failure`]: how a command ends, and with which exit status
//!
//! The library exists for the crate `dev`, whose demo is a client of the queue too. Not responsible
//! for anything that runs a daemon: this crate speaks HTTP to them and links none of them.

pub mod addresses;
pub mod args;
pub mod client;
pub mod commands;
pub mod confirmation;
pub mod exit;
pub mod failure;
pub mod format;
pub mod output;
pub mod signal;
pub mod table;
pub mod terminal;
#[cfg(feature = "testing")]
pub mod testing;
pub mod top;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;
use shared::settings::Environment;

use crate::{args::Cli, exit::Exit, failure::Failure, output::note};

/// Runs `ci-runners` with these arguments, of which the first is the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli: Cli = match parse(arguments) {
        Ok(cli) => cli,
        Err(status) => return status,
    };
    let variables = [&addresses::VARIABLES[..], &terminal::VARIABLES[..]].concat();
    let environment = Environment::from_process_with(&variables);
    block_on("ci-runners", commands::run(cli, &environment))
}

/// Parses a command line; prints the help, or what is wrong, if there is nothing to run.
///
/// # Errors
/// The exit status, when the process has to end: 0 after `--help`, 2 when the command line is wrong.
pub fn parse<P: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<P, ExitCode> {
    P::try_parse_from(arguments).map_err(|error| {
        // clap chooses between the two outputs. A closed pipe is not reported: nothing reads it.
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}

/// Runs a command of `program` to its end, and prints the reason if it failed.
pub fn block_on(program: &str, command: impl Future<Output = Result<Exit, Failure>>) -> ExitCode {
    http_client::install_tls();
    let ended = actix_web::rt::System::new().block_on(command);
    let exit = ended.unwrap_or_else(|failure| {
        let exit = failure.exit();
        if exit != Exit::Done {
            note(&format!("{program}: failed to {failure}"));
        }
        exit
    });
    exit.into()
}
