//! Reads the files of a journal: which there are, which of them and of their lines are believed, and the events
//! in them.
//!
//! A file is named by the id of its first event. Ids never go back, so a name says which ids a file can have; it
//! says nothing about times, which do go back when a clock that was ahead is set.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    ops::RangeInclusive,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use shared::{clock::Timestamp, format, units::DAY};

use super::entry::Entry;

/// The extension of the files.
pub(super) const EXTENSION: &str = "jsonl";
/// The most bytes of one file that are read: its end, if it is longer.
const READ_SIZE_MAX: u64 = 16 << 20;
/// The most bytes of files that are read at the start.
const START_SIZE_MAX: u64 = 32 << 20;
/// The longest line that is understood, in bytes.
const LINE_LENGTH_MAX: usize = 1 << 20;
/// How far an id may be ahead of the clock: the clock can have been ahead when it was made. What is further ahead
/// is damage. If it was believed, all later ids would have to be higher still.
const AHEAD_MAX: Duration = Duration::from_secs(10 * 365 * DAY.as_secs());
/// A day, in microseconds.
pub(super) const DAY_MICROS: u64 = DAY.as_secs() * 1_000_000;
/// No clock is earlier than 2026, but for one that has lost its time.
const CLOCK_MIN: Timestamp = Timestamp::from_seconds(1_767_225_600);

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JournalFile {
    pub path: PathBuf,
    /// The id of its first event, which no other has a lower one than.
    pub first_id: u64,
    /// Its size, in bytes.
    pub length: u64,
    /// When it was last changed.
    modified_at: Timestamp,
}

/// The files of a folder.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Oldest first.
    pub files: Vec<JournalFile>,
    /// Files whose names are ids that are not believed. They are not read, but count, and are removed, as the
    /// others.
    pub ignored: Vec<JournalFile>,
}

/// What earlier processes have written.
#[derive(Debug, Default)]
pub(super) struct Former {
    /// The newest events, oldest first.
    pub entries: Vec<Entry>,
    /// No event of an earlier process that is believed has a higher id.
    pub last_id: u64,
    /// How many lines could not be read.
    damaged_count: usize,
    /// Files with names that are not believed.
    ignored: Vec<PathBuf>,
    /// Files that could not be read, and why.
    unreadable: Vec<(PathBuf, io::Error)>,
}

/// The highest id that is believed now.
pub(super) fn id_max(now: Timestamp) -> u64 {
    (now.max(CLOCK_MIN) + AHEAD_MAX).as_micros()
}

/// The number of the day of an id, in UTC, unless that is in the future: then today's.
pub(super) fn day_of(id: u64, now: Timestamp) -> u64 {
    id.min(now.as_micros()) / DAY_MICROS
}

impl JournalFile {
    /// The number of the day on which it was written, in UTC.
    pub fn day(&self, now: Timestamp) -> u64 {
        let is_ahead = self.first_id > now.as_micros();
        let written_at = if is_ahead {
            self.modified_at.as_micros()
        } else {
            self.first_id
        };
        day_of(written_at, now)
    }

    /// The ids that its events can have.
    pub fn ids(&self, now: Timestamp) -> RangeInclusive<u64> {
        self.first_id..=id_max(now)
    }

    /// Its text, or the end of it if it is very long. Bytes that are not UTF-8 are replaced.
    pub fn read(&self) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        if length > READ_SIZE_MAX {
            file.seek(SeekFrom::Start(length - READ_SIZE_MAX))?;
        }
        let mut bytes = Vec::new();
        file.take(READ_SIZE_MAX).read_to_end(&mut bytes)?;
        Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }
}

/// The files of a folder; none if there is no folder. Everything else in it is left alone.
pub(super) fn list(folder: &Path, now: Timestamp) -> io::Result<Listing> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listing::default()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let has_extension = path
            .extension()
            .is_some_and(|extension| extension == EXTENSION);
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let first_id = stem.and_then(|stem| stem.parse().ok());
        let Some(first_id) = first_id.filter(|_| has_extension) else {
            continue;
        };
        // Neither a link nor a pipe, whose reading could wait. It may have been removed meanwhile.
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => files.push(JournalFile {
                path,
                first_id,
                length: metadata.len(),
                modified_at: modified_at(&metadata),
            }),
            _ => {}
        }
    }
    files.sort_by_key(|file| file.first_id);
    let believed = files.partition_point(|file| file.first_id <= id_max(now));
    let ignored = files.split_off(believed);
    Ok(Listing { files, ignored })
}

