//! Remembers the contents of tickets that were verified recently.
//!
//! A client that waits sends the same ticket with every poll, and verifying it is most of the work of
//! a poll. The content depends on nothing but ticket and key, so that an entry never becomes invalid.

use std::collections::HashMap;

use parking_lot::Mutex;

use queue_core::TicketContent;

use super::WrongTicket;

/// How many tickets a generation holds. Two generations are at most 4 MB.
const GENERATION_LENGTH_MAX: usize = 2048;

/// A bounded cache. When the younger of two generations is full, it replaces the older one, so that
/// tickets in use stay.
///
/// The maps' hash has a random key, so that the time of a lookup reveals nothing about tickets
/// that are in the cache.
#[derive(Default)]
pub struct VerifiedTickets(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    younger: HashMap<Box<str>, TicketContent>,
    older: HashMap<Box<str>, TicketContent>,
}

impl VerifiedTickets {
    /// The remembered content of a ticket, or that which `verify` returns. Refusals are not
    /// remembered.
    pub fn get_or_verify(
        &self,
        ticket: &str,
        verify: impl FnOnce() -> Result<TicketContent, WrongTicket>,
    ) -> Result<TicketContent, WrongTicket> {
        if let Some(content) = self.0.lock().get(ticket) {
            return Ok(content);
        }
        // Without the lock, so that threads verify at the same time.
        let content = verify()?;
        self.0.lock().insert(ticket.into(), content.clone());
        Ok(content)
    }
}

impl Generations {
    fn get(&mut self, ticket: &str) -> Option<TicketContent> {
        if let Some(content) = self.younger.get(ticket) {
            return Some(content.clone());
        }
        let (ticket, content) = self.older.remove_entry(ticket)?;
        self.insert(ticket, content.clone());
        Some(content)
    }

    fn insert(&mut self, ticket: Box<str>, content: TicketContent) {
        if self.younger.len() >= GENERATION_LENGTH_MAX {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.insert(ticket, content);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use shared::{
        clock::Timestamp,
        job_spec::JobSpec,
        values::{Count, RunId},
    };

    use super::*;
    use queue_core::JobRequest;

    fn content(nonce: u64) -> TicketContent {
        TicketContent {
            request: JobRequest {
                spec: JobSpec {
                    unique_id: "job".parse().unwrap(),
                    profile_key: "linux".parse().unwrap(),
                    count: Count::ONE,
                    qualified_repo: "servo/servo".parse().unwrap(),
                    run_id: RunId(1),
                },
                is_array: false,
                labels_from_response: true,
                limits: shared::wait_limits::WaitLimits::default(),
            },
            enqueued_at: Timestamp::from_seconds(1),
            queued_at: Timestamp::from_seconds(1),
            lane: None,
            nonce,
        }
    }

    #[test]
    fn a_ticket_is_verified_once_while_it_is_in_use() {
        let (tickets, verified_count) = (VerifiedTickets::default(), Cell::new(0));
        let get = |number: u64| {
            let verify = || {
                verified_count.set(verified_count.get() + 1);
                Ok(content(number))
            };
            let got = tickets.get_or_verify(&format!("ticket-{number}"), verify);
            assert_eq!(got, Ok(content(number)));
        };
        // Every ticket is new, except number 0, which is used all the time.
        let others = 5 * GENERATION_LENGTH_MAX as u64;
        for number in 1..=others {
            get(0);
            get(number);
        }
        assert_eq!(verified_count.get(), others + 1);
        let generations = tickets.0.lock();
        assert!(generations.younger.len() <= GENERATION_LENGTH_MAX);
        assert!(generations.older.len() <= GENERATION_LENGTH_MAX);
    }

    #[test]
    fn a_refusal_is_not_remembered() {
        let tickets = VerifiedTickets::default();
        let refused = tickets.get_or_verify("ticket", || Err(WrongTicket));
        assert_eq!(refused, Err(WrongTicket));
        let accepted = tickets.get_or_verify("ticket", || Ok(content(1)));
        assert_eq!(accepted, Ok(content(1)));
    }
}
