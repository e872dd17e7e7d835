//! What is to happen when, if nothing happens before.

use std::collections::BTreeSet;

use shared::{
    clock::Timestamp,
    values::{ProfileKey, UniqueId},
};

use super::{events::CallId, fleet::ServerId};

/// Something that time alone brings about. A timer that has become pointless may still go off:
/// whoever handles it looks again at how things stand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The time after the start in which nothing is given out is over.
    Settled,
    /// A job's client may have been silent for too long.
    Silence(UniqueId),
    /// A take has been held for as long as its client wanted.
    Hold(CallId, UniqueId),
    /// A server has had its time to answer a forward.
    Forward(ServerId, UniqueId, u64),
    /// A release is to be tried again.
    Release(ServerId, UniqueId),
    /// A server's refusal is forgiven.
    Distrust(ServerId, ProfileKey),
    /// A server that would not have a job may be asked on its behalf again.
    ShutOut(ServerId, UniqueId),
    /// A server's last word has become too old.
    Stale(ServerId),
}

/// All timers that are set.
#[derive(Debug, Default)]
pub struct Timers(BTreeSet<(Timestamp, Timer)>);

impl Timers {
    /// Sets a timer.
    pub fn set(&mut self, at: Timestamp, timer: Timer) {
        self.0.insert((at, timer));
    }

    /// Takes a timer back that was set for `at`.
    pub fn cancel(&mut self, at: Timestamp, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    /// When the next one goes off.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, _)| *at)
    }

    /// The next one that is due.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<Timer> {
        if self.next_at()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }
}
