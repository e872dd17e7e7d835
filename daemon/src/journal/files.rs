//! The files of a journal: one event a line, as JSON; a new file each day and whenever one is large; the
//! oldest files removed by age and by the size of all.
//!
//! A file is named by the id of its first event, so names sort by time, and ids follow from names. A line
//! that is cut off or damaged is skipped.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::statvfs;
use shared::{clock::Timestamp, settings::JournalSettings};

use super::entry::Entry;

const EXTENSION: &str = "jsonl";
/// The size at which a new file is begun, in bytes; an eighth of the size of all, within these limits.
const FILE_SIZE: std::ops::RangeInclusive<u64> = 64 << 10..=8 << 20;
/// The most bytes of one file that are read: its end, if it is longer.
const READ_SIZE_MAX: u64 = 16 << 20;
/// The most bytes of files that are read at the start.
const START_SIZE_MAX: u64 = 32 << 20;
/// The longest line that is understood, in bytes.
const LINE_LENGTH_MAX: usize = 1 << 20;
/// The highest id that is believed, in a file or in its name: later than any clock, and exact in JSON.
const ID_MAX: u64 = 1 << 53;
/// The most bytes of a file system that are left to other files.
const RESERVE_MAX: u64 = 16 << 20;
const DAY_MICROS: u64 = 24 * 3600 * 1_000_000;

/// The folder with the files, and the one that is being written.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    limits: JournalSettings,
    current: Option<Current>,
    /// Bytes written since old files were last removed; `None` before the first time.
    written_since_cleaning: Option<u64>,
}

#[derive(Debug)]
struct Current {
    file: File,
    first_id: u64,
    length: u64,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JournalFile {
    pub path: PathBuf,
    /// The id of its first event.
    pub first_id: u64,
    length: u64,
}

/// Why events cannot be written, or files cannot be removed.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("failed to write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("failed to remove old files in {}: {source}", path.display())]
    Remove { path: PathBuf, source: io::Error },
}

/// What earlier processes have written.
#[derive(Debug, Default)]
pub(super) struct Former {
    /// The newest events, oldest first.
    pub entries: Vec<Entry>,
    /// No event of an earlier process has a higher id.
    pub last_id: u64,
    /// How many lines could not be read.
    pub damaged_count: u64,
    /// Why files could not be read at all.
    pub error: Option<io::Error>,
}

impl Files {
    pub fn new(folder: PathBuf, limits: JournalSettings) -> Self {
        Self {
            folder,
            limits,
            current: None,
            written_since_cleaning: None,
        }
    }

    /// Reads the newest `count_max` events.
    pub fn read_newest(&self, count_max: usize) -> Former {
        let mut former = Former::default();
        let files = match list(&self.folder) {
            Ok(files) => files,
            Err(error) => {
                former.error = Some(error);
                return former;
            }
        };
        let mut read = 0;
        let mut newest_first = Vec::new();
        for file in files.iter().rev() {
            former.last_id = former.last_id.max(file.first_id);
            if newest_first.len() >= count_max || read >= START_SIZE_MAX {
                break;
            }
            match file.read() {
                Ok(text) => {
                    read += text.len() as u64;
                    let (entries, damaged_count) = parse_backwards(&text, |_| true);
                    former.damaged_count += damaged_count;
                    newest_first.extend(entries);
                }
                Err(error) => former.error = Some(error),
            }
        }
        // Damage could also have changed the order.
        newest_first.sort_by_key(|entry| std::cmp::Reverse(entry.id));
        newest_first.dedup_by_key(|entry| entry.id);
        newest_first.truncate(count_max);
        newest_first.reverse();
        let last = newest_first.last().map_or(0, |entry| entry.id);
        former.last_id = former.last_id.max(last);
        former.entries = newest_first;
        former
    }

    /// Writes events in order. Returns how many are written, and why the others are not.
    pub fn append(&mut self, entries: &[Arc<Entry>]) -> (usize, Option<FileError>) {
        let mut written_count = 0;
        while written_count < entries.len() {
            match self.append_to_one(&entries[written_count..]) {
                Ok(count) => written_count += count,
                Err(source) => {
                    // Opened again next time: it may have been removed, or be damaged at its end.
                    self.current = None;
                    let path = self.folder.clone();
                    return (written_count, Some(FileError::Write { path, source }));
                }
            }
        }
        (written_count, None)
    }

    /// Writes the first of these events, as many as belong in the same file. Returns their number, which
    /// is at least 1.
    fn append_to_one(&mut self, entries: &[Arc<Entry>]) -> io::Result<usize> {
        let size_max = self.file_size_max();
        let Some(first) = entries.first() else {
            return Ok(0);
        };
        let mut current = match self.current.take() {
            Some(current) if current.takes(first.id, size_max) => current,
            _ => self.open_for(first.id)?,
        };
        let mut text = String::new();
        let mut count = 0;
        for entry in entries {
            let length = current.length + text.len() as u64;
            let is_same_file = day_of(entry.id) == day_of(current.first_id) && length < size_max;
            if count > 0 && !is_same_file {
                break;
            }
            text.push_str(&entry.to_json());
            text.push('\n');
            count += 1;
        }
        self.check_space()?;
        if let Err(error) = current.file.write_all(text.as_bytes()) {
            // What was written of it would be written again. If this fails as well, it is found twice
            // and shown once.
            let _ = current.file.set_len(current.length);
            return Err(error);
        }
        current.length += text.len() as u64;
        if let Some(written) = &mut self.written_since_cleaning {
            *written += text.len() as u64;
        }
        self.current = Some(current);
        Ok(count)
    }

