//! Three servers and a queue with their real cores, guests and jobs, on virtual time and without faults.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

use monitor_core::{
    Effect as MonitorEffect, Entropy, GuestAuth, GuestEnd, LabelPolicy, Monitor, ObservedGuest,
    Policy, ProfilePolicy, Resources, Take, TakeOutcome,
};
use queue_core::{
    Answer, Config, Effect, EnqueuedBy, Forward, ForwardOutcome, Input, JobRequest, Limits, Queue,
    Report,
};
use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    policy::RunFacts,
    registration::{Deletion, Label, Registration, RegistrationStatus},
    runner_name::RunnerNames,
    secret::Secret,
    units::Memory,
    values::{Count, ProfileKey, RunId},
    wait_limits::WaitLimits,
    wire::MonitorDashboard,
};

use crate::truth::{LogNormal, Random};

const SERVERS: usize = 3;
/// How often a server acts and reports while something happens.
const PACE: f64 = 4.0;
/// How often it does while nothing happens.
const QUIET_PACE: f64 = 25.0;
/// How long something is said to happen after an event at a server.
const LIVELY_FOR: f64 = 40.0;

/// The profiles of the published figures.
pub struct Profiles {
    keys: [ProfileKey; 2],
    jobs: [LogNormal; 2],
    start: LogNormal,
    /// The share of jobs of the first one.
    share: f64,
    targets: [usize; 2],
    min: usize,
}

/// Whether targets are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pools {
    Fixed,
    FollowDemand,
}

impl Profiles {
    /// 456 Linux jobs of 278 s and 118 Windows jobs of 614 s.
    pub fn published() -> Self {
        let job = |mean| LogNormal {
            mean,
            sigma: 0.6,
            tail: 0.05,
        };
        Self {
            keys: ["linux", "windows"].map(|key| key.parse().expect("a valid key")),
            jobs: [job(278.0), job(614.0)],
            start: LogNormal {
                mean: 60.0,
                sigma: 0.3,
                tail: 0.0,
            },
            share: 456.0 / 574.0,
            targets: [4, 2],
            min: 0,
        }
    }

    pub fn runners(&self) -> usize {
        SERVERS * self.targets.iter().sum::<usize>()
    }

    /// The mean time from the assignment of a runner until its successor is idle.
    pub fn mean_cycle(&self) -> f64 {
        let [linux, windows] = &self.jobs;
        self.share * linux.mean + (1.0 - self.share) * windows.mean + self.start.mean + 10.0
    }

    pub fn draw(&self, random: &mut Random) -> usize {
        usize::from(random.unit() > self.share)
    }

    fn policy(&self, server: usize, pools: Pools) -> Policy {
        let page = Resources {
            hugepages_1g: 1,
            memory: Memory::default(),
        };
        let room = self.targets.iter().sum::<usize>();
        let profile = |(key, target_count): (&ProfileKey, usize)| {
            let (min_count, max_count) = match pools {
                Pools::Fixed => (target_count, target_count),
                Pools::FollowDemand => (self.min, room - self.min),
            };
            let profile = ProfilePolicy {
                target_count,
                min_count,
                max_count,
                needs: page,
                idle_labels: Vec::new(),
                guest_auth: GuestAuth::Secret,
                builds_image: false,
            };
            (key.clone(), profile)
        };
        Policy {
            names: RunnerNames {
                prefix: "ci-runner".to_owned(),
                suffix: format!("host{server}"),
            },
            scope: "/orgs/owner".to_owned(),
            profiles: self.keys.iter().zip(self.targets).map(profile).collect(),
            capacity: page.times(room),
            labels: LabelPolicy::FromBirth,
            start_timeout: Duration::from_secs(600),
            reserve_timeout: Duration::from_secs(600),
            poll_interval: Duration::from_secs(2),
            cache_timeout: Duration::from_secs(2),
            image_max_age: Duration::MAX,
            base_url: String::new(),
            builder_prefix: "ci-rebuild".to_owned(),
            makes_runners: true,
            destroys_all: false,
        }
    }
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// A job arrives, by its index in the trace.
    Job(usize),
    /// A guest has booted: server, registration.
    Online(usize, u64),
    /// The job on a guest ends.
    Ended(usize, u64),
    /// A server acts.
    Turn(usize),
}

