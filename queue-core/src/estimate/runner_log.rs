//! What each runner of a server does, and since when: from the server's reports and from what it granted.
//!
//! Responsible for learning durations from the changes. It sees all jobs, also those whose runners other queues assigned.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use shared::{
    clock::Timestamp,
    values::{ProfileKey, QualifiedRepo},
    wire::RunnerStatus,
};

use super::history::{History, RunningJob};
use crate::{
    event::Replacement,
    state::fleet::{Report, RunnerId, SeenRunner, ServerId},
};

/// The longest time between two reports after which it is still known when something changed.
const EXACT_WITHIN: Duration = Duration::from_secs(30);
/// How many vacant slots of a profile and a server are kept.
const VACANCIES_MAX: usize = 200;

/// The runners of all servers.
#[derive(Debug, Default)]
pub struct RunnerLog {
    servers: BTreeMap<ServerId, ServerLog>,
}

/// The runners of one server.
#[derive(Debug, Default)]
struct ServerLog {
    runners: BTreeMap<RunnerId, Tracked>,
    vacancies: BTreeMap<ProfileKey, VecDeque<Vacancy>>,
    has_reported: bool,
    /// The profiles whose replacements were known well enough before the first report.
    known_replacements: BTreeSet<ProfileKey>,
}

/// One runner.
#[derive(Debug)]
struct Tracked {
    profile_key: ProfileKey,
    phase: Phase,
    since: Timestamp,
    /// Whether it was ever idle, so that it fills no vacant slot when it is idle again.
    was_idle: bool,
}

/// What a runner does.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Idle,
    /// It is reserved, or runs a job.
    Held {
        was_busy: bool,
        /// The repository of its job, if it is known.
        qualified_repo: Option<QualifiedRepo>,
    },
}

/// A slot without a runner that is idle or has a job: its runner is being replaced.
#[derive(Clone, Copy, Debug)]
struct Vacancy {
    since: Timestamp,
    /// Whether that is when it became vacant, rather than when it was first seen.
    is_exact: bool,
}

/// A runner that has a job.
#[derive(Clone, Copy, Debug)]
pub struct HeldRunner<'a> {
    pub id: RunnerId,
    pub since: Timestamp,
    /// The repository of its job, if it is known.
    pub qualified_repo: Option<&'a QualifiedRepo>,
}

impl RunnerLog {
    /// Records that a server granted runners to a job of this repository.
    pub fn grant(
        &mut self,
        now: Timestamp,
        server: ServerId,
        profile_key: &ProfileKey,
        qualified_repo: &QualifiedRepo,
        runners: impl Iterator<Item = RunnerId>,
    ) {
        let log = self.servers.entry(server).or_default();
        for id in runners {
            let held = Tracked {
                profile_key: profile_key.clone(),
                phase: Phase::Held {
                    was_busy: false,
                    qualified_repo: Some(qualified_repo.clone()),
                },
                since: now,
                was_idle: true,
            };
            log.runners.insert(id, held);
        }
    }

    /// Records a report of a server, and learns from what has changed since the one before, which was still
    /// true at `confirmed_at`. Returns the replacements that have ended, if it is known exactly when they began.
    pub fn observe(
        &mut self,
        now: Timestamp,
        server: ServerId,
        report: &Report,
        confirmed_at: Option<Timestamp>,
        history: &mut History,
    ) -> Vec<Replacement> {
        let log = self.servers.entry(server).or_default();
        let is_exact = confirmed_at.is_some_and(|at| now.since(at) <= EXACT_WITHIN);
        let ended: Vec<RunnerId> = log
            .runners
            .iter()
            .filter(|(id, tracked)| match report.statuses.get(id) {
                Some(seen) => matches!(seen.status, RunnerStatus::Done | RunnerStatus::Invalid),
                // What was granted after the poll was sent may be missing in its answer.
                None => report.asked_at > tracked.since || !tracked.is_held(),
            })
            .map(|(id, _)| *id)
            .collect();
        for id in ended {
            log.end(now, id, is_exact, history);
        }
        let mut jobs = BTreeMap::new();
        if !log.has_reported {
            jobs = jobs_of(report, history);
            let known = report.profiles.keys();
            let known = known.filter(|key| history.knows_replacements(key));
            log.known_replacements = known.cloned().collect();
        }
        let mut replacements = Vec::new();
        for (&id, seen) in &report.statuses {
            if let Some(phase) = Phase::of(seen.status) {
                let took = log.see(now, id, seen, phase, report.asked_at, history);
                replacements.extend(took.map(|took| Replacement {
                    at: now,
                    server,
                    profile_key: seen.profile_key.clone(),
                    runner: id,
                    took,
                }));
                if let Some(job) = jobs.get(&id) {
                    log.adopt_job(id, seen, job, history);
                }
            }
        }
        for (key, profile) in &report.profiles {
            log.review_vacancies(now, key, profile.target, report);
        }
        log.vacancies.retain(|key, _| report.profile(key).is_some());
        log.has_reported = true;
        replacements
    }

