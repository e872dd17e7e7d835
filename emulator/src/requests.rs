//! A log of requests, for tests. Contains no headers and no bodies, and therefore no secrets.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::Serialize;

use crate::notify::Notifier;

/// Maximum number of entries. Beyond it the oldest are dropped.
const ENTRY_COUNT_MAX: usize = 10_000;
/// Maximum length of a path, in bytes. Longer paths are cut.
const PATH_LENGTH_MAX: usize = 2_048;

/// A request to GitHub's API, or for the content of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestEntry {
    /// The method, in capitals.
    pub method: String,
    /// The path with its query; of a download URL only the path, because the query has a secret.
    pub path: String,
    /// The status of the response; none while it is held, or if the connection was dropped.
    pub status: Option<u16>,
}

/// The latest requests, oldest first.
#[derive(Debug)]
pub struct RequestLog {
    entries: Mutex<Entries>,
    notifier: Notifier,
}

#[derive(Debug, Default)]
struct Entries {
    /// How many entries were dropped or cleared, which is the number of the first one in `kept`.
    removed_count: u64,
    kept: VecDeque<RequestEntry>,
}

impl RequestLog {
    pub(crate) fn new(notifier: Notifier) -> Self {
        Self {
            entries: Mutex::default(),
            notifier,
        }
    }

    /// All entries, in the order in which the requests arrived.
    pub fn all(&self) -> Vec<RequestEntry> {
        self.entries.lock().kept.iter().cloned().collect()
    }

    /// The number of requests with this method and a path that begins with `prefix`.
    pub fn count(&self, method: &str, prefix: &str) -> usize {
        let is_counted =
            |entry: &&RequestEntry| entry.method == method && entry.path.starts_with(prefix);
        self.entries.lock().kept.iter().filter(is_counted).count()
    }

    pub fn clear(&self) {
        let mut entries = self.entries.lock();
        entries.removed_count += entries.kept.len() as u64;
        entries.kept.clear();
    }

    /// Records a request that has arrived; returns its number.
    pub(crate) fn record_request(&self, method: &str, path: &str) -> u64 {
        let mut entries = self.entries.lock();
        if entries.kept.len() == ENTRY_COUNT_MAX {
            entries.kept.pop_front();
            entries.removed_count += 1;
        }
        entries.kept.push_back(RequestEntry {
            method: method.into(),
            path: path[..path.floor_char_boundary(PATH_LENGTH_MAX)].into(),
            status: None,
        });
        let number = entries.removed_count + entries.kept.len() as u64 - 1;
        drop(entries);
        self.notifier.notify();
        number
    }

    /// Records the status of the response, unless the entry was dropped.
    pub(crate) fn record_response(&self, number: u64, status: u16) {
        let mut entries = self.entries.lock();
        let position = number.checked_sub(entries.removed_count);
        let entry = position
            .and_then(|position| usize::try_from(position).ok())
            .and_then(|position| entries.kept.get_mut(position));
        if let Some(entry) = entry {
            entry.status = Some(status);
        }
        drop(entries);
        self.notifier.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> RequestLog {
        RequestLog::new(Notifier::new())
    }

    #[test]
    fn a_response_is_recorded_with_its_request() {
        let log = log();
        let first = log.record_request("GET", "/a");
        let second = log.record_request("POST", "/b?c=d");
        log.record_response(second, 201);
        let statuses: Vec<_> = log.all().into_iter().map(|entry| entry.status).collect();
        assert_eq!(statuses, [None, Some(201)]);
        log.clear();
        let third = log.record_request("GET", "/c");
        log.record_response(first, 500);
        log.record_response(third, 404);
        let entry = RequestEntry {
            method: "GET".into(),
            path: "/c".into(),
            status: Some(404),
        };
        assert_eq!(log.all(), [entry]);
    }

    #[test]
    fn requests_are_counted_by_method_and_path_prefix() {
        let log = log();
        for (method, path) in [("GET", "/a/b"), ("GET", "/a?page=2"), ("POST", "/a")] {
            log.record_request(method, path);
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
    fn the_number_of_entries_and_the_length_of_paths_are_limited() {
        let log = log();
        let oldest = log.record_request("GET", "/oldest");
        for _ in 0..ENTRY_COUNT_MAX {
            log.record_request("GET", &"é".repeat(PATH_LENGTH_MAX));
        }
        log.record_response(oldest, 200);
        let all = log.all();
        assert_eq!(all.len(), ENTRY_COUNT_MAX);
        assert!(
            all.iter()
                .all(|entry| entry.path.len() <= PATH_LENGTH_MAX && entry.status.is_none())
        );
    }
}
