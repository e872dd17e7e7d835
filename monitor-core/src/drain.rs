//! Draining: an operator lets the runners of a server end, so that work can be done on it.
//!
//! Responsible for beginning and ending it. While it lasts, all targets are zero, no image is built and no
//! runner is assigned; runners that are reserved or busy stay until their jobs have ended.

use shared::{
    clock::Timestamp,
    operator::{Intervention, Order},
};

use crate::Monitor;

impl Monitor {
    /// The drain that is in force, if there is one.
    pub fn drained(&self) -> Option<&Intervention> {
        self.durable.drain.as_ref()
    }

    /// Drains the server, or replaces note, author and address of the drain in force, which keeps its time.
    /// Returns the revision that has to be on disk before that may be confirmed.
    pub fn drain(&mut self, order: Order, now: Timestamp) -> u64 {
        let drain = Intervention::order(self.drained(), order, now);
        self.durable.drain = Some(drain);
        self.mark_dirty();
        self.revision()
    }

    /// Ends the drain. Returns it, if there was one, and the revision that has to be on disk before that
    /// may be confirmed.
    pub fn end_drain(&mut self) -> (Option<Intervention>, u64) {
        let ended = self.durable.drain.take();
        if ended.is_some() {
            self.mark_dirty();
        }
        (ended, self.revision())
    }
}

#[cfg(test)]
mod tests;
