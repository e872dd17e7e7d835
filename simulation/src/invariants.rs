//! The invariants of ARCHITECTURE.md, checked after every step of a run.
//!
//! The checks observe the run from outside: which client received which runners, what was
//! destroyed while busy, how long a client was silent. Only the order of jobs is read from the
//! queue's own state. What must hold at the end of a run is checked in `liveness`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use emulator::model::{Offer, RunnerId as RegistrationId};
use queue_core::{Config, Forward, Job, JobRequest, Queue, QueuePosition, Refusal, TicketContent};
use shared::{clock::Timestamp, policy::Policy, values::UniqueId, wire::TakenRunner};

use crate::{
    messages::Request,
    order::{exceeds_limit, starved},
};

/// An invariant that did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The seed of the run.
    pub seed: u64,
    /// The simulated time since the start of the run.
    pub elapsed: Duration,
    /// The number of the invariant in ARCHITECTURE.md.
    pub invariant: u8,
    /// What happened.
    pub description: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            elapsed,
            invariant,
            description,
        } = self;
        write!(
            formatter,
            "seed {seed}: invariant {invariant} violated after {:.3} s: {description}",
            elapsed.as_secs_f64()
        )
    }
}

/// The state that the checks need, and the first violation.
pub struct Invariants {
    seed: u64,
    started_at: Timestamp,
    first_violation: Option<Violation>,
    /// The job to whose client each runner was given, by server and runner.
    owners: BTreeMap<(String, u64), UniqueId>,
    /// The server that has made each registration.
    registrars: BTreeMap<RegistrationId, usize>,
    /// The tickets of the clients that wait.
    tickets: BTreeMap<UniqueId, TicketContent>,
    /// The tickets that each queue process has received since its start.
    presented: BTreeMap<(usize, UniqueId), BTreeSet<QueuePosition>>,
    /// When each queue last had contact with each client, by client and queue.
    contacts: BTreeMap<(usize, usize), Contact>,
}

/// How a queue perceives the presence of a client.
#[derive(Clone, Copy, Debug, Default)]
struct Contact {
    last_at: Timestamp,
    longest_silence: Duration,
}

/// The client that a check is about.
#[derive(Clone, Copy, Debug)]
pub struct ClientFacts<'a> {
    /// Whether it has stated how long it is willing to wait.
    pub has_limits: bool,
    pub index: usize,
    pub unique_id: &'a UniqueId,
    /// The queue that it sends its requests to.
    pub queue: usize,
    /// Whether it holds a ticket and waits.
    pub is_waiting: bool,
}

impl Invariants {
    pub fn new(seed: u64, started_at: Timestamp) -> Self {
        Self {
            seed,
            started_at,
            first_violation: None,
            owners: BTreeMap::new(),
            registrars: BTreeMap::new(),
            tickets: BTreeMap::new(),
            presented: BTreeMap::new(),
            contacts: BTreeMap::new(),
        }
    }

    /// The first violation since the last call.
    pub fn take_violation(&mut self) -> Option<Violation> {
        self.first_violation.take()
    }

    /// Records a violation, unless there is one already.
    pub fn violate(&mut self, now: Timestamp, invariant: u8, description: String) {
        if self.first_violation.is_none() {
            self.first_violation = Some(Violation {
                seed: self.seed,
                elapsed: now.since(self.started_at),
                invariant,
                description,
            });
        }
    }

    /// Invariants 1 and 2: a client receives as many runners as it asked for, and no other client
    /// has received one of them.
    pub fn check_assignment(
        &mut self,
        now: Timestamp,
        request: &JobRequest,
        runners: &[TakenRunner],
    ) {
        let unique_id = &request.spec.unique_id;
        if runners.len() != request.spec.count.get() {
            let description = format!(
                "{unique_id} received {} runners instead of {}",
                runners.len(),
                request.spec.count
            );
            self.violate(now, 2, description);
        }
        for runner in runners {
            let key = (runner.server.clone().unwrap_or_default(), runner.id);
            let owner = self
                .owners
                .entry(key.clone())
                .or_insert_with(|| unique_id.clone());
            if owner != unique_id {
                let description =
                    format!("runner {key:?} of {owner} was also given to {unique_id}");
                self.violate(now, 1, description);
            }
        }
    }