    /// Whether the file system has room for more than what is left to other files.
    fn check_space(&self) -> io::Result<()> {
        let space = statvfs(&self.folder)?;
        let available = space.f_bavail.saturating_mul(space.f_frsize);
        let total = space.f_blocks.saturating_mul(space.f_frsize);
        let reserve = reserve_of(total);
        if available >= reserve {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::StorageFull,
            format!(
                "no space left: {} kB are free there, and the last {} kB are left to other files",
                available >> 10,
                reserve >> 10
            ),
        ))
    }

    /// Opens the file for the event with this id: the newest one, if it takes it, or a new one.
    fn open_for(&mut self, id: u64) -> io::Result<Current> {
        self.written_since_cleaning = None;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        let newest = list(&self.folder)?.pop();
        let newest = newest.filter(|file| {
            day_of(file.first_id) == day_of(id) && file.length < self.file_size_max()
        });
        let (path, first_id) = match newest {
            Some(file) => (file.path, file.first_id),
            None => (self.folder.join(format!("{id}.{EXTENSION}")), id),
        };
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let mut length = file.metadata()?.len();
        if length > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            // A line that was cut off ends here.
            if last != [b'\n'] {
                file.write_all(b"\n")?;
                length += 1;
            }
        }
        Ok(Current {
            file,
            first_id,
            length,
        })
    }

    /// Removes files that are too old or too many, unless little has been written since the last time.
    ///
    /// # Errors
    /// When the folder cannot be read, or a file cannot be removed.
    pub fn clean(&mut self, now: Timestamp) -> Result<(), FileError> {
        let is_current_over = (self.current.as_ref())
            .is_some_and(|current| day_of(current.first_id) != day_of(now.as_micros()));
        let is_due = self
            .written_since_cleaning
            .is_none_or(|written| written >= self.file_size_max() / 8);
        if !is_due && !is_current_over {
            return Ok(());
        }
        if is_current_over {
            self.current = None;
        }
        self.written_since_cleaning = Some(0);
        let failed = |source| FileError::Remove {
            path: self.folder.clone(),
            source,
        };
        let files = list(&self.folder).map_err(failed)?;
        let mut size: u64 = files.iter().map(|file| file.length).sum();
        let size_max = self.limits.size_max.bytes();
        for file in &files {
            let is_current =
                (self.current.as_ref()).is_some_and(|current| current.first_id == file.first_id);
            let is_too_old = now.since(file.ended_at()) >= self.limits.age_max;
            if !is_current && (is_too_old || size > size_max) {
                fs::remove_file(&file.path).map_err(failed)?;
                size -= file.length;
            }
        }
        Ok(())
    }

    fn file_size_max(&self) -> u64 {
        (self.limits.size_max.bytes() / 8).clamp(*FILE_SIZE.start(), *FILE_SIZE.end())
    }
}

impl Current {
    fn takes(&self, id: u64, size_max: u64) -> bool {
        day_of(id) == day_of(self.first_id) && self.length < size_max
    }
}

impl JournalFile {
    /// A time after all of its events: the end of its day.
    fn ended_at(&self) -> Timestamp {
        Timestamp::from_micros((day_of(self.first_id) + 1) * DAY_MICROS)
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

/// The files of a folder, oldest first; none if there is no folder. Everything else in it is ignored.
pub(super) fn list(folder: &Path) -> io::Result<Vec<JournalFile>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
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
        let Some(first_id) = first_id.filter(|&id| has_extension && id <= ID_MAX) else {
            continue;
        };
        // Neither a link nor a pipe, whose reading could wait. It may have been removed meanwhile.
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => files.push(JournalFile {
                path,
                first_id,
                length: metadata.len(),
            }),
            _ => {}
        }
    }
    files.sort_by_key(|file| file.first_id);
    Ok(files)
}

/// The events of a text, newest first, of the lines that `is_candidate`, and the number of damaged lines. A
/// line without an end is being written, or was cut off.
pub(super) fn parse_backwards(
    text: &str,
    is_candidate: impl Fn(&str) -> bool,
) -> (Vec<Entry>, u64) {
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
            Some(entry) if entry.id <= ID_MAX => entries.push(entry),
            _ => damaged_count += 1,
        }
    }
    (entries, damaged_count)
}

/// How much of a file system of this size is left to other files, such as the state of the daemon, in bytes.
fn reserve_of(total: u64) -> u64 {
    (total / 10).min(RESERVE_MAX)
}

/// The number of the day of an id, in UTC.
fn day_of(id: u64) -> u64 {
    id / DAY_MICROS
}

/// Whether all events of a file happened after `until`.
pub(super) fn is_after(file: &JournalFile, until: Option<Timestamp>) -> bool {
    until.is_some_and(|until| file.first_id > until.as_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_a_file_system_is_left_to_other_files() {
        for (total, reserve) in [
            (0, 0),
            (1 << 20, (1 << 20) / 10),
            (160 << 20, 16 << 20),
            (u64::MAX, 16 << 20),
        ] {
            assert_eq!(reserve_of(total), reserve);
        }
    }
}
