//! Test support: a pool with a simple model of a hypervisor and of GitHub.
//!
//! Every effect goes through [`TestPool::perform`], as in the executor, so that a test can delay, fail
//! or repeat any of them.

#![expect(
    clippy::unwrap_used,
    reason = "test support: a failure is the test's failure"
)]

mod world;

use std::{collections::BTreeSet, time::Duration};

use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    operator::Order,
    registration::{Deletion, Label, RegistrationStatus},
    runner_name::RunnerNames,
    secret::Secret,
    units::Memory,
    values::{Count, FencingToken, ProfileKey, RunId, UniqueId},
    wire::{RunnerCounts, RunnerStatus},
};

use self::world::World;
use crate::*;

/// The steps of an empty plan.
pub const NO_STEPS: [&str; 0] = [];

/// Time between two turns.
pub const TURN: Duration = Duration::from_secs(1);

/// A policy with these profiles and targets. Every runner needs one of 100 hugepages.
pub fn policy(targets: &[(&str, usize)]) -> Policy {
    let profile = |target_count| ProfilePolicy {
        target_count,
        min_count: target_count,
        max_count: target_count,
        needs: hugepages(1),
        idle_labels: ["self-hosted", "X64", "profile-label"]
            .map(String::from)
            .into(),
        guest_auth: GuestAuth::Secret,
        builds_image: false,
    };
    Policy {
        names: RunnerNames {
            prefix: "ci-runner".into(),
            suffix: "host".into(),
        },
        scope: "/orgs/owner".into(),
        profiles: targets
            .iter()
            .map(|&(key, target)| (profile_key(key), profile(target)))
            .collect(),
        capacity: hugepages(100),
        labels: LabelPolicy::FromBirth,
        start_timeout: Duration::from_secs(100),
        reserve_timeout: Duration::from_secs(200),
        poll_interval: Duration::from_secs(5),
        cache_timeout: Duration::from_secs(60),
        image_max_age: Duration::from_secs(1000),
        base_url: "http://host/".into(),
        builder_prefix: "ci-rebuild".into(),
        makes_runners: true,
        destroys_all: false,
    }
}

/// An amount of hugepages and nothing else.
pub fn hugepages(count: u64) -> Resources {
    Resources {
        hugepages_1g: count,
        memory: Memory::default(),
    }
}

/// What an operator orders, with this note.
pub fn order(note: &str) -> Order {
    Order {
        note: note.parse().unwrap(),
        author: "alice@laptop".parse().unwrap(),
        client_address: Some([192, 0, 2, 1].into()),
    }
}

pub fn profile_key(key: &str) -> ProfileKey {
    key.parse().unwrap()
}

/// The token with this sequence of queue instance 1, the only one in most tests.
pub fn token(sequence: u64) -> FencingToken {
    FencingToken {
        instance: 1,
        sequence,
    }
}

pub fn unique_id(id: &str) -> UniqueId {
    id.parse().unwrap()
}

/// A take of one `linux` runner by a caller that is not a queue.
pub fn take_of_one(id: &str) -> Take {
    Take {
        job: JobSpec {
            unique_id: unique_id(id),
            profile_key: profile_key("linux"),
            count: Count::ONE,
            qualified_repo: "owner/repo".parse().unwrap(),
            run_id: RunId(1),
        },
        token: None,
        enqueued_at: None,
        proof: None,
        labels_from_response: true,
    }
}

/// A monitor and the outside.
pub struct TestPool {
    pub monitor: Monitor,
    pub world: World,
    pub now: Timestamp,
    /// The steps of runners so far.
    events: Vec<RunnerEvent>,
    /// The guests that the last list showed. The hypervisor reports the end of each.
    listed_guests: BTreeSet<String>,
}

impl TestPool {
    pub fn new(policy: Policy) -> Self {
        let now = Timestamp::from_seconds(1000);
        Self {
            listed_guests: BTreeSet::new(),
            events: Vec::new(),
            monitor: Monitor::new(policy, None, now).unwrap(),
            world: World::default(),
            now,
        }
    }

