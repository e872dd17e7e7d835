//! Timers: what happens when no other input comes first.

use std::collections::BTreeSet;

use shared::{
    clock::Timestamp,
    values::{FencingToken, ProfileKey, UniqueId},
};

use super::fleet::ServerId;
use crate::input::CallId;

/// Something that time alone causes. A timer may go off after it has become pointless, so its
/// handler checks the state again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The startup grace period ends.
    StartupGrace,
    /// A job's client may have been silent for too long.
    Silence(UniqueId),
    /// A take has been held for as long as its client allowed.
    Hold(CallId, UniqueId),
    /// A server's time to answer a forward ends.
    Forward(ServerId, UniqueId, FencingToken),
    /// The quarantine of a server's idle runners ends.
    Quarantine(ServerId, ProfileKey),
    /// A server that refused this job may be asked for it again.
    Exclusion(UniqueId),
    /// A server's report becomes too old.
    Stale(ServerId),
    /// A server that refused the API token may be asked for runners again.
    TokenRetry(ServerId),
}

/// All timers that are set.
#[derive(Debug, Default)]
pub struct Timers(BTreeSet<(Timestamp, Timer)>);

impl Timers {
    pub fn set(&mut self, at: Timestamp, timer: Timer) {
        self.0.insert((at, timer));
    }

    /// When the next timer goes off.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, _)| *at)
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Removes and returns the next timer that is due.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<Timer> {
        if self.next_at()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }
}
