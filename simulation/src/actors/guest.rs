//! Guests: each boots, fetches its JIT configuration, waits for a job, runs it, and ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use emulator::model::{Completion, JobId, Offer, RunnerId as RegistrationId, SessionId};
use monitor_core::{
    CandidatePurpose, CredentialHandover, GuestIdentity, Monitor, RunnerId, WorkflowJobEvent,
};
use shared::clock::Timestamp;

use super::{leases::Leases, monitor::MonitorNode};
use crate::{
    environment::Environment,
    events::{Event, GuestId},
};

pub struct Guest {
    /// The secret with which it identifies itself to its monitor.
    pub secret: String,
    /// Its runner's name at GitHub.
    pub runner_name: String,
    pub phase: Phase,
    pub never_boots: bool,
    /// By which it authenticates, if it is a virtual machine.
    pub address: Option<Ipv4Addr>,
}

/// A guest that has finished its job is removed, or stays, depending on the habits of the run.
#[derive(Clone, Debug)]
pub enum Phase {
    /// It has no JIT configuration yet.
    Booting,
    Listening(RegistrationId, SessionId),
    /// It runs a job until that time.
    Running(RegistrationId, SessionId, JobId, Timestamp),
    /// It has had its job and does nothing more.
    Lingering,
}

/// The guests of all servers.
#[derive(Default)]
pub struct Guests {
    guests: BTreeMap<GuestId, Guest>,
    /// The guests that were destroyed before they were started. Hypervisor drivers make a start that a
    /// killed monitor left under way fail then.
    destroyed_before_start: BTreeSet<GuestId>,
    leases: Leases,
}

impl Guests {
    pub fn ids(&self) -> impl Iterator<Item = &GuestId> {
        self.guests.keys()
    }

    pub fn on_server(&self, server: usize) -> impl Iterator<Item = (&GuestId, &Guest)> {
        let all = self.guests.iter();
        all.filter(move |((host, _), _)| *host == server)
    }

    pub fn get(&self, id: &GuestId) -> Option<&Guest> {
        self.guests.get(id)
    }

    pub fn insert(&mut self, id: GuestId, guest: Guest) {
        self.guests.insert(id, guest);
    }

    /// Records the destruction of a guest that does not exist: it may be about to be started.
    pub fn prevent_start(&mut self, id: GuestId) {
        self.destroyed_before_start.insert(id);
    }

    /// Whether a guest may be started.
    pub fn may_start(&self, id: &GuestId) -> bool {
        !self.destroyed_before_start.contains(id)
    }

    /// Removes a guest; returns whether there was one.
    pub fn remove(&mut self, id: &GuestId) -> bool {
        self.guests.remove(id).is_some()
    }

    /// Gives a booting virtual machine its first address, and sometimes another one.
    fn renew_lease(&mut self, environment: &mut Environment, id: &GuestId) {
        let (server, name) = id;
        let context = &mut environment.context;
        let address = match self.guests.get(id) {
            Some(guest) if matches!(guest.phase, Phase::Booting) => guest.address,
            Some(_) | None => return,
        };
        if !context.scenario.network.guests_have_leases
            || (address.is_some() && !context.rng.chance(0.2))
        {
            return;
        }
        let is_alive = |name: &str| self.guests.contains_key(&(*server, name.to_owned()));
        let address = self.leases.renew(&mut context.rng, *server, name, is_alive);
        if let Some(guest) = self.guests.get_mut(id) {
            guest.address = Some(address);
        }
    }

    /// Lets a guest do its next step, and schedules the one after that. Returns whether the guest
    /// has come to its end.
    pub fn act(
        &mut self,
        environment: &mut Environment,
        monitor: &mut MonitorNode,
        id: &GuestId,
    ) -> bool {
        self.renew_lease(environment, id);
        let guest = self.guests.get_mut(id);
        let Some(guest) = guest.filter(|guest| !guest.never_boots) else {
            return false;
        };
        let interval = environment.context.scenario.pace.guest_interval;
        let pause = environment.context.rng.millis(interval);
        let next = match guest.phase.clone() {
            Phase::Booting => guest.boot(environment, monitor, &self.leases),
            Phase::Listening(runner, session) => {
                guest.listen(environment, monitor, runner, session)
            }
            Phase::Running(runner, session, job, until) => {
                guest.run(environment, monitor, runner, session, job, until)
            }
            Phase::Lingering => return false,
        };
        let Some(phase) = next else {
            return true;
        };
        guest.phase = phase;
        environment
            .context
            .schedule_after(pause, Event::GuestActs(id.clone()));
        false
    }
}

