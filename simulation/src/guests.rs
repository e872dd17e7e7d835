//! Guests: they boot or do not, fetch their credential, wait for a job, run it, and end.

use emulator::model::{Completion, JobId, RunnerId as RegistrationId, SessionId};
use monitor_core::Handing;

use crate::world::{Event, World};

/// One guest on one server.
pub struct Guest {
    /// What it proves itself with.
    pub secret: String,
    /// Its runner's name at GitHub.
    pub runner_name: String,
    /// How far it is.
    pub stage: Stage,
    /// Whether it never gets anywhere.
    pub is_dud: bool,
}

/// How far a guest is.
#[derive(Clone, Debug)]
pub enum Stage {
    /// It has no credential yet.
    Booting,
    /// It listens for a job.
    Listening(RegistrationId, SessionId),
    /// It runs a job until then.
    Running(RegistrationId, SessionId, JobId, shared::clock::Timestamp),
}

/// A guest by its server and name. A name is never used twice.
pub type GuestId = (usize, String);

impl World {
    /// What a guest does every few seconds.
    pub fn guest_acts(&mut self, id: &GuestId) {
        let Some(guest) = self.guests.get(id) else {
            return;
        };
        if guest.is_dud {
            return;
        }
        let (shortest, longest) = self.scenario.pace.word;
        let pause = self.chance.millis(shortest, longest);
        let stage = match self.guests[id].stage.clone() {
            Stage::Booting => self.guest_boots(id),
            Stage::Listening(runner, session) => self.guest_listens(id, runner, session),
            Stage::Running(runner, session, job, until) => {
                self.guest_runs(id, runner, session, job, until)
            }
        };
        match (stage, self.guests.get_mut(id)) {
            (Some(stage), Some(guest)) => {
                guest.stage = stage;
                self.later(pause, Event::GuestActs(id.clone()));
            }
            _ => self.guest_ends(id),
        }
    }

    /// A guest is gone, for whatever reason; its monitor hears of it if it lives.
    pub fn guest_ends(&mut self, id: &GuestId) {
        if self.guests.remove(id).is_some() {
            self.monitor_hears_of_guest_end(id.0);
        }
    }

    fn guest_boots(&mut self, (server, name): &GuestId) -> Option<Stage> {
        let secret = self.guests[&(*server, name.clone())].secret.clone();
        let Some(monitor) = self.monitors[*server].core_if_answering() else {
            return Some(Stage::Booting);
        };
        match monitor.credentials.hand(&secret) {
            Handing::Now(_, jit_config) => {
                let (registration, secret) = jit_config.expose().split_once(' ')?;
                let registration = RegistrationId(registration.parse().ok()?);
                let session = self
                    .github
                    .open_session(self.now, registration, secret)
                    .ok()?;
                Some(Stage::Listening(registration, session))
            }
            Handing::NotYet(_) => Some(Stage::Booting),
            // A monitor that was restarted has forgotten it: the guest waits for its end.
            Handing::Again(_) | Handing::Stranger => Some(Stage::Booting),
        }
    }

    fn guest_listens(
        &mut self,
        id: &GuestId,
        runner: RegistrationId,
        session: SessionId,
    ) -> Option<Stage> {
        let Some(offer) = self.github.poll_job(self.now, runner, session).ok()? else {
            return Some(Stage::Listening(runner, session));
        };
        if self
            .github
            .start_job(self.now, runner, session, offer.job_id)
            .is_err()
        {
            return Some(Stage::Listening(runner, session));
        }
        let (shortest, longest) = self.scenario.pace.job;
        let until = self.now + self.chance.millis(shortest, longest);
        let runner_name = self.guests[id].runner_name.clone();
        self.check_job_start(id.0, &runner_name, &offer);
        self.send_webhook(id.0, &runner_name);
        Some(Stage::Running(runner, session, offer.job_id, until))
    }

    fn guest_runs(
        &mut self,
        id: &GuestId,
        runner: RegistrationId,
        session: SessionId,
        job: JobId,
        until: shared::clock::Timestamp,
    ) -> Option<Stage> {
        if self.now < until {
            self.github
                .renew_job(self.now, runner, session, job, String::new())
                .ok()?;
            return Some(Stage::Running(runner, session, job, until));
        }
        let completion = Completion {
            exit_code: Some(0),
            output_tail: String::new(),
        };
        // Whatever GitHub says to it, the guest has done its one job.
        let _ = self
            .github
            .complete_job(self.now, runner, session, job, completion);
        self.tally.workflow_jobs += 1;
        let runner_name = self.guests[id].runner_name.clone();
        self.send_webhook(id.0, &runner_name);
        None
    }
}
