//! Removal of single runners by an operator.
//!
//! An operator is one of the sources from which the monitor believes that the job of a runner has ended,
//! and the only one that may end a runner although GitHub reports that it runs a job.

use shared::clock::Timestamp;

use crate::{Monitor, RunnerId, state::runner::MustDestroy};

/// Why a runner is not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalRefusal {
    /// There is no such runner.
    UnknownRunner,
}

impl Monitor {
    /// Destroys a runner as soon as GitHub does not report that it runs a job; with `by_force` at once,
    /// which ends its job. Returns the revision that has to be on disk before it may be confirmed.
    ///
    /// # Errors
    /// If there is no such runner.
    pub fn remove_runner(
        &mut self,
        id: RunnerId,
        by_force: bool,
        now: Timestamp,
    ) -> Result<u64, RemovalRefusal> {
        let record = self.durable.runners.get_mut(&id);
        let record = record.ok_or(RemovalRefusal::UnknownRunner)?;
        record.must_destroy = Some(match by_force {
            true => MustDestroy::RemovedByForce,
            false => MustDestroy::Removed,
        });
        if record.in_flight.is_none() {
            record.destroy_failures.reset();
        }
        let description = match by_force {
            true => format!("remove runner {id} by force: an operator wants it"),
            false => format!("remove runner {id}: an operator wants it"),
        };
        self.action_log.record(now, description);
        self.mark_dirty();
        Ok(self.revision())
    }
}

#[cfg(test)]
mod tests;
