//! How long jobs of each profile waited in the last 24 hours, hour by hour, for the page and `dashboard.json`.
//!
//! Counts waits by their length, so that neither memory nor the work of a request grows with the number of
//! jobs. Not responsible for estimates, which the core makes from its own statistics.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use daemon::journal::Entry;
use parking_lot::Mutex;
use queue_core::{JobEvent, JobStep};
use serde::Serialize;
use shared::{
    clock::Timestamp,
    values::{ProfileKey, UniqueId},
};

use crate::recorder::{ASSIGNED, FIRST_EVENT, RESTORED};

/// How many hours are kept: the current one and the 23 before it.
pub const HOURS: usize = 24;
/// Maximum number of profiles; waits of further ones are not counted.
const PROFILES_MAX: usize = 100;
/// Four classes for each doubling of the wait, from one second to two days, and one below that: within a class
/// waits differ by 19 %.
const CLASSES: usize = 71;
const CLASSES_PER_DOUBLING: f64 = 4.0;
const HOUR: Duration = Duration::from_secs(3600);

/// The waits of all profiles. Cheap to clone; all clones share them.
#[derive(Clone, Debug, Default)]
pub struct Waits(Arc<Mutex<BTreeMap<ProfileKey, VecDeque<Hour>>>>);

/// The waits that ended in one hour.
#[derive(Clone, Debug)]
struct Hour {
    /// Since the Unix epoch.
    number: u64,
    counts: Counts,
}

/// How many waits there were in each class.
#[derive(Clone, Debug)]
struct Counts([u32; CLASSES]);

/// The waits of one profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProfileWaits {
    /// Of all hours together.
    #[serde(flatten)]
    pub total: WaitSummary,
    /// The hours in which a job got its runners, oldest first.
    pub hours: Vec<HourOfWaits>,
}

/// The waits that ended in one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HourOfWaits {
    /// When the hour began, in microseconds since the Unix epoch.
    pub from: Timestamp,
    #[serde(flatten)]
    pub summary: WaitSummary,
}

/// How long jobs waited for their runners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct WaitSummary {
    /// How many jobs got their runners.
    pub jobs: u64,
    /// Half of them waited no longer.
    pub p50_seconds: u64,
    /// 90 % of them waited no longer.
    pub p90_seconds: u64,
}

impl Waits {
    /// The waits in the events of an earlier process, oldest first.
    pub fn find(events: &[Arc<Entry>]) -> Self {
        let waits = Self::default();
        let mut enqueued: HashMap<&UniqueId, Timestamp> = HashMap::new();
        for entry in events {
            let Some(unique_id) = &entry.unique_id else {
                continue;
            };
            match &*entry.event {
                FIRST_EVENT | RESTORED => {
                    enqueued.extend(entry.get_time("enqueued_at").map(|at| (unique_id, at)));
                }
                ASSIGNED => {
                    if let (Some(at), Some(profile_key)) =
                        (enqueued.get(unique_id), &entry.profile_key)
                    {
                        waits.add(profile_key, entry.at, entry.at.since(*at));
                    }
                }
                _ => {}
            }
        }
        waits
    }

    /// Counts the wait that this event ends, if it does.
    pub fn observe(&self, event: &JobEvent) {
        if matches!(event.step, JobStep::Assigned { .. }) {
            let waited = event.at.since(event.enqueued_at);
            self.add(&event.job.profile_key, event.at, waited);
        }
    }

    fn add(&self, profile_key: &ProfileKey, at: Timestamp, waited: Duration) {
        let mut profiles = self.0.lock();
        if profiles.len() >= PROFILES_MAX && !profiles.contains_key(profile_key) {
            return;
        }
        let hours = profiles.entry(profile_key.clone()).or_default();
        let number = hour_of(at);
        // A clock that was set back: its waits count in the last hour.
        if hours.back().is_none_or(|last| last.number < number) {
            let counts = Counts([0; CLASSES]);
            hours.push_back(Hour { number, counts });
        }
        if hours.len() > HOURS {
            hours.pop_front();
        }
        if let Some(last) = hours.back_mut() {
            last.counts.add(waited);
        }
    }

    /// The waits of the profiles that have had any in the last 24 hours.
    pub fn summaries(&self, now: Timestamp) -> BTreeMap<ProfileKey, ProfileWaits> {
        let first = (hour_of(now) + 1).saturating_sub(HOURS as u64);
        let profiles = self.0.lock();
        let summaries = profiles.iter().filter_map(|(profile_key, hours)| {
            let hours = hours.iter().filter(|hour| hour.number >= first);
            let mut total = Counts([0; CLASSES]);
            let hours: Vec<HourOfWaits> = hours
                .map(|hour| {
                    total.merge(&hour.counts);
                    HourOfWaits {
                        from: Timestamp::from_seconds(hour.number * HOUR.as_secs()),
                        summary: hour.counts.summary(),
                    }
                })
                .collect();
            let total = total.summary();
            (!hours.is_empty()).then(|| (profile_key.clone(), ProfileWaits { total, hours }))
        });
        summaries.collect()
    }
}

/// The number of the hour since the Unix epoch.
pub fn hour_of(time: Timestamp) -> u64 {
    time.as_micros() / 1_000_000 / HOUR.as_secs()
}