    /// Invariant 1: a job starts only on a runner that its client has received. A client that does not
    /// read labels names its runners by its `unique_id`; so its job may also start on one that is
    /// reserved for it, of which the response was lost, but on no runner of another client.
    pub fn check_job_start(
        &mut self,
        now: Timestamp,
        server_name: &str,
        runner_name: &str,
        runner_id: u64,
        offer: &Offer,
        labels: &[String],
    ) {
        let job = &offer.command;
        let owner = self.owners.get(&(server_name.to_owned(), runner_id));
        let name = format!("reserved-for:{job}");
        let is_named = labels.contains(&name);
        let is_others = owner.is_some_and(|owner| owner.as_str() != job);
        if is_others || (owner.is_none() && !is_named) {
            let description = format!("{job} runs on {runner_name}, which belongs to {owner:?}");
            self.violate(now, 1, description);
        }
    }

    /// Invariant 1: a guest gets the JIT configuration of its own runner.
    pub fn check_credential(&mut self, now: Timestamp, runner_name: &str, is_own: bool) {
        if !is_own {
            let description =
                format!("the guest of {runner_name} has the credential of another one");
            self.violate(now, 1, description);
        }
    }

    /// Invariant 1: a busy runner is never destroyed.
    pub fn check_destruction(&mut self, now: Timestamp, runner_name: &str, is_busy: bool) {
        if is_busy {
            let description = format!("{runner_name} was destroyed while it ran a job");
            self.violate(now, 1, description);
        }
    }

    /// Invariant 1: a server deletes no registration of another one, and changes none of its labels.
    pub fn check_registration_change(
        &mut self,
        now: Timestamp,
        server: usize,
        registration: RegistrationId,
    ) {
        let registrar = self.registrars.get(&registration);
        if let Some(registrar) = registrar.filter(|registrar| **registrar != server) {
            let description = format!(
                "server {server} deletes or changes registration {registration} of server {registrar}"
            );
            self.violate(now, 1, description);
        }
    }

    /// Invariant 7: a server never has more guests than its capacity.
    pub fn check_capacity(&mut self, now: Timestamp, server: usize, guests: usize, max: usize) {
        if guests > max {
            let description = format!("server {server} has {guests} guests and room for {max}");
            self.violate(now, 7, description);
        }
    }

    /// Invariants 3 and 6: a queue forwards jobs in their order, and only by fresh reports.
    pub fn check_forward(
        &mut self,
        now: Timestamp,
        index: usize,
        queue: &Queue,
        config: &Config,
        forward: &Forward,
    ) {
        let unique_id = &forward.request.spec.unique_id;
        let reported_at = queue
            .fleet()
            .confirmed_at(forward.server)
            .unwrap_or_default();
        let age = now.since(reported_at);
        if age > config.stale_after {
            let description =
                format!("{unique_id} was forwarded because of a report that is {age:?} old");
            self.violate(now, 6, description);
        } else if let Some(passed_over) = self.passed_over(now, index, queue, &forward.request) {
            let description = format!("{unique_id} was forwarded before {passed_over}");
            self.violate(now, 3, description);
        }
    }

    /// Invariant 10: of a paused profile no job is chosen. Runners that servers hold for a job already may be
    /// adopted.
    pub fn check_pause(
        &mut self,
        now: Timestamp,
        queue: &Queue,
        is_paused: bool,
        forward: &Forward,
    ) {
        let spec = &forward.request.spec;
        let is_adopted = !queue.fleet().reservations(&spec.unique_id).is_empty();
        if is_paused && !is_adopted {
            let description = format!(
                "{} was forwarded although its profile {} is paused",
                spec.unique_id, spec.profile_key
            );
            self.violate(now, 10, description);
        }
    }

