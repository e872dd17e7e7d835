//! Why the settings could not be loaded: one sentence that names the file, the setting and what is
//! allowed.
//!
//! The sentence is printed on standard error, and never contains a secret.

use std::{fmt, io, path::PathBuf};

/// The first error in the settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The settings file does not exist.
    #[error(
        "{}: no such file; copy monitor.toml.example to start with, or name another file with \
         --config PATH",
        file.display()
    )]
    NoFile {
        /// The missing file.
        file: PathBuf,
    },

    /// The settings file or `.env` exists, but cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        source: io::Error,
    },

    /// The settings file is not TOML. The line is not shown: it may contain a secret.
    #[error("{}: line {line}, column {column}: not TOML: {reason}", file.display())]
    NotToml {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// What the parser expected at that position.
        reason: String,
    },

    /// A line of `.env` is not an assignment. It is not shown: it may contain a secret.
    #[error("{}: line {line}: {problem}", file.display())]
    NotAssignment {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with the line.
        problem: &'static str,
    },

    /// A setting has an invalid value.
    #[error("{place}: found {found}, allowed: {allowed}")]
    Wrong {
        /// The setting and its origin.
        place: Place,
        /// The value, as text; `[secret]` for a secret.
        found: String,
        /// The allowed values.
        allowed: String,
    },

    /// A setting without default is missing.
    #[error("{place}: missing, allowed: {allowed}; explained in {explained_in}")]
    Missing {
        /// The setting, and the file in which it should be set.
        place: Place,
        /// The allowed values.
        allowed: String,
        /// The document that explains it.
        explained_in: &'static str,
    },

    /// There is no setting of that name.
    #[error("{place}: there is no such setting, allowed there: {}", allowed.join(", "))]
    Unknown {
        /// The name and its origin.
        place: Place,
        /// The names of the settings in its table.
        allowed: Vec<String>,
    },

    /// A secret in the environment is missing or cannot be used. Its value is not shown.
    #[error("{name}: {problem}")]
    Secret {
        /// The environment variable.
        name: &'static str,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// A setting and its origin: `monitor.toml: queue.port`, or `SERVO_CI_MONITOR_QUEUE__PORT:
/// queue.port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The settings file or the environment variable.
    pub origin: String,
    /// The keys of the tables that contain the setting, outermost first, and its own key.
    pub key: Vec<String>,
}

impl fmt::Display for Place {
    /// Writes the key as in TOML, with quotes around parts that contain other characters than those of
    /// a bare key.
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
