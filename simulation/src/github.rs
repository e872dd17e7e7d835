//! The emulated GitHub of a run: the emulator's model, with requests that fail.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use emulator::model::{
    JobId, JobPhase, Model, ModelSettings, PageRequest, RunnerStatus, RunnerView, Scope,
};
use shared::{
    clock::Timestamp,
    registration::{Label, Registration, RegistrationStatus},
};

use crate::context::Context;

const HOUR: Duration = Duration::from_secs(3600);

/// What happens to a request to GitHub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    /// The request is rejected.
    Failure,
    /// The request is performed, and its response is lost.
    ResponseLost,
}

pub struct Github {
    pub model: Model,
    /// Until when every request is rejected.
    pub down_until: Timestamp,
    /// The list of registrations that each monitor has received last.
    last_lists: BTreeMap<usize, Vec<Registration>>,
    request_counter: RequestCounter,
}

/// The scope in which all runners are registered.
pub fn scope() -> Scope {
    "/orgs/org".parse().expect("this is a scope")
}

impl Github {
    pub fn new(now: Timestamp) -> Self {
        // A run is too short for GitHub's real timeout of a silent session.
        let settings = ModelSettings {
            silence_timeout: Duration::from_secs(20),
            ..ModelSettings::default()
        };
        Self {
            model: Model::new(settings, now),
            down_until: now,
            last_lists: BTreeMap::new(),
            request_counter: RequestCounter::default(),
        }
    }

    /// Decides what happens to the next request.
    pub fn next_outcome(&self, context: &mut Context) -> Outcome {
        let workday = context.scenario.workday;
        let is_outage = workday.is_some_and(|workday| workday.is_outage(context.elapsed()));
        if is_outage
            || context.now < self.down_until
            || context.fault_occurs(|rates| rates.github_error)
        {
            Outcome::Failure
        } else if context.fault_occurs(|rates| rates.github_response_lost) {
            Outcome::ResponseLost
        } else {
            Outcome::Success
        }
    }

    /// Counts a request against the rate limit.
    pub fn count_request(&mut self, context: &mut Context) {
        let per_hour = self.request_counter.count(context.now);
        let statistics = &mut context.statistics;
        statistics.github_requests += 1;
        statistics.github_requests_per_hour = statistics.github_requests_per_hour.max(per_hour);
    }

    /// Lists the registrations for a monitor. A list that has not changed since the monitor's last
    /// request is free, as GitHub's responses with status 304 are.
    pub fn list_registrations(
        &mut self,
        context: &mut Context,
        monitor: usize,
    ) -> Vec<Registration> {
        let mut registrations = self.registrations(context.now);
        if context.fault_occurs(|rates| rates.odd_list) {
            self.misreport(context, monitor, &mut registrations);
        }
        if self.last_lists.get(&monitor) != Some(&registrations) {
            self.last_lists.insert(monitor, registrations.clone());
            self.count_request(context);
        }
        registrations
    }

    /// Changes a list as GitHub's has been reported to differ from the truth for a moment.
    fn misreport(
        &self,
        context: &mut Context,
        monitor: usize,
        registrations: &mut Vec<Registration>,
    ) {
        let rng = &mut context.rng;
        match rng.number(0, 4) {
            0 => registrations.clear(),
            1 => registrations.retain(|_| rng.chance(0.5)),
            2 => {
                for registration in registrations {
                    registration.status = RegistrationStatus::Offline;
                }
            }
            3 => {
                for registration in registrations {
                    registration.busy = false;
                }
            }
            _ => {
                let last = self.last_lists.get(&monitor);
                registrations.clone_from(last.unwrap_or(&Vec::new()));
            }
        }
    }

    /// All registrations, as they are now.
    pub fn registrations(&mut self, now: Timestamp) -> Vec<Registration> {
        let page = PageRequest::new(Some(1), Some(100));
        self.model
            .runners(now, &scope(), None, page)
            .items
            .iter()
            .map(registration)
            .collect()
    }

    /// Whether this job is still to come to its end.
    pub fn is_running(&mut self, now: Timestamp, job: JobId) -> bool {
        let job = self.model.job(now, job);
        job.is_ok_and(|job| job.phase != JobPhase::Completed)
    }
}

/// A runner of the model as the GitHub client returns it.
fn registration(view: &RunnerView) -> Registration {
    Registration {
        id: view.id.0,
        name: view.name.clone(),
        status: match view.status {
            RunnerStatus::Online => RegistrationStatus::Online,
            RunnerStatus::Offline => RegistrationStatus::Offline,
        },
        busy: view.busy,
        labels: view
            .labels
            .iter()
            .map(|label| Label {
                name: label.name.clone(),
            })
            .collect(),
        version: view.version.clone(),
    }
}

/// The requests of the last hour, over all servers, which use one GitHub App.
#[derive(Clone, Debug, Default)]
struct RequestCounter(VecDeque<Timestamp>);

impl RequestCounter {
    /// Counts a request; returns the number of requests in the hour before `now`.
    fn count(&mut self, now: Timestamp) -> u64 {
        self.0.push_back(now);
        while self.0.front().is_some_and(|at| now.since(*at) > HOUR) {
            self.0.pop_front();
        }
        self.0.len() as u64
    }
}
