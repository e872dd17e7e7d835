//! What is checked whenever something comes out of the queue.

use std::collections::BTreeSet;

use shared::{values::UniqueId, wire::TakenRunner};

use super::world::{World, names};
use crate::{events::Forward, job::State, report::RunnerId};

impl World {
    /// No runner that a client was told of is ever another job's.
    pub fn tell(&mut self, unique_id: &UniqueId, runners: &[TakenRunner]) {
        for runner in runners {
            let server = names()
                .iter()
                .position(|name| Some(name) == runner.server.as_ref());
            let key = (server.unwrap(), runner.id);
            let other = self.told.insert(key, unique_id.clone());
            assert!(
                other.as_ref().is_none_or(|other| other == unique_id),
                "{key:?} was {other:?}'s and is {unique_id}'s"
            );
        }
    }

    /// A server is asked for what it says is idle, less what it is being asked for and has
    /// given; or for what it says it holds for the job, which is returned.
    pub fn check_forward(&mut self, forward: &Forward) -> bool {
        let server = forward.server;
        let unique_id = forward.request.spec.unique_id.clone();
        let report = self
            .queue
            .fleet()
            .report(server)
            .expect("a server without a word is not asked");
        let held = report
            .reservations
            .as_ref()
            .and_then(|held| held.get(&unique_id));
        let is_held = held.is_some_and(|held| held.runners.len() == forward.count.get());
        let key = &forward.request.spec.profile_key;
        let jobs = self.queue.jobs.values();
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
            .insert((server, unique_id, forward.attempt), open);
        is_held
    }

    /// Whoever is before the job in its line needs more than there can be, or cannot be asked for
    /// at one of the servers.
    pub fn check_order(&self, forward: &Forward) {
        let queue = &self.queue;
        let key = &forward.request.spec.profile_key;
        let reach = queue.fleet.reach(key, self.now);
        let line = queue.lines[key].iter();
        let before = line.take_while(|place| place.unique_id != forward.request.spec.unique_id);
        for place in before {
            let job = &queue.jobs[&place.unique_id];
            let mut servers = queue.fleet.ids();
            let can_be_asked =
                servers.all(|server| queue.can_ask(self.now, server, &place.unique_id));
            assert!(
                !matches!(job.state, State::Waiting)
                    || job.request().spec.count.get() > reach
                    || !can_be_asked,
                "{forward:?} goes before {}",
                place.unique_id
            );
        }
    }
}
