//! The artifacts that were answered, and their file.
//!
//! Responsible for its form, its checksum and its limits, and that a crash leaves the old or the new one.
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
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use shared::{clock::Timestamp, sha256::Sha256};

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
    /// The file is longer than any record, or contains more artifacts.
    #[error("it is longer than {LENGTH_MAX} bytes")]
    TooLong,
    /// The content is not what was written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
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
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut text = String::new();
        file.take(LENGTH_MAX + 1).read_to_string(&mut text)?;
        if text.len() as u64 > LENGTH_MAX {
            return Err(RecordError::TooLong);
        }
        Self::parse(&text).map(Some)
    }

    /// Reads what [`to_text`](Self::to_text) wrote.
    ///
    /// # Errors
    /// For any other text, and for one with more artifacts than are remembered.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let damaged = RecordError::Damaged;
        let (header, rest) = text.split_once('\n').ok_or(damaged("it has no header"))?;
        if header != HEADER {
            return Err(damaged("it has another header"));
        }
        let (checksum, body) = rest.split_once('\n').ok_or(damaged("it has no checksum"))?;
        let checksum = checksum.strip_prefix("sha256=");
        let checksum: Option<Sha256> = checksum.and_then(|checksum| checksum.parse().ok());
        if checksum != Some(Sha256::of(body.as_bytes())) {
            return Err(damaged("its checksum is wrong"));
        }
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
            return Err(RecordError::TooLong);
        }
        Ok(Self { earliest, answered })
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        let earliest = self.earliest.map(|time| time.as_seconds().to_string());
        let mut body = format!("earliest={}\n", earliest.unwrap_or_default());
        for (id, created_at) in &self.answered {
            // Writing to a string cannot fail.
            let _ = writeln!(body, "{id} {}", created_at.as_seconds());
        }
        format!("{HEADER}\nsha256={}\n{body}", Sha256::of(body.as_bytes()))
    }

    /// Replaces the file. When this returns, it is on disk.
    ///
    /// # Errors
    /// When the disk fails. The earlier file is left as it was.
    pub fn write(&self, path: &Path) -> Result<(), RecordError> {
        let draft = path.with_extension("new");
        let write = || -> io::Result<()> {
            let folder = path.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder)?;
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&draft)?;
            file.write_all(self.to_text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|source| {
            // If the disk is full, this frees some of it.
            let _ = fs::remove_file(&draft);
            RecordError::Write {
                path: path.to_owned(),
                source,
            }
        })
    }

    /// Forgets the artifacts that are too old to be accepted at `now`, by GitHub's clock.
    pub fn forget(&mut self, now: Timestamp, remembered: Duration) {
        self.answered
            .retain(|_, created_at| now.since(*created_at) <= remembered);
    }
}

#[cfg(test)]
mod tests {
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
        assert!(!path.with_extension("new").exists());
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
        for end in 0..text.len() {
            assert!(!is_read(&text.as_bytes()[..end]), "cut off at {end}");
        }
        for index in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[index] ^= 1;
            assert!(!is_read(&bytes), "bit flipped at {index}");
        }
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
            let text = format!("{HEADER}\nsha256={}\n{body}", Sha256::of(body.as_bytes()));
            assert!(!is_read(text.as_bytes()), "{body}");
        }
        fs::remove_file(&path).unwrap();
        fs::remove_dir(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("claims");
        record(1).write(&path).unwrap();
        fs::create_dir(path.with_extension("new")).unwrap();
        assert!(record(2).write(&path).is_err());
        assert_eq!(Record::read(&path).unwrap(), Some(record(1)));
    }
}
