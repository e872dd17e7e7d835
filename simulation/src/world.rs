//! The story: everything there is, what happens next, and the time.

use std::{collections::BTreeMap, time::Duration};

use emulator::model::Model;
use shared::{clock::Timestamp, values::UniqueId};

use crate::{
    chance::Chance,
    clients::Client,
    day::Bill,
    deeds::{Deed, News},
    faults::Blow,
    github,
    guests::{Guest, GuestId},
    monitors::MonitorNode,
    network::{End, Exchange, ExchangeId, Node, Reply},
    queues::QueueNode,
    rules::{Tally, Violation},
    scenario::{Scenario, Weather},
};

/// Something that happens at a moment.
#[derive(Debug)]
pub enum Event {
    /// A question arrives.
    Asked(ExchangeId),
    /// An answer arrives.
    Replied(ExchangeId, Box<Reply>),
    /// The connection of an exchange breaks.
    Cut(ExchangeId),
    /// Whoever asked waits no longer.
    GivenUp(ExchangeId),
    /// A queue notices that its caller is gone.
    HungUp(usize, u64, ExchangeId),
    /// A queue asks a monitor what is new.
    Watch(usize, u64, usize),
    /// A monitor has held a watch for long enough.
    WatchEnds(usize, ExchangeId),
    /// A queue's alarm.
    QueueWakes(usize, u64, Timestamp),
    /// A monitor's alarm.
    MonitorWakes(usize, u64, Timestamp),
    /// A monitor looks at what follows from what it has learnt.
    MonitorSettles(usize, u64),
    /// Something is done outside on behalf of a monitor.
    Deed(usize, u64, Box<Deed>),
    /// A monitor learns how it ended.
    MonitorLearns(usize, u64, Box<News>),
    /// GitHub tells a monitor that a job began or ended on the runner of that name.
    Webhook(usize, String),
    /// A guest does what it does.
    GuestActs(GuestId),
    /// A client asks.
    ClientActs(usize),
    /// A client's workflow asks GitHub for a runner with a label.
    WorkflowJob(usize, String),
    /// Something breaks.
    Blow(Blow),
    /// A queue is started again.
    StartQueue(usize),
    /// A monitor is started again.
    StartMonitor(usize),
}

/// Everything there is.
pub struct World {
    pub(crate) scenario: Scenario,
    pub(crate) started_at: Timestamp,
    pub(crate) now: Timestamp,
    pub(crate) chance: Chance,
    pub(crate) github: Model,
    pub(crate) github_down_until: Timestamp,
    pub(crate) bill: Bill,
    pub(crate) queues: Vec<QueueNode>,
    pub(crate) monitors: Vec<MonitorNode>,
    pub(crate) clients: Vec<Client>,
    pub(crate) guests: BTreeMap<GuestId, Guest>,
    pub(crate) exchanges: BTreeMap<ExchangeId, Exchange>,
    pub(crate) last_exchange: ExchangeId,
    pub(crate) partitions: Vec<(Node, Node, Timestamp)>,
    /// Which job's client was handed which runner of which server.
    pub(crate) handed: BTreeMap<(String, u64), UniqueId>,
    /// The longest silence of each client, as each queue heard it.
    pub(crate) silences: BTreeMap<(usize, usize), Duration>,
    pub(crate) tally: Tally,
    pub(crate) violation: Option<Violation>,
    is_told: bool,
    events: BTreeMap<(Timestamp, u64), Event>,
    last_event: u64,
}

/// How often the end of the story is looked for.
const LAST_LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long an exchange is remembered after its end, for questions that arrive late.
const EXCHANGES_KEPT: u64 = 4000;

impl World {
    /// The beginning of a story.
    pub fn new(scenario: Scenario) -> Self {
        let started_at = Timestamp::from_seconds(1_700_000_000);
        let monitors = scenario
            .targets
            .iter()
            .enumerate()
            .map(|(index, targets)| MonitorNode::new(index, targets, scenario.pace));
        Self {
            started_at,
            now: started_at,
            chance: Chance::of(scenario.seed),
            github: github::model(started_at),
            github_down_until: started_at,
            bill: Bill::default(),
            queues: (0..scenario.queue_count)
                .map(|_| QueueNode::default())
                .collect(),
            monitors: monitors.collect(),
            clients: Vec::new(),
            guests: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            last_exchange: 0,
            partitions: Vec::new(),
            handed: BTreeMap::new(),
            silences: BTreeMap::new(),
            tally: Tally::default(),
            violation: None,
            is_told: false,
            events: BTreeMap::new(),
            last_event: 0,
            scenario,
        }
    }

