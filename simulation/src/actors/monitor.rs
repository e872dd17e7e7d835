//! Monitors: the real core, with what the control loop, the executor and the store of the daemon
//! do.

use std::{collections::BTreeMap, time::Duration};

use monitor_core::{
    Effect, Entropy, GuestAuth, GuestEnd, HostCapacity, LabelPolicy, Monitor, Policy,
    ProfilePolicy, Resources, RunnerId, TakeOutcome, WorkflowJobEvent,
};
use queue_core::Report;
use shared::{
    clock::Timestamp,
    demand::Demand,
    problem::Problem,
    runner_name::RunnerNames,
    secret::Secret,
    software::Support,
    units::Memory,
    values::{ProfileKey, UniqueId},
    wire::MonitorDashboard,
};

use super::raised::Raised;
use crate::{
    environment::Environment,
    events::{Event, Incarnation, MonitorEvent, Operation, OperationResult},
    messages::{Etag, ExchangeId, Node, Reply, Request},
    rng::Rng,
    scenario::Scenario,
    stories::Stories,
};

const RESERVE_TIMEOUT: Duration = Duration::from_secs(60);
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The process of a monitor, whether it runs or not, and its disk.
pub struct MonitorNode {
    pub index: usize,
    policy: Policy,
    /// None while the process does not run.
    pub core: Option<Monitor>,
    pub incarnation: Incarnation,
    /// The process hangs until this time.
    pub frozen_until: Timestamp,
    /// It refuses the API token until this time; one with an odd index does not check it in polls.
    pub refuses_token_until: Timestamp,
    /// It answers no poll until this time.
    polls_fail_until: Timestamp,
    /// The last snapshot that was written completely.
    pub disk: Option<Vec<u8>>,
    /// Until when nothing can be written.
    pub disk_full_until: Timestamp,
    /// How far its clock is ahead, in seconds; negative if it is behind.
    pub clock_offset: i64,
    is_saving: bool,
    /// The tasks that wait until a revision is on disk.
    tasks: Vec<(u64, Effect)>,
    /// The takes that are answered once a revision is on disk.
    takes: Vec<(ExchangeId, UniqueId, u64)>,
    /// The releases that are answered once a revision is on disk.
    releases: Vec<(ExchangeId, u64)>,
    /// The polls that are held, with the ETag that the queue knows.
    polls: BTreeMap<ExchangeId, Option<Etag>>,
    /// The last dashboard, and its revision.
    dashboard: Option<MonitorDashboard>,
    /// What it has recorded of its runners, and what happened to them.
    pub stories: Stories,
    revision: u64,
    wakes_at: Timestamp,
    /// Which targets were raised because jobs waited.
    raised: Raised,
}

/// The profile of that index.
pub fn profile_key(index: usize) -> ProfileKey {
    ["linux", "windows"][index]
        .parse()
        .expect("this is a profile key")
}

/// The name by which queues know the server of that index.
pub fn server_name(index: usize) -> String {
    format!("http://server{index}/")
}

fn one_page() -> Resources {
    Resources {
        hugepages_1g: 1,
        memory: Memory::default(),
    }
}

impl MonitorNode {
    /// Whether guests of this server, if they are virtual machines, can read a secret.
    pub fn knows_secrets(index: usize) -> bool {
        index % 2 == 1
    }

    /// The server of that index, with the capacity for exactly as many runners as its targets.
    pub fn new(index: usize, scenario: &Scenario) -> Self {
        let Scenario { pace, habits, .. } = scenario;
        let targets = &scenario.targets[index];
        let room = targets.iter().sum();
        let profiles = targets.iter().enumerate().map(|(profile, &target_count)| {
            let policy = ProfilePolicy {
                target_count,
                min_count: match habits.pools_follow_demand {
                    true => 0,
                    false => target_count,
                },
                max_count: match habits.pools_follow_demand {
                    true => room,
                    false => target_count,
                },
                needs: one_page(),
                idle_labels: vec!["profile".to_owned()],
                guest_auth: match scenario.network.guests_have_leases {
                    false => GuestAuth::Secret,
                    true if Self::knows_secrets(index) => GuestAuth::SecretAndAddress,
                    true => GuestAuth::Address,
                },
                builds_image: false,
            };
            (profile_key(profile), policy)
        });
        let policy = Policy {
            names: RunnerNames {
                prefix: "ci-runner".to_owned(),
                suffix: scenario.suffix(index),
            },
            scope: "/orgs/org".to_owned(),
            profiles: profiles.collect(),
            capacity: one_page().times(room),
            labels: match habits.labels_on_take {
                true => LabelPolicy::OnTake,
                false => LabelPolicy::FromBirth,
            },
            start_timeout: START_TIMEOUT,
            reserve_timeout: RESERVE_TIMEOUT,
            poll_interval: pace.poll_interval,
            cache_timeout: pace.cache_timeout,
            image_max_age: Duration::MAX,
            base_url: String::new(),
            builder_prefix: "ci-rebuild".to_owned(),
            makes_runners: true,
            destroys_all: false,
        };
        Self {
            index,
            policy,
            core: None,
            incarnation: 0,
            frozen_until: Timestamp::default(),
            refuses_token_until: Timestamp::default(),
            polls_fail_until: Timestamp::default(),
            disk: None,
            disk_full_until: Timestamp::default(),
            clock_offset: 0,
            is_saving: false,
            tasks: Vec::new(),
            takes: Vec::new(),
            releases: Vec::new(),
            polls: BTreeMap::new(),
            dashboard: None,
            stories: Stories::default(),
            revision: 0,
            wakes_at: Timestamp::default(),
            raised: Raised::default(),
        }
    }

