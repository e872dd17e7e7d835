//! A guest's folder: where its record, its log and its working directory lie.
//!
//! Owns the names below `guests/`. Never looks at processes. Everything here blocks.
//!
//! ```text
//! guests/<name>/leader  who the guest is, written by itself before it does anything else
//!               log     the first of what it says
//!               work/   its working directory: it may do with it what it likes
//! guests/.ended-<name>/ the same, moved aside to be removed
//! guests/.logs/         the logs of the guests that ended last
//! ```
//!
//! All of it is for the monitor's user alone.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::identity::{Identity, RECORD_SIZE_MAX};
use crate::hypervisor::namespace::Namespace;

/// What the folder of a guest that has ended begins with. No guest's name begins with a dot.
const ENDED_PREFIX: &str = ".ended-";
/// How many logs of guests that have ended are kept.
const KEPT_LOG_COUNT: usize = 16;

/// The paths of one guest.
#[derive(Clone, Debug)]
pub struct Folder {
    name: String,
    guests: PathBuf,
}

impl Folder {
    /// Where the guest of that name has its place below `guests`.
    pub fn new(guests: &Path, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            guests: guests.to_owned(),
        }
    }

    /// The folder itself.
    pub fn path(&self) -> PathBuf {
        self.guests.join(&self.name)
    }

    /// Whether there is anything of it, in its place or moved aside.
    pub fn exists(&self) -> io::Result<bool> {
        Ok(self.path().try_exists()? || self.ended_path().try_exists()?)
    }

    /// The file in which the guest says who it is.
    pub fn record_path(&self) -> PathBuf {
        self.path().join("leader")
    }

    /// The guest's working directory.
    pub fn work_path(&self) -> PathBuf {
        self.path().join("work")
    }

    /// Makes the folder and all in it, and returns the log, opened. None if it is there already.
    pub fn make(&self) -> io::Result<Option<File>> {
        match DirBuilder::new().mode(0o700).create(self.path()) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
            made => made?,
        }
        DirBuilder::new().mode(0o700).create(self.work_path())?;
        OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(self.path().join("log"))
            .map(Some)
    }

    /// The guest's leader. None if it has not said who it is.
    pub fn leader(&self) -> io::Result<Option<Identity>> {
        read_record(&self.record_path())
    }

    /// Moves the folder aside, so that nothing more can be written under its name, and returns the
    /// leader that was recorded in it. Nothing happens if it has been moved, or never was.
    pub fn retire(&self) -> io::Result<Option<Identity>> {
        let from = self.path();
        let to = self.ended_path();
        if from.try_exists()? {
            // Names are used once, so this is only what a crash left of a removal.
            unless_missing(fs::remove_dir_all(&to))?;
            fs::rename(from, &to)?;
        }
        read_record(&to.join("leader"))
    }

    /// Removes the folder that has been moved aside; the log is kept until many others have ended.
    pub fn remove(&self) -> io::Result<()> {
        let logs = self.guests.join(".logs");
        // No folder above it is made again: a data directory that somebody has removed stays gone.
        match DirBuilder::new().mode(0o700).create(&logs) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made?,
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

/// Makes the folder that holds those of all guests, and returns its path: absolute and without
/// links, since it is part of each guest's mark and must read the same after a restart.
pub fn make_root(data_path: &Path) -> io::Result<PathBuf> {
    let guests = data_path.join("guests");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&guests)?;
    guests.canonicalize()
}

/// The names of all guests of ours that have a folder, be it one that waits to be removed.
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

fn read_record(path: &Path) -> io::Result<Option<Identity>> {
    let mut record = String::new();
    match File::open(path).and_then(|file| file.take(RECORD_SIZE_MAX).read_to_string(&mut record)) {
        Ok(_) => Ok(Identity::parse(&record)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Leaves the newest logs. By the time they were last written to, as names do not say it.
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
