//! A small world for the core's tests: a hypervisor and a GitHub that do what they are told.
//!
//! Owns how plans are carried out on that world, as the executor does, and the shorthands of the
//! tests. Every effect goes through [`TestPool::perform`], so that a test can stop, fail or
//! repeat any of them.

#![expect(
    clippy::unwrap_used,
    reason = "test support: a failure is the test's failure"
)]

mod world;

use std::time::Duration;

use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    registration::{Deletion, Label, RegistrationStatus},
    runner_name::RunnerNames,
    secret::Secret,
    units::Memory,
    values::{Count, FencingToken, ProfileKey, RunId, UniqueId},
    wire::{RunnerCounts, RunnerStatus},
};

use self::world::World;
use crate::*;

/// How long a turn of the tests takes.
pub const TURN: Duration = Duration::from_secs(1);

/// A policy with these profiles and targets. Every runner needs one hugepage of 100.
pub fn policy(targets: &[(&str, usize)]) -> Policy {
    let profile = |target_count| ProfilePolicy {
        target_count,
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

/// So many hugepages and nothing else.
pub fn hugepages(count: u64) -> Resources {
    Resources {
        hugepages_1g: count,
        memory: Memory::default(),
    }
}

pub fn profile_key(key: &str) -> ProfileKey {
    key.parse().unwrap()
}

/// The attempt of this number of the one queue that most tests have.
pub fn attempt_of_one(number: u64) -> FencingToken {
    FencingToken {
        instance: 1,
        sequence: number,
    }
}

pub fn unique_id(id: &str) -> UniqueId {
    id.parse().unwrap()
}

/// A take of one `linux` runner by those who do not count their attempts.
pub fn take_of_one(id: &str) -> Take {
    Take {
        job: JobSpec {
            unique_id: unique_id(id),
            profile_key: profile_key("linux"),
            count: Count::ONE,
            qualified_repo: "owner/repo".parse().unwrap(),
            run_id: RunId(1),
        },
        attempt: None,
        enqueued_at: None,
    }
}

/// A monitor and its world.
pub struct TestPool {
    pub monitor: Monitor,
    pub world: World,
    pub now: Timestamp,
}

impl TestPool {
    pub fn new(policy: Policy) -> Self {
        let now = Timestamp::from_seconds(1000);
        Self {
            monitor: Monitor::new(policy, None, now).unwrap(),
            world: World::default(),
            now,
        }
    }

    /// A pool whose targets are met by idle runners; ids from 0, profile by profile.
    pub fn with_idle(targets: &[(&str, usize)]) -> Self {
        let mut pool = Self::new(policy(targets));
        let wanted = std::mem::take(&mut pool.monitor.policy.profiles);
        for (key, profile) in wanted {
            pool.monitor.policy.profiles.insert(key, profile);
            pool.settle();
        }
        pool
    }

    /// Looks, turns and boots until there is nothing left to do.
    pub fn settle(&mut self) {
        for _ in 0..100 {
            let done = self.world.deeds.len();
            self.turn();
            let booting = self.world.registrations.values_mut();
            let mut has_booted = false;
            for registration in booting {
                has_booted |= registration.status == RegistrationStatus::Offline;
                registration.status = RegistrationStatus::Online;
            }
            if !has_booted && self.world.deeds.len() == done {
                return;
            }
        }
        panic!("the pool does not settle: {:?}", self.world.deeds);
    }

    /// A runner does a job, which is seen.
    pub fn do_job(&mut self, id: u64) {
        self.world.start_job(id);
        self.look();
        self.world.end_job(id);
        self.settle();
    }

    pub fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
    }

    /// Sees the world as it is, a moment later.
    pub fn look(&mut self) {
        self.look_at_guests();
        self.look_at_registrations();
    }

    pub fn look_at_guests(&mut self) {
        self.pass(Duration::from_millis(1));
        let guests = self.world.guests.iter();
        let guests = guests.map(|name| ObservedGuest {
            name: name.clone(),
            ipv4_address: None,
        });
        self.monitor
            .handle_guests(guests.collect(), self.now, self.now);
    }

    pub fn look_at_registrations(&mut self) {
        self.pass(Duration::from_millis(1));
        let registrations = self.world.registrations.values().cloned().collect();
        self.monitor
            .handle_registrations(registrations, self.now, self.now);
    }

    pub fn plan(&self) -> Plan {
        self.monitor.plan(self.now)
    }

    /// The steps of the plan in words.
    pub fn steps(&self) -> Vec<String> {
        self.plan().steps.iter().map(ToString::to_string).collect()
    }

    /// What the plan refuses, in words.
    pub fn shortfalls(&self) -> Vec<String> {
        self.plan()
            .shortfalls
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    pub fn begin(&mut self) -> Vec<Effect> {
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

    /// Looks, plans, and carries the plan out.
    pub fn turn(&mut self) {
        self.pass(TURN);
        self.look();
        for task in self.begin() {
            self.perform(task);
        }
        let revision = self.monitor.revision();
        self.monitor.handle_saved(revision);
    }

    /// Carries out a task as the executor does.
    pub fn perform(&mut self, task: Effect) {
        self.pass(Duration::from_millis(1));
        match task {
            Effect::Create(creation) => self.create(creation),
            Effect::Destroy(destruction) => self.destroy(destruction),
            // It stays under way until the test says how it ended.
            Effect::Rebuild(_) => {}
            Effect::AddLabels {
                unique_id,
                ids,
                registration_ids,
                labels,
                ..
            } => {
                let is_done = registration_ids.iter().all(|id| {
                    let may = self.world.may(format!("label {id}"));
                    let registration = self.world.registrations.get_mut(id).filter(|_| may);
                    let labels = labels.iter().map(|name| Label { name: name.clone() });
                    registration.map(|it| it.labels.extend(labels)).is_some()
                });
                self.monitor.handle_labels_added(&unique_id, &ids, is_done);
            }
            Effect::RemoveLabels {
                id,
                registration_id,
                labels,
            } => {
                let is_done = registration_id.is_none_or(|registration_id| {
                    let may = self.world.may(format!("unlabel {registration_id}"));
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
        if !self.world.may(format!("register {id}")) {
            return self.monitor.handle_creation_failed(id, None, self.now);
        }
        let registration_id = self.world.register(&runner_name, &labels);
        self.monitor
            .handle_registered(id, registration_id, Secret::new(format!("jit-{id}")));
        if !self.world.may(format!("make {id}")) {
            return self.monitor.handle_creation_failed(id, None, self.now);
        }
        self.world.guests.insert(guest_name);
        self.world.guests_max = self.world.guests_max.max(self.world.guests.len());
        self.monitor.handle_created(id, self.now);
    }

    fn destroy(&mut self, destruction: Destruction) {
        let Destruction {
            id,
            guest_name,
            registration_id,
        } = destruction;
        if let Some(registration_id) = registration_id {
            if !self.world.may(format!("unregister {id}")) {
                return self.monitor.handle_destruction_failed(id, None, self.now);
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
        if self.world.stuck.contains(&guest_name) || !self.world.may(format!("destroy {id}")) {
            return self.monitor.handle_destruction_failed(id, None, self.now);
        }
        self.world.guests.remove(&guest_name);
        self.monitor.handle_destroyed(id, self.now);
    }

    /// The monitor dies and starts again with what was on disk, which is everything that was
    /// saved; the world goes on.
    pub fn restart(&mut self) {
        let snapshot = self.monitor.snapshot();
        self.restart_from(&snapshot);
    }

    pub fn restart_from(&mut self, snapshot: &[u8]) {
        let policy = self.monitor.policy.clone();
        self.monitor = Monitor::new(policy, Some(snapshot), self.now).unwrap();
    }

    /// A take of `count` runners without an attempt, saved at once.
    pub fn take(&mut self, id: &str, profile: &str, count: u64) -> Result<Vec<u64>, TakeRefusal> {
        self.take_attempt(id, profile, count, None)
    }

    pub fn take_attempt(
        &mut self,
        id: &str,
        profile: &str,
        count: u64,
        attempt: Option<u64>,
    ) -> Result<Vec<u64>, TakeRefusal> {
        self.take_as(id, profile, count, attempt.map(attempt_of_one))
    }

    /// A take of one `linux` runner under any attempt.
    pub fn take_of(
        &mut self,
        id: &str,
        attempt: Option<FencingToken>,
    ) -> Result<Vec<u64>, TakeRefusal> {
        self.take_as(id, "linux", 1, attempt)
    }

    fn take_as(
        &mut self,
        id: &str,
        profile: &str,
        count: u64,
        attempt: Option<FencingToken>,
    ) -> Result<Vec<u64>, TakeRefusal> {
        let mut take = take_of_one(id);
        take.job.profile_key = profile_key(profile);
        take.job.count = Count::new(count).unwrap();
        take.attempt = attempt;
        let revision = self.monitor.take(take, self.now)?;
        self.monitor.handle_saved(revision);
        match self.monitor.take_outcome(&unique_id(id)) {
            TakeOutcome::Runners(runners) => Ok(runners.iter().map(|runner| runner.id).collect()),
            TakeOutcome::AwaitingLabels => Ok(Vec::new()),
            TakeOutcome::Ended => panic!("a take that was granted gave nothing"),
        }
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