struct Guest {
    runner: monitor_core::RunnerId,
    name: String,
    registration: Registration,
    profile: usize,
}

struct Server {
    monitor: Monitor,
    /// By registration.
    guests: BTreeMap<u64, Guest>,
    lively_until: f64,
    /// The revision of the state that was reported last.
    reported_revision: u64,
    last_report: MonitorDashboard,
}

/// The world.
pub struct World<'a> {
    profiles: &'a Profiles,
    now: f64,
    random: Random,
    queue: Queue,
    servers: Vec<Server>,
    happenings: BinaryHeap<Reverse<(u64, Happening)>>,
    waits: Vec<f64>,
    waiting: usize,
    created: usize,
    last_registration: u64,
    last_call: u64,
}

fn time(seconds: f64) -> Timestamp {
    Timestamp::from_micros((seconds * 1e6) as u64)
}

fn url(server: usize) -> String {
    format!("http://server{server}/")
}

fn new_queue(now: f64) -> Queue {
    let long = Duration::from_secs(1_000_000_000);
    let config = Config {
        startup_grace: Duration::ZERO,
        stale_after: long,
        ticket_lifetime: long,
        believable_from: Timestamp::default(),
        down_for: Duration::ZERO,
        limits: Limits {
            abandon_after: long,
            forward_timeout: Duration::from_secs(10),
            jobs_max: 100_000,
            jobs_per_repo_max: None,
            held_max: 100,
            policy: None,
        },
    };
    let urls: Vec<String> = (0..SERVERS).map(url).collect();
    Queue::new(config, &urls, 1, time(now))
}

impl<'a> World<'a> {
    pub fn new(profiles: &'a Profiles, pools: Pools, random: Random) -> Self {
        let now = 1_000_000.0;
        let server = |server| {
            let monitor = Monitor::new(profiles.policy(server, pools), None, time(now));
            Server {
                monitor: monitor.expect("there is no state to read"),
                guests: BTreeMap::new(),
                lively_until: now + LIVELY_FOR,
                reported_revision: 0,
                last_report: MonitorDashboard::default(),
            }
        };
        Self {
            profiles,
            now,
            random,
            queue: new_queue(now),
            servers: (0..SERVERS).map(server).collect(),
            happenings: BinaryHeap::new(),
            waits: Vec::new(),
            waiting: 0,
            created: 0,
            last_registration: 0,
            last_call: 0,
        }
    }

    /// Runs a trace; returns how long each job waited, and how many runners were created for it.
    pub fn run(&mut self, trace: &[(f64, usize)]) -> (Vec<f64>, usize) {
        for server in 0..SERVERS {
            self.schedule(0.0, Happening::Turn(server));
        }
        let began_at = self.now;
        for (index, (at, _)) in trace.iter().enumerate() {
            self.schedule(*at, Happening::Job(index));
        }
        while self.waits.len() < trace.len() {
            let Some(Reverse((at, happening))) = self.happenings.pop() else {
                panic!("jobs wait, and nothing happens");
            };
            self.now = self.now.max(at as f64 / 1e6);
            assert!(self.now < began_at + 1e9, "jobs wait for ever");
            match happening {
                Happening::Job(index) => self.enqueue(index, trace[index].1),
                Happening::Online(server, registration) => self.come_online(server, registration),
                Happening::Ended(server, registration) => self.end_job(server, registration),
                Happening::Turn(server) => {
                    self.turn(server, false);
                    let is_lively =
                        self.waiting > 0 || self.servers[server].lively_until > self.now;
                    let pace = if is_lively { PACE } else { QUIET_PACE };
                    self.schedule(pace, Happening::Turn(server));
                }
            }
        }
        (std::mem::take(&mut self.waits), self.created)
    }

    fn schedule(&mut self, after: f64, happening: Happening) {
        let at = time(self.now + after).as_micros();
        self.happenings.push(Reverse((at, happening)));
    }

