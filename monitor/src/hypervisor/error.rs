//! Errors of the hypervisor drivers.
//!
//! Responsible for their texts: fragments that follow "failed to" and name the guest. None contains a
//! command line or a secret.

use std::{
    io::{self, ErrorKind},
    path::PathBuf,
    sync::Arc,
};

use shared::{format::with_causes, units::Memory, values::ProfileKey};

use super::program::ProgramError;

/// What failed on the host.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HypervisorError {
    #[error(
        "use `{prefix}` as the prefix of guest names: it must be 1 to 200 characters of \
         A-Z a-z 0-9 . _ @ - and not begin with a dot"
    )]
    InvalidPrefix { prefix: String },
    /// The name is outside the namespace. The text does not repeat it: it may be anything.
    #[error(
        "use a guest name that is not `{prefix}-` and more of A-Z a-z 0-9 . _ @ -, \
         200 characters at most"
    )]
    InvalidName { prefix: String },
    /// The guest, or its remains, exist already.
    #[error("create guest {name}: there is one of that name")]
    AlreadyExists { name: String },
    #[error("create guest {name}: there are {count} guests already, which is the limit")]
    TooManyGuests { name: String, count: usize },
    #[error("create guest {name}: its command {problem}")]
    InvalidCommand { name: String, problem: &'static str },
    /// Another call has the lock on the guest.
    #[error("destroy guest {name}: it is being created or removed at this moment")]
    Occupied { name: String },
    /// Processes, or a virtual machine, that did not end in time.
    #[error("end guest {name}: some of its processes are still running")]
    StillRunning { name: String },
    #[error("watch guests any longer: the monitor is stopping")]
    Unwatched,
    #[error("create guest {name}: profile {profile_key} has no image yet")]
    NoImage {
        name: String,
        profile_key: ProfileKey,
    },
    #[error("build the image of {name}: the guest has not powered off within {seconds} s{state}")]
    BuildTimeout {
        name: String,
        seconds: u64,
        /// The state of the guest, if it is not running.
        state: String,
    },
    /// The guest has ended without powering itself off, so that its disk may be incomplete.
    #[error("build the image of {name}: {cause}, so the image is incomplete")]
    BuildEnded { name: String, cause: &'static str },
    #[error("use {}: {problem}", .path.display())]
    UnusableTemplate {
        path: PathBuf,
        problem: TemplateError,
    },
    /// The profile has raw disks, which would have to be copied in full for each runner.
    #[error(
        "create raw disks in {}: its file system cannot share blocks between files; use one that can, \
         such as XFS or btrfs, or disks = \"qcow2\" in image.toml",
        .path.display()
    )]
    NoReflinks { path: PathBuf },
    #[error("manage virtual machines: libvirt is not in use on this host")]
    NoLibvirt,
    /// A program of the host failed.
    #[error("{action} {subject}")]
    Program {
        /// A verb that takes the subject.
        action: &'static str,
        /// The guest's name, or what belongs to all guests.
        subject: String,
        #[source]
        source: Arc<ProgramError>,
    },
    /// The operating system refused something.
    #[error("{action} {subject}")]
    Io {
        /// A verb that takes the subject.
        action: &'static str,
        /// The guest's name, or the path of what belongs to all guests.
        subject: String,
        #[source]
        source: Arc<io::Error>,
    },
}

/// What is wrong with the `guest.xml` of a profile. Each text is a clause about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("it is not XML: {0}")]
    Syntax(String),
    #[error("its root is `{0}`, and not `domain`")]
    NotDomain(String),
    #[error("it has no `memory` for the guest, or one in an unknown unit")]
    NoMemory,
    /// A guest would use more memory than is counted for it.
    #[error("its guests have {has} of {kind}, and the profile requires only {counted}")]
    TooMuchMemory {
        has: Memory,
        kind: &'static str,
        counted: Memory,
    },
    /// Nothing is copied into the definitions of guests that may belong to one machine only.
    #[error(
        "it has the {kind} `{name}` in `{place}`, which the monitor does not know to be right for \
         every guest; remove it"
    )]
    Unknown {
        /// `element` or `attribute`.
        kind: &'static str,
        name: String,
        place: String,
    },
    /// An element at a path below `domain`, with what is wrong with it and what to do.
    #[error("its `{place}` {problem}")]
    Refused { place: String, problem: String },
    #[error("it has no `devices`")]
    NoDevices,
    /// The number of disks without a source, which is not 1.
    #[error(
        "{0} of its disks have no source (or /dev/null); the image takes the place of just one"
    )]
    ImageDisks(usize),
    #[error(
        "it has fewer than the {0} CD-ROM drives without a source that the image's build needs"
    )]
    FewDrives(usize),
    /// A disk of this type, to which all guests would write.
    #[error(
        "its disk of type `{0}` would be shared by all guests; use a file, or make it readonly"
    )]
    SharedDisk(String),
}

impl HypervisorError {
    pub(super) fn io(action: &'static str, subject: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            action,
            subject: subject.into(),
            source: Arc::new(source),
        }
    }

    pub(super) fn program(
        action: &'static str,
        subject: impl Into<String>,
        source: ProgramError,
    ) -> Self {
        Self::Program {
            action,
            subject: subject.into(),
            source: Arc::new(source),
        }
    }

    /// A build whose guest has not powered itself off. `reason` is QEMU's word, or empty if it gave none.
    pub(super) fn build_ended(name: &str, reason: &str) -> Self {
        let cause = match reason {
            "" => "QEMU has ended without a shutdown, as when it is killed or crashes",
            "guest-reset" => {
                "the guest has rebooted, upon which its guest.xml ends it (on_reboot); build \
                 without a reboot, or set on_reboot to restart"
            }
            "guest-panic" => "the guest's kernel has panicked",
            _ => "the guest was ended by the host",
        };
        Self::BuildEnded {
            name: name.to_owned(),
            cause,
        }
    }

    /// Whether the same call may succeed later without a change to the settings or the host, as when
    /// memory, file handles or disk space ran out.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TooManyGuests { .. }
            | Self::Occupied { .. }
            | Self::StillRunning { .. }
            | Self::NoImage { .. }
            | Self::BuildTimeout { .. }
            | Self::BuildEnded { .. }
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

/// Logs an error together with its cause.
pub fn warn(error: &HypervisorError) {
    log::warn!("{}", error_with_cause(error));
}

/// An error together with its cause, as a sentence.
pub fn error_with_cause(error: &HypervisorError) -> String {
    format!("failed to {}", with_causes(error))
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn a_shortage_is_transient_and_a_refusal_is_not() {
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
    fn an_io_error_names_the_action_and_has_the_system_error_as_its_source() {
        let source = io::Error::from(ErrorKind::StorageFull);
        let error = HypervisorError::io("create the folder of guest", "ci-runner-a.1", source);
        assert_eq!(
            error.to_string(),
            "create the folder of guest ci-runner-a.1"
        );
        assert_eq!(error.source().unwrap().to_string(), "no storage space");
    }
}
