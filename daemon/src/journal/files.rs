//! Writes the files of a journal: one event a line, as JSON; a new file each day and whenever one is large; the
//! oldest files removed by age and by the size of all.
//!
//! Anyone may remove or move files at any time: the next event begins a new one.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::fs::statvfs;
use shared::{clock::Timestamp, format, settings::JournalSettings};

use super::{
    entry::Entry,
    reading::{DAY_MICROS, EXTENSION, JournalFile, Listing, day_of, list},
};

/// The size at which a new file is begun, in bytes; an eighth of the size of all, within these limits.
const FILE_SIZE: std::ops::RangeInclusive<u64> = 64 << 10..=8 << 20;
/// The most bytes of a file system that are left to other files.
const RESERVE_MAX: u64 = 16 << 20;

/// The folder with the files, and the one that is being written.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    limits: JournalSettings,
    /// Time between two attempts to remove files, if one could not be removed.
    retry_pause: Duration,
    current: Option<Current>,
    /// Bytes written since old files were last removed; `None` before the first time.
    written_since_cleaning: Option<u64>,
    /// When old files could not be removed; `None` if they could be the last time.
    cleaning_failed_at: Option<Timestamp>,
}

#[derive(Debug)]
struct Current {
    file: File,
    path: PathBuf,
    /// The number of the day whose events it takes.
    day: u64,
    length: u64,
}

/// Why events cannot be written, or files cannot be removed.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("failed to write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("failed to read the folder {}: {source}", path.display())]
    List { path: PathBuf, source: io::Error },
    #[error("failed to remove {}, such as {}: {source}", format::count(*count, "old file", "old files"), path.display())]
    Remove {
        count: usize,
        path: PathBuf,
        source: io::Error,
    },
}

impl Files {
    pub fn new(folder: PathBuf, limits: JournalSettings, retry_pause: Duration) -> Self {
        Self {
            folder,
            limits,
            retry_pause,
            current: None,
            written_since_cleaning: None,
            cleaning_failed_at: None,
        }
    }

    /// Writes events in order. Returns how many are written, and why the others are not.
    pub fn append(&mut self, entries: &[Arc<Entry>], now: Timestamp) -> (usize, Option<FileError>) {
        let mut written_count = 0;
        while let Some(first) = entries.get(written_count) {
            match self.append_to_one(first.id, &entries[written_count..], now) {
                Ok(count) => written_count += count,
                Err(error) => {
                    // Opened again next time: it may be damaged at its end.
                    self.current = None;
                    return (written_count, Some(error));
                }
            }
        }
        (written_count, None)
    }

