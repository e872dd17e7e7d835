//! Monitors in the story: the real core, and around it what the real loop, executor and store do.

use std::{collections::BTreeMap, time::Duration};

use monitor_core::{
    Fresh, LabelPolicy, Monitor, Policy, ProfilePolicy, Proof, Resources, TakeRefusal, Taken, Task,
};
use queue_core::report::Report;
use shared::{
    clock::Timestamp,
    registration::Registration,
    runner_name::RunnerNames,
    secret::Secret,
    units::Memory,
    values::{ProfileKey, UniqueId},
    wire::MonitorDashboard,
};

use crate::{
    deeds::{Deed, News},
    network::{ExchangeId, Granted, Node, Question, Reply},
    scenario::Pace,
    world::{Event, World},
};

/// How long a reserved runner waits for its job.
pub const RESERVE_TIMEOUT: Duration = Duration::from_secs(60);
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// One monitor's process, or its absence.
pub struct MonitorNode {
    /// The core, while the process lives.
    pub core: Option<Monitor>,
    /// How often it was started or ended.
    pub life: u64,
    /// It does nothing before.
    pub frozen_until: Timestamp,
    policy: Policy,
    /// What a new process finds: only what was saved to the end.
    pub disk: Option<Vec<u8>>,
    is_saving: bool,
    tasks: Vec<(u64, Task)>,
    takes: Vec<(ExchangeId, UniqueId, u64)>,
    releases: Vec<(ExchangeId, u64)>,
    watches: BTreeMap<ExchangeId, Option<(u64, u64)>>,
    shown: Option<MonitorDashboard>,
    revision: u64,
    wake_at: Timestamp,
    /// GitHub's list as it was last sent.
    pub listed: Option<Vec<Registration>>,
}

/// The profiles of the story, by number.
pub fn profile_key(index: usize) -> ProfileKey {
    ["linux", "windows"][index]
        .parse()
        .expect("this is a profile key")
}

fn one_page() -> Resources {
    Resources {
        hugepages_1g: 1,
        memory: Memory::default(),
    }
}

impl MonitorNode {
    /// A host with these targets and room for exactly as many runners.
    pub fn new(index: usize, targets: &[usize], pace: Pace) -> Self {
        let profiles = targets.iter().enumerate().map(|(profile, &target_count)| {
            let policy = ProfilePolicy {
                target_count,
                needs: one_page(),
                idle_labels: vec!["profile".to_owned()],
                proof: Proof::Secret,
                builds_image: false,
            };
            (profile_key(profile), policy)
        });
        let policy = Policy {
            names: RunnerNames {
                prefix: "ci-runner".to_owned(),
                suffix: format!("host{index}"),
            },
            profiles: profiles.collect(),
            capacity: one_page().times(targets.iter().sum()),
            labels: LabelPolicy::FromBirth,
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
            core: None,
            life: 0,
            frozen_until: Timestamp::default(),
            policy,
            disk: None,
            is_saving: false,
            tasks: Vec::new(),
            takes: Vec::new(),
            releases: Vec::new(),
            watches: BTreeMap::new(),
            shown: None,
            revision: 0,
            wake_at: Timestamp::default(),
            listed: None,
        }
    }

    /// The core, if the process can answer at all.
    pub fn core_if_answering(&mut self) -> Option<&mut Monitor> {
        self.core.as_mut()
    }

    /// How many guests the host has room for.
    pub fn capacity(&self) -> usize {
        usize::try_from(self.policy.capacity.hugepages_1g).unwrap_or(usize::MAX)
    }

    /// How runners are named here.
    pub fn names(&self) -> &RunnerNames {
        &self.policy.names
    }
}

impl World {
    /// Starts a monitor that is not running, with what is on its disk.
    pub fn start_monitor(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.monitors[index];
        let core = Monitor::new(node.policy.clone(), node.disk.as_deref(), now);
        node.core = Some(core.expect("a snapshot that was saved can be read"));
        node.life += 1;
        node.wake_at = Timestamp::default();
        self.monitor_settles(index);
    }

    /// Ends a monitor's process between two steps; guests and requests on their way go on.
    pub fn crash_monitor(&mut self, index: usize) {
        let node = &mut self.monitors[index];
        node.core = None;
        node.life += 1;
        node.is_saving = false;
        node.tasks.clear();
        node.takes.clear();
        node.releases.clear();
        node.watches.clear();
        node.shown = None;
        self.break_exchanges_with(Node::Monitor(index));
    }