    /// Invariant 3 with a policy: no job waits for longer than the bound while one that was enqueued later is
    /// forwarded, and no repository has more runners than it may have.
    pub fn check_policy(
        &mut self,
        now: Timestamp,
        index: usize,
        queue: &Queue,
        policy: Option<&Policy>,
        forward: &Forward,
    ) {
        let unique_id = &forward.request.spec.unique_id;
        let is_adopted = !queue.fleet().reservations(unique_id).is_empty();
        let Some(policy) = policy.filter(|_| !is_adopted) else {
            return;
        };
        if let Some(used) = exceeds_limit(policy, queue, forward) {
            let description = format!(
                "{unique_id} was forwarded although its repository uses {used} of {:?}",
                policy.runners_per_repo_max
            );
            self.violate(now, 3, description);
        }
        let Some(job) = queue.jobs().find(|job| job.request() == &forward.request) else {
            return;
        };
        let waiting = queue.jobs().filter(|other| {
            let spec = &other.request().spec;
            spec.profile_key == forward.request.spec.profile_key
                && self.can_be_next(now, queue, other)
                && !queue.is_held_back(now, &spec.unique_id)
                // After a restart a late enqueue may count until the client polls.
                && self.position_by_ticket(index, other.ticket()) == other.ticket().position()
        });
        let starved = starved(policy, job.ticket(), waiting.map(Job::ticket));
        if let Some(starved) = starved {
            let starved = &starved.request.spec.unique_id;
            let description = format!("{unique_id} was forwarded before {starved}, which starves");
            self.violate(now, 3, description);
        }
    }

    /// Whether a job waits, and servers have runners that it may get.
    fn can_be_next(&self, now: Timestamp, queue: &Queue, job: &Job) -> bool {
        let spec = &job.request().spec;
        let fleet = queue.fleet();
        let is_askable = |server| queue.can_forward(now, server, &spec.unique_id);
        job.is_waiting()
            && spec.count.get() <= fleet.reach(&spec.profile_key, now)
            && fleet.ids().all(is_askable)
    }

    /// Invariant 4: while servers do not answer, a job is accepted by what they reported within the last
    /// minute. `shown` is what the clock of the queue shows.
    pub fn check_not_ready(
        &mut self,
        now: Timestamp,
        queue: &Queue,
        shown: Timestamp,
        request: &JobRequest,
    ) {
        let fleet = queue.fleet();
        let is_recent = |at: Timestamp| shown.since(at) <= Duration::from_secs(60);
        let servers = fleet.ids().filter(|&server| {
            let mut before = 0..server;
            fleet.confirmed_at(server).is_some_and(is_recent)
                && before.all(|other| fleet.same_since(other, server).is_none())
        });
        let targets = servers.filter_map(|server| {
            let profile = fleet.report(server)?.profile(&request.spec.profile_key)?;
            Some(profile.target)
        });
        let target: usize = targets.sum();
        if target >= request.spec.count.get() {
            let unique_id = &request.spec.unique_id;
            let description =
                format!("{unique_id} was not accepted, although {target} runners are known");
            self.violate(now, 4, description);
        }
    }

    /// A job that is before the forwarded one and could have been forwarded instead.
    fn passed_over(
        &self,
        now: Timestamp,
        index: usize,
        queue: &Queue,
        forwarded: &JobRequest,
    ) -> Option<UniqueId> {
        // Runners that are reserved for a job already are of no use to another one.
        if !queue
            .fleet()
            .reservations(&forwarded.spec.unique_id)
            .is_empty()
        {
            return None;
        }
        let reach = queue.fleet().reach(&forwarded.spec.profile_key, now);
        let job = queue.jobs().find(|job| job.request() == forwarded)?;
        let position = self.position_by_ticket(index, job.ticket());
        let passed_over = queue.jobs().find(|other| {
            let request = other.request();
            // A repository that has as many runners as it may have keeps back its own jobs only.
            let is_of_repo = request.spec.qualified_repo == forwarded.spec.qualified_repo;
            if !is_of_repo && queue.is_held_back(now, &request.spec.unique_id) {
                return false;
            }
            request.spec.profile_key == forwarded.spec.profile_key
                && other.is_waiting()
                && self.position_by_ticket(index, other.ticket()) < position
                && request.spec.count.get() <= reach
                && queue
                    .fleet()
                    .ids()
                    .all(|server| queue.can_forward(now, server, &request.spec.unique_id))
        });
        Some(passed_over?.request().spec.unique_id.clone())
    }

