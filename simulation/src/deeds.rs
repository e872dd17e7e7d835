//! What is done outside on behalf of monitors: lists are read, runners registered, guests made
//! and destroyed, snapshots written. Each is done whether the monitor still lives or not, because
//! the request is on its way.

use emulator::model::{NewRunner, Refusal, RunnerId as RegistrationId};
use monitor_core::{Creation, Destruction, Look, RunnerId, SeenGuest};
use shared::{
    clock::Timestamp,
    registration::{Deletion, Registration},
    secret::Secret,
};

use crate::{
    github::{Fortune, scope},
    guests::{Guest, Stage},
    world::{Event, World},
};

/// What is done outside on behalf of a monitor, step by step. Each is done whether the monitor
/// still lives or not: the request is on its way.
#[derive(Clone, Debug)]
pub enum Deed {
    /// A list is read.
    Look(Look, Timestamp),
    /// GitHub is asked to register a runner.
    Register(Creation),
    /// The hypervisor is asked to make a guest.
    MakeGuest(Creation),
    /// GitHub is asked to delete a registration.
    Unregister(Destruction),
    /// The hypervisor is asked to destroy a guest.
    DestroyGuest(Destruction),
    /// The snapshot of this revision is written.
    Save(u64, Vec<u8>),
}

/// What the monitor learns of it, if it still lives.
#[derive(Debug)]
pub enum News {
    /// The guests that there were.
    Guests(Vec<SeenGuest>, Timestamp),
    /// The registrations that there were.
    Registrations(Vec<Registration>, Timestamp),
    /// A list could not be read.
    LookFailed(Look),
    /// A runner is registered.
    Registered(Creation, u64, Secret),
    /// A guest is up.
    Created(RunnerId),
    /// A runner could not be made.
    CreationFailed(RunnerId),
    /// A registration is gone, or is busy.
    Unregistered(Destruction, Deletion),
    /// A guest is gone.
    Destroyed(RunnerId),
    /// A destruction failed.
    DestructionFailed(RunnerId),
    /// A snapshot is on disk, or not.
    Saved(u64, bool),
}

impl World {
    /// Something is done outside, now.
    pub fn deed_is_done(&mut self, index: usize, life: u64, deed: Deed) {
        let news = match deed {
            Deed::Look(look, asked_at) => Some(self.look(index, look, asked_at)),
            Deed::Register(creation) => self.register(creation),
            Deed::MakeGuest(creation) => Some(self.make_guest(index, &creation)),
            Deed::Unregister(destruction) => self.unregister(destruction),
            Deed::DestroyGuest(destruction) => Some(self.destroy_guest(index, &destruction)),
            Deed::Save(revision, snapshot) => {
                // A process that died while writing leaves the old file in its place.
                let is_done = self.monitors[index].life == life
                    && !self.strikes(|weather| weather.disk_error);
                if is_done {
                    self.monitors[index].disk = Some(snapshot);
                }
                Some(News::Saved(revision, is_done))
            }
        };
        if let Some(news) = news {
            let delay = self.chance.millis(1, 50);
            self.later(delay, Event::MonitorLearns(index, life, Box::new(news)));
        }
    }

    fn look(&mut self, index: usize, look: Look, asked_at: Timestamp) -> News {
        match look {
            Look::Guests => {
                let guests = self.guests.keys().filter(|(server, _)| *server == index);
                let seen = |(_, name): &(usize, String)| SeenGuest {
                    name: name.clone(),
                    ipv4_address: None,
                };
                News::Guests(guests.map(seen).collect(), asked_at)
            }
            Look::Registrations if self.fortune() == Fortune::Well => {
                let registrations = self.registrations();
                // What has not changed since it was last sent is free.
                if self.monitors[index].listed.as_ref() != Some(&registrations) {
                    self.monitors[index].listed = Some(registrations.clone());
                    self.charge();
                }
                News::Registrations(registrations, asked_at)
            }
            // Its guests are no virtual machines, so nobody asks what the host has.
            Look::Registrations | Look::Host => News::LookFailed(look),
        }
    }

    fn register(&mut self, creation: Creation) -> Option<News> {
        let fortune = self.fortune();
        if fortune == Fortune::Refused {
            return Some(News::CreationFailed(creation.id));
        }
        self.charge();
        let secret = format!("{:016x}", self.chance.number(0, u64::MAX));
        let new = NewRunner {
            name: creation.runner_name.clone(),
            labels: creation.labels.clone(),
            runner_group_id: 1,
        };
        let registered = self
            .github
            .register(self.now, &scope(), new, Secret::new(secret.clone()));
        match (registered, fortune) {
            (Ok(view), Fortune::Well) => {
                let jit_config = Secret::new(format!("{} {secret}", view.id));
                Some(News::Registered(creation, view.id.0, jit_config))
            }
            _ => Some(News::CreationFailed(creation.id)),
        }
    }

    fn make_guest(&mut self, index: usize, creation: &Creation) -> News {
        let is_dud = self.strikes(|weather| weather.dud_guest);
        let id = (index, creation.guest_name.clone());
        let guest = Guest {
            secret: creation.guest_secret.expose().to_owned(),
            runner_name: creation.runner_name.clone(),
            stage: Stage::Booting,
            is_dud,
        };
        self.guests.insert(id.clone(), guest);
        self.check_capacity(index);
        let (shortest, longest) = self.scenario.pace.boot;
        let boots_after = self.chance.millis(shortest, longest);
        self.later(boots_after, Event::GuestActs(id));
        News::Created(creation.id)
    }

    fn unregister(&mut self, destruction: Destruction) -> Option<News> {
        let Some(registration_id) = destruction.registration_id else {
            return Some(News::Unregistered(destruction, Deletion::NotThere));
        };
        let fortune = self.fortune();
        if fortune == Fortune::Refused {
            return Some(News::DestructionFailed(destruction.id));
        }
        self.charge();
        let deletion =
            match self
                .github
                .delete_runner(self.now, &scope(), RegistrationId(registration_id))
            {
                Ok(()) => Deletion::Deleted,
                Err(Refusal::RunnerBusy { .. }) => Deletion::Busy,
                Err(_) => Deletion::NotThere,
            };
        Some(match fortune {
            Fortune::Well => News::Unregistered(destruction, deletion),
            _ => News::DestructionFailed(destruction.id),
        })
    }

    fn destroy_guest(&mut self, index: usize, destruction: &Destruction) -> News {
        let id = (index, destruction.guest_name.clone());
        if let Some(guest) = self.guests.get(&id) {
            let runner_name = guest.runner_name.clone();
            self.check_destroy(&runner_name);
            self.guests.remove(&id);
        }
        News::Destroyed(destruction.id)
    }
}