    /// How many guests the server has room for.
    pub fn capacity(&self) -> usize {
        usize::try_from(self.policy.capacity.hugepages_1g).unwrap_or(usize::MAX)
    }

    /// The runner whose guest has this name.
    pub fn runner_of_guest(&self, guest_name: &str) -> Option<RunnerId> {
        let (_, id) = guest_name.rsplit_once('.')?;
        id.parse().ok().map(RunnerId)
    }

    pub fn names(&self) -> &RunnerNames {
        &self.policy.names
    }

    /// The time of its clock.
    fn now(&self, environment: &Environment) -> Timestamp {
        let offset = Duration::from_secs(self.clock_offset.unsigned_abs());
        match self.clock_offset < 0 {
            true => environment.context.now - offset,
            false => environment.context.now + offset,
        }
    }

    /// Whether its dashboard shows a problem of this kind.
    pub fn has_problem(&self, code: &str) -> bool {
        self.problems().iter().any(|it| it.code == code)
    }

    /// What it shows as wrong.
    pub fn problems(&self) -> Vec<Problem> {
        let view = self.core.as_ref().and_then(Monitor::view);
        view.map(|view| view.dashboard.problems).unwrap_or_default()
    }

    pub fn server_name(&self) -> String {
        server_name(self.index)
    }

    /// Starts the process, which must not run, with the snapshot that is on its disk.
    pub fn start(&mut self, environment: &mut Environment) {
        let snapshot = self.disk.as_deref();
        let core = Monitor::new(self.policy.clone(), snapshot, self.now(environment));
        let core = core.expect("a snapshot that was saved can be read");
        self.stories.restart(|id| core.profile_of(id).is_some());
        self.core = Some(core);
        self.raised = Raised::default();
        self.incarnation += 1;
        self.wakes_at = Timestamp::default();
        self.act(environment);
    }

    /// Kills the process between two steps. Its guests, and the operations under way, continue.
    pub fn crash(&mut self, environment: &mut Environment) {
        self.core = None;
        self.incarnation += 1;
        self.is_saving = false;
        self.tasks.clear();
        self.takes.clear();
        self.releases.clear();
        self.polls.clear();
        self.dashboard = None;
        environment
            .network
            .break_connections_to(&mut environment.context, Node::Monitor(self.index));
    }

    /// Handles a request of a queue.
    pub fn handle_request(
        &mut self,
        environment: &mut Environment,
        id: ExchangeId,
        request: Request,
    ) {
        let now = self.now(environment);
        let Some(core) = self.core.as_mut() else {
            return;
        };
        let is_poll = matches!(request, Request::Poll(..));
        if environment.context.now < self.refuses_token_until && !(is_poll && self.index % 2 == 1) {
            return environment.reply(id, Reply::TokenRefused);
        }
        match request {
            Request::Poll(..) if environment.context.now < self.polls_fail_until => {
                return environment.reply(id, Reply::Unavailable);
            }
            Request::Poll(known, hold, demand) => {
                if let Some(Demand { queue, counts }) = demand {
                    core.handle_demand(queue, counts, now);
                }
                self.polls.insert(id, known);
                let event = MonitorEvent::PollHoldEnds(id);
                let event = Event::Monitor(self.index, self.incarnation, event);
                environment.context.schedule_after(hold, event);
            }
            Request::Forward(take) => {
                let unique_id = take.job.unique_id.clone();
                match core.take(take, now) {
                    Ok(revision) => self.takes.push((id, unique_id, revision)),
                    Err(_) => environment.reply(id, Reply::Refused),
                }
            }
            Request::Release(unique_id, token, destroys) => {
                let revision = core.release(&unique_id, Some(token), destroys, now);
                self.releases.push((id, revision));
            }
            Request::Enqueue(_) | Request::Take(..) | Request::Withdraw(_) => {}
        }
        self.act(environment);
    }

