//! Why the settings could not be loaded, in words that say what to change and where.
//!
//! Owns the sentences. Each stands alone on standard error, and none repeats a secret.

use std::{fmt, io, path::PathBuf};

/// The first thing that is wrong with the settings. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The configuration file is not there.
    #[error(
        "{}: no such file; --config PATH names another one, and monitor.toml.example is a file to \
         start from",
        file.display()
    )]
    NoFile {
        /// The file that was looked for.
        file: PathBuf,
    },

    /// The configuration file or `.env` is there, but cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The configuration file is not TOML. The line itself is not repeated: it may hold a secret.
    #[error("{}: line {line}, column {column}: not TOML: {reason}", file.display())]
    NotToml {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// What the parser expected there.
        reason: String,
    },

    /// A line of `.env` is not an assignment. It is not repeated: it may hold a secret.
    #[error("{}: line {line}: not of the form NAME=value", file.display())]
    NotAssignment {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
    },

    /// A setting has a value that it cannot have.
    #[error("{place}: found {found}, allowed: {allowed}")]
    Wrong {
        /// Which setting, and who set it.
        place: Place,
        /// Its value, as text; `[secret]` for a secret.
        found: String,
        /// What it may be.
        allowed: String,
    },

    /// A setting that has no default is not there.
    #[error("{place}: missing, allowed: {allowed}; {explained_in} explains it")]
    Missing {
        /// Which setting, and where it should stand.
        place: Place,
        /// What it may be.
        allowed: String,
        /// Where to read about it.
        explained_in: &'static str,
    },

    /// There is no setting of that name.
    #[error("{place}: there is no such setting, allowed there: {}", allowed.join(", "))]
    Unknown {
        /// The name, and who used it.
        place: Place,
        /// The names that its table may hold.
        allowed: Vec<String>,
    },

    /// A secret in the environment cannot be used. Its value is not repeated.
    #[error("{name}: {problem}")]
    Secret {
        /// The environment variable.
        name: &'static str,
        /// What is wrong with it, and what to do.
        problem: String,
    },
}

/// Which setting, and who set it: `monitor.toml: queue.port`, or `SERVO_CI_MONITOR_QUEUE__PORT:
/// queue.port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The configuration file or the environment variable.
    pub origin: String,
    /// The setting's key with those of its tables, outermost first.
    pub key: Vec<String>,
}

impl fmt::Display for Place {
    /// Writes the key as TOML would, with quotes where a part of it holds a dot.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.origin)?;
        for (index, part) in self.key.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            if !part.is_empty() && part.bytes().all(is_bare) {
                write!(formatter, "{dot}{part}")?;
            } else {
                write!(formatter, "{dot}{part:?}")?;
            }
        }
        Ok(())
    }
}