    fn enqueue(&mut self, index: usize, profile: usize) {
        let request = JobRequest {
            spec: JobSpec {
                unique_id: format!("job-{index}").parse().expect("a valid name"),
                profile_key: self.profiles.keys[profile].clone(),
                count: Count::ONE,
                qualified_repo: "owner/repo".parse().expect("a valid name"),
                run_id: RunId(1),
            },
            is_array: false,
            labels_from_response: true,
            limits: WaitLimits::default(),
        };
        self.last_call += 1;
        self.waiting += 1;
        let input = Input::Enqueue {
            call: self.last_call,
            request,
            nonce: 1,
            by: EnqueuedBy::ApiToken,
            facts: RunFacts::default(),
        };
        self.handle(input);
    }

    /// Hands an input to the queue, and performs what it wants.
    fn handle(&mut self, input: Input) {
        self.queue.handle(time(self.now), input);
        let mut forwards = Vec::new();
        while let Some(effect) = self.queue.poll_effect() {
            match effect {
                Effect::Answer {
                    answer: Answer::Refused(refusal),
                    ..
                } => panic!("nothing is refused: {refusal:?}"),
                Effect::Answer { .. } | Effect::Record(_) | Effect::RecordReplacement(_) => {}
                Effect::Forward(forward) => forwards.push(forward),
                Effect::Release(release) => panic!("nothing is released: {release:?}"),
            }
        }
        for forward in forwards {
            self.forward(forward);
        }
    }

    fn forward(&mut self, forward: Forward) {
        let now = time(self.now);
        let unique_id = forward.request.spec.unique_id.clone();
        let take = Take {
            job: forward.request.spec.clone(),
            token: Some(forward.token),
            enqueued_at: Some(forward.enqueued_at),
            proof: Some("proof".to_owned()),
            labels_from_response: true,
        };
        let server = &mut self.servers[forward.server];
        let revision = server.monitor.take(take, now);
        let outcome = match revision {
            Err(_) => ForwardOutcome::Refused(String::new()),
            Ok(revision) => {
                server.monitor.handle_saved(revision);
                match server.monitor.take_outcome(&unique_id) {
                    TakeOutcome::Runners(runners) => ForwardOutcome::Granted(runners),
                    TakeOutcome::AwaitingLabels | TakeOutcome::Ended => {
                        panic!("a take is answered at once")
                    }
                }
            }
        };
        if let ForwardOutcome::Granted(runners) = &outcome {
            self.waits
                .push(now.since(forward.enqueued_at).as_secs_f64());
            self.waiting -= 1;
            for runner in runners {
                self.start_job(forward.server, runner.id);
            }
        }
        self.handle(Input::Forwarded {
            server: forward.server,
            unique_id,
            token: forward.token,
            outcome,
        });
    }

    fn start_job(&mut self, server: usize, runner: u64) {
        let mut guests = self.servers[server].guests.iter_mut();
        let guest = guests.find(|(_, guest)| guest.runner.0 == runner);
        let (&registration, guest) = guest.expect("the runner exists");
        guest.registration.busy = true;
        let took = self.profiles.jobs[guest.profile].draw(&mut self.random);
        self.schedule(took, Happening::Ended(server, registration));
    }

    fn come_online(&mut self, server: usize, registration: u64) {
        if let Some(guest) = self.servers[server].guests.get_mut(&registration) {
            guest.registration.status = RegistrationStatus::Online;
            self.turn(server, true);
        }
    }

    fn end_job(&mut self, server: usize, registration: u64) {
        let ended = &mut self.servers[server];
        let guest = ended.guests.remove(&registration).expect("it has a job");
        ended
            .monitor
            .handle_guest_ended(&guest.name, GuestEnd::default());
        self.turn(server, true);
    }