    /// A question has arrived at a monitor that lives.
    pub fn monitor_is_asked(&mut self, index: usize, id: ExchangeId, question: Question) {
        let now = self.now;
        let node = &mut self.monitors[index];
        let Some(core) = node.core.as_mut() else {
            return;
        };
        match question {
            Question::Watch(known, hold) => {
                node.watches.insert(id, known);
                self.later(hold, Event::WatchEnds(index, id));
            }
            Question::MonitorTake(take) => {
                let unique_id = take.unique_id.clone();
                match core.take(take, now) {
                    Ok(revision) => node.takes.push((id, unique_id, revision)),
                    Err(TakeRefusal::NotReady) | Err(_) => {
                        self.reply(id, Reply::Taken(Granted::Refused));
                    }
                }
            }
            Question::Release(unique_id, attempt, destroys) => {
                let revision = core.release(&unique_id, Some(attempt), destroys, now);
                node.releases.push((id, revision));
            }
            Question::Enqueue(_) | Question::Take(..) | Question::Withdraw(_) => {}
        }
        self.monitor_settles(index);
    }

    /// A held watch has had its time.
    pub fn watch_ends(&mut self, index: usize, id: ExchangeId) {
        if self.monitors[index].watches.remove(&id).is_some() {
            self.reply(id, Reply::NoNews);
        }
    }

    /// The monitor's alarm went off.
    pub fn monitor_wakes(&mut self, index: usize, life: u64, at: Timestamp) {
        let node = &self.monitors[index];
        if node.life == life && node.wake_at == at {
            self.monitor_settles(index);
        }
    }

    /// A guest of this host has ended.
    pub fn monitor_hears_of_guest_end(&mut self, index: usize) {
        if let Some(core) = self.monitors[index].core.as_mut() {
            core.handle_guest_ended();
            let life = self.monitors[index].life;
            self.at(self.now, Event::MonitorSettles(index, life));
        }
    }

    /// After every change: whatever is due is begun, told, saved.
    pub fn monitor_settles(&mut self, index: usize) {
        let now = self.now;
        let Some(core) = self.monitors[index].core.as_mut() else {
            return;
        };
        for look in core.begin_looks(now) {
            self.monitor_begins(index, Deed::Look(look, now));
        }
        self.monitor_asks_about_software(index);
        let chance = &mut self.chance;
        let Some(core) = self.monitors[index].core.as_mut() else {
            return;
        };
        let plan = core.plan(now);
        let tasks = core.begin(plan, now, || Fresh {
            uuid: format!("{:016x}", chance.number(0, u64::MAX)),
            guest_secret: Secret::new(format!("{:016x}", chance.number(0, u64::MAX))),
        });
        for task in tasks {
            let needs = match &task {
                Task::Create(creation) => creation.revision,
                _ => 0,
            };
            self.monitors[index].tasks.push((needs, task));
        }
        self.begin_saving(index);
        self.begin_tasks(index);
        self.answer_what_is_saved(index);
        self.tell_watchers(index);
        self.plan_monitor_wake(index);
    }

    /// A monitor that still lives learns how a deed ended.
    pub fn monitor_learns(&mut self, index: usize, news: News) {
        let now = self.now;
        let Some(core) = self.monitors[index].core.as_mut() else {
            return;
        };
        match news {
            News::Guests(guests, asked_at) => core.handle_guests(guests, asked_at, now),
            News::Registrations(registrations, asked_at) => {
                core.handle_registrations(registrations, asked_at, now);
            }
            News::LookFailed(look) => core.handle_look_failed(look, None, now),
            News::Registered(creation, registration_id, jit_config) => {
                core.handle_registered(creation.id, registration_id, jit_config);
                self.monitor_begins(index, Deed::MakeGuest(creation));
            }
            News::Created(id) => core.handle_created(id, now),
            News::CreationFailed(id) => core.handle_creation_failed(id, None, now),
            News::Unregistered(destruction, deletion) => {
                if core.handle_unregistered(destruction.id, deletion, now) {
                    self.monitor_begins(index, Deed::DestroyGuest(destruction));
                }
            }
            News::Destroyed(id) => core.handle_destroyed(id, now),
            News::DestructionFailed(id) => core.handle_destruction_failed(id, None, now),
            News::Saved(revision, is_done) => {
                if is_done {
                    core.handle_saved(revision);
                } else {
                    core.handle_save_failed();
                }
                self.monitors[index].is_saving = false;
            }
        }
        self.monitor_settles(index);
    }

