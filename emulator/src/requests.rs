//! Who asked GitHub for what, for tests to read. Holds no header and no body, so no secret.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::Serialize;

use crate::bell::Bell;

/// How many requests are remembered; then the oldest are forgotten.
const ENTRY_COUNT_MAX: usize = 10_000;
/// How much of a path is kept, in bytes.
const PATH_LENGTH_MAX: usize = 2_048;

/// One request to GitHub's API or for an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestEntry {
    /// The method, in capitals.
    pub method: String,
    /// The path with its query; a download's address without the part that permits it.
    pub path: String,
    /// The answer's status; none while it is held, or when the connection was dropped instead.
    pub status: Option<u16>,
}

/// The latest requests, oldest first.
#[derive(Debug)]
pub struct RequestLog {
    entries: Mutex<Entries>,
    bell: Bell,
}

#[derive(Debug, Default)]
struct Entries {
    /// How many requests were forgotten or cleared, which is the number of the first one here.
    gone_count: u64,
    kept: VecDeque<RequestEntry>,
}

impl RequestLog {
    pub(crate) fn new(bell: Bell) -> Self {
        Self {
            entries: Mutex::default(),
            bell,
        }
    }

    /// What was asked, in the order it arrived.
    pub fn all(&self) -> Vec<RequestEntry> {
        self.entries.lock().kept.iter().cloned().collect()
    }

    /// How many requests with that method have a path that begins with `prefix`.
    pub fn count(&self, method: &str, prefix: &str) -> usize {
        let is_meant =
            |entry: &&RequestEntry| entry.method == method && entry.path.starts_with(prefix);
        self.entries.lock().kept.iter().filter(is_meant).count()
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        let mut entries = self.entries.lock();
        entries.gone_count += entries.kept.len() as u64;
        entries.kept.clear();
    }

    /// Notes a request that has arrived, and gives it a number.
    pub(crate) fn arrived(&self, method: &str, path: &str) -> u64 {
        let mut entries = self.entries.lock();
        if entries.kept.len() == ENTRY_COUNT_MAX {
            entries.kept.pop_front();
            entries.gone_count += 1;
        }
        entries.kept.push_back(RequestEntry {
            method: method.into(),
            path: path[..path.floor_char_boundary(PATH_LENGTH_MAX)].into(),
            status: None,
        });
        let number = entries.gone_count + entries.kept.len() as u64 - 1;
        drop(entries);
        self.bell.ring();
        number
    }

    /// Notes how it was answered, unless it has been forgotten.
    pub(crate) fn answered(&self, number: u64, status: u16) {
        let mut entries = self.entries.lock();
        let position = number.checked_sub(entries.gone_count);
        let entry = position
            .and_then(|position| usize::try_from(position).ok())
            .and_then(|position| entries.kept.get_mut(position));
        if let Some(entry) = entry {
            entry.status = Some(status);
        }
        drop(entries);
        self.bell.ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> RequestLog {
        RequestLog::new(Bell::new())
    }

    #[test]
    fn an_answer_finds_its_request_and_no_other() {
        let log = log();
        let first = log.arrived("GET", "/a");
        let second = log.arrived("POST", "/b?c=d");
        log.answered(second, 201);
        let statuses: Vec<_> = log.all().into_iter().map(|entry| entry.status).collect();
        assert_eq!(statuses, [None, Some(201)]);
        log.clear();
        let third = log.arrived("GET", "/c");
        log.answered(first, 500);
        log.answered(third, 404);
        let entry = RequestEntry {
            method: "GET".into(),
            path: "/c".into(),
            status: Some(404),
        };
        assert_eq!(log.all(), [entry]);
    }

    #[test]
    fn requests_are_counted_by_method_and_path() {
        let log = log();
        for (method, path) in [("GET", "/a/b"), ("GET", "/a?page=2"), ("POST", "/a")] {
            log.arrived(method, path);
        }
        assert_eq!(
            (
                log.count("GET", "/a"),
                log.count("GET", "/a/"),
                log.count("PUT", "/a")
            ),
            (2, 1, 0)
        );
    }

    #[test]
    fn the_log_is_bounded_in_number_and_length() {
        let log = log();
        let oldest = log.arrived("GET", "/oldest");
        for _ in 0..ENTRY_COUNT_MAX {
            log.arrived("GET", &"é".repeat(PATH_LENGTH_MAX));
        }
        log.answered(oldest, 200);
        let all = log.all();
        assert_eq!(all.len(), ENTRY_COUNT_MAX);
        assert!(
            all.iter()
                .all(|entry| entry.path.len() <= PATH_LENGTH_MAX && entry.status.is_none())
        );
    }
}
