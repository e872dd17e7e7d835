//! Model of the outside in tests: a hypervisor's guests and GitHub's registrations.

use std::collections::{BTreeMap, BTreeSet};

use shared::registration::{Label, Registration, RegistrationStatus};

/// The guests and registrations that exist.
#[derive(Clone, Default)]
pub struct World {
    pub guests: BTreeSet<String>,
    pub registrations: BTreeMap<u64, Registration>,
    pub next_registration_id: u64,
    /// The names of the runners that have done a job, as the jobs of a run show them; `None` while GitHub
    /// answers no queries about jobs.
    pub done_jobs: Option<BTreeSet<String>>,
    /// Guests that the hypervisor cannot destroy.
    pub stuck: BTreeSet<String>,
    /// The most guests that ever existed at once.
    pub guests_max: usize,
    /// Every effect that succeeded, such as `register 0`.
    pub effects: Vec<String>,
    /// How many more effects succeed; after those, each fails and changes nothing.
    pub effects_left: Option<usize>,
}

impl World {
    /// Records an effect and returns true, unless it is to fail.
    pub fn try_effect(&mut self, effect: String) -> bool {
        match &mut self.effects_left {
            Some(0) => return false,
            Some(left) => *left -= 1,
            None => {}
        }
        self.effects.push(effect);
        true
    }

    /// GitHub registers a runner, which is offline. Returns the id of the registration.
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
        let suffix = format!(".{id}@host");
        let mut registrations = self.registrations.values_mut();
        registrations.find(|it| it.name.ends_with(&suffix)).unwrap()
    }

    /// The names of a runner's labels.
    pub fn labels(&mut self, id: u64) -> Vec<String> {
        let labels = &self.registration(id).labels;
        labels.iter().map(|label| label.name.clone()).collect()
    }

    /// GitHub loses the registration of a runner.
    pub fn drop_registration(&mut self, id: u64) {
        let registration_id = self.registration(id).id;
        self.registrations.remove(&registration_id);
    }

    /// A runner begins a job.
    pub fn start_job(&mut self, id: u64) {
        self.registration(id).busy = true;
    }

    /// A runner ends its job: GitHub removes the registration, and the guest shuts down.
    pub fn end_job(&mut self, id: u64) {
        let registration_id = self.registration(id).id;
        let registration = self.registrations.remove(&registration_id).unwrap();
        if let Some(done_jobs) = &mut self.done_jobs {
            done_jobs.insert(registration.name.clone());
        }
        self.guests
            .remove(registration.name.strip_suffix("@host").unwrap());
    }
}