    /// The same story, told aloud: one line for every message, crash and answer.
    pub fn told(self) -> Self {
        Self {
            is_told: true,
            ..self
        }
    }

    /// Tells what happens, if anybody listens.
    pub(crate) fn tell(&self, line: std::fmt::Arguments<'_>) {
        if self.is_told {
            println!(
                "{:10.3} {line}",
                self.now.since(self.started_at).as_secs_f64()
            );
        }
    }

    /// Plays the story to its end.
    ///
    /// # Errors
    /// The first rule that was broken.
    pub fn play(mut self) -> Result<Tally, Violation> {
        for index in 0..self.monitors.len() {
            self.start_monitor(index);
        }
        for index in 0..self.queues.len() {
            self.start_queue(index);
        }
        self.invite_clients();
        self.plan_blows();
        let peace_at = self.started_at + self.scenario.trouble;
        self.play_until(peace_at)?;
        self.make_peace();
        let end_at = peace_at + self.scenario.patience;
        loop {
            let until = self.now + LAST_LOOK_EVERY;
            self.play_until(until)?;
            let Some((rule, what)) = self.unfinished_business() else {
                break;
            };
            if self.now >= end_at {
                self.accuse(rule, format!("long after all faults have ended, {what}"));
            }
        }
        self.tally.micros = self.now.as_micros() - self.started_at.as_micros();
        Ok(self.tally)
    }

    fn play_until(&mut self, until: Timestamp) -> Result<(), Violation> {
        while let Some(entry) = self
            .events
            .first_entry()
            .filter(|entry| entry.key().0 <= until)
        {
            let ((at, _), event) = entry.remove_entry();
            self.now = self.now.max(at);
            self.tally.events += 1;
            self.happens(event);
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
        }
        self.now = self.now.max(until);
        self.violation.take().map_or(Ok(()), Err)
    }

    fn happens(&mut self, event: Event) {
        if let Some(thawed_at) = self.frozen_until(&event) {
            // What comes to somebody who hangs is dealt with when that is over, in order.
            return self.at(thawed_at, event);
        }
        match event {
            Event::Asked(id) => self.question_arrives(id),
            Event::Replied(id, reply) => self.end_exchange(id, End::Reply(*reply)),
            Event::Cut(id) | Event::GivenUp(id) => self.connection_ends(id),
            Event::HungUp(queue, life, id) if self.queues[queue].life == life => {
                self.queue_loses_caller(queue, id);
            }
            Event::Watch(queue, life, server) if self.queues[queue].life == life => {
                self.watch(queue, server);
            }
            Event::HungUp(..) | Event::Watch(..) => {}
            Event::WatchEnds(monitor, id) => self.watch_ends(monitor, id),
            Event::QueueWakes(queue, life, at) => self.queue_wakes(queue, life, at),
            Event::MonitorWakes(monitor, life, at) => self.monitor_wakes(monitor, life, at),
            Event::MonitorSettles(monitor, life) if self.monitors[monitor].life == life => {
                self.monitor_settles(monitor);
            }
            Event::MonitorLearns(monitor, life, news) if self.monitors[monitor].life == life => {
                self.monitor_learns(monitor, *news);
            }
            Event::MonitorSettles(..) | Event::MonitorLearns(..) => {}
            Event::Deed(monitor, life, deed) => self.deed_is_done(monitor, life, *deed),
            Event::Webhook(monitor, runner_name) => self.webhook(monitor, &runner_name),
            Event::GuestActs(id) => self.guest_acts(&id),
            Event::ClientActs(client) => self.client_acts(client),
            Event::WorkflowJob(client, label) => self.queue_workflow_job(client, label),
            Event::Blow(blow) => self.strike(blow),
            Event::StartQueue(queue) if self.queues[queue].core.is_none() => {
                self.start_queue(queue);
            }
            Event::StartMonitor(monitor) if self.monitors[monitor].core.is_none() => {
                self.start_monitor(monitor);
            }
            Event::StartQueue(_) | Event::StartMonitor(_) => {}
        }
    }

