//! The command line.

use std::path::PathBuf;

use crate::bed::Daemons;

/// What to run.
pub struct Options {
    /// The daemons under attack.
    pub daemons: Daemons,
    /// Earlier executables, to compare with.
    pub before: Option<Daemons>,
    /// The only attack to run.
    only: Option<String>,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    /// When one is unknown or has no value, or there is no `--daemons`.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let (mut daemons, mut before, mut only) = (None, None, None);
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let value = arguments.next();
            let value = value.ok_or_else(|| format!("{name} needs a value"))?;
            let in_folder = || Daemons {
                folder: PathBuf::from(value),
            };
            match name.as_str() {
                "--daemons" => daemons = Some(in_folder()),
                "--before" => before = Some(in_folder()),
                "--only" => only = Some(value.clone()),
                _ => return Err(format!("unknown option {name}")),
            }
        }
        Ok(Self {
            daemons: daemons.ok_or("--daemons FOLDER is required; use attacks/run")?,
            before,
            only,
        })
    }

    /// Whether to run the attack of this name.
    pub fn selects(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == name)
    }
}
