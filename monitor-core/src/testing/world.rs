//! What there really is, in the core's tests: a hypervisor and a GitHub that do what they are told.

use std::collections::{BTreeMap, BTreeSet};

use shared::registration::{Label, Registration, RegistrationStatus};

/// What there really is.
#[derive(Clone, Default)]
pub struct World {
    pub guests: BTreeSet<String>,
    pub registrations: BTreeMap<u64, Registration>,
    pub next_registration_id: u64,
    /// Guests that the hypervisor cannot destroy.
    pub stuck: BTreeSet<String>,
    /// The most guests that there ever were at once.
    pub guests_max: usize,
    /// Everything that was done to it, in words.
    pub deeds: Vec<String>,
    /// How many more deeds succeed; then each one fails, without an effect.
    pub deeds_left: Option<usize>,
}

impl World {
    /// Does a deed, unless no more of them are to succeed.
    pub fn may(&mut self, deed: String) -> bool {
        match &mut self.deeds_left {
            Some(0) => return false,
            Some(left) => *left -= 1,
            None => {}
        }
        self.deeds.push(deed);
        true
    }

    pub fn register(&mut self, name: &str, labels: &[String]) -> u64 {
        self.next_registration_id += 1;
        let registration = Registration {
            id: self.next_registration_id,
            name: name.into(),
            status: RegistrationStatus::Offline,
            busy: false,
            labels: labels
                .iter()
                .map(|name| Label { name: name.clone() })
                .collect(),
            version: None,
        };
        self.registrations.insert(registration.id, registration);
        self.next_registration_id
    }

    /// The registration of a runner.
    pub fn registration(&mut self, id: u64) -> &mut Registration {
        let own = format!(".{id}@host");
        let mut registrations = self.registrations.values_mut();
        registrations.find(|it| it.name.ends_with(&own)).unwrap()
    }

    pub fn start_job(&mut self, id: u64) {
        self.registration(id).busy = true;
    }

    /// The job ends: GitHub removes the registration, and the guest powers off.
    pub fn end_job(&mut self, id: u64) {
        let registration_id = self.registration(id).id;
        let registration = self.registrations.remove(&registration_id).unwrap();
        self.guests
            .remove(registration.name.strip_suffix("@host").unwrap());
    }
}
