//! Which servers are one monitor under several URLs, such as `localhost` and `127.0.0.1`.
//!
//! A monitor is recognised by its `instance`. Older ones have none; they are recognised by a runner,
//! because no two servers have one with the same guest, registration and time of creation.

use std::collections::BTreeMap;

use shared::clock::Timestamp;

use super::{Report, ServerId, server::Server};

/// The pairs of servers that are the same, the lower one first, and since when that is known.
#[derive(Debug, Default)]
pub struct Identities {
    pairs: BTreeMap<(ServerId, ServerId), Timestamp>,
    is_parted: bool,
}

impl Identities {
    /// Whether no server is another URL of another one.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The servers of a lower number that are the same as `server`.
    pub fn same_before(&self, server: ServerId) -> impl Iterator<Item = ServerId> {
        let before = 0..server;
        before.filter(move |&other| !self.is_empty() && self.pairs.contains_key(&(other, server)))
    }

    /// Whether two servers are the same.
    pub fn are_same(&self, one: ServerId, other: ServerId) -> bool {
        self.pairs.contains_key(&(one.min(other), one.max(other)))
    }

    /// Since when two servers are known to be the same, the lower one first.
    pub fn since(&self, lower: ServerId, higher: ServerId) -> Option<Timestamp> {
        self.pairs.get(&(lower, higher)).copied()
    }

    /// Whether a pair was found not to be the same since the last call.
    pub fn take_parting(&mut self) -> bool {
        std::mem::take(&mut self.is_parted)
    }

    /// Compares a server with all others, after it has answered a poll.
    pub fn review(&mut self, servers: &[Server], server: ServerId, now: Timestamp) {
        for other in (0..servers.len()).filter(|&other| other != server) {
            let pair = (server.min(other), server.max(other));
            match is_same(&servers[server], &servers[other]) {
                Some(true) => {
                    self.pairs.entry(pair).or_insert(now);
                }
                Some(false) => self.is_parted |= self.pairs.remove(&pair).is_some(),
                None => {}
            }
        }
    }
}

/// Whether two servers are the same; `None` if that is not known, so that it is as before. When a
/// monitor is restarted, its new `instance` is seen under one of its URLs first.
fn is_same(one: &Server, other: &Server) -> Option<bool> {
    let (first, second) = (one.report()?, other.report()?);
    match (&first.instance, &second.instance) {
        (Some(first), Some(second)) if first == second => Some(true),
        (None, None) if has_common_guest(first, second) => Some(true),
        (Some(_), Some(_)) if were_at_once(one, other) => Some(false),
        (None, None) if !first.guests.is_empty() && !second.guests.is_empty() => {
            were_at_once(one, other).then_some(false)
        }
        // A current monitor and an older one.
        (Some(_), None) | (None, Some(_)) if were_at_once(one, other) => Some(false),
        _ => None,
    }
}

/// Whether two older monitors show a runner that only one server can have.
fn has_common_guest(first: &Report, second: &Report) -> bool {
    let is_older = |report: &Report| report.reservations.is_none();
    is_older(first) && is_older(second) && !first.guests.is_disjoint(&second.guests)
}

/// Whether there was a moment at which both were as they are known now.
fn were_at_once(one: &Server, other: &Server) -> bool {
    let is_confirmed_since = |server: &Server, other: &Server| {
        server
            .confirmed_at()
            .is_some_and(|confirmed_at| confirmed_at > other.identity_since())
    };
    is_confirmed_since(one, other) && is_confirmed_since(other, one)
}