    /// A pool without runners, with one profile `linux`.
    pub fn empty_with_target(target: usize) -> Self {
        Self::new(policy(&[("linux", target)]))
    }

    /// A pool with so many idle runners of one profile `linux`, whose ids count from 0.
    pub fn with_idle_linux(count: usize) -> Self {
        Self::with_idle(&[("linux", count)])
    }

    /// A pool whose targets are reached by idle runners. Their ids count from 0, profile by profile.
    pub fn with_idle(targets: &[(&str, usize)]) -> Self {
        let mut pool = Self::new(policy(targets));
        let wanted = std::mem::take(&mut pool.monitor.policy.profiles);
        for (key, profile) in wanted {
            pool.monitor.policy.profiles.insert(key, profile);
            pool.converge();
        }
        pool
    }

    /// Runs turns, in which new runners come online, until nothing is left to do. Runners that are online
    /// then count as having been online for long.
    pub fn converge(&mut self) {
        for _ in 0..100 {
            let done = self.world.effects.len();
            self.turn();
            let booting = self.world.registrations.values_mut();
            let mut has_booted = false;
            for registration in booting {
                has_booted |= registration.status == RegistrationStatus::Offline;
                registration.status = RegistrationStatus::Online;
            }
            if !has_booted && self.world.effects.len() == done {
                for record in self.monitor.durable.runners.values_mut() {
                    if record.came_online && !record.is_proven {
                        record.is_proven = true;
                        let failures = &mut self.monitor.creation_failures;
                        failures.remove(&record.profile_key);
                    }
                }
                return;
            }
        }
        panic!("the pool does not converge: {:?}", self.world.effects);
    }

    /// A runner does a job, and a poll sees it busy.
    pub fn run_job(&mut self, id: u64) {
        self.world.start_job(id);
        self.poll();
        self.world.end_job(id);
        self.converge();
    }

    pub fn advance(&mut self, duration: Duration) {
        self.now = self.now + duration;
    }

    /// Both polls show the outside as it is.
    pub fn poll(&mut self) {
        self.poll_guests();
        self.poll_registrations();
    }

    pub fn poll_guests(&mut self) {
        let listed = std::mem::replace(&mut self.listed_guests, self.world.guests.clone());
        for ended in listed.difference(&self.world.guests) {
            self.monitor.handle_guest_ended(ended, GuestEnd::default());
        }
        self.advance(Duration::from_millis(1));
        let guests = self.world.guests.iter();
        let guests = guests.map(|name| ObservedGuest {
            name: name.clone(),
            ipv4_address: None,
        });
        self.monitor
            .handle_guests(guests.collect(), self.now, self.now);
    }

    pub fn poll_registrations(&mut self) {
        self.advance(Duration::from_millis(1));
        let registrations = self.world.registrations.values().cloned().collect();
        self.monitor
            .handle_registrations(registrations, self.now, self.now);
    }

    /// Polls until the lists have consistently shown the outside as it is for long enough.
    pub fn poll_until_confirmed(&mut self) {
        for _ in 0..4 {
            self.poll();
            self.advance(Duration::from_secs(5));
        }
        self.poll();
    }

    pub fn plan(&self) -> Plan {
        self.monitor.plan(self.now)
    }

    /// The steps of the plan, as they are logged.
    pub fn steps(&self) -> Vec<String> {
        self.plan().steps.iter().map(ToString::to_string).collect()
    }

