//! Whether the events of a queue agree with each other, and with what the queue does and counts.

use std::collections::BTreeMap;

use shared::{job_spec::JobSpec, values::UniqueId, wire::TakenRunner};

use super::tally::Tally;
use crate::{
    Answer, Effect, GrantEnd, JobEvent, JobStep, Queue, Retirement, ServerId, ServerRunners,
};

/// What the events of one process of a queue tell of the jobs that are not over, and what they have added
/// to its metrics.
#[derive(Debug, Default)]
pub struct Stories {
    stories: BTreeMap<UniqueId, Story>,
    tally: Tally,
}

#[derive(Debug)]
struct Story {
    job: JobSpec,
    stage: Stage,
    has_started: bool,
    runners: Vec<ServerRunners>,
}

#[derive(Debug)]
enum Stage {
    Waiting,
    /// The servers that were asked, and for how many runners each.
    Forwarding(BTreeMap<ServerId, usize>),
    Assigned,
    Delivered,
}

impl Stories {
    /// Continues the story of the job that an effect concerns.
    ///
    /// # Errors
    /// When an event cannot follow what was told before, or an answer contains runners of which was not
    /// told that they are delivered.
    pub fn observe(&mut self, effect: &Effect) -> Result<(), String> {
        match effect {
            Effect::Record(event) => self.continue_with(event),
            Effect::Answer {
                answer:
                    Answer::Runners {
                        unique_id, runners, ..
                    },
                ..
            } => self.compare_delivery(unique_id, runners),
            _ => Ok(()),
        }
    }

    fn continue_with(&mut self, event: &JobEvent) -> Result<(), String> {
        let wrong = |story: Option<&Story>| Err(format!("{event:?} follows {story:?}"));
        let unique_id = &event.job.unique_id;
        if let JobStep::Enqueued { .. } | JobStep::Restored = event.step {
            let story = Story {
                job: event.job.clone(),
                stage: Stage::Waiting,
                has_started: false,
                runners: Vec::new(),
            };
            let former = self.stories.insert(unique_id.clone(), story);
            self.tally.add(event);
            return match former {
                None => Ok(()),
                former => wrong(former.as_ref()),
            };
        }
        let Some(story) = self.stories.get_mut(unique_id) else {
            return match &event.step {
                // A ticket of a job that a server reports as finished, of an earlier process.
                JobStep::Retired {
                    retirement: Retirement::Ended(GrantEnd::Finished),
                    assignment,
                } if !assignment.runners.is_empty() => Ok(()),
                _ => wrong(None),
            };
        };
        if !story.continue_with(event) {
            return wrong(Some(story));
        }
        self.tally.add(event);
        if let JobStep::Retired { .. } = event.step {
            self.stories.remove(unique_id);
        }
        Ok(())
    }

    /// Compares the stories and the metrics with the jobs of the queue.
    ///
    /// # Errors
    /// When a job is missing in one of the two, or is in another state, or the metrics count others.
    pub fn compare(&self, queue: &Queue) -> Result<(), String> {
        let told: Vec<_> = self
            .stories
            .iter()
            .map(|(unique_id, story)| (unique_id, story.stage.state_name()))
            .collect();
        let jobs: Vec<_> = queue
            .jobs()
            .map(|job| (job.unique_id(), job.state_name()))
            .collect();
        if told != jobs {
            return Err(format!("the events tell of {told:?}, there are {jobs:?}"));
        }
        self.tally.compare(queue)
    }

    fn compare_delivery(
        &self,
        unique_id: &UniqueId,
        delivered: &[TakenRunner],
    ) -> Result<(), String> {
        let story = self.stories.get(unique_id);
        let told: Vec<u64> = story
            .into_iter()
            .filter(|story| matches!(story.stage, Stage::Delivered))
            .flat_map(|story| &story.runners)
            .flat_map(|of_server| of_server.runners.iter().copied())
            .collect();
        if delivered.iter().map(|runner| runner.id).eq(told) {
            Ok(())
        } else {
            Err(format!("{unique_id} gets {delivered:?}, and {story:?}"))
        }
    }
}

impl Stage {
    fn state_name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Forwarding(_) => "forwarding",
            Self::Assigned => "reserved",
            Self::Delivered => "delivered",
        }
    }
}

impl Story {
    /// Whether the event can be the next one.
    fn continue_with(&mut self, event: &JobEvent) -> bool {
        let is_same_job = self.job == event.job;
        let (stage, is_possible) = match (&mut self.stage, &event.step) {
            (Stage::Waiting, JobStep::PassedOver { .. }) => return is_same_job,
            (Stage::Waiting, JobStep::Forwarded { server, count }) => {
                let asked = BTreeMap::from([(*server, count.get())]);
                (Stage::Forwarding(asked), true)
            }
            (Stage::Forwarding(asked), JobStep::Forwarded { server, count }) => {
                let is_new = asked.insert(*server, count.get()).is_none();
                return is_same_job && is_new;
            }
            (Stage::Forwarding(asked), JobStep::Refused { server, .. }) => {
                (Stage::Waiting, asked.contains_key(server))
            }
            (Stage::Forwarding(asked), JobStep::Assigned { runners, .. }) => {
                let granted = runners.iter().map(|of| (of.server, of.runners.len()));
                let granted: BTreeMap<ServerId, usize> = granted.collect();
                let is_as_asked = granted == *asked;
                let count: usize = granted.values().sum();
                self.runners.clone_from(runners);
                let is_whole = count == event.job.count.get();
                (Stage::Assigned, is_as_asked && is_whole)
            }
            (Stage::Assigned, JobStep::Delivered) => (Stage::Delivered, true),
            (Stage::Delivered, JobStep::NotDelivered) => (Stage::Assigned, true),
            (Stage::Assigned | Stage::Delivered, JobStep::Started) => {
                let is_first = !std::mem::replace(&mut self.has_started, true);
                return is_same_job && is_first;
            }
            (Stage::Assigned, JobStep::Returned) => {
                self.has_started = false;
                self.runners.clear();
                (Stage::Waiting, true)
            }
            (
                stage,
                JobStep::Retired {
                    retirement,
                    assignment,
                },
            ) => {
                let has_runners = matches!(stage, Stage::Assigned | Stage::Delivered);
                let is_true = match retirement {
                    Retirement::Ended(GrantEnd::Expired) => matches!(stage, Stage::Delivered),
                    // A job that waits can have finished according to a server.
                    Retirement::Ended(GrantEnd::Finished) => !assignment.runners.is_empty(),
                    Retirement::Withdrawn(_) => true,
                    Retirement::Abandoned { silent_since } => {
                        !matches!(stage, Stage::Delivered) && *silent_since < event.at
                    }
                };
                let is_complete = !has_runners
                    || (assignment.runners == self.runners
                        && assignment.assigned_at.is_some()
                        && assignment.started_at.is_some() == self.has_started);
                return is_same_job && is_true && is_complete;
            }
            _ => return false,
        };
        self.stage = stage;
        is_same_job && is_possible
    }
}
