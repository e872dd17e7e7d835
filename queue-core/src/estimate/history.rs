//! How long jobs and replacements of runners took: the last observed durations, and distributions of them.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use shared::{
    clock::Timestamp,
    values::{Count, LaneName, ProfileKey, QualifiedRepo, UniqueId},
};

use super::distribution::{Distribution, Observation};

/// How many durations of one kind are kept; older ones are forgotten.
const OBSERVATIONS_MAX: usize = 500;
/// How many kinds are kept: repositories with their profiles, and profiles. The one that was not heard of
/// for the longest time is forgotten.
const KINDS_MAX: usize = 500;
/// How many jobs are remembered that had their runners before the queue was restarted.
const RUNNING_MAX: usize = 2000;
/// No duration beyond this one is believed.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// How many observations of a repository the durations of its whole profile count as.
const PROFILE_COUNTS_AS: f64 = 4.0;
/// How many observations of a profile the durations of all profiles count as.
const ALL_COUNT_AS: f64 = 1.0;
/// From this number on the durations of a profile need no others beside them.
const SUFFICIENT: usize = 8;
/// How long a replacement takes as long as none was observed, in seconds.
const REPLACEMENT: f64 = 45.0;

/// What is known of a job or a runner from before the queue was restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PastRun {
    /// It had its runners for this long.
    Finished {
        profile_key: ProfileKey,
        qualified_repo: QualifiedRepo,
        took: Duration,
        /// What counts for the share of its repository; `None` if it was enqueued without a policy.
        share: Option<PastShare>,
    },
    /// So long after a runner had ended, its successor was idle.
    Replaced {
        profile_key: ProfileKey,
        took: Duration,
    },
    /// It had its runners when the queue was stopped.
    Running {
        unique_id: UniqueId,
        qualified_repo: QualifiedRepo,
        assigned_at: Timestamp,
        /// Whether it had waited, so that its runner was assigned as soon as it was idle.
        has_waited: bool,
    },
}

/// What a finished job counts as for the share of its repository in a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastShare {
    pub lane: LaneName,
    pub ended_at: Timestamp,
    /// How many runners it had.
    pub count: Count,
}

/// A job that had its runners before the queue was restarted.
#[derive(Clone, Debug)]
pub struct RunningJob {
    pub qualified_repo: QualifiedRepo,
    pub assigned_at: Timestamp,
    pub has_waited: bool,
}

/// Everything that was learnt.
#[derive(Debug, Default)]
pub struct History {
    of_repos: Kinds<(ProfileKey, QualifiedRepo)>,
    of_profiles: Kinds<ProfileKey>,
    of_all: Observations,
    replacements: Kinds<ProfileKey>,
    running: BTreeMap<UniqueId, RunningJob>,
}

impl History {
    /// Learns what is known from before the queue was restarted, oldest first.
    pub fn restore(&mut self, past: PastRun) {
        match past {
            PastRun::Finished {
                profile_key,
                qualified_repo,
                took,
                share: _,
            } => self.learn(&profile_key, Some(&qualified_repo), took),
            PastRun::Replaced { profile_key, took } => self.learn_replacement(&profile_key, took),
            PastRun::Running {
                unique_id,
                qualified_repo,
                assigned_at,
                has_waited,
            } => {
                if self.running.len() < RUNNING_MAX {
                    let job = RunningJob {
                        qualified_repo,
                        assigned_at,
                        has_waited,
                    };
                    self.running.insert(unique_id, job);
                }
            }
        }
    }

    /// A job that had its runners before the queue was restarted.
    pub fn running(&self, unique_id: &UniqueId) -> Option<&RunningJob> {
        self.running.get(unique_id)
    }

    /// Learns how long a runner had a job, from its assignment to its end.
    pub fn learn(
        &mut self,
        profile_key: &ProfileKey,
        qualified_repo: Option<&QualifiedRepo>,
        took: Duration,
    ) {
        if took > DURATION_MAX {
            return;
        }
        if let Some(repo) = qualified_repo {
            self.of_repos.add((profile_key.clone(), repo.clone()), took);
        }
        self.of_profiles.add(profile_key.clone(), took);
        self.of_all.add(took);
    }

    /// Learns how long it took from the end of a runner until its successor was idle.
    pub fn learn_replacement(&mut self, profile_key: &ProfileKey, took: Duration) {
        if took <= DURATION_MAX {
            self.replacements.add(profile_key.clone(), took);
        }
    }

