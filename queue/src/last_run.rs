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

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use daemon::problems::ProblemBoard;
use shared::{
    clock::{Clock, Timestamp},
    problem::catalogue,
    sha256::Sha256,
};

const FILE: &str = "last-run";
const HEADER: &str = "ci-runners last run 1";
/// The longest file, in bytes.
const LENGTH_MAX: u64 = 256;
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
        let last = read(&path).unwrap_or_else(|error| {
            log::warn!(
                "failed to read {}: {error}; the time since the last run counts against tickets, and the file \
                 is replaced",
                path.display()
            );
            None
        });
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
        io::Write::write_all(&mut file, to_text(written).as_bytes())?;
        fs::rename(&draft, &self.path)
    }
}

/// The time in a file; `None` if there is no file.
fn read(path: &Path) -> io::Result<Option<Timestamp>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = String::new();
    file.take(LENGTH_MAX).read_to_string(&mut text)?;
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is damaged");
    parse(&text).map(Some).ok_or_else(damaged)
}

/// The time in the text of a file; `None` if it is damaged.
fn parse(text: &str) -> Option<Timestamp> {
    let Some(rest) = text.strip_prefix(HEADER) else {
        return text.parse().ok();
    };
    let (checksum, line) = rest.strip_prefix("\nsha256=")?.split_once('\n')?;
    let is_whole = checksum.parse() == Ok(Sha256::of(line.as_bytes()));
    is_whole.then(|| line.trim_end().parse().ok()).flatten()
}

/// The text of the file.
fn to_text(time: Timestamp) -> String {
    let line = format!("{}\n", time.as_micros());
    format!("{HEADER}\nsha256={}\n{line}", Sha256::of(line.as_bytes()))
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
        let written = read(&file).unwrap().unwrap();
        fs::write(&file, to_text(written - year)).unwrap();
        assert!(in_folder(&folder).down_for() >= year);
        // And after another restart.
        in_folder(&folder).write().unwrap();
        assert!(in_folder(&folder).down_for() >= year);
        // The clock was set back.
        fs::write(&file, to_text(written + year)).unwrap();
        assert_eq!(in_folder(&folder).down_for(), Duration::ZERO);
    }

    #[test]
    fn a_file_of_an_earlier_release_has_no_checksum() {
        let time = Timestamp::from_micros(1_790_000_000_123_456);
        assert_eq!(parse("1790000000123456"), Some(time));
        assert_eq!(parse(&to_text(time)), Some(time));
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        in_folder(&folder).write().unwrap();
        let text = to_text(Timestamp::from_seconds(1_700_000_000));
        let is_ignored = |content: &[u8]| {
            fs::write(folder.path().join("queue").join(FILE), content).unwrap();
            in_folder(&folder).down_for() == Duration::ZERO
        };
        assert!(!is_ignored(text.as_bytes()));
        for content in ["", "yesterday", "-1", "\u{e9}"] {
            assert!(is_ignored(content.as_bytes()), "{content}");
        }
        for index in 0..text.len() {
            assert!(is_ignored(&text.as_bytes()[..index]), "cut off at {index}");
            let mut changed = text.clone().into_bytes();
            changed[index] ^= 1;
            assert!(is_ignored(&changed), "bit flipped at {index}");
        }
        assert!(is_ignored(&[text.as_bytes(), &[b' '; 1000]].concat()));
    }
}
