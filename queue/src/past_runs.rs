//! What the journal of earlier processes tells of how long jobs take, for the estimates of the core.

use std::sync::Arc;

use daemon::journal::Entry;
use queue_core::PastRun;

use crate::recorder::FINAL_EVENTS;

/// The jobs that have finished, oldest first, with the time for which they had their runners. Jobs whose
/// assignment is not known are left out.
pub fn finished(events: &[Arc<Entry>]) -> impl Iterator<Item = PastRun> {
    let finished = events.iter().filter(|entry| entry.event == FINAL_EVENTS[0]);
    finished.filter_map(|entry| {
        Some(PastRun::Finished {
            profile_key: entry.profile_key.clone()?,
            qualified_repo: entry.qualified_repo.clone()?,
            took: entry.at.since(entry.get_time("assigned_at")?),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shared::clock::Timestamp;

    use super::*;

    #[test]
    fn a_finished_job_tells_how_long_it_had_its_runners() {
        let entry = |name: &'static str| Entry {
            profile_key: Some("linux".parse().unwrap()),
            qualified_repo: Some("servo/servo".parse().unwrap()),
            ..Entry::new(Timestamp::from_seconds(1300), name)
        };
        let assigned_at = Timestamp::from_seconds(1000);
        let events = [
            entry("job_finished").time("assigned_at", assigned_at),
            entry("job_finished"),
            entry("job_expired").time("assigned_at", assigned_at),
            Entry {
                profile_key: None,
                ..entry("job_finished").time("assigned_at", assigned_at)
            },
        ];
        let past: Vec<PastRun> = finished(&events.map(Arc::new)).collect();
        let expected = PastRun::Finished {
            profile_key: "linux".parse().unwrap(),
            qualified_repo: "servo/servo".parse().unwrap(),
            took: Duration::from_secs(300),
        };
        assert_eq!(past, [expected]);
    }
}