    pub fn handle_event(
        &mut self,
        environment: &mut Environment,
        incarnation: Incarnation,
        event: MonitorEvent,
    ) {
        if self.incarnation != incarnation {
            return;
        }
        match event {
            MonitorEvent::Acts => self.act(environment),
            // Another timer may have been set meanwhile.
            MonitorEvent::Timer(at) if self.wakes_at == at => self.act(environment),
            MonitorEvent::Timer(_) => {}
            MonitorEvent::PollHoldEnds(id) => {
                // As long as it has not seen both lists it has no dashboard.
                let is_ready = self.core.as_ref().is_some_and(Monitor::is_ready);
                if self.polls.remove(&id).is_some() {
                    let reply = match is_ready {
                        true => Reply::Unchanged,
                        false => Reply::Unavailable,
                    };
                    environment.reply(id, reply);
                }
            }
            MonitorEvent::OperationEnds(result) => self.handle_result(environment, *result),
        }
    }

    /// Handles that a guest of this server has ended.
    pub fn handle_guest_ended(&mut self, environment: &mut Environment, guest_name: &str) {
        if let Some(core) = self.core.as_mut() {
            core.handle_guest_ended(guest_name, GuestEnd::default());
            let event = self.event(MonitorEvent::Acts);
            let context = &mut environment.context;
            context.schedule_at(context.now, event);
        }
    }

    pub fn handle_webhook(&mut self, environment: &mut Environment, event: &WorkflowJobEvent) {
        let now = self.now(environment);
        if let Some(core) = self.core.as_mut() {
            core.handle_webhook(event, now);
            self.act(environment);
        }
    }

    /// Handles that the operator removes a runner.
    pub fn remove_runner(&mut self, environment: &mut Environment, id: RunnerId) {
        let now = self.now(environment);
        if let Some(core) = self.core.as_mut() {
            let context = &environment.context;
            context.trace(format_args!(
                "the operator removes runner {id} of server {}",
                self.index
            ));
            // It may be gone by now.
            let _ = core.remove_runner(id, false, now);
            self.act(environment);
        }
    }

    /// Handles the result of an operation that this process has begun.
    fn handle_result(&mut self, environment: &mut Environment, result: OperationResult) {
        let now = self.now(environment);
        let Some(core) = self.core.as_mut() else {
            return;
        };
        match result {
            OperationResult::Guests(guests, begun_at) => {
                core.handle_guests(guests, begun_at, now);
                // Virtual machines start from images, which are there.
                let profiles = self.policy.profiles.keys();
                core.handle_images(profiles.map(|key| (key.clone(), now)).collect());
            }
            OperationResult::Host => {
                core.handle_host(HostCapacity::default(), now);
            }
            OperationResult::Registrations(registrations, begun_at) => {
                core.handle_registrations(registrations, begun_at, now);
            }
            OperationResult::ListFailed(poll) => core.handle_poll_failed(poll, None, now),
            OperationResult::Registered(creation, registration_id, jit_config) => {
                core.handle_registered(creation.id, registration_id.0, jit_config);
                self.begin(environment, Operation::CreateGuest(creation));
            }
            OperationResult::Created(id) => core.handle_created(id, now),
            OperationResult::NotRegistered(id) => core.handle_not_registered(id, "fail", now),
            OperationResult::CreationFailed(id) => core.handle_creation_failed(id, "fail", now),
            OperationResult::Unregistered(destruction, deletion) => {
                if core.handle_unregistered(destruction.id, deletion, now) {
                    self.begin(environment, Operation::DestroyGuest(destruction));
                }
            }
            OperationResult::Destroyed(id) => core.handle_destroyed(id, now),
            OperationResult::DestructionFailed(id) => {
                core.handle_destruction_failed(id, "fail", now);
            }
            OperationResult::LabelsAdded(unique_id, ids, is_done) => {
                core.handle_labels_added(&unique_id, &ids, is_done);
            }
            OperationResult::LabelsRemoved(id, is_done) => core.handle_labels_removed(id, is_done),
            OperationResult::JobProgress(id, progress) => {
                core.handle_job_progress(id, progress.ok_or(None), now);
            }
            OperationResult::Saved(revision, is_saved) => {
                if is_saved {
                    core.handle_saved(revision);
                } else {
                    core.handle_save_failed();
                }
                self.is_saving = false;
            }
        }
        self.act(environment);
    }

