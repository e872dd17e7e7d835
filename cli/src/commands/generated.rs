//! `ci-runners completions` and `ci-runners man`: texts that follow from the command line itself.

use std::io;

use clap::CommandFactory;
use clap_mangen::Man;

use crate::{
    args::{Cli, Completions, ManPages},
    exit::Exit,
    failure::Failure,
    output,
};

const NAME: &str = "ci-runners";

/// Prints the completions for a shell.
///
/// # Errors
/// When they cannot be printed.
pub fn completions(args: &Completions) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    output::print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Done)
}

/// Prints the manual page of a command, or writes those of all commands.
///
/// # Errors
/// When there is no such command, or the pages cannot be written.
pub fn man_pages(args: &ManPages) -> Result<Exit, Failure> {
    let failed = |error: io::Error| Failure::Other(format!("write the manual pages: {error}"));
    let mut all = Cli::command();
    if let Some(folder) = &args.folder {
        clap_mangen::generate_to(all, folder).map_err(failed)?;
        return Ok(Exit::Done);
    }
    // So that subcommands know their whole names.
    all.build();
    let command = match &args.command {
        None => &all,
        Some(name) => all.find_subcommand(name).ok_or_else(|| {
            Failure::Usage(format!(
                "show the manual page of {name}: there is no such command; see `{NAME} --help`"
            ))
        })?,
    };
    let mut page = Vec::new();
    Man::new(command.clone())
        .render(&mut page)
        .map_err(failed)?;
    output::print(String::from_utf8_lossy(&page).trim_end())?;
    Ok(Exit::Done)
}
