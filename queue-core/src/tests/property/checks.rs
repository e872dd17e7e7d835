//! Checks of every effect.

use std::collections::BTreeSet;

use shared::{values::UniqueId, wire::TakenRunner};

use super::model::{Model, names};
use crate::{Forward, RunnerId};

impl Model {
    /// No runner that was delivered to one client is delivered to another.
    pub fn record_delivery(&mut self, unique_id: &UniqueId, runners: &[TakenRunner]) {
        for runner in runners {
            let server = names()
                .iter()
                .position(|name| Some(name) == runner.server.as_ref());
            let key = (server.unwrap(), runner.id);
            let other = self.delivered_to.insert(key, unique_id.clone());
            assert!(
                other.as_ref().is_none_or(|other| other == unique_id),
                "{key:?} was {other:?}'s and is {unique_id}'s"
            );
        }
    }

    /// A server is asked for at most the runners that it reports as idle, less those requested and
    /// granted already; or for what it reports to hold for the job, in which case this returns `true`.
    pub fn check_forward(&mut self, forward: &Forward) -> bool {
        let server = forward.server;
        let unique_id = forward.request.spec.unique_id.clone();
        let report = self
            .queue
            .fleet()
            .report(server)
            .expect("a server without a builder is not asked");
        let held = report
            .reservations
            .as_ref()
            .and_then(|held| held.get(&unique_id));
        let is_held = held.is_some_and(|held| held.runners.len() == forward.count.get());
        let key = &forward.request.spec.profile_key;
        let jobs = self.queue.jobs();
        let given: BTreeSet<RunnerId> = jobs
            .flat_map(|job| job.grants())
            .filter(|grant| grant.server == server && grant.end.is_none())
            .flat_map(|grant| grant.runners.iter().map(|runner| runner.id))
            .collect();
        let idle = report
            .profile(key)
            .map_or(0, |profile| profile.idle.difference(&given).count());
        let open = self.open_forwards.values();
        let asked: usize = open
            .filter(|(open, _)| open.server == server && open.request.spec.profile_key == *key)
            .map(|(open, _)| open.count.get())
            .sum();
        assert!(
            is_held || forward.count.get() + asked <= idle,
            "asked for {} and {asked} of {idle}: {forward:?}",
            forward.count
        );
        let open = (forward.clone(), forward.deadline_at);
        self.open_forwards
            .insert((server, unique_id, forward.token), open);
        is_held
    }

    /// Every job before the forwarded one in its queue needs more runners than there can be, or may
    /// not be asked for at one of the servers.
    pub fn check_order(&self, forward: &Forward) {
        let state = &self.queue.state;
        let spec = &forward.request.spec;
        let reach = state.fleet.reach(&spec.profile_key, self.now);
        let queue = state.profile_queues.get(&spec.profile_key).unwrap().iter();
        for position in queue.take_while(|position| position.unique_id != spec.unique_id) {
            let job = state.jobs.get(&position.unique_id).unwrap();
            let mut servers = state.fleet.ids();
            let is_allowed =
                servers.all(|server| state.can_forward(self.now, server, &position.unique_id));
            assert!(
                !job.is_waiting() || job.request().spec.count.get() > reach || !is_allowed,
                "{forward:?} goes before {}",
                position.unique_id
            );
        }
    }
}
