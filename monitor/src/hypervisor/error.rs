//! What can go wrong with guests.
//!
//! Owns the texts, which are fragments that fit after "failed to", and name the guest. No command
//! line and no secret is ever part of one.

use std::{
    error::Error,
    io::{self, ErrorKind},
    path::PathBuf,
    sync::Arc,
};

use shared::values::ProfileKey;

use super::{libvirt::TemplateError, program::ProgramError};

/// Why the host did not do what it was asked to.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HypervisorError {
    /// The prefix in the settings is of the wrong form.
    #[error(
        "use `{prefix}` as the prefix of guest names: it must be 1 to 200 characters of \
         A-Z a-z 0-9 . _ @ - and not begin with a dot"
    )]
    InvalidPrefix {
        /// What was found.
        prefix: String,
    },
    /// The name is not one of ours. It is not repeated: it may be anything.
    #[error(
        "use a guest name that is not `{prefix}-` and more of A-Z a-z 0-9 . _ @ -, \
         200 characters at most"
    )]
    InvalidName {
        /// What all our names begin with.
        prefix: String,
    },
    /// There is a guest of that name, or what is left of one.
    #[error("create guest {name}: there is one of that name")]
    AlreadyExists {
        /// The guest.
        name: String,
    },
    /// As many guests as are ever allowed.
    #[error("create guest {name}: there are {count} already, more than that are not allowed")]
    TooManyGuests {
        /// The guest.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// The command in the profile cannot be run.
    #[error("create guest {name}: its command {problem}")]
    InvalidCommand {
        /// The guest.
        name: String,
        /// What is wrong with the command.
        problem: &'static str,
    },
    /// Another call is at work on the same guest.
    #[error("destroy guest {name}: it is being created or removed at this moment")]
    Occupied {
        /// The guest.
        name: String,
    },
    /// Processes that even SIGKILL did not end in time.
    #[error("end guest {name}: there are still processes of it")]
    StillRunning {
        /// The guest.
        name: String,
    },
    /// The runtime is stopping, and with it all that is known about guests.
    #[error("watch guests any longer: the monitor is stopping")]
    Unwatched,
    /// There is no image to make the guest from.
    #[error("create guest {name}: profile {profile_key} has no image yet")]
    NoImage {
        /// The guest.
        name: String,
        /// Its profile.
        profile_key: ProfileKey,
    },
    /// The guest that was to become an image did not power off.
    #[error("build the image of {name}: it has not powered off within {seconds} s")]
    BuildTimeout {
        /// The guest.
        name: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The definition in the profile's folder cannot be one.
    #[error("use {}: {problem}", .path.display())]
    UnusableTemplate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: TemplateError,
    },
    /// Raw disks are wanted, and would have to be copied whole for each runner.
    #[error(
        "make raw disks in {}: its file system cannot share blocks between files; use one that can, \
         such as XFS or btrfs, or disks = \"qcow2\" in image.toml",
        .path.display()
    )]
    NoReflinks {
        /// A folder in it.
        path: PathBuf,
    },
    /// There are virtual machines, or are to be, and nothing to make them with.
    #[error("make virtual machines: libvirt is not in use here")]
    NoLibvirt,
    /// A program of the host did not do its part.
    #[error("{attempt} {subject}")]
    Program {
        /// What was being done, as a verb that takes the subject.
        attempt: &'static str,
        /// The guest's name, or what belongs to all.
        subject: String,
        /// What the program said.
        #[source]
        source: Arc<ProgramError>,
    },
    /// The system refused something.
    #[error("{attempt} {subject}")]
    Io {
        /// What was being done, as a verb that takes the subject.
        attempt: &'static str,
        /// The guest's name, or the path of what belongs to all.
        subject: String,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
}

impl HypervisorError {
    pub(super) fn io(attempt: &'static str, subject: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            attempt,
            subject: subject.into(),
            source: Arc::new(source),
        }
    }

    pub(super) fn program(
        attempt: &'static str,
        subject: impl Into<String>,
        source: ProgramError,
    ) -> Self {
        Self::Program {
            attempt,
            subject: subject.into(),
            source: Arc::new(source),
        }
    }

    /// Whether the same call may succeed later with nobody having changed the settings or the
    /// host: what is short of memory, files or disk now may have them then.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TooManyGuests { .. }
            | Self::Occupied { .. }
            | Self::StillRunning { .. }
            | Self::NoImage { .. }
            | Self::BuildTimeout { .. }
            | Self::Program { .. }
            | Self::Unwatched => true,
            Self::InvalidPrefix { .. }
            | Self::InvalidName { .. }
            | Self::AlreadyExists { .. }
            | Self::InvalidCommand { .. }
            | Self::UnusableTemplate { .. }
            | Self::NoReflinks { .. }
            | Self::NoLibvirt => false,
            Self::Io { source, .. } => !matches!(
                source.kind(),
                ErrorKind::PermissionDenied
                    | ErrorKind::NotFound
                    | ErrorKind::NotADirectory
                    | ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::InvalidInput
                    | ErrorKind::ArgumentListTooLong
            ),
        }
    }
}

/// Writes an error down, and what caused it.
pub fn warn(error: &HypervisorError) {
    let source = error.source().map(|source| format!(": {source}"));
    log::warn!("failed to {error}{}", source.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_passes_and_a_refusal_does_not() {
        let failed = |kind: ErrorKind| HypervisorError::io("start guest", "x", kind.into());
        for kind in [
            ErrorKind::WouldBlock,
            ErrorKind::OutOfMemory,
            ErrorKind::StorageFull,
            ErrorKind::Other,
        ] {
            assert!(failed(kind).is_transient(), "{kind}");
        }
        for kind in [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem] {
            assert!(!failed(kind).is_transient(), "{kind}");
        }
    }

    #[test]
    fn an_error_says_what_was_tried_and_keeps_what_the_system_said() {
        let source = io::Error::from(ErrorKind::StorageFull);
        let error = HypervisorError::io("make the folder of guest", "ci-runner-a.1", source);
        assert_eq!(error.to_string(), "make the folder of guest ci-runner-a.1");
        assert_eq!(error.source().unwrap().to_string(), "no storage space");
    }
}
