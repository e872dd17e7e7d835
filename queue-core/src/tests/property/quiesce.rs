//! The end of a run: without further faults every job is assigned, and all are withdrawn.

use std::{collections::BTreeSet, time::Duration};

use super::model::{CLIENTS, Model, SERVERS, request_of, tight_config};
use crate::{Answer, Input, JobReference};

impl Model {
    /// Without further faults every client that keeps polling gets its runners.
    pub fn assign_every_job(&mut self) {
        (0..2).for_each(|profile| self.resume(profile));
        let mut assigned = BTreeSet::new();
        let mut waiting = BTreeSet::new();
        for round in 0..80 {
            for server in 0..SERVERS {
                if round == 20 {
                    // Servers destroy reassigned runners that were not used in time.
                    let unassigned = (0..CLIENTS).filter(|client| !assigned.contains(client));
                    for client in unassigned {
                        self.servers[server].expire(&request_of(client).spec.unique_id);
                    }
                }
                (0..2).for_each(|profile| self.servers[server].boot(profile));
                self.report(server, true);
            }
            self.deliver_all();
            self.fails_next_delivery = false;
            for client in 0..CLIENTS {
                let Some(ticket) = self.tickets[client].last().cloned() else {
                    continue;
                };
                match self.ask(&ticket, Duration::ZERO) {
                    Some(Answer::Waiting(_)) => drop(waiting.insert(client)),
                    Some(Answer::Runners { .. }) => drop(assigned.insert(client)),
                    // The job was retired before the faults stopped; none is lost now.
                    _ => {
                        assigned.insert(client);
                        assert!(!waiting.contains(&client), "client {client} was lost");
                    }
                }
            }
            self.deliver_all();
            self.pass(Duration::from_millis(2500));
        }
        let with_ticket = (0..CLIENTS).filter(|client| !self.tickets[*client].is_empty());
        let unassigned: Vec<usize> = with_ticket
            .filter(|client| !assigned.contains(client))
            .collect();
        assert_eq!(
            unassigned,
            [] as [usize; 0],
            "of all clients these wait for ever"
        );
    }

    /// Withdraws all jobs, after which neither the queue nor any server keeps anything.
    pub fn withdraw_every_job(&mut self) {
        for ticket in self.tickets.concat() {
            let by = JobReference::Ticket(ticket);
            self.call(|call| Input::Withdraw { call, by });
        }
        for _ in 0..70 {
            self.deliver_all();
            self.pass(Duration::from_secs(1));
        }
        for server in 0..SERVERS {
            for client in 0..CLIENTS {
                // What an earlier instance may have delivered is kept up to its deadline.
                let unique_id = request_of(client).spec.unique_id;
                self.servers[server].expire(&unique_id);
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
