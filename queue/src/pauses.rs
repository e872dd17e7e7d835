//! The profiles that operators have paused, kept in the queue's data folder.
//!
//! Without the file, no profile is paused. With a damaged one neither, because which were is unknown: that is
//! logged, and shown as a problem until the file is replaced, which the next pause or resumption does.
//!
//! ```text
//! ci-runners paused profiles 1
//! sha256=<of the following line>
//! {"linux": {"since": <microseconds since the epoch>, "note": "…", "client_address": "…"}}
//! ```

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use daemon::problems::ProblemBoard;
use parking_lot::Mutex;
use shared::{operator::Intervention, problem::catalogue, sha256::Sha256, values::ProfileKey};

use crate::event_loop::EventLoop;

const FILE: &str = "paused-profiles";
const HEADER: &str = "ci-runners paused profiles 1";
/// The longest file, in bytes: more than the longest notes of all profiles that can be paused.
const LENGTH_MAX: u64 = 1024 * 1024;
/// The pause between two attempts to write what could not be written.
const RETRY_PAUSE: Duration = Duration::from_secs(10);
/// The subject of problems with the file.
const SUBJECT: &str = "paused profiles";

/// The pauses by profile.
pub type Pauses = BTreeMap<ProfileKey, Intervention>;

/// The file. Cheap to clone.
#[derive(Clone)]
pub struct PausesFile(Arc<Shared>);

struct Shared {
    path: PathBuf,
    problem_board: ProblemBoard,
    /// Held while the file is written, so that a later state is never replaced by an earlier one.
    writing: Mutex<Writing>,
}

#[derive(Default)]
struct Writing {
    /// Whether the last attempt has failed.
    has_failed: bool,
}

impl PausesFile {
    /// Reads the file in `folder`.
    pub fn load(folder: &Path, problem_board: ProblemBoard) -> (Self, Pauses) {
        let path = folder.join(FILE);
        let pauses = read(&path).unwrap_or_else(|error| {
            let path = path.display();
            let cause = format!("failed to read {path}: {error}; no profile is paused");
            let remedy = "pause the profiles again that have to be paused; if there are none, resume any profile, \
                          which replaces the file";
            problem_board.report(&catalogue::PAUSES_LOST, SUBJECT, cause, remedy);
            Pauses::new()
        });
        let shared = Shared {
            path,
            problem_board,
            writing: Mutex::default(),
        };
        (Self(Arc::new(shared)), pauses)
    }

    /// Writes which profiles are paused now. While that fails, it is a problem, and [`Self::retry`] tries again.
    ///
    /// # Errors
    /// When it fails.
    pub async fn save(&self, event_loop: &EventLoop) -> io::Result<()> {
        let (file, event_loop) = (self.clone(), event_loop.clone());
        let saved = actix_web::web::block(move || file.save_now(&event_loop)).await;
        saved.map_err(io::Error::other).flatten()
    }

    fn save_now(&self, event_loop: &EventLoop) -> io::Result<()> {
        let Shared {
            path,
            problem_board,
            writing,
        } = &*self.0;
        let mut writing = writing.lock();
        let pauses: Pauses = event_loop.read(|queue, _| {
            let pauses = queue.pauses();
            let pauses = pauses.map(|(key, pause)| (key.clone(), pause.clone()));
            pauses.collect()
        });
        let written = write(path, &pauses);
        writing.has_failed = written.is_err();
        match &written {
            Ok(()) => {
                problem_board.resolve(&catalogue::PAUSES_LOST, SUBJECT);
                problem_board.resolve(&catalogue::STATE_NOT_SAVED, SUBJECT);
            }
            Err(error) => {
                let path = path.display();
                let cause = format!(
                    "failed to write {path}: {error}; a restart undoes the last pauses and resumptions"
                );
                let remedy = "free some space in the data folder, or make it writable";
                problem_board.report(&catalogue::STATE_NOT_SAVED, SUBJECT, cause, remedy);
            }
        }
        written
    }

    /// Writes again what could not be written. Never returns.
    pub async fn retry(self, event_loop: EventLoop) {
        loop {
            tokio::time::sleep(RETRY_PAUSE).await;
            let has_failed = self.0.writing.lock().has_failed;
            if has_failed {
                // The problem has the error.
                let _ = self.save(&event_loop).await;
            }
        }
    }
}

/// The pauses in a file; none if there is no file.
fn read(path: &Path) -> io::Result<Pauses> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Pauses::new()),
        opened => opened?,
    };
    let mut text = String::new();
    file.take(LENGTH_MAX).read_to_string(&mut text)?;
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is damaged");
    parse(&text).ok_or_else(damaged)
}

/// The pauses in the text of a file; `None` if it is damaged.
fn parse(text: &str) -> Option<Pauses> {
    let rest = text.strip_prefix(HEADER)?.strip_prefix("\nsha256=")?;
    let (checksum, line) = rest.split_once('\n')?;
    let is_whole = checksum.parse() == Ok(Sha256::of(line.as_bytes()));
    is_whole.then(|| serde_json::from_str(line).ok()).flatten()
}

/// Replaces the file, so that there is always a whole one, and waits until it is on disk.
fn write(path: &Path, pauses: &Pauses) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let draft = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(to_text(pauses).as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(folder)?.sync_all()
}

/// The text of the file.
fn to_text(pauses: &Pauses) -> String {
    let json = serde_json::to_string(pauses);
    let line = json.expect("pauses have only text keys and plain values") + "\n";
    format!("{HEADER}\nsha256={}\n{line}", Sha256::of(line.as_bytes()))
}

#[cfg(test)]
mod tests {
    use shared::clock::{Clock, Timestamp};

    use super::*;

    fn pauses() -> Pauses {
        let pause = Intervention {
            since: Timestamp::from_micros(1_790_000_000_123_456),
            note: "new \"disks\"\\n".to_owned(),
            client_address: Some([192, 0, 2, 1].into()),
        };
        [("linux".parse().unwrap(), pause)].into()
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue").join(FILE);
        assert_eq!(read(&path).unwrap(), Pauses::new());
        write(&path, &pauses()).unwrap();
        assert_eq!(read(&path).unwrap(), pauses());
        write(&path, &Pauses::new()).unwrap();
        assert_eq!(read(&path).unwrap(), Pauses::new());
    }

    #[test]
    fn a_damaged_file_pauses_nothing_and_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        let whole = to_text(&pauses()).into_bytes();
        let load = |content: &[u8]| {
            fs::write(folder.path().join(FILE), content).unwrap();
            let board = ProblemBoard::new(Clock::start());
            let (_, pauses) = PausesFile::load(folder.path(), board.clone());
            (pauses.len(), board.list().len())
        };
        assert_eq!(load(&whole), (1, 0));
        for index in 0..whole.len() {
            assert_eq!(load(&whole[..index]), (0, 1), "cut off at {index}");
            let mut changed = whole.clone();
            changed[index] ^= 1;
            assert_eq!(load(&changed), (0, 1), "bit flipped at {index}");
        }
        let beyond = [whole, vec![b' '; LENGTH_MAX as usize]].concat();
        assert_eq!(load(&beyond), (0, 1));
    }
}
