//! Guests: each boots, fetches its JIT configuration, waits for a job, runs it, and ends.

use std::collections::BTreeMap;

use emulator::model::{Completion, JobId, Offer, RunnerId as RegistrationId, SessionId};
use monitor_core::{CredentialHandover, WorkflowJobEvent};
use shared::clock::Timestamp;

use super::monitor::MonitorNode;
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
pub struct Guests(BTreeMap<GuestId, Guest>);

impl Guests {
    pub fn ids(&self) -> impl Iterator<Item = &GuestId> {
        self.0.keys()
    }

    pub fn on_server(&self, server: usize) -> impl Iterator<Item = &GuestId> {
        self.0.keys().filter(move |(host, _)| *host == server)
    }

    pub fn get(&self, id: &GuestId) -> Option<&Guest> {
        self.0.get(id)
    }

    pub fn insert(&mut self, id: GuestId, guest: Guest) {
        self.0.insert(id, guest);
    }

    /// Removes a guest; returns whether there was one.
    pub fn remove(&mut self, id: &GuestId) -> bool {
        self.0.remove(id).is_some()
    }

    /// Lets a guest do its next step, and schedules the one after that. Returns whether the guest
    /// has come to its end.
    pub fn act(
        &mut self,
        environment: &mut Environment,
        monitor: &mut MonitorNode,
        id: &GuestId,
    ) -> bool {
        let Some(guest) = self.0.get_mut(id).filter(|guest| !guest.never_boots) else {
            return false;
        };
        let interval = environment.context.scenario.pace.guest_interval;
        let pause = environment.context.rng.millis(interval);
        let next = match guest.phase.clone() {
            Phase::Booting => guest.boot(environment, monitor),
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
    fn boot(&self, environment: &mut Environment, monitor: &mut MonitorNode) -> Option<Phase> {
        let Some(core) = &mut monitor.core else {
            return Some(Phase::Booting);
        };
        match core.credentials.hand_over(&self.secret) {
            CredentialHandover::Granted(_, jit_config) => {
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

    fn listen(
        &self,
        environment: &mut Environment,
        monitor: &MonitorNode,
        runner: RegistrationId,
        session: SessionId,
    ) -> Option<Phase> {
        let now = environment.context.now;
        let model = &mut environment.github.model;
        let listening = Some(Phase::Listening(runner, session));
        let Some(offer) = model.poll_job(now, runner, session).ok()? else {
            return listening;
        };
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
