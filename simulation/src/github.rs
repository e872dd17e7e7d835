//! GitHub in the story: the emulator's model, asked over a line that fails.

use std::time::Duration;

use emulator::model::{Model, ModelSettings, PageRequest, RunnerStatus, RunnerView, Scope};
use shared::{
    clock::Timestamp,
    registration::{Label, Registration, RegistrationStatus},
    software::Support,
};

use crate::world::{Event, World};

/// How a question to GitHub goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fortune {
    /// It is done, and the answer arrives.
    Well,
    /// It is not done.
    Refused,
    /// It is done, and the answer is lost.
    AnswerLost,
}

/// A model with nothing in it.
pub fn model(now: Timestamp) -> Model {
    // Guests are heard of every few seconds here, and a story has no hours to wait for a lost one.
    let settings = ModelSettings {
        silence_timeout: Duration::from_secs(20),
        ..ModelSettings::default()
    };
    Model::new(settings, now)
}

/// Where all runners of the story are registered.
pub fn scope() -> Scope {
    "/orgs/org".parse().expect("this is a scope")
}

/// A runner of the model as the client for GitHub reads it.
pub fn registration(view: &RunnerView) -> Registration {
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

impl World {
    /// How the next question to GitHub goes.
    pub fn fortune(&mut self) -> Fortune {
        let is_outage = self.scenario.is_outage(self.now.since(self.started_at));
        if is_outage
            || self.now < self.github_down_until
            || self.strikes(|weather| weather.github_error)
        {
            Fortune::Refused
        } else if self.strikes(|weather| weather.github_lost) {
            Fortune::AnswerLost
        } else {
            Fortune::Well
        }
    }

    /// GitHub counts one more request.
    pub fn charge(&mut self) {
        let in_an_hour = self.bill.charge(self.now);
        self.tally.github_calls += 1;
        self.tally.github_calls_peak = self.tally.github_calls_peak.max(in_an_hour);
    }

    /// A monitor asks until when its runners' software is supported. Nothing in a story depends on
    /// the answer, but GitHub counts the question.
    pub fn monitor_asks_about_software(&mut self, index: usize) {
        let now = self.now;
        let Some(core) = self.monitors[index].core.as_mut() else {
            return;
        };
        let versions = core.begin_software_questions(now);
        for version in &versions {
            core.handle_software_answer(version, Ok(Support::Open), now);
        }
        for _ in versions {
            self.charge();
        }
    }

    /// GitHub tells of a job on that runner, if it does.
    pub fn send_webhook(&mut self, server: usize, runner_name: &str) {
        if self.scenario.day.is_some_and(|day| day.has_webhooks) {
            let delay = self.chance.millis(500, 3000);
            self.later(delay, Event::Webhook(server, runner_name.to_owned()));
        }
    }

    /// What GitHub tells arrives at a monitor.
    pub fn webhook(&mut self, index: usize, runner_name: &str) {
        if let Some(core) = self.monitors[index].core.as_mut() {
            core.handle_webhook(runner_name);
            self.monitor_settles(index);
        }
    }

    /// All registrations, as they are now.
    pub fn registrations(&mut self) -> Vec<Registration> {
        let page = PageRequest::new(Some(1), Some(100));
        self.github
            .runners(self.now, &scope(), None, page)
            .items
            .iter()
            .map(registration)
            .collect()
    }

    /// Whether GitHub says that the runner of this name has a job.
    pub fn is_busy(&mut self, runner_name: &str) -> bool {
        self.registrations()
            .iter()
            .any(|registration| registration.name == runner_name && registration.busy)
    }
}
