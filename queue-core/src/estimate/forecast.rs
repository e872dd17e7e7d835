//! The waits of the jobs of a profile: replayed on demand, kept until something changes.

use std::{collections::BTreeMap, time::Duration};

use shared::{clock::Timestamp, values::ProfileKey, wire::Estimate};

use super::{
    History, NoEstimate, Prospect, RunnerLog,
    replay::{Durations, Replay, Wait},
    slots::{Repos, Slot, slots},
};
use crate::{
    state::{
        State,
        job::Job,
        profile_queues::{ProfileQueue, QueuePosition},
        repo_use::{LazyRepoUse, RepoUse, may_have, repo_use},
    },
    wait_reason::{first_delay, obstacle},
};

/// How many jobs of a profile are replayed; the waits of those behind them are extrapolated.
const REPLAYED_MAX: usize = 200;
/// How many jobs of a profile are looked at to find them: those that need more runners than there can be
/// are not replayed.
const REVIEWED_MAX: usize = 1000;
/// How long a forecast is used although something has changed: bounds the work in a burst of changes.
const AGE_MIN: Duration = Duration::from_millis(100);
/// How long a forecast is used at most.
const AGE_MAX: Duration = Duration::from_secs(5);

/// What estimates are made from, and the last forecast of each profile.
#[derive(Debug, Default)]
pub struct Forecasts {
    pub history: History,
    pub log: RunnerLog,
    by_profile: BTreeMap<ProfileKey, Forecast>,
    /// Grows when something has changed at a server.
    version: u64,
}

impl Forecasts {
    /// Something has changed at a server, so that forecasts are outdated.
    pub fn outdate(&mut self) {
        self.version += 1;
    }
}

/// The waits of the jobs of a profile, as they were at one moment.
#[derive(Debug)]
struct Forecast {
    computed_at: Timestamp,
    version: u64,
    repos: Repos,
    /// Whether there is a slot whose runner can be expected.
    has_slots: bool,
    /// What repositories use, if there is a limit.
    repo_use: Option<RepoUse>,
    course: Course,
    /// The jobs that were looked at, in order.
    jobs: Vec<(QueuePosition, Outcome)>,
    /// Of the last job that was replayed.
    last_wait: Wait,
    replayed_count: usize,
    /// How many runners these jobs need together.
    runner_count: usize,
    /// How many seconds there are between the assignments of two runners once all are busy.
    pace: f64,
}

/// What the replay of a job showed.
#[derive(Debug)]
enum Outcome {
    Assigned(Wait),
    NoHistory,
    /// It was not replayed, because it does not keep those behind it waiting.
    Skipped,
}

/// What follows from the slots.
#[derive(Debug)]
enum Course {
    Replayed(Replay, Box<Durations>),
    /// It is not known how long jobs take: only jobs that get idle runners have an estimate.
    Unknown {
        idle: usize,
        not_before: f64,
    },
}

/// Makes a forecast for a profile, if the last one is outdated, that includes all jobs in its queue.
pub fn refresh(state: &mut State, now: Timestamp, profile_key: &ProfileKey) {
    let Some(queue) = state.profile_queues.get(profile_key) else {
        state.estimates.by_profile.remove(profile_key);
        return;
    };
    let last = state.estimates.by_profile.remove(profile_key);
    let last = last.filter(|forecast| forecast.is_usable(state, queue, now));
    let forecast = match last {
        // Jobs of a repository whose durations are not part of it.
        Some(forecast) if forecast.lacks_repo(state, queue) => {
            Forecast::make(state, queue, now, profile_key)
        }
        // Jobs that were enqueued since continue the replay.
        Some(mut forecast) if forecast.is_consistent(queue) => {
            forecast.extend(state, queue, now, profile_key);
            forecast
        }
        Some(forecast) => forecast,
        None => Forecast::make(state, queue, now, profile_key),
    };
    let forecasts = &mut state.estimates.by_profile;
    forecasts.insert(profile_key.clone(), forecast);
}

/// Forgets the forecast of a profile: one of its jobs was removed again, so that those that are added next
/// are not behind it.
pub fn forget(state: &mut State, profile_key: &ProfileKey) {
    state.estimates.by_profile.remove(profile_key);
}

/// The prospects of waiting jobs of one profile. Uses the last forecast, or one for this purpose alone if
/// that is outdated.
pub fn prospects(
    state: &State,
    now: Timestamp,
    profile_key: &ProfileKey,
    repo_use: &LazyRepoUse<'_>,
) -> impl Fn(&Job) -> Prospect {
    let last = state.estimates.by_profile.get(profile_key);
    let queue = state.profile_queues.get(profile_key);
    let is_usable = last.zip(queue).is_some_and(|(forecast, queue)| {
        forecast.is_usable(state, queue, now) && forecast.is_consistent(queue)
    });
    let own = queue
        .filter(|_| !is_usable)
        .map(|queue| Forecast::make(state, queue, now, profile_key));
    move |job| {
        let forecast = own.as_ref().or(last);
        prospect(state, now, job, forecast, repo_use)
    }
}