    /// The shortfalls of the plan, as the dashboard shows them.
    pub fn shortfalls(&self) -> Vec<String> {
        self.plan()
            .shortfalls
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[track_caller]
    pub fn assert_no_steps(&self) {
        assert_eq!(self.steps(), NO_STEPS);
    }

    /// Begins the plan and performs its effects.
    pub fn execute_plan(&mut self) {
        for effect in self.begin() {
            self.perform(effect);
        }
    }

    pub fn begin(&mut self) -> Vec<Effect> {
        self.monitor.review_targets(self.now);
        let plan = self.plan();
        let mut count = self.monitor.revision();
        self.monitor.begin(plan, self.now, || {
            count += 1;
            Entropy {
                uuid: format!("uuid-{count}"),
                guest_secret: Secret::new(format!("secret-{count}")),
            }
        })
    }

    /// One turn of the control loop: polls, plans, and executes the plan.
    pub fn turn(&mut self) {
        self.advance(TURN);
        self.poll();
        self.answer_job_queries();
        self.execute_plan();
        let revision = self.monitor.revision();
        self.monitor.handle_saved(revision);
    }

    /// GitHub answers the queries about jobs.
    pub fn answer_job_queries(&mut self) {
        for query in self.monitor.start_job_queries(self.now) {
            let done_jobs = self.world.done_jobs.as_ref().ok_or(None);
            let answer = done_jobs.map(|done| match done.contains(&query.runner_name) {
                true => JobProgress::Completed,
                false => JobProgress::Unknown,
            });
            self.monitor.handle_job_progress(query.id, answer, self.now);
        }
    }

    /// Performs an effect as the executor does.
    pub fn perform(&mut self, effect: Effect) {
        self.advance(Duration::from_millis(1));
        match effect {
            Effect::Create(creation) => self.create(creation),
            Effect::Destroy(destruction) => self.destroy(destruction),
            // It stays in flight until the test ends it.
            Effect::Rebuild(_) => {}
            Effect::AddLabels {
                unique_id,
                ids,
                registrations,
                labels,
                ..
            } => {
                let is_done = registrations.iter().all(|RegistrationRef { id, .. }| {
                    let may = self.world.try_effect(format!("label {id}"));
                    let registration = self.world.registrations.get_mut(id).filter(|_| may);
                    let labels = labels.iter().map(|name| Label { name: name.clone() });
                    registration.map(|it| it.labels.extend(labels)).is_some()
                });
                self.monitor.handle_labels_added(&unique_id, &ids, is_done);
            }
            Effect::RemoveLabels {
                id,
                registration,
                labels,
            } => {
                let registration_id = registration.map(|registration| registration.id);
                let is_done = registration_id.is_none_or(|registration_id| {
                    let may = self.world.try_effect(format!("unlabel {registration_id}"));
                    if let Some(it) = self.world.registrations.get_mut(&registration_id)
                        && may
                    {
                        it.labels.retain(|label| !labels.contains(&label.name));
                    }
                    may
                });
                self.monitor.handle_labels_removed(id, is_done);
            }
        }
    }

    fn create(&mut self, creation: Creation) {
        let Creation {
            id,
            runner_name,
            guest_name,
            labels,
            ..
        } = creation;
        if !self.world.try_effect(format!("register {id}")) {
            return self.monitor.handle_not_registered(id, "fail", self.now);
        }
        let registration_id = self.world.register(&runner_name, &labels);
        self.monitor
            .handle_registered(id, registration_id, Secret::new(format!("jit-{id}")));
        if !self.world.try_effect(format!("make {id}")) {
            return self.monitor.handle_creation_failed(id, "fail", self.now);
        }
        self.listed_guests.insert(guest_name.clone());
        self.world.guests.insert(guest_name);
        self.world.guests_max = self.world.guests_max.max(self.world.guests.len());
        self.monitor.handle_created(id, self.now);
    }

    fn destroy(&mut self, destruction: Destruction) {
        let Destruction {
            id,
            guest_name,
            registration,
            ..
        } = destruction;
        if let Some(RegistrationRef {
            id: registration_id,
            ..
        }) = registration
        {
            if !self.world.try_effect(format!("unregister {id}")) {
                return self.monitor.handle_destruction_failed(id, "fail", self.now);
            }
            let deletion = match self.world.registrations.get(&registration_id) {
                Some(registration) if registration.busy => Deletion::Busy,
                Some(_) => Deletion::Deleted,
                None => Deletion::NotThere,
            };
            if deletion == Deletion::Deleted {
                self.world.registrations.remove(&registration_id);
            }
            if !self.monitor.handle_unregistered(id, deletion, self.now) {
                return;
            }
        }
        if self.world.stuck.contains(&guest_name) || !self.world.try_effect(format!("destroy {id}"))
        {
            return self.monitor.handle_destruction_failed(id, "fail", self.now);
        }
        self.world.guests.remove(&guest_name);
        self.monitor.handle_destroyed(id, self.now);
    }

    /// The monitor restarts with its latest snapshot; the outside goes on.
    pub fn restart(&mut self) {
        let snapshot = self.monitor.snapshot();
        self.restart_from(&snapshot);
    }

    pub fn restart_from(&mut self, snapshot: &[u8]) {
        let policy = self.monitor.policy.clone();
        self.monitor = Monitor::new(policy, Some(snapshot), self.now).unwrap();
    }

    /// A take by a caller that is not a queue, saved at once. Returns the ids of the runners; none while
    /// labels are being added.
    pub fn take(&mut self, id: &str, profile: &str, count: u64) -> Result<Vec<u64>, TakeRefusal> {
        self.take_with_sequence(id, profile, count, None)
    }

    pub fn take_with_sequence(
        &mut self,
        id: &str,
        profile: &str,
        count: u64,
        sequence: Option<u64>,
    ) -> Result<Vec<u64>, TakeRefusal> {
        self.take_with_token(id, profile, count, sequence.map(token))
    }

    /// A take of one `linux` runner with any token.
    pub fn take_one_with_token(
        &mut self,
        id: &str,
        token: Option<FencingToken>,
    ) -> Result<Vec<u64>, TakeRefusal> {
        self.take_with_token(id, "linux", 1, token)
    }

    fn take_with_token(
        &mut self,
        id: &str,
        profile: &str,
        count: u64,
        token: Option<FencingToken>,
    ) -> Result<Vec<u64>, TakeRefusal> {
        let mut take = take_of_one(id);
        take.job.profile_key = profile_key(profile);
        take.job.count = Count::new(count).unwrap();
        take.token = token;
        let revision = self.monitor.take(take, self.now)?;
        self.monitor.handle_saved(revision);
        match self.monitor.take_outcome(&unique_id(id)) {
            TakeOutcome::Runners(runners) => Ok(runners.iter().map(|runner| runner.id).collect()),
            TakeOutcome::AwaitingLabels => Ok(Vec::new()),
            TakeOutcome::Ended => panic!("the reservation has ended"),
        }
    }

    /// A release by queue instance 1, or without a token.
    pub fn release(&mut self, id: &str, sequence: Option<u64>, destroys: bool) {
        let token = sequence.map(token);
        self.monitor
            .release(&unique_id(id), token, destroys, self.now);
    }

    #[cfg(test)]
    /// The reservation of a job, which must exist.
    pub(crate) fn reservation(&self, id: &str) -> &crate::state::reservation::Reservation {
        &self.monitor.durable.reservations[&unique_id(id)]
    }

    /// The policy of a profile, which must exist.
    pub fn profile_mut(&mut self, profile: &str) -> &mut ProfilePolicy {
        let profiles = &mut self.monitor.policy.profiles;
        profiles.get_mut(&profile_key(profile)).unwrap()
    }

    /// The names of the steps of a runner since the last call.
    pub fn story(&mut self, id: u64) -> Vec<&'static str> {
        let events = self.events_of(id);
        events.iter().map(|event| event.step.name()).collect()
    }

    /// The steps of a runner since the last call.
    pub fn events_of(&mut self, id: u64) -> Vec<RunnerEvent> {
        self.events.extend(self.monitor.take_events(self.now));
        let of_runner = |event: &mut RunnerEvent| event.runner == RunnerId(id);
        self.events.extract_if(.., of_runner).collect()
    }

    pub fn status(&self, id: u64) -> Option<RunnerStatus> {
        self.monitor.statuses().get(&RunnerId(id)).copied()
    }

    pub fn statuses(&self) -> Vec<RunnerStatus> {
        self.monitor.statuses().into_values().collect()
    }

    pub fn counts(&self, profile: &str) -> RunnerCounts {
        self.monitor.counts()[&profile_key(profile)].clone()
    }
}
