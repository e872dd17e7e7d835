//! What happens in each step.

use std::time::Duration;

use shared::{operator::Order, values::ProfileKey};

use super::super::harness::pauses_of;
use super::{
    model::{CLIENTS, Model, SERVERS, names, request_of, tight_config},
    model_server::PROFILES,
    step::Step,
};
use crate::{
    Answer, CallId, EnqueuedBy, Input, JobReference, PauseOrder, Queue, ServerFailure, ServerId,
    TicketContent, testing::Stories,
};

fn profile_key(profile: usize) -> ProfileKey {
    PROFILES[profile].parse().unwrap()
}

impl Model {
    /// Something happens.
    pub fn take_step(&mut self, step: Step) {
        match step {
            Step::Arrive {
                letter,
                is_repeated,
            } => self.deliver(letter, is_repeated),
            Step::Lose { letter } => {
                if let Some(index) = self.letter(letter) {
                    self.in_transit.remove(index);
                }
            }
            Step::Break { letter } => self.break_off(letter),
            Step::Answer { server, arrives } => self.report(server % SERVERS, arrives),
            Step::Unreachable { server } => self.handle(Input::Unreachable {
                server: server % SERVERS,
                failure: ServerFailure::NoResponse(String::new()),
            }),
            Step::Boot { server, profile } => self.servers[server % SERVERS].boot(profile % 2),
            Step::LoseIdle { server, profile } => {
                self.servers[server % SERVERS].lose_idle(profile % 2);
            }
            Step::RunOrExpire {
                server,
                client,
                is_used,
            } => {
                self.run_or_expire(server % SERVERS, client % CLIENTS, is_used);
            }
            Step::Enqueue { client } => self.enqueue(client % CLIENTS),
            Step::Take {
                client,
                ticket,
                hold_seconds,
            } => {
                if let Some(ticket) = self.ticket(client, ticket) {
                    self.ask(&ticket, Duration::from_secs(hold_seconds));
                }
            }
            Step::Disconnect { call } => self.disconnect(call),
            Step::FailNextDelivery => self.fails_next_delivery = true,
            Step::Withdraw {
                client,
                ticket,
                by_operator,
            } => {
                self.withdraw(client, ticket, by_operator);
            }
            Step::Inspect { client } => {
                let by = JobReference::Operator(request_of(client % CLIENTS).spec.unique_id);
                self.call(|call| Input::Inspect { call, by });
            }
            Step::Pause { profile } => self.pause(profile % 2),
            Step::Resume { profile } => self.resume(profile % 2),
            Step::Pass { millis } => self.pass(Duration::from_millis(millis)),
            Step::Suspend { seconds } => {
                self.now = self.now + Duration::from_secs(seconds);
                self.tick();
            }
            Step::Restart => self.restart(),
        }
    }

    fn deliver(&mut self, letter: usize, is_repeated: bool) {
        let Some(index) = self.letter(letter) else {
            return;
        };
        let letter = if is_repeated {
            self.in_transit[index].clone()
        } else {
            self.in_transit.remove(index)
        };
        self.arrive(letter);
    }

    fn run_or_expire(&mut self, server: ServerId, client: usize, is_used: bool) {
        let unique_id = request_of(client).spec.unique_id;
        // Only delivered runners are used.
        let mut held = self.servers[server].held_for(&unique_id).iter();
        let is_delivered = held.all(|runner| self.delivered_to.contains_key(&(server, *runner)));
        if is_used && is_delivered {
            self.servers[server].run(&unique_id);
        } else {
            self.servers[server].expire(&unique_id);
        }
    }

    fn withdraw(&mut self, client: usize, ticket: usize, by_operator: bool) {
        let Some(ticket) = self.ticket(client, ticket) else {
            return;
        };
        let by = if by_operator {
            JobReference::Operator(ticket.request.spec.unique_id)
        } else {
            JobReference::Ticket(ticket)
        };
        self.call(|call| Input::Withdraw { call, by });
    }

    /// One of the tickets of a client; mostly the latest.
    fn ticket(&self, client: usize, ticket: usize) -> Option<TicketContent> {
        let tickets = &self.tickets[client % CLIENTS];
        let latest = tickets.len().checked_sub(1)?;
        let is_older = ticket.is_multiple_of(4);
        let index = if is_older {
            ticket / 4 % tickets.len()
        } else {
            latest
        };
        tickets.get(index).cloned()
    }

    fn enqueue(&mut self, client: usize) {
        let answer = self.call(|call| Input::Enqueue {
            call,
            request: request_of(client),
            nonce: call,
            by: EnqueuedBy::ApiToken,
            facts: shared::policy::RunFacts::default(),
        });
        if let Answer::Enqueued(ticket) = answer {
            let tickets = &mut self.tickets[client];
            if tickets.last() != Some(&ticket) {
                tickets.push(ticket);
            }
        }
    }

    fn disconnect(&mut self, call: usize) {
        let held: Vec<CallId> = self.calls.keys().copied().collect();
        if held.is_empty() {
            return;
        }
        let call = held[call % held.len()];
        if let Some(Some(unique_id)) = self.calls.remove(&call) {
            self.handle(Input::Disconnected { call, unique_id });
        }
    }

    fn pause(&mut self, profile: usize) {
        let order = PauseOrder {
            profile_key: profile_key(profile),
            order: Order::default(),
        };
        self.call(|call| Input::Pause { call, order });
    }

    pub fn resume(&mut self, profile: usize) {
        let profile_key = profile_key(profile);
        self.call(|call| Input::Resume { call, profile_key });
    }

    fn restart(&mut self) {
        self.now = self.now + Duration::from_secs(1);
        self.instance += 1;
        let pauses: Vec<_> = pauses_of(&self.queue);
        self.queue =
            Queue::new(tight_config(), &names(), self.instance, self.now).with_pauses(pauses);
        self.stories = Stories::default();
        self.calls.clear();
        self.open_forwards.clear();
    }
}
