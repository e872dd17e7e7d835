//! Whether the metrics of a queue agree with its jobs: what was added and has not ended is there.

use crate::{JobEvent, JobStep, Measurement, Queue};

/// What the events of one process have added to its metrics, and what only the events tell.
#[derive(Debug, Default)]
pub struct Tally {
    enqueued: usize,
    assigned: usize,
    ended: usize,
    waits_until_assigned: usize,
    restored: usize,
    /// Assigned jobs that wait again, or are over.
    unassigned: usize,
}

impl Tally {
    /// Adds an event of a job that the queue knows.
    pub fn add(&mut self, event: &JobEvent) {
        for measurement in event.measurements() {
            match measurement {
                Measurement::Enqueued { .. } => self.enqueued += 1,
                Measurement::Assigned => self.assigned += 1,
                Measurement::Ended { .. } => self.ended += 1,
                Measurement::Wait {
                    outcome: "assigned",
                    ..
                } => {
                    self.waits_until_assigned += 1;
                }
                _ => {}
            }
        }
        match &event.step {
            JobStep::Restored => self.restored += 1,
            JobStep::Returned => self.unassigned += 1,
            JobStep::Retired { assignment, .. } if assignment.assigned_at.is_some() => {
                self.unassigned += 1;
            }
            _ => {}
        }
    }

    /// Compares the sums with the jobs of the queue.
    ///
    /// # Errors
    /// When the metrics count more or fewer jobs than there are.
    pub fn compare(&self, queue: &Queue) -> Result<(), String> {
        let with_runners = queue
            .jobs()
            .filter(|job| matches!(job.state_name(), "reserved" | "delivered"));
        let is_same = self.enqueued + self.restored == self.ended + queue.jobs().count()
            && self.assigned == self.unassigned + with_runners.count()
            && self.assigned == self.waits_until_assigned;
        if is_same {
            Ok(())
        } else {
            let states: Vec<_> = queue.jobs().map(|job| job.state_name()).collect();
            Err(format!("the metrics count {self:?}, there are {states:?}"))
        }
    }
}
