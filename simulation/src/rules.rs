//! The rules that must always hold, as checks on what happens in the story.
//!
//! They are judged by what can be seen from outside: who was handed what, what was destroyed
//! while busy, who still waits. Only the order of a line is read from the queue's own jobs.

use std::fmt;

use emulator::model::Offer;
use queue_core::{
    events::{Output, Refusal},
    job::{Claims, JobRequest, State},
    line::Place,
    queue::Queue,
};
use shared::{
    clock::Timestamp,
    values::UniqueId,
    wire::{ReservationState, RunnerStatus, TakenRunner},
};

use crate::{
    clients::ClientStage,
    network::{ExchangeId, Node, Question},
    queues::rules,
    world::World,
};

/// A rule that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The seed of the story.
    pub seed: u64,
    /// When it happened, in virtual time since the story began.
    pub at: std::time::Duration,
    /// Which rule, by its number in ARCHITECTURE.md.
    pub rule: u8,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            at,
            rule,
            what,
        } = self;
        write!(
            formatter,
            "seed {seed}: rule {rule} broken after {:.3} s: {what}",
            at.as_secs_f64()
        )
    }
}

/// What happened in a story, counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Virtual time, in microseconds.
    pub micros: u64,
    /// Events.
    pub events: u64,
    /// Faults that struck, messages lost, delayed, repeated or cut included.
    pub faults: u64,
    /// Jobs that were enqueued.
    pub jobs: u64,
    /// Jobs that got all their runners.
    pub served: u64,
    /// Clients that were told, rightly, that their job is gone.
    pub given_up: u64,
    /// Workflow jobs that ran to their end.
    pub workflow_jobs: u64,
    /// Takes that queues sent to monitors.
    pub forwards: u64,
    /// Releases that queues sent to monitors.
    pub releases: u64,
    /// Requests that GitHub counted: lists that had changed, registrations, deletions.
    pub github_calls: u64,
    /// The most of them in any hour.
    pub github_calls_peak: u64,
}

impl Tally {
    /// Adds another story.
    pub fn add(&mut self, other: &Self) {
        self.micros += other.micros;
        self.events += other.events;
        self.faults += other.faults;
        self.jobs += other.jobs;
        self.served += other.served;
        self.given_up += other.given_up;
        self.workflow_jobs += other.workflow_jobs;
        self.forwards += other.forwards;
        self.releases += other.releases;
        self.github_calls += other.github_calls;
        self.github_calls_peak = self.github_calls_peak.max(other.github_calls_peak);
    }
}

impl World {
    /// Remembers the first rule that was broken.
    pub fn accuse(&mut self, rule: u8, what: String) {
        if self.violation.is_none() {
            let at = self.now.since(self.started_at);
            self.violation = Some(Violation {
                seed: self.scenario.seed,
                at,
                rule,
                what,
            });
        }
    }

    /// Rules 1 and 2: a client was handed its runners.
    pub fn check_handed(&mut self, client: usize, runners: &[TakenRunner]) {
        let request = self.clients[client].request.clone();
        if runners.len() != request.count.get() {
            let what = format!(
                "{} was given {} runners instead of {}",
                request.unique_id,
                runners.len(),
                request.count
            );
            self.accuse(2, what);
        }
        for runner in runners {
            let key = (runner.server.clone().unwrap_or_default(), runner.id);
            let owner = self
                .handed
                .entry(key.clone())
                .or_insert_with(|| request.unique_id.clone())
                .clone();
            if owner != request.unique_id {
                self.accuse(
                    1,
                    format!(
                        "runner {key:?} of {owner} was also given to {}",
                        request.unique_id
                    ),
                );
            }
        }
    }

    /// Rule 1: a job starts on the runner that its client was given.
    pub fn check_job_start(&mut self, server: usize, runner_name: &str, offer: &Offer) {
        let Some(runner) = self.monitors[server].names().parse(runner_name) else {
            return;
        };
        let owner = self
            .handed
            .get(&(self.server_names()[server].clone(), runner.id));
        if owner.is_none_or(|owner| owner.as_str() != offer.command) {
            self.accuse(
                1,
                format!(
                    "{} runs on {runner_name}, which is of {owner:?}",
                    offer.command
                ),
            );
        }
    }

    /// Rule 1: a busy runner is never destroyed.
    pub fn check_destroy(&mut self, runner_name: &str) {
        if self.is_busy(runner_name) {
            self.accuse(1, format!("{runner_name} was destroyed while it ran a job"));
        }
    }

    /// Rule 7: a host is never asked for more than it has.
    pub fn check_capacity(&mut self, server: usize) {
        let guests = self
            .guests
            .keys()
            .filter(|(host, _)| *host == server)
            .count();
        let capacity = self.monitors[server].capacity();
        if guests > capacity {
            self.accuse(
                7,
                format!("server {server} has {guests} guests and room for {capacity}"),
            );
        }
    }

