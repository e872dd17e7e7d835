//! The end of a random story: the faults stop, everybody is served, everybody leaves.

use std::{collections::BTreeSet, time::Duration};

use super::model::{CLIENTS, Model, SERVERS, tight_config, wish};
use crate::{Answer, Input, JobReference};

impl Model {
    /// The faults stop, runners keep coming, and whoever keeps asking gets what it wants.
    pub fn serve_everybody(&mut self) {
        let mut served = BTreeSet::new();
        let mut waiting = BTreeSet::new();
        for round in 0..80 {
            for server in 0..SERVERS {
                if round == 20 {
                    // What nobody used within the time that servers keep it is destroyed.
                    let unserved = (0..CLIENTS).filter(|client| !served.contains(client));
                    for client in unserved {
                        self.servers[server].lapse(&wish(client).spec.unique_id);
                    }
                }
                (0..2).for_each(|profile| self.servers[server].boot(profile));
                self.report(server, true);
            }
            self.let_everything_arrive();
            self.loses_next_delivery = false;
            for client in 0..CLIENTS {
                let Some(ticket) = self.tickets[client].last().cloned() else {
                    continue;
                };
                match self.ask(&ticket, Duration::ZERO) {
                    Some(Answer::Waiting(_)) => drop(waiting.insert(client)),
                    Some(Answer::Runners { .. }) => drop(served.insert(client)),
                    // Gone since before the faults stopped; nobody gets lost now.
                    _ => {
                        served.insert(client);
                        assert!(!waiting.contains(&client), "client {client} was lost");
                    }
                }
            }
            self.let_everything_arrive();
            self.pass(Duration::from_millis(2500));
        }
        let with_ticket = (0..CLIENTS).filter(|client| !self.tickets[*client].is_empty());
        let unserved: Vec<usize> = with_ticket
            .filter(|client| !served.contains(client))
            .collect();
        assert_eq!(
            unserved,
            [] as [usize; 0],
            "of all clients these wait for ever"
        );
    }

    /// Everybody leaves; neither the queue nor any server keeps anything.
    pub fn clear_everything(&mut self) {
        for ticket in self.tickets.concat() {
            let by = JobReference::Ticket(ticket);
            self.call(|call| Input::Withdraw { call, by });
        }
        for _ in 0..70 {
            self.let_everything_arrive();
            self.pass(Duration::from_secs(1));
        }
        for server in 0..SERVERS {
            for client in 0..CLIENTS {
                // What another instance of the queue may have handed out runs to its deadline.
                let unique_id = wish(client).spec.unique_id;
                self.servers[server].lapse(&unique_id);
                self.servers[server].run(&unique_id);
            }
            assert!(self.servers[server].holds_nothing());
            self.report(server, true);
        }
        self.now = self.now + tight_config().ticket_lifetime + Duration::from_secs(60);
        self.tick();
        assert!(self.calls.is_empty(), "never answered: {:?}", self.calls);
        self.assert_empty();
    }

    fn assert_empty(&self) {
        let state = &self.queue.state;
        assert_eq!(state.jobs.len(), 0);
        assert_eq!(state.profile_queues.len(), 0);
        assert!(state.jobs.per_repo().is_empty() && state.jobs.retired_is_empty());
        assert!(
            state.pending_releases.is_empty(),
            "{:?}",
            state.pending_releases
        );
        for server in 0..SERVERS {
            assert_eq!(state.jobs.granted_by(server), []);
        }
        assert_eq!(state.held_calls.len(), 0);
        assert_eq!(self.queue.poll_timeout(), None, "{:?}", state.timers);
    }
}
