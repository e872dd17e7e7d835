//! What the journal of earlier processes tells of how long jobs and replacements of runners take, for the
//! estimates of the core.

use std::{sync::Arc, time::Duration};

use daemon::journal::Entry;
use queue_core::{PastRun, PastShare};
use shared::values::Count;

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
                share: share(entry),
            }),
            REPLACED => Some(PastRun::Replaced {
                profile_key,
                took: Duration::from_millis(entry.get(TOOK_MILLIS)?.as_u64()?),
            }),
            _ => None,
        }
    })
}

/// What a job counts as for the share of its repository, if it was enqueued with a policy.
fn share(entry: &Entry) -> Option<PastShare> {
    Some(PastShare {
        lane: entry.get("lane")?.as_str()?.parse().ok()?,
        ended_at: entry.at,
        count: Count::new(entry.get("count")?.as_u64()?).ok()?,
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
                share: None,
            },
            PastRun::Replaced {
                profile_key,
                took: Duration::from_millis(45_500),
            },
        ];
        assert_eq!(past, expected);

        let in_lane = entry("job_finished")
            .time("assigned_at", assigned_at)
            .fact("count", 2)
            .fact("lane", "release");
        let past: Vec<PastRun> = ended(&[Arc::new(in_lane)]).collect();
        let PastRun::Finished { took, share, .. } = &past[0] else {
            panic!("{past:?} tells of a finished job");
        };
        let expected = PastShare {
            lane: "release".parse().unwrap(),
            ended_at: Timestamp::from_seconds(1300),
            count: Count::new(2).unwrap(),
        };
        assert_eq!((took.as_secs(), share.as_ref()), (300, Some(&expected)));
    }
}