    /// Writes the first of these events, as many as belong in the same file. Returns their number, which
    /// is at least 1.
    fn append_to_one(
        &mut self,
        first_id: u64,
        entries: &[Arc<Entry>],
        now: Timestamp,
    ) -> Result<usize, FileError> {
        let size_max = self.file_size_max();
        let day = day_of(first_id, now);
        let mut current = match self.current.take() {
            Some(current)
                if current.is_in_place() && current.day == day && current.length < size_max =>
            {
                current
            }
            _ => self.open_for(first_id, now)?,
        };
        let mut text = String::new();
        let mut count = 0;
        for entry in entries {
            let length = current.length + text.len() as u64;
            let is_same_file = day_of(entry.id, now) == day && length < size_max;
            if count > 0 && !is_same_file {
                break;
            }
            text.push_str(&entry.to_json());
            text.push('\n');
            count += 1;
        }
        self.check_space().map_err(write_error(&self.folder))?;
        if let Err(error) = current.file.write_all(text.as_bytes()) {
            // What was written of it would be written again. If this fails as well, it is found twice
            // and shown once.
            let _ = current.file.set_len(current.length);
            return Err(write_error(&current.path)(error));
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
    fn open_for(&mut self, id: u64, now: Timestamp) -> Result<Current, FileError> {
        self.written_since_cleaning = None;
        let mut folder = DirBuilder::new();
        folder.recursive(true).mode(0o700);
        let failed = write_error(&self.folder);
        folder.create(&self.folder).map_err(failed)?;
        let failed = write_error(&self.folder);
        let files = list(&self.folder, now).map_err(failed)?.files;
        let day = day_of(id, now);
        let newest = files.last().filter(|file| {
            file.first_id <= id && file.day(now) == day && file.length < self.file_size_max()
        });
        if let Some(JournalFile { path, .. }) = newest {
            match Current::open(path.clone(), day) {
                Ok(current) => return Ok(current),
                Err(error) => log::warn!(
                    "failed to open {} to add events: {error}; a new file is begun",
                    path.display()
                ),
            }
        }
        let path = self.folder.join(format!("{id}.{EXTENSION}"));
        Current::open(path.clone(), day).map_err(write_error(&path))
    }

    /// Removes files that are too old or too many, unless little has been written since the last time. `None` if
    /// nothing was to be done.
    ///
    /// A file that cannot be removed keeps none of the others, and is tried again soon.
    pub fn clean(&mut self, now: Timestamp) -> Option<Result<(), FileError>> {
        self.clean_with(now, |path| fs::remove_file(path))
    }

    /// Like [`clean`](Self::clean), with this to remove a file.
    pub(super) fn clean_with(
        &mut self,
        now: Timestamp,
        remove: impl Fn(&Path) -> io::Result<()>,
    ) -> Option<Result<(), FileError>> {
        let is_current_over =
            (self.current.as_ref()).is_some_and(|current| current.day != today(now));
        let is_due = match (self.written_since_cleaning, self.cleaning_failed_at) {
            // The folder was opened since, which may have ended the failure.
            (None, _) => true,
            (_, Some(failed_at)) => now.since(failed_at) >= self.retry_pause,
            (Some(written), None) => written >= self.file_size_max() / 8,
        };
        if !is_due && !is_current_over {
            return None;
        }
        if is_current_over {
            self.current = None;
        }
        self.written_since_cleaning = Some(0);
        let result = self.remove_old(now, remove);
        self.cleaning_failed_at = result.is_err().then_some(now);
        Some(result)
    }

    fn remove_old(
        &self,
        now: Timestamp,
        remove: impl Fn(&Path) -> io::Result<()>,
    ) -> Result<(), FileError> {
        let Listing { files, ignored } =
            list(&self.folder, now).map_err(|source| FileError::List {
                path: self.folder.clone(),
                source,
            })?;
        // Those that are not read are of least use.
        let files: Vec<_> = ignored.into_iter().chain(files).collect();
        let mut size: u64 = files.iter().map(|file| file.length).sum();
        let size_max = self.limits.size_max.bytes();
        let mut failures = Vec::new();
        for file in files {
            let is_current =
                (self.current.as_ref()).is_some_and(|current| current.path == file.path);
            let is_too_old = now.since(end_of(file.day(now))) >= self.limits.age_max;
            if is_current || !(is_too_old || size > size_max) {
                continue;
            }
            match remove(&file.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    failures.push((file.path, error));
                }
                _ => size -= file.length,
            }
        }
        let count = failures.len();
        match failures.into_iter().next() {
            Some((path, source)) => Err(FileError::Remove {
                count,
                path,
                source,
            }),
            None => Ok(()),
        }
    }

    /// How long the next cleaning may be waited for, if nothing is written; `None` if it may take any time.
    pub fn cleaning_pause(&self) -> Option<Duration> {
        self.cleaning_failed_at.map(|_| self.retry_pause)
    }

    fn file_size_max(&self) -> u64 {
        (self.limits.size_max.bytes() / 8).clamp(*FILE_SIZE.start(), *FILE_SIZE.end())
    }
}

impl Current {
    /// Opens a file to add the events of a day, or creates it.
    fn open(path: PathBuf, day: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)?;
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
        Ok(Self {
            file,
            path,
            day,
            length,
        })
    }

    /// Whether its path still leads to it, and it is as long as it was.
    fn is_in_place(&self) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino(), metadata.len());
        let there = fs::symlink_metadata(&self.path).map(identity);
        let open = self.file.metadata().map(identity);
        matches!((there, open), (Ok(there), Ok(open)) if there == open && open.2 == self.length)
    }
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> FileError + use<> {
    let path = path.to_path_buf();
    move |source| FileError::Write { path, source }
}

/// The number of the current day, in UTC.
fn today(now: Timestamp) -> u64 {
    now.as_micros() / DAY_MICROS
}

/// The end of a day.
fn end_of(day: u64) -> Timestamp {
    Timestamp::from_micros((day + 1) * DAY_MICROS)
}

/// How much of a file system of this size is left to other files, such as the state of the daemon, in bytes.
fn reserve_of(total: u64) -> u64 {
    (total / 10).min(RESERVE_MAX)
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
