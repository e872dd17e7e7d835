//! The artifacts that were answered, and their file.
//!
//! Responsible for its form and its limits.
//!
//! ```text
//! ci-runners artifact claims 1
//! sha256=<of all following lines>
//! earliest=<seconds since the epoch>      before it, artifacts may have been answered without a record
//! <id of the artifact> <created at, in seconds since the epoch>
//! ```

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use shared::clock::Timestamp;

use crate::checked_file::{self, CheckedFile, Damaged};

/// The most artifacts that are remembered.
pub(super) const ANSWERED_MAX: usize = 10_000;
/// The longest file, in bytes: each line has two numbers of at most 20 digits.
const LENGTH_MAX: u64 = 1 << 20;
const HEADER: &str = "ci-runners artifact claims 1";

/// What a daemon remembers of artifacts without a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Artifacts that were created before it may have been answered without being in here.
    pub earliest: Option<Timestamp>,
    /// When each artifact that was answered was created, by its id.
    pub answered: BTreeMap<u64, Timestamp>,
}

/// Why a record can be neither read nor written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// The content is not what was written.
    #[error("{0}")]
    Damaged(#[from] Damaged),
    /// The file cannot be replaced; the earlier one is left.
    #[error("failed to write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The daemon is about to end.
    #[error("the thread that writes the record has ended")]
    Stopped,
}

impl Record {
    /// The record in a file; `None` if there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or is not what [`write`](Self::write) wrote.
    pub fn read(path: &Path) -> Result<Option<Self>, RecordError> {
        let text = file(path).read()?;
        text.map(|text| Self::parse(&text)).transpose()
    }

    /// Reads what [`to_text`](Self::to_text) wrote.
    ///
    /// # Errors
    /// For any other text, and for one with more artifacts than are remembered.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let damaged = Damaged;
        let body = checked_file::body(HEADER, text)?;
        let mut lines = body.lines();
        let seconds = |text: &str| {
            let seconds = text.parse().ok()?;
            let time = Timestamp::from_seconds(seconds);
            // A time that is too late to be one has become another.
            (time.as_seconds() == seconds).then_some(time)
        };
        let earliest = lines.next().and_then(|line| line.strip_prefix("earliest="));
        let earliest = match earliest.ok_or(damaged("it has no line earliest"))? {
            "" => None,
            text => Some(seconds(text).ok_or(damaged("earliest is no time"))?),
        };
        let answered = lines.map(|line| {
            let (id, created_at) = line.split_once(' ')?;
            Some((id.parse().ok()?, seconds(created_at)?))
        });
        let answered: Option<BTreeMap<_, _>> = answered.collect();
        let answered = answered.ok_or(damaged("a line is not of the form <id> <time>"))?;
        if answered.len() > ANSWERED_MAX {
            return Err(damaged("it has more artifacts than are remembered").into());
        }
        Ok(Self { earliest, answered })
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        checked_file::text(HEADER, &self.to_body())
    }

    fn to_body(&self) -> String {
        let earliest = self.earliest.map(|time| time.as_seconds().to_string());
        let mut body = format!("earliest={}\n", earliest.unwrap_or_default());
        for (id, created_at) in &self.answered {
            // Writing to a string cannot fail.
            let _ = writeln!(body, "{id} {}", created_at.as_seconds());
        }
        body
    }

    /// Replaces the file. When this returns, it is on disk.
    ///
    /// # Errors
    /// When the disk fails. The earlier file is left as it was.
    pub fn write(&self, path: &Path) -> Result<(), RecordError> {
        let replaced = file(path).replace(&self.to_body());
        replaced.map_err(|source| RecordError::Write {
            path: path.to_owned(),
            source,
        })
    }

    /// Forgets the artifacts that are too old to be accepted at `now`, by GitHub's clock.
    pub fn forget(&mut self, now: Timestamp, remembered: Duration) {
        self.answered
            .retain(|_, created_at| now.since(*created_at) <= remembered);
    }
}

fn file(path: &Path) -> CheckedFile {
    CheckedFile::new(path.to_owned(), HEADER, LENGTH_MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn record(count: u64) -> Record {
        let time = Timestamp::from_seconds;
        Record {
            earliest: Some(time(1_700_000_000)),
            answered: (0..count)
                .map(|id| (u64::MAX - id, time(1_700_000_000 + id)))
                .collect(),
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("folder").join("claims");
        assert_eq!(Record::read(&path).unwrap(), None);
        for record in [Record::default(), record(1), record(ANSWERED_MAX as u64)] {
            record.write(&path).unwrap();
            assert_eq!(Record::read(&path).unwrap(), Some(record));
        }
    }

    #[test]
    fn a_damaged_file_is_no_record() {
        let text = record(3).to_text();
        let path = tempfile::tempdir().unwrap().keep().join("claims");
        let is_read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            Record::read(&path).is_ok()
        };
        assert!(is_read(text.as_bytes()));
        let too_many = record(ANSWERED_MAX as u64 + 1).to_text();
        for bytes in [
            b"".to_vec(),
            vec![0; 4096],
            vec![b'a'; LENGTH_MAX as usize + 1],
            too_many.into_bytes(),
        ] {
            assert!(!is_read(&bytes));
        }
        // Their checksums are right.
        for body in [
            "",
            "earliest=soon\n",
            "earliest=99999999999999999\n",
            "earliest=\n5\n",
            "earliest=\n5 99999999999999999\n",
        ] {
            let text = checked_file::text(HEADER, body);
            assert!(!is_read(text.as_bytes()), "{body}");
        }
        fs::remove_file(&path).unwrap();
        fs::remove_dir(path.parent().unwrap()).unwrap();
    }
}