    /// The runners of a server and a profile that have jobs.
    pub fn held<'a>(
        &'a self,
        server: ServerId,
        profile_key: &'a ProfileKey,
    ) -> impl Iterator<Item = HeldRunner<'a>> {
        let runners = self
            .servers
            .get(&server)
            .into_iter()
            .flat_map(|it| &it.runners);
        runners
            .filter(move |(_, tracked)| tracked.profile_key == *profile_key)
            .filter_map(|(&id, tracked)| match &tracked.phase {
                Phase::Held { qualified_repo, .. } => Some(HeldRunner {
                    id,
                    since: tracked.since,
                    qualified_repo: qualified_repo.as_ref(),
                }),
                Phase::Starting | Phase::Idle => None,
            })
    }

    /// Since when slots of a server and a profile have been vacant.
    pub fn vacant_since(
        &self,
        server: ServerId,
        profile_key: &ProfileKey,
    ) -> impl Iterator<Item = Timestamp> {
        let vacancies = self
            .servers
            .get(&server)
            .and_then(|it| it.vacancies.get(profile_key));
        vacancies.into_iter().flatten().map(|vacancy| vacancy.since)
    }
}

impl Phase {
    /// `None` if the runner has ended.
    fn of(status: RunnerStatus) -> Option<Self> {
        let held = |was_busy| Self::Held {
            was_busy,
            qualified_repo: None,
        };
        match status {
            RunnerStatus::Starting => Some(Self::Starting),
            RunnerStatus::Idle => Some(Self::Idle),
            RunnerStatus::Reserved => Some(held(false)),
            RunnerStatus::Busy => Some(held(true)),
            RunnerStatus::Done | RunnerStatus::Invalid => None,
        }
    }
}

impl Tracked {
    fn is_held(&self) -> bool {
        matches!(self.phase, Phase::Held { .. })
    }
}

impl ServerLog {
    /// A runner has ended: learns how long it had its job.
    fn end(&mut self, now: Timestamp, id: RunnerId, is_exact: bool, history: &mut History) {
        let Some(ended) = self.runners.remove(&id) else {
            return;
        };
        if let Phase::Held {
            was_busy: true,
            qualified_repo,
        } = &ended.phase
            && is_exact
        {
            let took = now.since(ended.since);
            history.learn(&ended.profile_key, qualified_repo.as_ref(), took);
        }
        // One that ends while it starts has left its slot vacant all the time.
        if ended.phase != Phase::Starting {
            let vacancies = self.vacancies.entry(ended.profile_key).or_default();
            vacancies.push_back(Vacancy {
                since: now,
                is_exact,
            });
        }
    }

    /// A runner is reported to be in this phase. Returns how long the replacement of the one before it took, if
    /// it is idle for the first time and that is known exactly.
    fn see(
        &mut self,
        now: Timestamp,
        id: RunnerId,
        seen: &SeenRunner,
        phase: Phase,
        asked_at: Timestamp,
        history: &mut History,
    ) -> Option<Duration> {
        let Some(tracked) = self.runners.get_mut(&id) else {
            // The server knows since when; its clock may be wrong, but not by so much that it were later.
            let since = seen.since.map_or(now, |since| since.min(now));
            let is_idle = phase == Phase::Idle;
            let tracked = Tracked {
                profile_key: seen.profile_key.clone(),
                phase,
                since,
                was_idle: is_idle,
            };
            self.runners.insert(id, tracked);
            return is_idle.then(|| self.fill_vacancy(now, seen, history))?;
        };
        match (&mut tracked.phase, phase) {
            (
                Phase::Held { was_busy, .. },
                Phase::Held {
                    was_busy: is_busy, ..
                },
            ) => {
                *was_busy |= is_busy;
            }
            (Phase::Starting, Phase::Starting) | (Phase::Idle, Phase::Idle) => {}
            // It was granted after the poll was sent.
            (Phase::Held { .. }, _) if asked_at <= tracked.since => {}
            (before, after) => {
                let is_first = !tracked.was_idle && *before == Phase::Starting;
                let becomes_idle = is_first && after == Phase::Idle;
                tracked.was_idle |= after == Phase::Idle;
                tracked.phase = after;
                tracked.since = now;
                if becomes_idle {
                    return self.fill_vacancy(now, seen, history);
                }
            }
        }
        None
    }