    fn monitor_begins(&mut self, index: usize, deed: Deed) {
        let life = self.monitors[index].life;
        let delay = match deed {
            Deed::Save(..) => self.chance.millis(1, 30),
            Deed::MakeGuest(_) | Deed::DestroyGuest(_) => self.chance.millis(50, 2000),
            Deed::Look(..) | Deed::Register(_) | Deed::Unregister(_) => self.chance.millis(5, 500),
        };
        self.later(delay, Event::Deed(index, life, Box::new(deed)));
    }

    fn begin_saving(&mut self, index: usize) {
        let node = &mut self.monitors[index];
        let Some(core) = &node.core else { return };
        if !node.is_saving && core.revision() > core.saved_revision() {
            node.is_saving = true;
            let deed = Deed::Save(core.revision(), core.snapshot());
            self.monitor_begins(index, deed);
        }
    }

    fn begin_tasks(&mut self, index: usize) {
        let node = &mut self.monitors[index];
        let Some(core) = &node.core else { return };
        let saved = core.saved_revision();
        let ready: Vec<Task> = node
            .tasks
            .extract_if(.., |(needs, _)| *needs <= saved)
            .map(|(_, task)| task)
            .collect();
        for task in ready {
            match task {
                Task::Create(creation) => self.monitor_begins(index, Deed::Register(creation)),
                // Without a registration there is nothing to ask GitHub.
                Task::Destroy(destruction) if destruction.registration_id.is_none() => {
                    self.monitor_begins(index, Deed::DestroyGuest(destruction));
                }
                Task::Destroy(destruction) => {
                    self.monitor_begins(index, Deed::Unregister(destruction));
                }
                // With labels from birth there are none to add.
                Task::AddLabels { .. } | Task::RemoveLabels { .. } | Task::Rebuild(_) => {}
            }
        }
    }

    fn answer_what_is_saved(&mut self, index: usize) {
        let node = &mut self.monitors[index];
        let Some(core) = &node.core else { return };
        let saved = core.saved_revision();
        let mut replies = Vec::new();
        for (id, unique_id, _) in node
            .takes
            .extract_if(.., |(_, _, revision)| *revision <= saved)
        {
            let granted = match core.taken(&unique_id) {
                Taken::Runners(runners) => Granted::Runners(runners),
                Taken::Preparing | Taken::Nothing => Granted::Refused,
            };
            replies.push((id, Reply::Taken(granted)));
        }
        // A take that could not be saved was undone.
        let undone = |(_, unique_id, _): &mut (ExchangeId, UniqueId, u64)| {
            core.taken(unique_id) == Taken::Nothing
        };
        replies.extend(
            node.takes
                .extract_if(.., undone)
                .map(|(id, _, _)| (id, Reply::Taken(Granted::Refused))),
        );
        let releases = node
            .releases
            .extract_if(.., |(_, revision)| *revision <= saved);
        replies.extend(releases.map(|(id, _)| (id, Reply::Released)));
        for (id, reply) in replies {
            self.reply(id, reply);
        }
    }

    fn tell_watchers(&mut self, index: usize) {
        let node = &mut self.monitors[index];
        let Some(view) = node.core.as_ref().and_then(Monitor::view) else {
            return;
        };
        if node.shown.as_ref() != Some(&view.dashboard) {
            node.shown = Some(view.dashboard.clone());
            node.revision += 1;
        }
        let etag = (node.life, node.revision);
        let told: Vec<ExchangeId> = node
            .watches
            .extract_if(.., |_, known| *known != Some(etag))
            .map(|(id, _)| id)
            .collect();
        let report = Report::of(view.dashboard, self.now);
        for id in told {
            self.reply(id, Reply::News(report.clone(), etag));
        }
    }

    fn plan_monitor_wake(&mut self, index: usize) {
        let node = &mut self.monitors[index];
        let Some(core) = &node.core else { return };
        let latest = self.now + self.scenario.pace.poll_interval;
        let at = core
            .next_look_at()
            .unwrap_or(latest)
            .clamp(self.now + Duration::from_millis(1), latest);
        if node.wake_at <= self.now || at < node.wake_at {
            node.wake_at = at;
            let life = node.life;
            self.at(at, Event::MonitorWakes(index, life, at));
        }
    }
}
