//! When the queue last ran, kept in its data folder.
//!
//! The time since then does not count against tickets, because it may be a jump of the clock: a host
//! can start with any time, and get the right one later. Without the file, or with one that cannot be
//! read, all of it counts. Until the tickets from before have expired, the time that does not count is
//! left out of what is written, so that another restart does not make it count.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use daemon::problems::ProblemBoard;
use shared::{
    clock::{Clock, Timestamp},
    problem::catalogue,
};

/// The file, which contains microseconds since the Unix epoch in decimal.
const FILE: &str = "last-run";
/// How often it is written.
const WRITE_INTERVAL: Duration = Duration::from_secs(60);

/// The file and the clock that is written to it.
pub struct LastRun {
    path: PathBuf,
    clock: Clock,
    started_at: Timestamp,
    ticket_lifetime: Duration,
    down_for: Duration,
}

impl LastRun {
    /// Reads the file in `folder`.
    pub fn new(folder: &Path, clock: Clock, ticket_lifetime: Duration) -> Self {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let last: Option<Timestamp> = text.trim().parse().ok();
        let started_at = clock.now();
        Self {
            path,
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
        loop {
            match self.write() {
                Ok(()) => problem_board.resolve(kind, subject),
                Err(error) => {
                    let path = self.path.display();
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

    /// Writes the current time, so that there is always a whole file.
    fn write(&self) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let draft = self.path.with_extension("new");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        let now = self.clock.now();
        let is_new = now.since(self.started_at) < self.ticket_lifetime;
        let written = if is_new { now - self.down_for } else { now };
        io::Write::write_all(&mut file, written.as_micros().to_string().as_bytes())?;
        fs::rename(&draft, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_folder(folder: &tempfile::TempDir) -> LastRun {
        let day = Duration::from_secs(24 * 3600);
        LastRun::new(&folder.path().join("queue"), Clock::start(), day)
    }

    #[test]
    fn the_time_since_the_last_run_is_known() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(in_folder(&folder).down_for(), Duration::ZERO);
        in_folder(&folder).write().unwrap();
        let file = folder.path().join("queue").join(FILE);
        let year = Duration::from_secs(365 * 24 * 3600);
        let written: Timestamp = fs::read_to_string(&file).unwrap().parse().unwrap();
        fs::write(&file, (written - year).as_micros().to_string()).unwrap();
        assert!(in_folder(&folder).down_for() >= year);
        // And after another restart.
        in_folder(&folder).write().unwrap();
        assert!(in_folder(&folder).down_for() >= year);
        // The clock was set back.
        fs::write(&file, (written + year).as_micros().to_string()).unwrap();
        assert_eq!(in_folder(&folder).down_for(), Duration::ZERO);
    }

    #[test]
    fn a_file_without_a_time_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        in_folder(&folder).write().unwrap();
        for text in ["", "yesterday", "-1", "\u{e9}"] {
            fs::write(folder.path().join("queue").join(FILE), text).unwrap();
            assert_eq!(in_folder(&folder).down_for(), Duration::ZERO, "{text}");
        }
    }
}
