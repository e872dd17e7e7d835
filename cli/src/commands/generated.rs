//! `ci-runners completions` and `ci-runners man`: texts that follow from the command line itself.

use std::{fs, io, path::Path};

use clap::{Command, CommandFactory};
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
    // So that subcommands know their whole names.
    all.build();
    if let Some(folder) = &args.folder {
        return write_pages(&all, folder)
            .map(|()| Exit::Done)
            .map_err(failed);
    }
    let command = match &args.command {
        None => &all,
        Some(name) => all.find_subcommand(name).ok_or_else(|| {
            Failure::Usage(format!(
                "show the manual page of {name}: there is no such command; see `{NAME} --help`"
            ))
        })?,
    };
    output::print(page(command).map_err(failed)?.trim_end())?;
    Ok(Exit::Done)
}

/// Writes the pages of a command and of all that belong to it.
fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    let name = Man::new(command.clone()).get_filename();
    fs::write(folder.join(name), page(command)?)?;
    let others = command.get_subcommands();
    let mut others = others.filter(|it| !it.is_hide_set() && it.get_name() != "help");
    others.try_for_each(|other| write_pages(other, folder))
}

/// The page of a command. Its examples and exit statuses keep their lines.
fn page(command: &Command) -> io::Result<String> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    let page = String::from_utf8_lossy(&page).into_owned();
    let Some((before, rest)) = page.split_once(".SH EXTRA\n") else {
        return Ok(page);
    };
    let (examples, after) = rest.split_at(rest.find(".SH ").unwrap_or(rest.len()));
    let title = ".SH EXAMPLES AND EXIT STATUS";
    Ok(format!("{before}{title}\n.nf\n{examples}.fi\n{after}"))
}