    /// How long runners of a profile have a job of this repository, or of any; `None` if nothing was learnt
    /// of any profile. `going_on` are the runners of the profile that have jobs now, of the repository or
    /// of others, and for how long, in seconds.
    pub fn jobs(
        &self,
        profile_key: &ProfileKey,
        qualified_repo: Option<&QualifiedRepo>,
        going_on: &[(Option<&QualifiedRepo>, f64)],
    ) -> Option<Distribution> {
        let of_repo = qualified_repo.map_or_else(Vec::new, |repo| {
            let kind = (profile_key.clone(), repo.clone());
            let going_on = going_on.iter().filter(|(of, _)| *of == Some(repo));
            self.of_repos
                .observations(&kind, going_on.map(|(_, seconds)| *seconds))
        });
        let of_profile = self
            .of_profiles
            .observations(profile_key, going_on.iter().map(|(_, seconds)| *seconds));
        let of_all = match self.of_profiles.count(profile_key) {
            0..SUFFICIENT => self.of_all.with_those_going_on([].into_iter()),
            _ => Vec::new(),
        };
        Distribution::blend(&[
            (&of_repo, 0.0),
            (&of_profile, PROFILE_COUNTS_AS),
            (&of_all, ALL_COUNT_AS),
        ])
    }

    /// Whether it is known how long jobs of a profile take, rather than guessed from a few of them.
    pub fn is_sufficient(&self, profile_key: &ProfileKey) -> bool {
        self.of_profiles.count(profile_key) >= SUFFICIENT
    }

    /// For how long half of the jobs of a repository have had a runner of a profile at most, in seconds;
    /// `None` if few are known.
    pub fn usual(&self, profile_key: &ProfileKey, qualified_repo: &QualifiedRepo) -> Option<f64> {
        let kind = (profile_key.clone(), qualified_repo.clone());
        if self.of_repos.count(&kind) < SUFFICIENT {
            return None;
        }
        let of_repo = self.of_repos.observations(&kind, [].into_iter());
        let distribution = Distribution::blend(&[(&of_repo, 0.0)])?;
        Some(distribution.exceeded_with(0.5, 0.0))
    }

    /// Whether it is known how long replacements take, rather than assumed.
    pub fn knows_replacements(&self, profile_key: &ProfileKey) -> bool {
        self.replacements.count(profile_key) >= SUFFICIENT
    }

    /// How long it takes from the end of a runner until its successor is idle.
    pub fn replacement(&self, profile_key: &ProfileKey) -> Distribution {
        let of_profile = self.replacements.observations(profile_key, [].into_iter());
        let assumed = [Observation {
            seconds: REPLACEMENT,
            has_ended: true,
        }];
        let assumed = match self.knows_replacements(profile_key) {
            true => &[],
            false => &assumed[..],
        };
        Distribution::blend(&[(&of_profile, 0.0), (assumed, ALL_COUNT_AS)])
            .expect("there is an observation or what is assumed")
    }
}

/// The last durations of one kind, in seconds, oldest first.
#[derive(Debug, Default)]
struct Observations(VecDeque<f32>);

impl Observations {
    fn add(&mut self, took: Duration) {
        self.0.push_back(took.as_secs_f32());
        if self.0.len() > OBSERVATIONS_MAX {
            self.0.pop_front();
        }
    }

    fn with_those_going_on(&self, going_on: impl Iterator<Item = f64>) -> Vec<Observation> {
        let ended = self.0.iter().map(|seconds| Observation {
            seconds: f64::from(*seconds),
            has_ended: true,
        });
        let going_on = going_on.map(|seconds| Observation {
            seconds,
            has_ended: false,
        });
        ended.chain(going_on.take(OBSERVATIONS_MAX)).collect()
    }
}

/// Durations by kind.
#[derive(Debug)]
struct Kinds<K> {
    by_kind: BTreeMap<K, (u64, Observations)>,
    /// The kinds, by when they were last heard of.
    by_age: BTreeMap<u64, K>,
    last: u64,
}

impl<K> Default for Kinds<K> {
    fn default() -> Self {
        Self {
            by_kind: BTreeMap::new(),
            by_age: BTreeMap::new(),
            last: 0,
        }
    }
}

