//! The folder of a guest: the record of its leader, its log and its working directory.
//!
//! Responsible for the names below `guests/`. Not responsible for processes. All functions block.
//!
//! ```text
//! guests/<name>/leader  identifies the leader process, which writes it before it runs the command
//!               log     the first MiB of the guest's output
//!               work/   the guest's working directory
//! guests/.ended-<name>/ the same folder, moved aside to be removed
//! guests/.logs/         logs of the guests that ended last
//! ```
//!
//! Only the monitor's user has access.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::leader_record::{LeaderRecord, RECORD_SIZE_MAX};
use crate::hypervisor::{namespace::Namespace, output};

/// Prefix of the folder of a guest that has ended. No guest's name begins with a dot.
const ENDED_PREFIX: &str = ".ended-";
/// How many logs of guests that have ended are kept.
const KEPT_LOG_COUNT: usize = 16;

/// The paths of a guest.
#[derive(Clone, Debug)]
pub struct Folder {
    name: String,
    guests: PathBuf,
}

impl Folder {
    pub fn new(guests: &Path, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            guests: guests.to_owned(),
        }
    }

    pub fn path(&self) -> PathBuf {
        self.guests.join(&self.name)
    }

    /// Whether the folder exists, in its place or moved aside.
    pub fn exists(&self) -> io::Result<bool> {
        Ok(self.path().try_exists()? || self.ended_path().try_exists()?)
    }

    pub fn record_path(&self) -> PathBuf {
        self.path().join("leader")
    }

    pub fn work_path(&self) -> PathBuf {
        self.path().join("work")
    }

    /// Creates the folder and its content, and returns the opened log. None if it exists already.
    pub fn create(&self) -> io::Result<Option<File>> {
        match DirBuilder::new().mode(0o700).create(self.path()) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
            created => created?,
        }
        DirBuilder::new().mode(0o700).create(self.work_path())?;
        OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(self.output_path())
            .map(Some)
    }

    /// The record of the leader. None if the leader has not written it.
    pub fn leader(&self) -> io::Result<Option<LeaderRecord>> {
        read_record(&self.record_path())
    }

    /// Moves the folder aside, so that nothing more can be written under its name, and returns the
    /// record of the leader. Does nothing if the folder has been moved, or does not exist.
    pub fn retire(&self) -> io::Result<Option<LeaderRecord>> {
        let from = self.path();
        let to = self.ended_path();
        if from.try_exists()? {
            // Names are used once, so a folder here is from a removal that a crash interrupted.
            unless_missing(fs::remove_dir_all(&to))?;
            fs::rename(from, &to)?;
        }
        read_record(&to.join("leader"))
    }

    /// What the guest has printed, as long as the folder is in its place.
    pub fn output_path(&self) -> PathBuf {
        self.path().join("log")
    }

    /// The last lines of the guest's output, once its folder was moved aside.
    pub fn retired_output(&self) -> io::Result<Vec<String>> {
        let end = output::end_of(&self.ended_path().join("log"))?;
        Ok(output::last_lines(&end))
    }

    /// Removes the folder that was moved aside; its log is kept among the last ones.
    pub fn remove(&self) -> io::Result<()> {
        let logs = self.guests.join(".logs");
        // Not recursive: a data directory that was removed is not created again.
        match DirBuilder::new().mode(0o700).create(&logs) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => created?,
        }
        let ended_path = self.ended_path();
        unless_missing(fs::rename(
            ended_path.join("log"),
            logs.join(format!("{}.log", self.name)),
        ))?;
        unless_missing(fs::remove_dir_all(ended_path))?;
        remove_oldest(&logs)
    }

    fn ended_path(&self) -> PathBuf {
        self.guests.join(format!("{ENDED_PREFIX}{}", self.name))
    }
}

/// Creates the folder for all guests, and returns its path: absolute and without symbolic links,
/// because it is part of each guest's marker and must be the same after a restart.
pub fn create_root(data_path: &Path) -> io::Result<PathBuf> {
    let guests = data_path.join("guests");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&guests)?;
    guests.canonicalize()
}

/// The names of all guests in the namespace that have a folder, including those moved aside.
pub fn names(guests: &Path, namespace: &Namespace) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(guests)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let name = file_name
            .to_str()
            .map(|name| name.strip_prefix(ENDED_PREFIX).unwrap_or(name))
            .filter(|name| namespace.contains(name));
        if let Some(name) = name
            && entry.file_type()?.is_dir()
        {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

fn read_record(path: &Path) -> io::Result<Option<LeaderRecord>> {
    let mut record = String::new();
    match File::open(path).and_then(|file| file.take(RECORD_SIZE_MAX).read_to_string(&mut record)) {
        Ok(_) => Ok(LeaderRecord::parse(&record)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Removes all but the newest logs, by modification time: names do not show the age.
fn remove_oldest(logs: &Path) -> io::Result<()> {
    let mut by_age = Vec::new();
    for entry in fs::read_dir(logs)? {
        let entry = entry?;
        by_age.push((entry.metadata()?.modified()?, entry.path()));
    }
    by_age.sort();
    let excess_count = by_age.len().saturating_sub(KEPT_LOG_COUNT);
    for (_, path) in by_age.drain(..excess_count) {
        unless_missing(fs::remove_file(path))?;
    }
    Ok(())
}

fn unless_missing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