impl Guest {
    fn boot(
        &self,
        environment: &mut Environment,
        monitor: &mut MonitorNode,
        leases: &Leases,
    ) -> Option<Phase> {
        let own_id = monitor.names().parse(&self.runner_name).map(|it| it.id);
        let server = monitor.index;
        let Some(core) = &mut monitor.core else {
            return Some(Phase::Booting);
        };
        let handover = match self.address {
            None => match core.credentials.guest_with_secret(&self.secret) {
                Some(id) => core.hand_over_credential(id),
                None => CredentialHandover::Unknown,
            },
            Some(address) => match self.identify(core, server, address, leases) {
                Some(id) => core.hand_over_credential(id),
                None => CredentialHandover::Unknown,
            },
        };
        match handover {
            CredentialHandover::Granted(id, jit_config) => {
                monitor.stories.facts.has_credential.insert(id);
                let context = &mut environment.context;
                context.invariants.check_credential(
                    context.now,
                    &self.runner_name,
                    own_id == Some(id.0),
                );
                let (registration, secret) = jit_config.expose().split_once(' ')?;
                let registration = RegistrationId(registration.parse().ok()?);
                let session = environment
                    .github
                    .model
                    .open_session(environment.context.now, registration, secret)
                    .ok()?;
                Some(Phase::Listening(registration, session))
            }
            CredentialHandover::NotYet(_) => Some(Phase::Booting),
            // After a restart the monitor does not know the guest, and will destroy it.
            CredentialHandover::AlreadyHandedOver(_) | CredentialHandover::Unknown => {
                Some(Phase::Booting)
            }
        }
    }

    /// The runner as whose guest its monitor knows it: by its address, on every other server also by its
    /// secret.
    fn identify(
        &self,
        core: &Monitor,
        server: usize,
        address: Ipv4Addr,
        leases: &Leases,
    ) -> Option<RunnerId> {
        let has_address = |guest_name: &str| leases.has(server, guest_name, address);
        let secret = MonitorNode::knows_secrets(server).then_some(&*self.secret);
        match core.identify_guest(secret) {
            GuestIdentity::GuestIfAt { id, guest_name } => has_address(&guest_name).then_some(id),
            GuestIdentity::OneOf(candidates) => {
                let mut candidates = candidates.iter();
                let found = candidates.find(|it| has_address(&it.guest_name))?;
                match found.purpose {
                    CandidatePurpose::Runner(id) => Some(id),
                    CandidatePurpose::Builder(_) => None,
                }
            }
            _ => None,
        }
    }

    fn listen(
        &self,
        environment: &mut Environment,
        monitor: &mut MonitorNode,
        runner: RegistrationId,
        session: SessionId,
    ) -> Option<Phase> {
        let now = environment.context.now;
        let model = &mut environment.github.model;
        let listening = Some(Phase::Listening(runner, session));
        let Some(offer) = model.poll_job(now, runner, session).ok()? else {
            return listening;
        };
        if let Some(runner) = monitor.names().parse(&self.runner_name) {
            monitor.stories.facts.had_job.insert(RunnerId(runner.id));
        }
        let model = &mut environment.github.model;
        if model.start_job(now, runner, session, offer.job_id).is_err() {
            return listening;
        }
        let duration = environment.context.scenario.pace.job_duration;
        let until = now + environment.context.rng.millis(duration);
        self.check_job_start(environment, monitor, &offer);
        self.send_webhook(environment, monitor, runner, false);
        Some(Phase::Running(runner, session, offer.job_id, until))
    }

    fn run(
        &self,
        environment: &mut Environment,
        monitor: &MonitorNode,
        runner: RegistrationId,
        session: SessionId,
        job: JobId,
        until: Timestamp,
    ) -> Option<Phase> {
        let now = environment.context.now;
        let model = &mut environment.github.model;
        if now < until {
            model
                .renew_job(now, runner, session, job, String::new())
                .ok()?;
            return Some(Phase::Running(runner, session, job, until));
        }
        let completion = Completion {
            exit_code: Some(0),
            output_tail: String::new(),
        };
        // The guest ends after its job even if GitHub has forgotten its registration.
        let _ = model.complete_job(now, runner, session, job, completion);
        environment.context.statistics.workflow_jobs += 1;
        self.send_webhook(environment, monitor, runner, true);
        let lingers = environment.context.scenario.habits.guests_linger;
        lingers.then_some(Phase::Lingering)
    }

    fn check_job_start(&self, environment: &mut Environment, monitor: &MonitorNode, offer: &Offer) {
        let now = environment.context.now;
        let job = environment.github.model.job(now, offer.job_id);
        let labels = job.map(|job| job.labels).unwrap_or_default();
        let context = &mut environment.context;
        if let Some(runner) = monitor.names().parse(&self.runner_name) {
            context.invariants.check_job_start(
                context.now,
                &monitor.server_name(),
                &self.runner_name,
                runner.id,
                offer,
                &labels,
            );
        }
    }

    /// GitHub informs the monitor that a job began or ended here, if it is configured to.
    fn send_webhook(
        &self,
        environment: &mut Environment,
        monitor: &MonitorNode,
        runner: RegistrationId,
        has_completed: bool,
    ) {
        let context = &mut environment.context;
        if context.scenario.habits.has_webhooks
            && !context.fault_occurs(|rates| rates.lost_evidence)
        {
            let delay = context.rng.millis((500, 3000));
            let event = WorkflowJobEvent {
                runner_name: self.runner_name.clone(),
                registration_id: Some(runner.0),
                workflow_run: None,
                has_completed,
            };
            // All monitors are informed; those with another suffix would do nothing.
            let mut informed: Vec<usize> = context.scenario.servers_with_shared_suffix().collect();
            if !informed.contains(&monitor.index) {
                informed = vec![monitor.index];
            }
            for index in informed {
                let webhook = Event::WebhookArrives(index, event.clone());
                context.schedule_after(delay, webhook);
            }
        }
    }
}
