//! The profiles that operators have paused, kept in the queue's data folder.
//!
//! Without the file, no profile is paused. With a damaged one neither, because which were is unknown: that is
//! logged, and shown as a problem until the file is replaced, which the next pause or resumption does.
//!
//! ```text
//! ci-runners paused profiles 1
//! sha256=<of the following line>
//! {"linux": {"since": <microseconds since the epoch>, "note": "…", "author": "…", "client_address": "…"}}
//! ```

use std::{collections::BTreeMap, io, path::Path, sync::Arc, time::Duration};

use daemon::{checked_file::CheckedFile, problems::ProblemBoard};
use parking_lot::Mutex;
use shared::{operator::Intervention, problem::catalogue, values::ProfileKey};

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
    file: CheckedFile,
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
        let file = CheckedFile::new(folder.join(FILE), HEADER, LENGTH_MAX);
        let pauses = read(&file).unwrap_or_else(|error| {
            let path = file.path().display();
            let cause = format!("failed to read {path}: {error}; no profile is paused");
            let remedy = "pause the profiles again that have to be paused; if there are none, resume any profile, \
                          which replaces the file";
            problem_board.report(&catalogue::PAUSES_LOST, SUBJECT, cause, remedy);
            Pauses::new()
        });
        let shared = Shared {
            file,
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
            file,
            problem_board,
            writing,
        } = &*self.0;
        let mut writing = writing.lock();
        let pauses: Pauses = event_loop.read(|queue, _| {
            let pauses = queue.pauses();
            let pauses = pauses.map(|(key, pause)| (key.clone(), pause.clone()));
            pauses.collect()
        });
        let written = file.replace(&to_body(&pauses));
        writing.has_failed = written.is_err();
        match &written {
            Ok(()) => {
                problem_board.resolve(&catalogue::PAUSES_LOST, SUBJECT);
                problem_board.resolve(&catalogue::STATE_NOT_SAVED, SUBJECT);
            }
            Err(error) => {
                let path = file.path().display();
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
fn read(file: &CheckedFile) -> io::Result<Pauses> {
    match file.read()? {
        Some(text) => Ok(serde_json::from_str(file.body(&text)?)?),
        None => Ok(Pauses::new()),
    }
}

fn to_body(pauses: &Pauses) -> String {
    let json = serde_json::to_string(pauses);
    json.expect("pauses have only text keys and plain values") + "\n"
}

#[cfg(test)]
mod tests {
    use std::fs;

    use shared::clock::{Clock, Timestamp};

    use super::*;

    fn pauses() -> Pauses {
        let pause = Intervention {
            since: Timestamp::from_micros(1_790_000_000_123_456),
            note: "new \"disks\"\\n".to_owned(),
            author: "alice@laptop".to_owned(),
            client_address: Some([192, 0, 2, 1].into()),
        };
        [("linux".parse().unwrap(), pause)].into()
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = CheckedFile::new(folder.path().join("queue").join(FILE), HEADER, LENGTH_MAX);
        assert_eq!(read(&file).unwrap(), Pauses::new());
        for written in [pauses(), Pauses::new()] {
            file.replace(&to_body(&written)).unwrap();
            assert_eq!(read(&file).unwrap(), written);
        }
    }

    #[test]
    fn a_file_of_an_earlier_release_has_no_author() {
        let folder = tempfile::tempdir().unwrap();
        let file = CheckedFile::new(folder.path().join(FILE), HEADER, LENGTH_MAX);
        file.replace("{\"linux\": {\"since\": 7, \"note\": \"new disks\"}}\n")
            .unwrap();
        let read = read(&file).unwrap();
        let pause = read.values().next().unwrap();
        assert_eq!((&*pause.note, &*pause.author), ("new disks", ""));
    }

    #[test]
    fn a_damaged_file_pauses_nothing_and_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        let file = CheckedFile::new(folder.path().join(FILE), HEADER, LENGTH_MAX);
        let load = || {
            let board = ProblemBoard::new(Clock::start());
            let (_, pauses) = PausesFile::load(folder.path(), board.clone());
            (pauses.len(), board.list().len())
        };
        file.replace(&to_body(&pauses())).unwrap();
        assert_eq!(load(), (1, 0));
        // Its checksum is right.
        file.replace("{\"linux\": 5}\n").unwrap();
        assert_eq!(load(), (0, 1));
        fs::write(file.path(), to_body(&pauses())).unwrap();
        assert_eq!(load(), (0, 1));
    }
}