    fn frozen_until(&self, event: &Event) -> Option<Timestamp> {
        let queue = |index: usize| self.queues[index].frozen_until;
        let monitor = |index: usize| self.monitors[index].frozen_until;
        let until = match event {
            Event::Asked(id) => match self.exchanges.get(id)?.to {
                Node::Queue(index) => queue(index),
                Node::Monitor(index) => monitor(index),
                Node::Client(_) => return None,
            },
            Event::Replied(id, _) | Event::Cut(id) | Event::GivenUp(id) => {
                match self.exchanges.get(id)?.from {
                    Node::Queue(index) => queue(index),
                    Node::Monitor(_) | Node::Client(_) => return None,
                }
            }
            Event::HungUp(index, ..) | Event::Watch(index, ..) | Event::QueueWakes(index, ..) => {
                queue(*index)
            }
            Event::WatchEnds(index, _)
            | Event::MonitorWakes(index, ..)
            | Event::MonitorSettles(index, _)
            | Event::MonitorLearns(index, ..) => monitor(*index),
            _ => return None,
        };
        (until > self.now).then_some(until)
    }

    fn question_arrives(&mut self, id: ExchangeId) {
        let Some(exchange) = self.exchanges.get(&id) else {
            return;
        };
        let (from, to, question) = (exchange.from, exchange.to, exchange.question.clone());
        self.tell(format_args!("{id} {from:?} asks {to:?}: {question:?}"));
        match to {
            Node::Queue(index) if self.queues[index].core.is_some() => {
                if let Node::Client(client) = from {
                    self.note_silence(client, index, self.now);
                }
                self.queue_is_asked(index, id, from, question);
            }
            Node::Monitor(index) if self.monitors[index].core.is_some() => {
                self.monitor_is_asked(index, id, question);
            }
            _ => self.end_exchange(id, End::NotThere),
        }
    }

    fn connection_ends(&mut self, id: ExchangeId) {
        let Some(exchange) = self.exchanges.get(&id) else {
            return;
        };
        let is_over = exchange.is_over;
        if let (Node::Queue(queue), false) = (exchange.to, is_over) {
            let life = self.queues[queue].life;
            let delay = self.chance.millis(1, 1000);
            self.later(delay, Event::HungUp(queue, life, id));
        }
        self.end_exchange(id, End::Broken);
        let forgotten = self.last_exchange.saturating_sub(EXCHANGES_KEPT);
        self.exchanges
            .retain(|&id, exchange| id > forgotten || !exchange.is_over);
    }

    /// Whoever waits for an answer of a process that died sees the connection break.
    pub(crate) fn break_exchanges_with(&mut self, node: Node) {
        let open: Vec<ExchangeId> = self
            .exchanges
            .iter()
            .filter(|(_, exchange)| exchange.to == node && !exchange.is_over)
            .map(|(id, _)| *id)
            .collect();
        for id in open {
            let delay = self.chance.millis(1, 50);
            self.later(delay, Event::Cut(id));
        }
    }

    /// Lets something happen at a moment.
    pub(crate) fn at(&mut self, at: Timestamp, event: Event) {
        self.last_event += 1;
        self.events
            .insert((at.max(self.now), self.last_event), event);
    }

    /// Lets something happen after a while.
    pub(crate) fn later(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    /// Whether a fault of this likelihood strikes now.
    pub(crate) fn strikes(&mut self, likelihood: impl Fn(&Weather) -> f64) -> bool {
        let likelihood = likelihood(&self.scenario.weather);
        let strikes = likelihood > 0.0 && self.chance.happens(likelihood);
        self.tally.faults += u64::from(strikes);
        strikes
    }

    /// How often a node was started.
    pub(crate) fn life(&self, node: Node) -> u64 {
        match node {
            Node::Queue(index) => self.queues[index].life,
            Node::Monitor(index) => self.monitors[index].life,
            Node::Client(_) => 0,
        }
    }

    /// What the servers are called, in order.
    pub(crate) fn server_names(&self) -> Vec<String> {
        (0..self.monitors.len())
            .map(|index| format!("http://server{index}/"))
            .collect()
    }
}
