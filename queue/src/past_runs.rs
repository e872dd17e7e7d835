//! What the journal of earlier processes tells of how long jobs and replacements of runners take, for the
//! estimates of the core.

use std::{sync::Arc, time::Duration};

use daemon::journal::Entry;
use queue_core::PastRun;

use crate::recorder::{FINISHED, REPLACED, TOOK_MILLIS};

/// The jobs that have finished, with the time for which they had their runners, and the replacements of
/// runners, oldest first. Jobs whose assignment is not known are left out.
pub fn ended(events: &[Arc<Entry>]) -> impl Iterator<Item = PastRun> {
    events.iter().filter_map(|entry| {
        let profile_key = entry.profile_key.clone()?;
        match &*entry.event {
            FINISHED => Some(PastRun::Finished {
                profile_key,
                qualified_repo: entry.qualified_repo.clone()?,
                took: entry.at.since(entry.get_time("assigned_at")?),
            }),
            REPLACED => Some(PastRun::Replaced {
                profile_key,
                took: Duration::from_millis(entry.get(TOOK_MILLIS)?.as_u64()?),
            }),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use shared::{clock::Timestamp, values::ProfileKey};

    use super::*;

    #[test]
    fn finished_jobs_and_replacements_tell_how_long_they_took() {
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
            entry("runner_replaced").fact("took_milliseconds", 45_500),
            entry("runner_replaced").fact("took_milliseconds", "long"),
        ];
        let past: Vec<PastRun> = ended(&events.map(Arc::new)).collect();
        let profile_key: ProfileKey = "linux".parse().unwrap();
        let expected = [
            PastRun::Finished {
                profile_key: profile_key.clone(),
                qualified_repo: "servo/servo".parse().unwrap(),
                took: Duration::from_secs(300),
            },
            PastRun::Replaced {
                profile_key,
                took: Duration::from_millis(45_500),
            },
        ];
        assert_eq!(past, expected);
    }
}
