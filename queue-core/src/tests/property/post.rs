//! What becomes of the messages between the queue and its servers.

use std::time::Duration;

use super::{
    model_server::{Life, ModelRefusal},
    network::{Letter, Message, Told},
    world::{World, runner},
};
use crate::{
    events::{Forward, ForwardOutcome, Input, Release},
    fleet::ServerId,
    report::Report,
};

impl World {
    pub fn letter(&self, letter: usize) -> Option<usize> {
        (!self.letters.is_empty()).then(|| letter % self.letters.len())
    }

    pub fn arrive(&mut self, letter: Letter) {
        let Letter { life, message } = letter;
        let reply = match message {
            Message::Take(forward) => {
                let told = match self.servers[forward.server].take(life, &forward) {
                    Ok(runners) => Told::Granted(
                        runners
                            .iter()
                            .map(|&id| runner(forward.server, id))
                            .collect(),
                    ),
                    Err(ModelRefusal::NothingIdle) => Told::Refused,
                    Err(ModelRefusal::NotThisJob) => Told::RefusedThisJob,
                };
                Message::Taken(forward, told)
            }
            Message::Release(release) => {
                self.servers[release.server].release(life, &release);
                Message::Released(release)
            }
            to_queue => return self.hear(life, to_queue),
        };
        self.letters.push(Letter {
            life,
            message: reply,
        });
    }

    /// A message reaches the queue, unless it is for one that is no more.
    fn hear(&mut self, life: Life, message: Message) {
        if life != self.life {
            return;
        }
        match message {
            Message::Taken(forward, told) => self.end_forward(&forward, told.into_outcome()),
            Message::Released(release) => self.end_release(release, true),
            Message::Report(server, report) => self.handle(Input::Reported { server, report }),
            Message::Take(_) | Message::Release(_) => {}
        }
    }

    pub fn break_off(&mut self, letter: usize) {
        let Some(index) = self.letter(letter) else {
            return;
        };
        let Letter { life, message } = self.letters.remove(index);
        match message {
            Message::Take(forward) | Message::Taken(forward, _) if life == self.life => {
                self.end_forward(&forward, ForwardOutcome::Ambiguous);
            }
            Message::Release(release) | Message::Released(release) if life == self.life => {
                self.end_release(release, false);
            }
            _ => {}
        }
    }

    fn end_forward(&mut self, forward: &Forward, outcome: ForwardOutcome) {
        let unique_id = forward.request.spec.unique_id.clone();
        self.open_forwards
            .remove(&(forward.server, unique_id.clone(), forward.attempt));
        self.handle(Input::Forwarded {
            server: forward.server,
            unique_id,
            attempt: forward.attempt,
            outcome,
        });
    }

    /// A server answers; if it has nothing new to say it says so.
    pub fn report(&mut self, server: ServerId, arrives: bool) {
        // No two questions are asked at the same moment.
        self.now = self.now + Duration::from_micros(1);
        let report = self.servers[server].report(self.now);
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
        let letter = Letter {
            life: self.life,
            message: Message::Report(server, report),
        };
        if arrives {
            self.arrive(letter);
        } else {
            self.letters.push(letter);
        }
    }

    pub fn let_everything_arrive(&mut self) {
        while !self.letters.is_empty() {
            let letter = self.letters.remove(0);
            self.arrive(letter);
        }
    }

    fn end_release(&mut self, release: Release, is_settled: bool) {
        self.handle(Input::Released {
            server: release.server,
            unique_id: release.unique_id,
            attempt: release.attempt,
            is_settled,
        });
    }
}