    /// A server polls, plans and acts, and reports if that may be news; the queue tells it what waits.
    fn turn(&mut self, index: usize, mut is_news: bool) {
        let now = time(self.now);
        if let Some(demand) = self.queue.demand(now, index) {
            let monitor = &mut self.servers[index].monitor;
            monitor.handle_demand(demand.queue, demand.counts, now);
        }
        let server = &mut self.servers[index];
        server.monitor.start_polls(now);
        let guests = server.guests.values().map(|guest| ObservedGuest {
            name: guest.name.clone(),
            ipv4_address: None,
        });
        server.monitor.handle_guests(guests.collect(), now, now);
        let registrations = server.guests.values();
        let registrations = registrations.map(|guest| guest.registration.clone());
        let registrations = registrations.collect();
        server.monitor.handle_registrations(registrations, now, now);
        server.monitor.review_targets(now);
        let plan = server.monitor.plan(now);
        let random = &mut self.random;
        let effects = server.monitor.begin(plan, now, || Entropy {
            uuid: format!("{:x}", (random.unit() * 1e18) as u64),
            guest_secret: Secret::new("secret".to_owned()),
        });
        is_news |= !effects.is_empty() || self.waiting > 0;
        if !effects.is_empty() {
            server.lively_until = self.now + LIVELY_FOR;
        }
        for effect in effects {
            self.perform(index, effect);
        }
        let monitor = &mut self.servers[index].monitor;
        monitor.handle_saved(monitor.revision());
        let _ = monitor.take_events(now);
        let revision = monitor.revision();
        is_news |=
            std::mem::replace(&mut self.servers[index].reported_revision, revision) != revision;
        match is_news {
            true => self.report(index),
            false => self.handle(Input::Unchanged {
                server: index,
                asked_at: now,
            }),
        }
    }

    fn perform(&mut self, index: usize, effect: MonitorEffect) {
        let now = time(self.now);
        let server = &mut self.servers[index];
        match effect {
            MonitorEffect::Create(creation) => {
                self.created += 1;
                self.last_registration += 1;
                let id = self.last_registration;
                let label = |name: &String| Label { name: name.clone() };
                let registration = Registration {
                    id,
                    name: creation.runner_name.clone(),
                    status: RegistrationStatus::Offline,
                    busy: false,
                    labels: creation.labels.iter().map(label).collect(),
                    version: None,
                };
                let mut keys = self.profiles.keys.iter();
                let profile = keys.position(|key| *key == creation.profile_key);
                let guest = Guest {
                    runner: creation.id,
                    name: creation.guest_name,
                    registration,
                    profile: profile.expect("a profile of this world"),
                };
                server.guests.insert(id, guest);
                let secret = Secret::new("jit".to_owned());
                server.monitor.handle_registered(creation.id, id, secret);
                server.monitor.handle_created(creation.id, now);
                let took = self.profiles.start.draw(&mut self.random);
                self.schedule(took, Happening::Online(index, id));
            }
            MonitorEffect::Destroy(destruction) => {
                let registration = destruction.registration.map(|it| it.id);
                let guest = registration.and_then(|id| server.guests.get(&id));
                let deletion = match guest {
                    Some(guest) => {
                        assert!(!guest.registration.busy, "a busy runner is destroyed");
                        Deletion::Deleted
                    }
                    None => Deletion::NotThere,
                };
                if server
                    .monitor
                    .handle_unregistered(destruction.id, deletion, now)
                {
                    registration.and_then(|id| server.guests.remove(&id));
                    server.monitor.handle_destroyed(destruction.id, now);
                }
            }
            MonitorEffect::Rebuild(_)
            | MonitorEffect::AddLabels { .. }
            | MonitorEffect::RemoveLabels { .. } => panic!("there are none: {effect:?}"),
        }
    }

    fn report(&mut self, index: usize) {
        let asked_at = time(self.now);
        let server = &mut self.servers[index];
        let Some(view) = server.monitor.view() else {
            return;
        };
        let mut dashboard = view.dashboard;
        dashboard.instance = Some(format!("server-{index}"));
        if dashboard == server.last_report {
            return self.handle(Input::Unchanged {
                server: index,
                asked_at,
            });
        }
        server.lively_until = self.now + LIVELY_FOR;
        let json = serde_json::to_vec(&dashboard).expect("a dashboard is plain data");
        let report = Report::parse(&json, asked_at);
        let mut report = report.expect("the queue reads every dashboard");
        server.last_report = dashboard;
        report.prove(|_, _| Some(index));
        self.handle(Input::Reported {
            server: index,
            report,
        });
    }
}