    /// Rules 3 and 6: whom a queue forwards, and to whom.
    pub fn check_outputs(&mut self, queue: usize, outputs: &[Output]) {
        for output in outputs {
            let Output::Forward(forward) = output else {
                continue;
            };
            let unique_id = &forward.request.unique_id;
            let Some(core) = &self.queues[queue].core else {
                return;
            };
            let confirmed_at = core
                .fleet()
                .confirmed_at(forward.server)
                .unwrap_or_default();
            let age = self.now.since(confirmed_at);
            if age > rules().stale_after {
                let what = format!("{unique_id} was forwarded by a word that is {age:?} old");
                self.accuse(6, what);
            } else if let Some(passed) = self.passed_over(core, &forward.request) {
                self.accuse(3, format!("{unique_id} was served before {passed}"));
            }
        }
    }

    /// Who waited longer than the job that is forwarded, and could have been forwarded instead.
    fn passed_over(&self, core: &Queue, forwarded: &JobRequest) -> Option<UniqueId> {
        // What is held for a job already is not taken from anybody.
        if !core.fleet().reservations(&forwarded.unique_id).is_empty() {
            return None;
        }
        let reach = core.fleet().reach(&forwarded.profile_key, self.now);
        let job = core.jobs().find(|job| job.request() == forwarded)?;
        let place = self.place_by_ticket(&job.claims);
        let passed = core.jobs().find(|other| {
            let request = other.request();
            request.profile_key == forwarded.profile_key
                && matches!(other.state, State::Waiting)
                && self.place_by_ticket(&other.claims) < place
                && request.count.get() <= reach
                && core
                    .fleet()
                    .ids()
                    .all(|server| core.can_ask(self.now, server, &request.unique_id))
        });
        Some(passed?.request().unique_id.clone())
    }

    /// A job's place by the ticket that its client holds. With two queues there may be two tickets
    /// for one job, when the answer to an enqueue was lost; then each queue goes by its own.
    fn place_by_ticket(&self, claims: &Claims) -> Place {
        let client = self
            .clients
            .iter()
            .find(|client| client.request == claims.request);
        match client.map(|client| &client.stage) {
            Some(ClientStage::Asking(ticket)) if self.scenario.queue_count == 1 => ticket.place(),
            _ => claims.place(),
        }
    }

    /// Rule 4: a client that keeps asking is not sent away.
    pub fn check_refusal(&mut self, client: usize, question: &Question, refusal: &Refusal) {
        let asking = &self.clients[client];
        let name = asking.request.unique_id.clone();
        match (question, refusal) {
            (Question::Take(..), Refusal::UnknownJob)
                if matches!(asking.stage, ClientStage::Asking(_)) =>
            {
                let silent_for = self
                    .silences
                    .get(&(client, asking.queue))
                    .copied()
                    .unwrap_or_default();
                if silent_for < rules().abandon_after {
                    self.accuse(
                        4,
                        format!("{name} was unknown, although it had asked {silent_for:?} before"),
                    );
                }
            }
            (Question::Take(..), _) => self.accuse(
                4,
                format!("{name} holds a ticket and was refused: {refusal:?}"),
            ),
            (Question::Enqueue(_), _) => {
                self.accuse(5, format!("{name} could not enqueue: {refusal:?}"));
            }
            _ => {}
        }
    }

    /// What is still to be done before the story can end; none when all is well.
    pub fn unfinished_business(&mut self) -> Option<(u8, String)> {
        let waiting = self
            .clients
            .iter()
            .find(|client| !matches!(client.stage, ClientStage::Served | ClientStage::Gone));
        if let Some(client) = waiting {
            return Some((
                4,
                format!(
                    "{} still waits: {:?}",
                    client.request.unique_id, client.stage
                ),
            ));
        }
        for index in 0..self.monitors.len() {
            let Some(view) = self.monitors[index]
                .core
                .as_ref()
                .and_then(|core| core.view())
            else {
                return Some((4, format!("server {index} has not looked at the world")));
            };
            let held = view
                .dashboard
                .reservations
                .iter()
                .flatten()
                .find(|(_, it)| it.state == ReservationState::Held);
            if let Some((unique_id, _)) = held {
                return Some((
                    2,
                    format!("server {index} still holds runners for {unique_id}"),
                ));
            }
            let is_idle = |status| status == Some(RunnerStatus::Idle);
            let idle = view
                .dashboard
                .runners
                .iter()
                .filter(|runner| is_idle(runner.status))
                .count();
            let wanted: usize = self.scenario.targets[index].iter().sum();
            let existing = view.dashboard.runners.len();
            if (idle, existing) != (wanted, wanted) {
                return Some((
                    2,
                    format!(
                        "server {index} has {idle} idle runners of {existing} instead of {wanted}"
                    ),
                ));
            }
        }
        None
    }

    /// Until now, this exchange was a sign that its client is there.
    pub fn note_heard(&mut self, id: ExchangeId) {
        let ends = self
            .exchanges
            .get(&id)
            .map(|exchange| (exchange.from, exchange.to));
        if let Some((Node::Client(client), Node::Queue(queue))) = ends
            && let Some(heard_at) = self.clients[client].heard_at.get_mut(&queue)
        {
            *heard_at = self.now;
        }
    }

    /// How long a queue had not heard of a client when it is heard of now.
    pub fn note_silence(&mut self, client: usize, queue: usize, heard_at: Timestamp) {
        let before = self.clients[client].heard_at.get(&queue).copied();
        let silence = before.map_or(std::time::Duration::ZERO, |before| heard_at.since(before));
        let longest = self.silences.entry((client, queue)).or_default();
        *longest = (*longest).max(silence);
    }
}