impl<K: Clone + Ord> Kinds<K> {
    fn add(&mut self, kind: K, took: Duration) {
        self.last += 1;
        let (age, observations) = self.by_kind.entry(kind.clone()).or_default();
        self.by_age.remove(age);
        *age = self.last;
        observations.add(took);
        self.by_age.insert(self.last, kind);
        if self.by_kind.len() > KINDS_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.by_kind.remove(&oldest);
        }
    }

    fn count(&self, kind: &K) -> usize {
        self.by_kind.get(kind).map_or(0, |(_, it)| it.0.len())
    }

    fn observations(&self, kind: &K, going_on: impl Iterator<Item = f64>) -> Vec<Observation> {
        match self.by_kind.get(kind) {
            Some((_, observations)) => observations.with_those_going_on(going_on),
            None => Observations::default().with_those_going_on(going_on),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str) -> ProfileKey {
        key.parse().unwrap()
    }

    fn repo(repo: &str) -> QualifiedRepo {
        repo.parse().unwrap()
    }

    fn learn(history: &mut History, profile: &str, of: &str, seconds: u64, times: usize) {
        for _ in 0..times {
            let took = Duration::from_secs(seconds);
            history.learn(&key(profile), Some(&repo(of)), took);
        }
    }

    fn median(history: &History, profile: &str, of: &str) -> f64 {
        let jobs = history.jobs(&key(profile), Some(&repo(of)), &[]).unwrap();
        jobs.exceeded_with(0.5, 0.0).round()
    }

    #[test]
    fn without_any_duration_nothing_is_known_of_jobs() {
        let history = History::default();
        assert!(history.jobs(&key("linux"), None, &[(None, 60.0)]).is_none());
    }

    #[test]
    fn a_job_takes_as_long_as_those_of_its_repository_then_of_its_profile_then_of_all() {
        let mut history = History::default();
        learn(&mut history, "linux", "servo/servo", 100, 20);
        assert_eq!(median(&history, "windows", "servo/servo"), 100.0);
        learn(&mut history, "windows", "servo/servo", 600, 20);
        assert_eq!(median(&history, "windows", "servo/other"), 600.0);
        learn(&mut history, "windows", "servo/other", 30, 20);
        assert_eq!(median(&history, "windows", "servo/other"), 30.0);
        assert_eq!(median(&history, "windows", "servo/servo"), 600.0);
        assert_eq!(median(&history, "linux", "servo/servo"), 100.0);
    }

    #[test]
    fn only_the_last_durations_count() {
        let mut history = History::default();
        learn(&mut history, "linux", "servo/servo", 100, OBSERVATIONS_MAX);
        learn(&mut history, "linux", "servo/servo", 500, OBSERVATIONS_MAX);
        assert_eq!(median(&history, "linux", "servo/servo"), 500.0);
        assert_eq!(history.of_all.0.len(), OBSERVATIONS_MAX);
    }

    #[test]
    fn the_number_of_kinds_is_limited_and_the_oldest_is_forgotten() {
        let mut kinds = Kinds::default();
        for kind in 0..KINDS_MAX {
            kinds.add(kind, Duration::from_secs(1));
        }
        kinds.add(0, Duration::from_secs(1));
        kinds.add(KINDS_MAX, Duration::from_secs(1));
        assert_eq!(kinds.by_kind.len(), KINDS_MAX);
        assert_eq!((kinds.count(&0), kinds.count(&1)), (2, 0));
        assert_eq!(kinds.by_age.len(), KINDS_MAX);
    }

    #[test]
    fn the_number_of_running_jobs_from_before_a_restart_is_limited() {
        let mut history = History::default();
        for job in 0..=RUNNING_MAX {
            history.restore(PastRun::Running {
                unique_id: format!("job-{job}").parse().unwrap(),
                qualified_repo: repo("servo/servo"),
                assigned_at: Timestamp::default(),
                has_waited: true,
            });
        }
        assert_eq!(history.running.len(), RUNNING_MAX);
    }

    #[test]
    fn a_duration_that_cannot_be_one_is_not_learnt() {
        let mut history = History::default();
        let took = DURATION_MAX + Duration::from_secs(1);
        history.learn(&key("linux"), None, took);
        history.learn_replacement(&key("linux"), took);
        assert!(history.jobs(&key("linux"), None, &[]).is_none());
        assert!(history.replacement(&key("linux")).exceeded_with(0.5, 0.0) < 60.0);
    }
}
