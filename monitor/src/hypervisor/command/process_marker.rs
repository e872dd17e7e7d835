//! The environment variables by which the processes of a guest are recognised.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::Path,
};

use rustix::process::Pid;

use super::process;

/// First half of the marker: the guest's name.
const NAME_VARIABLE: &str = "CI_RUNNERS_GUEST_NAME";
/// Second half: the guest's folder. Two monitors on one host, each with its own data directory, may
/// use the same names.
const FOLDER_VARIABLE: &str = "CI_RUNNERS_GUEST_FOLDER";

/// Variables that every process of a guest inherits, unless it clears its environment.
#[derive(Clone, Debug)]
pub struct ProcessMarker {
    variables: [(&'static str, OsString); 2],
}

impl ProcessMarker {
    pub fn new(name: &str, folder: &Path) -> Self {
        Self {
            variables: [
                (NAME_VARIABLE, name.into()),
                (FOLDER_VARIABLE, folder.into()),
            ],
        }
    }

    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        self.variables
            .iter()
            .map(|(name, value)| (*name, value.as_os_str()))
    }

    /// Whether the marker is in the environment of a process.
    pub fn is_on(&self, pid: Pid) -> io::Result<bool> {
        let entries: Vec<_> = self
            .variables()
            .map(|(name, value)| [name.as_bytes(), b"=", value.as_encoded_bytes()].concat())
            .collect();
        process::environment_has(pid, &entries)
    }
}
