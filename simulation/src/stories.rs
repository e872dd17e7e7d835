//! What a monitor records and counts of its runners, compared with what happened to them.
//!
//! The facts are recorded where a guest does something, and not from what the monitor knows of it.

use std::collections::{BTreeMap, BTreeSet};

use monitor_core::{Measurement, RunnerEvent, RunnerId, RunnerStep, StepTimes};
use shared::values::UniqueId;

/// What has happened to the runners of one server, and what its monitor has recorded of it.
#[derive(Default)]
pub struct Stories {
    pub facts: Facts,
    stories: BTreeMap<RunnerId, Story>,
    tally: Tally,
}

/// What the events of the present process have added to its metrics, and what they should have.
#[derive(Debug, Default)]
struct Tally {
    times: StepTimes,
    created: usize,
    destroyed: usize,
    jobs_measured: usize,
    /// Runners that exist without having been created by this process.
    known: usize,
    /// Runners that were recorded as busy, and then as ended or destroyed.
    jobs_over: usize,
}

/// What guests have done.
#[derive(Default)]
pub struct Facts {
    /// The runners whose guest exists.
    pub has_guest: BTreeSet<RunnerId>,
    /// The runners whose guest was ever started.
    pub was_started: BTreeSet<RunnerId>,
    /// The runners whose guest was given its JIT configuration.
    pub has_credential: BTreeSet<RunnerId>,
    /// The runners that GitHub has assigned a job.
    pub had_job: BTreeSet<RunnerId>,
}

/// What the present process of a monitor has recorded of a runner.
#[derive(Default)]
struct Story {
    steps: Vec<&'static str>,
    is_over: bool,
    /// The job that it is reserved for; none in the inner option if it is not, none in the outer one if an
    /// earlier process has recorded that.
    reserved_for: Option<Option<UniqueId>>,
}

impl Tally {
    fn add(&mut self, event: &RunnerEvent, is_job_over: bool) {
        for measurement in self.times.measure(event) {
            match measurement {
                Measurement::Created { .. } => self.created += 1,
                Measurement::Destroyed { .. } => self.destroyed += 1,
                Measurement::JobDuration(_) => self.jobs_measured += 1,
                _ => {}
            }
        }
        self.known += usize::from(event.step == RunnerStep::Found);
        self.jobs_over += usize::from(is_job_over);
    }

    /// Compares the sums with what was recorded, when so many runners exist.
    fn compare(&self, existing: usize) -> Result<(), String> {
        let is_same = self.known + self.created == self.destroyed + existing
            && self.jobs_measured == self.jobs_over;
        match is_same {
            true => Ok(()),
            false => Err(format!(
                "the metrics count {self:?}, there are {existing} runners"
            )),
        }
    }
}

impl Stories {
    /// A new process of the monitor has started, which knows the runners that `knows` selects: it records the
    /// steps after its snapshot again.
    pub fn restart(&mut self, knows: impl Fn(RunnerId) -> bool) {
        self.stories.retain(|id, _| knows(*id));
        for story in self.stories.values_mut() {
            *story = Story::default();
        }
        self.tally = Tally {
            known: self.stories.len(),
            ..Tally::default()
        };
    }

    /// Checks an event of the monitor, and adds it.
    ///
    /// # Errors
    /// How it differs from what has happened, or from what was recorded before.
    pub fn observe(&mut self, event: &RunnerEvent) -> Result<(), String> {
        let (id, step) = (event.runner, &event.step);
        let name = step.name();
        let describe =
            |problem: &str| Err(format!("runner {id} was recorded as {name}, but {problem}"));
        let begins = matches!(step, RunnerStep::Created { .. } | RunnerStep::Found);
        let known = self.stories.get(&id).filter(|story| !story.is_over);
        match known {
            Some(_) if begins => return describe("it is known"),
            None if !begins => return describe("it is not known"),
            _ => {}
        }
        if begins {
            let story = Story {
                reserved_for: Some(None),
                ..Story::default()
            };
            self.stories.insert(id, story);
        }
        let Some(story) = self.stories.get_mut(&id) else {
            return describe("it is not known");
        };
        let is_single = !matches!(
            step,
            RunnerStep::Reserved | RunnerStep::Released | RunnerStep::Failed { .. }
        );
        if is_single && story.steps.contains(&name) {
            return describe("that was recorded before");
        }
        story.steps.push(name);
        let job = event.job.as_ref().and_then(|job| job.unique_id.clone());
        let facts = &self.facts;
        let is_fact = match step {
            RunnerStep::GuestStarted => facts.was_started.contains(&id),
            RunnerStep::CredentialFetched | RunnerStep::Online => {
                facts.has_credential.contains(&id)
            }
            RunnerStep::Busy => facts.had_job.contains(&id),
            RunnerStep::Ended { .. } => !facts.has_guest.contains(&id),
            RunnerStep::Destroyed { .. } => {
                story.is_over = true;
                !facts.has_guest.contains(&id)
            }
            RunnerStep::Reserved => {
                let former = story.reserved_for.replace(job.clone());
                job.is_some() && former.flatten().is_none()
            }
            RunnerStep::Released => {
                let former = story.reserved_for.replace(None);
                job.is_some() && former.is_none_or(|former| former == job)
            }
            RunnerStep::Created { .. }
            | RunnerStep::Found
            | RunnerStep::GuestMissing
            | RunnerStep::Failed { .. } => true,
        };
        if !is_fact {
            return describe("that has not happened");
        }
        let was_busy = story.steps.contains(&"busy");
        let is_job_over = match step {
            RunnerStep::Ended { .. } => was_busy,
            RunnerStep::Destroyed { .. } => was_busy && !story.steps.contains(&"ended"),
            _ => false,
        };
        self.tally.add(event, is_job_over);
        let open = self.stories.values().filter(|story| !story.is_over);
        self.tally.compare(open.count())
    }

    /// The first runner that exists for the monitor and not in what it recorded, or the other way round.
    pub fn difference(&self, existing: &BTreeSet<RunnerId>) -> Option<RunnerId> {
        let open = self.stories.iter().filter(|(_, story)| !story.is_over);
        let open: BTreeSet<RunnerId> = open.map(|(id, _)| *id).collect();
        open.symmetric_difference(existing).next().copied()
    }
}