    /// Invariant 9: what is recorded of a runner has happened to it.
    fn record_events(&mut self, environment: &mut Environment) {
        let now = self.now(environment);
        let Some(core) = self.core.as_mut() else {
            return;
        };
        for event in core.take_events(now) {
            if let Err(difference) = self.stories.observe(&event) {
                let description = format!("on server {}, {difference}", self.index);
                let context = &mut environment.context;
                context.invariants.violate(context.now, 9, description);
            }
        }
    }

    /// Begins what is due, and replies to what can be replied to. To be called after every change.
    fn act(&mut self, environment: &mut Environment) {
        self.record_events(environment);
        let now = self.now(environment);
        let Some(core) = self.core.as_mut() else {
            return;
        };
        let polls = core.start_polls(now);
        for poll in polls {
            self.begin(environment, Operation::List(poll, now));
        }
        self.check_software(environment);
        self.query_jobs(environment);
        self.plan(environment);
        self.record_events(environment);
        self.begin_saving(environment);
        self.begin_tasks(environment);
        self.reply_to_takes(environment);
        self.reply_to_releases(environment);
        self.reply_to_polls(environment);
        self.schedule_timer(environment);
    }

    /// Requests the support dates of the runner software. The response has no effect in a run, but
    /// the request counts against GitHub's rate limit.
    fn check_software(&mut self, environment: &mut Environment) {
        let now = self.now(environment);
        let Some(core) = self.core.as_mut() else {
            return;
        };
        for version in core.start_software_queries(now) {
            core.handle_software_support(&version, Ok(Support::Open), now);
            environment.github.count_request(&mut environment.context);
        }
    }

    fn query_jobs(&mut self, environment: &mut Environment) {
        let now = self.now(environment);
        let Some(core) = self.core.as_mut() else {
            return;
        };
        for query in core.start_job_queries(now) {
            self.begin(environment, Operation::QueryJob(query));
        }
    }

    fn plan(&mut self, environment: &mut Environment) {
        let now = self.now(environment);
        let Some(core) = self.core.as_mut() else {
            return;
        };
        core.review_targets(now);
        let plan = core.plan(now);
        let context = &mut environment.context;
        if context.scenario.habits.pools_follow_demand {
            for description in self.raised.observe(core, &plan, now) {
                let description = format!("on server {}, {description}", self.index);
                context.invariants.violate(context.now, 11, description);
            }
        }
        let rng = &mut environment.context.rng;
        let tasks = core.begin(plan, now, || Entropy {
            uuid: random_hex(rng),
            guest_secret: Secret::new(random_hex(rng)),
        });
        for task in tasks {
            // A guest may be created only when the record of it is on disk.
            let revision = match &task {
                Effect::Create(creation) => creation.revision,
                Effect::AddLabels { revision, .. } => *revision,
                _ => 0,
            };
            self.tasks.push((revision, task));
        }
    }

    fn begin(&mut self, environment: &mut Environment, operation: Operation) {
        let range = match operation {
            Operation::Save(..) => (1, 30),
            Operation::CreateGuest(_) | Operation::DestroyGuest(_) => (50, 2000),
            Operation::List(..)
            | Operation::Register(_)
            | Operation::Unregister(_)
            | Operation::AddLabels(..)
            | Operation::RemoveLabels(..)
            | Operation::QueryJob(_) => (5, 500),
        };
        let context = &mut environment.context;
        let duration = context.rng.millis(range);
        let event = Event::OperationRuns(self.index, self.incarnation, Box::new(operation));
        context.schedule_after(duration, event);
    }

    fn begin_saving(&mut self, environment: &mut Environment) {
        let Some(core) = &self.core else { return };
        if !self.is_saving && core.revision() > core.saved_revision() {
            let operation = Operation::Save(core.revision(), core.snapshot());
            self.is_saving = true;
            self.begin(environment, operation);
        }
    }

