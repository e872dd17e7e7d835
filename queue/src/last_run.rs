//! When the queue last ran, kept in its data folder.
//!
//! The time since then does not count against tickets, because it may be a jump of the clock: a host
//! can start with any time, and get the right one later. Without the file, or with a damaged one, all of it
//! counts: a wrong time would make expired tickets valid again. Until the tickets from before have expired, the time that does not count is
//! left out of what is written, so that another restart does not make it count.
//!
//! ```text
//! ci-runners last run 1
//! sha256=<of the following line>
//! <microseconds since the epoch>
//! ```
//!
//! Before it had a checksum, the file was that number alone.

use std::{io, path::Path, sync::Arc, time::Duration};

use daemon::{checked_file::CheckedFile, problems::ProblemBoard};
use shared::{
    clock::{Clock, Timestamp},
    problem::catalogue,
};

const FILE: &str = "last-run";
const HEADER: &str = "ci-runners last run 1";
/// The longest file, in bytes.
const LENGTH_MAX: u64 = 256;
/// How often it is written.
const WRITE_INTERVAL: Duration = Duration::from_secs(60);

/// The file and the clock that is written to it.
pub struct LastRun {
    file: CheckedFile,
    clock: Clock,
    started_at: Timestamp,
    ticket_lifetime: Duration,
    down_for: Duration,
}

impl LastRun {
    /// Reads the file in `folder`.
    pub fn new(folder: &Path, clock: Clock, ticket_lifetime: Duration) -> Self {
        let file = CheckedFile::new(folder.join(FILE), HEADER, LENGTH_MAX);
        let last = read(&file).unwrap_or_else(|error| {
            log::warn!(
                "failed to read {}: {error}; the time since the last run counts against tickets, and the file \
                 is replaced",
                file.path().display()
            );
            None
        });
        let started_at = clock.now();
        Self {
            file,
            clock,
            started_at,
            ticket_lifetime,
            down_for: last.map_or(Duration::ZERO, |last| started_at.since(last)),
        }
    }

    /// How long the queue has not run; zero if that is unknown or the clock was set back.
    pub fn down_for(&self) -> Duration {
        self.down_for
    }

    /// Writes the current time, now and again and again. Never returns. While that fails, it is a problem
    /// that is shown and logged.
    pub async fn keep(self, problem_board: ProblemBoard) {
        let (kind, subject) = (&catalogue::STATE_NOT_SAVED, "time of the last run");
        let this = Arc::new(self);
        loop {
            let writer = Arc::clone(&this);
            let written = actix_web::web::block(move || writer.write()).await;
            match written.map_err(io::Error::other).flatten() {
                Ok(()) => problem_board.resolve(kind, subject),
                Err(error) => {
                    let path = this.file.path().display();
                    let cause = format!(
                        "failed to write {path}: {error}; after a restart, tickets expire even if only the \
                         clock jumped"
                    );
                    let remedy = "free some space in the data folder, or make it writable";
                    problem_board.report(kind, subject, cause, remedy);
                }
            }
            tokio::time::sleep(WRITE_INTERVAL).await;
        }
    }

    fn write(&self) -> io::Result<()> {
        let now = self.clock.now();
        let is_new = now.since(self.started_at) < self.ticket_lifetime;
        let written = if is_new { now - self.down_for } else { now };
        self.file.replace(&to_body(written))
    }
}

/// The time in a file; `None` if there is no file.
fn read(file: &CheckedFile) -> io::Result<Option<Timestamp>> {
    let Some(text) = file.read()? else {
        return Ok(None);
    };
    if let Ok(time) = text.parse() {
        // As an earlier release wrote it.
        return Ok(Some(time));
    }
    let time = file.body(&text)?.trim_end().parse();
    time.map(Some).map_err(io::Error::other)
}

fn to_body(time: Timestamp) -> String {
    format!("{}\n", time.as_micros())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn in_folder(folder: &tempfile::TempDir) -> LastRun {
        let day = Duration::from_secs(24 * 3600);
        LastRun::new(&folder.path().join("queue"), Clock::start(), day)
    }

    #[test]
    fn the_time_since_the_last_run_is_known() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(in_folder(&folder).down_for(), Duration::ZERO);
        let last_run = in_folder(&folder);
        last_run.write().unwrap();
        let year = Duration::from_secs(365 * 24 * 3600);
        let written = read(&last_run.file).unwrap().unwrap();
        last_run.file.replace(&to_body(written - year)).unwrap();
        assert!(in_folder(&folder).down_for() >= year);
        // And after another restart.
        in_folder(&folder).write().unwrap();
        assert!(in_folder(&folder).down_for() >= year);
        // The clock was set back.
        last_run.file.replace(&to_body(written + year)).unwrap();
        assert_eq!(in_folder(&folder).down_for(), Duration::ZERO);
    }

    #[test]
    fn a_file_of_an_earlier_release_has_no_checksum() {
        let folder = tempfile::tempdir().unwrap();
        let last_run = in_folder(&folder);
        last_run.write().unwrap();
        fs::write(last_run.file.path(), "1790000000123456").unwrap();
        let time = Timestamp::from_micros(1_790_000_000_123_456);
        assert_eq!(read(&last_run.file).unwrap(), Some(time));
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = in_folder(&folder).file;
        let is_ignored = || in_folder(&folder).down_for() == Duration::ZERO;
        file.replace(&to_body(Timestamp::from_seconds(1_700_000_000)))
            .unwrap();
        assert!(!is_ignored());
        // Its checksum is right.
        file.replace("yesterday\n").unwrap();
        assert!(is_ignored());
        for content in ["", "yesterday", "-1", "\u{e9}"] {
            fs::write(file.path(), content).unwrap();
            assert!(is_ignored(), "{content}");
        }
    }
}
