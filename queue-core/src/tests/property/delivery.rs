//! Delivery and loss of messages between the queue and its servers.

use std::time::Duration;

use super::{
    messages::{InTransit, Message, TakeResult},
    model::{Model, runner},
    model_server::{Instance, ModelRefusal},
};
use crate::{Forward, ForwardOutcome, Input, Release, Report, ServerId};

impl Model {
    pub fn letter(&self, letter: usize) -> Option<usize> {
        (!self.in_transit.is_empty()).then(|| letter % self.in_transit.len())
    }

    pub fn arrive(&mut self, letter: InTransit) {
        let InTransit { instance, message } = letter;
        let reply = match message {
            Message::Take(forward) => {
                let result = match self.servers[forward.server].take(instance, &forward) {
                    Ok(runners) => TakeResult::Granted(
                        runners
                            .iter()
                            .map(|&id| runner(forward.server, id))
                            .collect(),
                    ),
                    Err(ModelRefusal::NothingIdle) => TakeResult::Refused,
                    Err(ModelRefusal::NotThisJob) => TakeResult::RefusedThisJob,
                };
                Message::Taken(forward, result)
            }
            Message::Release(release) => {
                self.servers[release.server].release(instance, &release);
                Message::Released(release)
            }
            to_queue => return self.deliver_to_queue(instance, to_queue),
        };
        self.in_transit.push(InTransit {
            instance,
            message: reply,
        });
    }

    /// Delivers a message to the queue, unless it is for an earlier instance.
    fn deliver_to_queue(&mut self, instance: Instance, message: Message) {
        if instance != self.instance {
            return;
        }
        match message {
            Message::Taken(forward, result) => {
                self.end_forward(&forward, result.into_outcome());
            }
            Message::Released(release) => self.end_release(release, true),
            Message::Report(server, report) => self.handle(Input::Reported { server, report }),
            Message::Take(_) | Message::Release(_) => {}
        }
    }

    pub fn break_off(&mut self, letter: usize) {
        let Some(index) = self.letter(letter) else {
            return;
        };
        let InTransit { instance, message } = self.in_transit.remove(index);
        match message {
            Message::Take(forward) | Message::Taken(forward, _) if instance == self.instance => {
                self.end_forward(&forward, ForwardOutcome::Ambiguous);
            }
            Message::Release(release) | Message::Released(release) if instance == self.instance => {
                self.end_release(release, false);
            }
            _ => {}
        }
    }

    fn end_forward(&mut self, forward: &Forward, outcome: ForwardOutcome) {
        let unique_id = forward.request.spec.unique_id.clone();
        self.open_forwards
            .remove(&(forward.server, unique_id.clone(), forward.token));
        self.handle(Input::Forwarded {
            server: forward.server,
            unique_id,
            token: forward.token,
            outcome,
        });
    }

    /// A server answers a poll: with a report if anything has changed.
    pub fn report(&mut self, server: ServerId, arrives: bool) {
        // No two polls are sent at the same time.
        self.now = self.now + Duration::from_micros(1);
        let mut report = self.servers[server].report(self.now);
        report.prove(|_, _| Some(server));
        let known = self.queue.fleet().report(server).cloned();
        let is_news = known.is_none_or(|known| {
            let asked_at = known.asked_at;
            known
                != Report {
                    asked_at,
                    ..report.clone()
                }
        });
        if !is_news && arrives {
            let asked_at = self.now;
            return self.handle(Input::Unchanged { server, asked_at });
        }
        let letter = InTransit {
            instance: self.instance,
            message: Message::Report(server, report),
        };
        if arrives {
            self.arrive(letter);
        } else {
            self.in_transit.push(letter);
        }
    }

    pub fn deliver_all(&mut self) {
        while !self.in_transit.is_empty() {
            let letter = self.in_transit.remove(0);
            self.arrive(letter);
        }
    }

    fn end_release(&mut self, release: Release, is_confirmed: bool) {
        self.handle(Input::Released {
            server: release.server,
            unique_id: release.unique_id,
            token: release.token,
            is_confirmed,
        });
    }
}