/// The prospect of one job after `refresh`.
pub fn prospect_of(state: &State, now: Timestamp, job: &Job) -> Prospect {
    let profile_key = &job.request().spec.profile_key;
    let forecast = state.estimates.by_profile.get(profile_key);
    let repo_use = LazyRepoUse::new(state, now, profile_key);
    prospect(state, now, job, forecast, &repo_use)
}

/// Whether the runners of a job are idle and it is the next one to get some.
pub fn is_next(state: &State, now: Timestamp, job: &Job, repo_use: &LazyRepoUse<'_>) -> bool {
    let spec = &job.request().spec;
    state.fleet.available_count(&spec.profile_key, now) >= spec.count.get()
        && state
            .profile_queues
            .get(&spec.profile_key)
            .and_then(|queue| {
                let reach = state.fleet.reach(&spec.profile_key, now);
                queue.next_waiting(None, reach, may_have(repo_use.get()))
            })
            .is_some_and(|(next, _)| next == job.ticket().position())
}

fn prospect(
    state: &State,
    now: Timestamp,
    job: &Job,
    forecast: Option<&Forecast>,
    repo_use: &LazyRepoUse<'_>,
) -> Prospect {
    let spec = &job.request().spec;
    let assigned_after = |seconds| {
        Ok(Estimate {
            p50_seconds: seconds,
            p90_seconds: seconds,
        })
    };
    if !job.is_waiting() {
        return assigned_after(0);
    }
    if let Some(reason) = obstacle(state, now, &spec.profile_key, spec.count.get()) {
        return Err(NoEstimate::Obstacle(reason));
    }
    if state.fleet.reach(&spec.profile_key, now) < spec.count.get() {
        return Err(NoEstimate::NotMadeYet);
    }
    if is_next(state, now, job, repo_use) {
        return assigned_after(state.dispatching_from().since(now).as_secs());
    }
    let queue = state.profile_queues.get(&spec.profile_key);
    let Some((forecast, queue)) = forecast.zip(queue) else {
        return Err(NoEstimate::NoHistory);
    };
    let wait = forecast.wait_of(queue, &job.ticket().position());
    let wait = wait.map_err(|reason| match first_delay(state, now, &spec.profile_key) {
        Some(clause) if !forecast.has_slots => NoEstimate::Delayed(clause),
        _ => reason,
    })?;
    let passed = now.since(forecast.computed_at).as_secs_f64();
    let p50_seconds = (wait.p50 - passed).max(0.0).round() as u64;
    let p90_seconds = (wait.p90 - passed).max(0.0).ceil() as u64;
    Ok(Estimate {
        p50_seconds,
        p90_seconds: p90_seconds.max(p50_seconds),
    })
}

impl Forecast {
    fn make(state: &State, queue: &ProfileQueue, now: Timestamp, profile_key: &ProfileKey) -> Self {
        let Forecasts { history, log, .. } = &state.estimates;
        let mut repos = Repos::default();
        let servers = slots(&state.fleet, log, profile_key, now, &mut repos);
        for job in reviewed(state, queue) {
            repos.number(Some(&job.request().spec.qualified_repo));
        }
        let listed = repos.list();
        let all = || servers.iter().flat_map(|server| &server.slots);
        let going_on: Vec<_> = all()
            .filter_map(|slot| match slot {
                Slot::Held { elapsed, repo } => Some((listed[*repo].as_ref(), *elapsed)),
                Slot::Idle { .. } | Slot::Vacant { .. } => None,
            })
            .collect();
        let jobs = listed
            .iter()
            .map(|repo| history.jobs(profile_key, repo.as_ref(), &going_on));
        let not_before = state.dispatching_from().since(now).as_secs_f64();
        let repo_use = repo_use(state, now, profile_key);
        let (course, pace) = match jobs.collect::<Option<Vec<_>>>() {
            Some(jobs) => {
                let replacement = history.replacement(profile_key);
                let durations = Durations::new(jobs, replacement);
                let repo_max = repo_use.as_ref().map(|repo_use| repo_use.max);
                let replay = Replay::begin(&servers, &durations, not_before, repo_max);
                let pace = durations.cycle() / replay.slot_count().max(1) as f64;
                (Course::Replayed(replay, Box::new(durations)), pace)
            }
            None => {
                let is_idle = |slot: &&Slot| matches!(slot, Slot::Idle { .. });
                let idle = all().filter(is_idle).count();
                (Course::Unknown { idle, not_before }, 0.0)
            }
        };
        let mut forecast = Self {
            computed_at: now,
            version: state.estimates.version,
            repos,
            has_slots: all().next().is_some(),
            repo_use,
            course,
            jobs: Vec::new(),
            last_wait: Wait {
                p50: not_before,
                p90: not_before,
            },
            replayed_count: 0,
            runner_count: 0,
            pace,
        };
        forecast.extend(state, queue, now, profile_key);
        forecast
    }

    /// Whether nothing has changed since at the servers, or a moment ago only.
    fn is_usable(&self, state: &State, queue: &ProfileQueue, now: Timestamp) -> bool {
        let age = now.since(self.computed_at);
        let is_current = self.version == state.estimates.version && self.is_consistent(queue);
        age < AGE_MIN || (is_current && age < AGE_MAX)
    }