    fn begin_tasks(&mut self, environment: &mut Environment) {
        let Some(core) = &self.core else { return };
        let saved = core.saved_revision();
        let ready: Vec<(u64, Effect)> = self
            .tasks
            .extract_if(.., |(revision, _)| *revision <= saved)
            .collect();
        for (_, task) in ready {
            let operation = match task {
                Effect::Create(creation) => Operation::Register(creation),
                // Without a registration there is nothing to delete at GitHub.
                Effect::Destroy(destruction) if destruction.registration.is_none() => {
                    Operation::DestroyGuest(destruction)
                }
                Effect::Destroy(destruction) => Operation::Unregister(destruction),
                Effect::AddLabels {
                    unique_id,
                    ids,
                    registrations,
                    labels,
                    ..
                } => Operation::AddLabels(unique_id, ids, registrations, labels),
                Effect::RemoveLabels {
                    id,
                    registration,
                    labels,
                } => Operation::RemoveLabels(id, registration, labels),
                // Images are not built.
                Effect::Rebuild(_) => continue,
            };
            self.begin(environment, operation);
        }
    }

    fn reply_to_takes(&mut self, environment: &mut Environment) {
        let Some(core) = &self.core else { return };
        let saved = core.saved_revision();
        let ready = self.takes.extract_if(.., |(_, unique_id, revision)| {
            *revision <= saved && core.take_outcome(unique_id) != TakeOutcome::AwaitingLabels
        });
        let mut replies: Vec<(ExchangeId, Reply)> = ready
            .map(|(id, unique_id, _)| match core.take_outcome(&unique_id) {
                TakeOutcome::Runners(runners) => (id, Reply::Granted(runners)),
                TakeOutcome::AwaitingLabels | TakeOutcome::Ended => (id, Reply::Refused),
            })
            .collect();
        // A reservation that could not be saved was undone.
        let undone = self.takes.extract_if(.., |(_, unique_id, _)| {
            core.take_outcome(unique_id) == TakeOutcome::Ended
        });
        replies.extend(undone.map(|(id, _, _)| (id, Reply::Refused)));
        for (id, reply) in replies {
            let context = &mut environment.context;
            if matches!(reply, Reply::Granted(_)) && context.scenario.network.polls_fail_after_takes
            {
                self.polls_fail_until = context.now + context.rng.millis((1000, 8000));
                for (poll, _) in std::mem::take(&mut self.polls) {
                    environment.reply(poll, Reply::Unavailable);
                }
            }
            environment.reply(id, reply);
        }
    }

    fn reply_to_releases(&mut self, environment: &mut Environment) {
        let Some(core) = &self.core else { return };
        let saved = core.saved_revision();
        let ready = self
            .releases
            .extract_if(.., |(_, revision)| *revision <= saved);
        for (id, _) in ready {
            environment.reply(id, Reply::Released);
        }
    }

    fn reply_to_polls(&mut self, environment: &mut Environment) {
        let Some(view) = self.core.as_ref().and_then(Monitor::view) else {
            return;
        };
        if self.dashboard.as_ref() != Some(&view.dashboard) {
            self.dashboard = Some(view.dashboard.clone());
            self.revision += 1;
        }
        let etag = (self.incarnation, self.revision);
        let outdated: Vec<ExchangeId> = self
            .polls
            .extract_if(.., |_, known| *known != Some(etag))
            .map(|(id, _)| id)
            .collect();
        if outdated.is_empty() {
            return;
        }
        let mut dashboard = view.dashboard;
        dashboard.instance = Some(format!("{}-{}", self.index, self.incarnation));
        let json = serde_json::to_vec(&dashboard).expect("a dashboard is plain data");
        let report = Report::parse(&json, environment.context.now);
        let report = report.expect("the queue reads every dashboard of a monitor");
        for id in outdated {
            environment.reply(id, Reply::Report(Box::new(report.clone()), etag));
        }
    }

    fn schedule_timer(&mut self, environment: &mut Environment) {
        let own_now = self.now(environment);
        let context = &mut environment.context;
        let Some(core) = &self.core else { return };
        let latest = context.now + context.scenario.pace.poll_interval;
        let earliest = context.now + Duration::from_millis(1);
        let next = core.next_poll_at();
        let next = next.map_or(latest, |next| context.now + next.since(own_now));
        let at = next.clamp(earliest, latest);
        if self.wakes_at <= context.now || at < self.wakes_at {
            self.wakes_at = at;
            let event = self.event(MonitorEvent::Timer(at));
            context.schedule_at(at, event);
        }
    }

    /// An event for this process.
    fn event(&self, event: MonitorEvent) -> Event {
        Event::Monitor(self.index, self.incarnation, event)
    }
}

fn random_hex(rng: &mut Rng) -> String {
    format!("{:016x}", rng.number(0, u64::MAX))
}