impl Counts {
    fn add(&mut self, waited: Duration) {
        let class = (waited.as_secs_f64().log2() * CLASSES_PER_DOUBLING).floor() + 1.0;
        // Below one second the logarithm is negative, of zero it is minus infinity.
        let class = class.clamp(0.0, (CLASSES - 1) as f64) as usize;
        self.0[class] = self.0[class].saturating_add(1);
    }

    fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }

    fn summary(&self) -> WaitSummary {
        WaitSummary {
            jobs: self.0.iter().copied().map(u64::from).sum(),
            p50_seconds: self.quantile(0.5),
            p90_seconds: self.quantile(0.9),
        }
    }

    /// So many of the waits were at most this long, in seconds; evenly spread within a class.
    fn quantile(&self, share: f64) -> u64 {
        let total: f64 = self.0.iter().copied().map(f64::from).sum();
        let mut rest = total * share;
        for (class, count) in self.0.iter().copied().enumerate() {
            let count = f64::from(count);
            if rest <= count && count > 0.0 {
                let (lower, upper) = (lower_bound(class), lower_bound(class + 1));
                return (lower + (upper - lower) * rest / count).round() as u64;
            }
            rest -= count;
        }
        0
    }
}

/// The shortest wait of a class, in seconds.
fn lower_bound(class: usize) -> f64 {
    match class {
        0 => 0.0,
        _ => ((class - 1) as f64 / CLASSES_PER_DOUBLING).exp2(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_seconds(1_700_000_000 / 3600 * 3600);

    fn key(name: &str) -> ProfileKey {
        name.parse().unwrap()
    }

    fn after(seconds: u64) -> Timestamp {
        START + Duration::from_secs(seconds)
    }

    #[test]
    fn quantiles_are_within_a_fifth_of_the_truth() {
        let waits = Waits::default();
        for seconds in 1..=1000 {
            waits.add(&key("linux"), START, Duration::from_secs(seconds));
        }
        let total = waits.summaries(START)[&key("linux")].total;
        assert_eq!(total.jobs, 1000);
        assert!((450..=550).contains(&total.p50_seconds), "{total:?}");
        assert!((800..=1000).contains(&total.p90_seconds), "{total:?}");
    }

    #[test]
    fn waits_of_any_length_have_a_class() {
        let waits = Waits::default();
        for waited in [Duration::ZERO, Duration::from_millis(1), Duration::MAX] {
            waits.add(&key("linux"), START, waited);
        }
        let total = waits.summaries(START)[&key("linux")].total;
        assert_eq!((total.jobs, total.p50_seconds), (3, 1));
    }

    #[test]
    fn hours_end_after_a_day_and_so_does_a_profile_without_any() {
        let waits = Waits::default();
        for hour in 0..40 {
            waits.add(&key("linux"), after(hour * 3600), Duration::from_secs(60));
        }
        waits.add(&key("macos"), START, Duration::ZERO);
        assert_eq!(waits.0.lock()[&key("linux")].len(), HOURS);
        let summaries = waits.summaries(after(39 * 3600));
        assert_eq!(summaries.len(), 1);
        let linux = &summaries[&key("linux")];
        assert_eq!((linux.total.jobs, linux.hours.len()), (24, 24));
        assert_eq!(linux.hours[0].from, after(16 * 3600));
        assert_eq!(
            waits.summaries(after(62 * 3600))[&key("linux")].hours.len(),
            1
        );
        assert!(waits.summaries(after(63 * 3600)).is_empty());
    }

    #[test]
    fn the_number_of_profiles_is_limited() {
        let waits = Waits::default();
        for number in 0..PROFILES_MAX + 5 {
            waits.add(&key(&format!("p{number}")), START, Duration::ZERO);
        }
        waits.add(&key("p0"), START, Duration::ZERO);
        let summaries = waits.summaries(START);
        assert_eq!(summaries.len(), PROFILES_MAX);
        assert_eq!(summaries[&key("p0")].total.jobs, 2);
    }

    #[test]
    fn a_clock_that_was_set_back_begins_no_hour() {
        let waits = Waits::default();
        waits.add(&key("linux"), after(7200), Duration::ZERO);
        waits.add(&key("linux"), START, Duration::ZERO);
        let linux = &waits.summaries(after(7200))[&key("linux")];
        assert_eq!((linux.hours.len(), linux.total.jobs), (1, 2));
    }

    #[test]
    fn waits_of_an_earlier_process_are_found_in_its_events() {
        let event = |name: &'static str, job: &str, at: u64| Entry {
            unique_id: Some(job.parse().unwrap()),
            profile_key: Some(key("linux")),
            ..Entry::new(after(at), name)
        };
        let enqueued = |name: &'static str, job: &str, at: u64| {
            event(name, job, at).time("enqueued_at", after(at))
        };
        let events = [
            enqueued(FIRST_EVENT, "a", 0),
            enqueued(RESTORED, "b", 10),
            event(ASSIGNED, "a", 40),
            event(ASSIGNED, "b", 50),
            // Its enqueue is not in memory.
            event(ASSIGNED, "c", 60),
            event("job_finished", "a", 70),
        ];
        let waits = Waits::find(&events.map(Arc::new));
        let total = waits.summaries(START)[&key("linux")].total;
        assert_eq!(total.jobs, 2);
        assert!((38..=46).contains(&total.p90_seconds), "{total:?}");
    }
}