    /// Notes what is known of the job of a runner from before the queue was restarted. If the job had waited, it
    /// got the runner as soon as that was idle, which shows how long it took to start.
    fn adopt_job(
        &mut self,
        id: RunnerId,
        seen: &SeenRunner,
        job: &RunningJob,
        history: &mut History,
    ) {
        if let Some(tracked) = self.runners.get_mut(&id)
            && let Phase::Held { qualified_repo, .. } = &mut tracked.phase
        {
            *qualified_repo = Some(job.qualified_repo.clone());
            tracked.since = tracked.since.min(job.assigned_at);
            if let Some(created_at) = seen.created_at.filter(|at| *at < job.assigned_at)
                && job.has_waited
                && !self.known_replacements.contains(&tracked.profile_key)
            {
                let took = job.assigned_at.since(created_at);
                history.learn_replacement(&tracked.profile_key, took);
            }
        }
    }

    /// A new runner is idle: learns how long its slot was vacant, which is returned, or how long it took to start.
    fn fill_vacancy(
        &mut self,
        now: Timestamp,
        seen: &SeenRunner,
        history: &mut History,
    ) -> Option<Duration> {
        let vacancies = self.vacancies.get_mut(&seen.profile_key);
        match vacancies.and_then(VecDeque::pop_front) {
            Some(vacancy) => {
                let took = vacancy.is_exact.then(|| now.since(vacancy.since))?;
                history.learn_replacement(&seen.profile_key, took);
                Some(took)
            }
            None if self.has_reported => None,
            // In the first report: by the clock of the server alone, and without the time before its creation.
            None => {
                if let (Some(created_at), Some(idle_since)) = (seen.created_at, seen.since)
                    && created_at < idle_since
                    && !self.known_replacements.contains(&seen.profile_key)
                {
                    let took = idle_since.since(created_at);
                    history.learn_replacement(&seen.profile_key, took);
                }
                None
            }
        }
    }

    /// Makes the vacancies of a profile as many as there are runners missing to its target.
    fn review_vacancies(
        &mut self,
        now: Timestamp,
        profile_key: &ProfileKey,
        target: usize,
        report: &Report,
    ) {
        let of_profile = |tracked: &&Tracked| tracked.profile_key == *profile_key;
        let present = self.runners.values().filter(of_profile);
        let present = present.filter(|it| it.phase != Phase::Starting).count();
        let count = target.saturating_sub(present).min(VACANCIES_MAX);
        let vacancies = self.vacancies.entry(profile_key.clone()).or_default();
        // The oldest ones were not filled because the target was lowered.
        while vacancies.len() > count {
            vacancies.pop_front();
        }
        let mut starting = report.statuses.values().filter(|seen| {
            seen.status == RunnerStatus::Starting && seen.profile_key == *profile_key
        });
        while vacancies.len() < count {
            let since = starting.next().and_then(|seen| seen.since).unwrap_or(now);
            vacancies.push_back(Vacancy {
                since: since.min(now),
                is_exact: self.has_reported,
            });
        }
    }
}

/// The jobs of the runners of a report that had them before the queue was restarted.
fn jobs_of(report: &Report, history: &History) -> BTreeMap<RunnerId, RunningJob> {
    let reservations = report.reservations.iter().flatten();
    let known = reservations.filter_map(|(unique_id, reservation)| {
        Some((&reservation.runners, history.running(unique_id)?.clone()))
    });
    let runners = known.flat_map(|(runners, job)| runners.iter().map(move |id| (*id, job.clone())));
    runners.collect()
}