    /// A job's position by the oldest ticket for it that the queue has seen since its start: the
    /// one that it issued itself, or the one that the client holds and has presented. A ticket that
    /// is still on its way cannot count. There can be two tickets for one job, when the reply to an
    /// enqueue was lost.
    fn position_by_ticket(&self, queue: usize, ticket: &TicketContent) -> QueuePosition {
        let own = ticket.position();
        let unique_id = &ticket.request.spec.unique_id;
        let presented = self.presented.get(&(queue, unique_id.clone()));
        match self.tickets.get(unique_id).map(TicketContent::position) {
            Some(held)
                if held.enqueued_at < own.enqueued_at
                    && presented.is_some_and(|them| them.contains(&held)) =>
            {
                held
            }
            _ => own,
        }
    }

    /// Invariants 4 and 5: a client that keeps asking is not refused.
    pub fn check_refusal(
        &mut self,
        now: Timestamp,
        config: &Config,
        client: ClientFacts<'_>,
        request: &Request,
        refusal: &Refusal,
    ) {
        let unique_id = client.unique_id;
        match (request, refusal) {
            // A client that stated how long it waits is advised not to wait; one that did not, never is.
            (Request::Enqueue(_), Refusal::WaitTooLong(_))
            | (Request::Take(..), Refusal::NoLongerWorthIt(_))
                if client.has_limits => {}
            (Request::Take(..), Refusal::UnknownJob) if client.is_waiting => {
                let contact = self.contacts.get(&(client.index, client.queue));
                let silence = contact.map_or(Duration::ZERO, |contact| contact.longest_silence);
                if silence < config.limits.abandon_after {
                    let description =
                        format!("{unique_id} was unknown after a silence of only {silence:?}");
                    self.violate(now, 4, description);
                }
            }
            (Request::Take(..), _) => {
                let description = format!("{unique_id} has a ticket and was refused: {refusal:?}");
                self.violate(now, 4, description);
            }
            (Request::Enqueue(_), _) => {
                let description = format!("{unique_id} could not enqueue: {refusal:?}");
                self.violate(now, 5, description);
            }
            _ => {}
        }
    }

    /// A server has made a registration.
    pub fn observe_registration(&mut self, registration: RegistrationId, server: usize) {
        self.registrars.insert(registration, server);
    }

    /// A client has received its ticket and waits.
    pub fn observe_ticket(&mut self, ticket: TicketContent) {
        self.tickets
            .insert(ticket.request.spec.unique_id.clone(), ticket);
    }

    /// A queue has received a take with this ticket.
    pub fn observe_presented_ticket(&mut self, queue: usize, ticket: &TicketContent) {
        let unique_id = ticket.request.spec.unique_id.clone();
        let presented = self.presented.entry((queue, unique_id)).or_default();
        presented.insert(ticket.position());
    }

    /// A queue has sent the runners of a job to its client, which ends the job for the queue. If an
    /// enqueue that arrives late creates another job of that name, earlier tickets do not count for
    /// it until the client presents them again.
    pub fn observe_assignment(&mut self, queue: usize, unique_id: &UniqueId) {
        self.presented.remove(&(queue, unique_id.clone()));
    }

    /// A queue has started, and knows of no ticket yet.
    pub fn observe_queue_start(&mut self, queue: usize) {
        self.presented.retain(|(index, _), _| *index != queue);
    }

    /// A client no longer waits.
    pub fn observe_end_of_wait(&mut self, unique_id: &UniqueId) {
        self.tickets.remove(unique_id);
    }

    /// A queue has received a request from a client.
    pub fn observe_request(&mut self, now: Timestamp, client: usize, queue: usize) {
        let contact = self.contacts.entry((client, queue)).or_insert(Contact {
            last_at: now,
            longest_silence: Duration::ZERO,
        });
        contact.longest_silence = contact.longest_silence.max(now.since(contact.last_at));
        contact.last_at = now;
    }

    /// A queue has replied to a client, which it has considered present until now.
    pub fn observe_reply(&mut self, now: Timestamp, client: usize, queue: usize) {
        if let Some(contact) = self.contacts.get_mut(&(client, queue)) {
            contact.last_at = now;
        }
    }
}