fn modified_at(metadata: &Metadata) -> Timestamp {
    Timestamp::from_seconds(u64::try_from(metadata.mtime()).unwrap_or_default())
}

/// The events of a text with these ids, newest first, of the lines that `is_candidate`, and the number of damaged
/// lines. A line without an end is being written, or was cut off.
pub(super) fn parse_backwards(
    text: &str,
    ids: &RangeInclusive<u64>,
    is_candidate: impl Fn(&str) -> bool,
) -> (Vec<Entry>, usize) {
    let mut damaged_count = 0;
    let mut entries = Vec::new();
    let (whole, rest) = text.rsplit_once('\n').unwrap_or(("", text));
    if !rest.is_empty() {
        damaged_count += 1;
    }
    for line in whole.rsplit('\n') {
        if line.is_empty() || !is_candidate(line) {
            continue;
        }
        let entry = (line.len() <= LINE_LENGTH_MAX)
            .then(|| serde_json::from_str::<Entry>(line).ok())
            .flatten();
        match entry {
            Some(entry) if ids.contains(&entry.id) => entries.push(entry),
            _ => damaged_count += 1,
        }
    }
    // Damage can also have changed the order.
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.id));
    (entries, damaged_count)
}

/// Reads the newest `count_max` events.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn read_newest(folder: &Path, now: Timestamp, count_max: usize) -> io::Result<Former> {
    let Listing { files, ignored } = list(folder, now)?;
    let mut former = Former {
        ignored: ignored.into_iter().map(|file| file.path).collect(),
        ..Former::default()
    };
    let mut read = 0;
    let mut newest_first = Vec::new();
    for file in files.into_iter().rev() {
        former.last_id = former.last_id.max(file.first_id);
        if newest_first.len() >= count_max || read >= START_SIZE_MAX {
            break;
        }
        match file.read() {
            Ok(text) => {
                read += text.len() as u64;
                let (entries, damaged_count) = parse_backwards(&text, &file.ids(now), |_| true);
                former.damaged_count += damaged_count;
                newest_first.extend(entries);
            }
            Err(error) => former.unreadable.push((file.path, error)),
        }
    }
    newest_first.sort_by_key(|entry| std::cmp::Reverse(entry.id));
    newest_first.dedup_by_key(|entry| entry.id);
    newest_first.truncate(count_max);
    newest_first.reverse();
    let last = newest_first.last().map_or(0, |entry| entry.id);
    former.last_id = former.last_id.max(last);
    former.entries = newest_first;
    Ok(former)
}

impl Former {
    /// What could not be read, a sentence each.
    pub fn warnings(&self, folder: &Path) -> Vec<String> {
        let folder = folder.display();
        let mut warnings = Vec::new();
        if self.damaged_count > 0 {
            let lines = format::count(
                self.damaged_count,
                "line of the journal in",
                "lines of the journal in",
            );
            warnings.push(format!(
                "{lines} {folder} cannot be read and are skipped; the rest is used"
            ));
        }
        if let Some(first) = self.ignored.first() {
            warnings.push(format!(
                "{} in {folder} with a name too far in the future, such as {}: ignored; the rest is used",
                format::count(self.ignored.len(), "file of the journal", "files of the journal"),
                first.display(),
            ));
        }
        if let Some((path, error)) = self.unreadable.first() {
            let files = format::count(
                self.unreadable.len(),
                "file of the journal",
                "files of the journal",
            );
            let consequence = if self.entries.is_empty() {
                "the history starts now"
            } else {
                "the history lacks what is only there"
            };
            warnings.push(format!(
                "failed to read {files}, such as {}: {error}; {consequence}",
                path.display()
            ));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_about_files_that_cannot_be_read_says_what_is_missing() {
        let folder = Path::new("journal");
        let mut former = Former::default();
        assert_eq!(former.warnings(folder), [""; 0]);
        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        former.unreadable.push(("journal/5.jsonl".into(), error));
        let begin =
            "failed to read 1 file of the journal, such as journal/5.jsonl: permission denied";
        let expected = format!("{begin}; the history starts now");
        assert_eq!(former.warnings(folder), [expected]);
        let entry = Entry::new(Timestamp::default(), "a");
        former.entries.push(entry);
        let expected = format!("{begin}; the history lacks what is only there");
        assert_eq!(former.warnings(folder), [expected]);
    }
}