    /// Whether the jobs that were looked at are still the first ones of the queue.
    fn is_consistent(&self, queue: &ProfileQueue) -> bool {
        let rank_is = |job: Option<&(QueuePosition, Outcome)>, rank: usize| {
            job.is_none_or(|(position, _)| queue.has_rank(position, rank))
        };
        rank_is(self.jobs.first(), 0) && rank_is(self.jobs.last(), self.jobs.len().max(1) - 1)
    }

    /// Whether a job that was not looked at yet is of a repository that it does not tell apart, and could.
    fn lacks_repo(&self, state: &State, queue: &ProfileQueue) -> bool {
        let mut added = reviewed(state, queue).skip(self.jobs.len());
        added.any(|job| self.repos.lacks(&job.request().spec.qualified_repo))
    }

    /// Replays the jobs of the queue that have not been looked at.
    fn extend(
        &mut self,
        state: &State,
        queue: &ProfileQueue,
        now: Timestamp,
        profile_key: &ProfileKey,
    ) {
        if self.replayed_count >= REPLAYED_MAX || self.jobs.len() >= queue.len() {
            return;
        }
        let reach = state.fleet.reach(profile_key, now);
        let positions = queue.iter().take(REVIEWED_MAX).skip(self.jobs.len());
        for position in positions {
            if self.replayed_count >= REPLAYED_MAX {
                break;
            }
            let job = state.jobs.get(&position.unique_id);
            let outcome = match job.filter(|job| job.is_waiting()) {
                Some(job) if job.request().spec.count.get() <= reach => self.replay(job),
                _ => Outcome::Skipped,
            };
            self.jobs.push((position.clone(), outcome));
        }
    }

    fn replay(&mut self, job: &Job) -> Outcome {
        let spec = &job.request().spec;
        let count = spec.count.get();
        let wait = match &mut self.course {
            Course::Replayed(replay, durations) if replay.slot_count() > 0 => {
                let repo = self.repos.number(Some(&spec.qualified_repo));
                let seed = job.ticket().enqueued_at.as_micros();
                replay.assign(durations, count, repo, seed)
            }
            Course::Unknown { .. }
                if !may_have(self.repo_use.as_ref())(&spec.qualified_repo, spec.count) =>
            {
                return Outcome::NoHistory;
            }
            Course::Unknown { idle, not_before } if count <= *idle => {
                *idle -= count;
                if let Some(repo_use) = &mut self.repo_use {
                    repo_use.add(&spec.qualified_repo, spec.count);
                }
                Wait {
                    p50: *not_before,
                    p90: *not_before,
                }
            }
            Course::Unknown { idle, .. } => {
                *idle = 0;
                return Outcome::NoHistory;
            }
            // A server that can be asked has no runner yet, and no place for one that is known.
            Course::Replayed(..) => return Outcome::NoHistory,
        };
        self.last_wait = wait;
        self.replayed_count += 1;
        self.runner_count += count;
        Outcome::Assigned(wait)
    }

    /// The wait of the job at this position.
    fn wait_of(&self, queue: &ProfileQueue, position: &QueuePosition) -> Result<Wait, NoEstimate> {
        let index = self.jobs.partition_point(|(known, _)| known < position);
        let mut behind = self.jobs[index..].iter();
        // The job itself, or one that it was enqueued before.
        let known = behind.find_map(|(_, outcome)| match outcome {
            Outcome::Assigned(wait) => Some(Ok(*wait)),
            Outcome::NoHistory => Some(Err(NoEstimate::NoHistory)),
            Outcome::Skipped => None,
        });
        match (known, &self.course) {
            (Some(wait), _) => wait,
            (None, Course::Replayed(replay, _)) if replay.slot_count() > 0 => {
                let last = self.jobs.last().map(|(last, _)| last.clone());
                let ahead = last.map_or(0, |last| queue.ahead_of(&last) + 1);
                let behind = queue.ahead_of(position).saturating_sub(ahead) + 1;
                Ok(self.extrapolated(behind as f64))
            }
            (None, _) => Err(NoEstimate::NoHistory),
        }
    }

    /// The wait of a job so many places behind the last one that was replayed: the median grows by the pace
    /// of assignments, and the spread with the square root of the place, as that of a sum does.
    fn extrapolated(&self, places: f64) -> Wait {
        let replayed = self.replayed_count.max(1) as f64;
        let runners_per_job = self.runner_count.max(1) as f64 / replayed;
        let p50 = self.last_wait.p50 + places * runners_per_job * self.pace;
        let spread = self.last_wait.p90 - self.last_wait.p50;
        Wait {
            p50,
            p90: p50 + spread * (1.0 + places / replayed).sqrt(),
        }
    }
}

/// The jobs of a queue that a replay may include.
fn reviewed<'a>(state: &'a State, queue: &'a ProfileQueue) -> impl Iterator<Item = &'a Job> {
    let positions = queue.iter().take(REPLAYED_MAX);
    positions.filter_map(|position| state.jobs.get(&position.unique_id))
}
