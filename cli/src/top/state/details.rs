//! Everything that is known about one row, in lines. Pure.

use shared::wire::TakenFrom;

use super::{
    Mode, State, Tab,
    rows::{estimate, job_name, runner_key, short_name},
};
use crate::{commands::runner_status, format, output::printable};

/// The longest line, in characters.
const LINE_MAX: usize = 2000;

impl State {
    /// The title and the lines of the details that are shown; `None` in other modes.
    pub fn details(&self) -> Option<(String, Vec<String>)> {
        let Mode::Details {
            tab, key, story, ..
        } = &self.mode
        else {
            return None;
        };
        let (title, mut lines) = match tab {
            Tab::Waiting | Tab::Running | Tab::Finished => self.job_details(key),
            Tab::Runners => self.runner_details(key),
            Tab::Servers => self.server_details(key),
            Tab::Problems => self.problem_details(key),
        };
        match story {
            Some(Ok(story)) => {
                lines.push(String::new());
                lines.extend(story.iter().cloned());
            }
            Some(Err(error)) => lines.push(format!("Its story: failed to {error}")),
            None => {}
        }
        let lines = lines.iter().map(|line| printable(line, LINE_MAX));
        Some((printable(&title, LINE_MAX), lines.collect()))
    }

    fn job_details(&self, key: &str) -> (String, Vec<String>) {
        let dashboard = self.queue.get();
        let profiles = dashboard.into_iter().flat_map(|it| &it.profiles);
        let mut waiting = profiles.flat_map(|profile| {
            let jobs = profile.jobs.iter().enumerate();
            jobs.map(move |(index, job)| (profile, index, job))
        });
        let waiting = waiting.find(|(_, _, job)| job.public_id == key);
        let mut assigned = dashboard.into_iter().flat_map(|it| &it.assigned);
        let mut lines = Vec::new();
        let mut about = |repo: &str, run_id, count, profile: &str| {
            let runners = format::count(count, "runner", "runners");
            lines.extend([
                job_name(repo, run_id),
                format!("https://github.com/{repo}/actions/runs/{run_id}"),
                format!("{runners} of {profile}"),
            ]);
        };
        if let Some((profile, index, job)) = waiting {
            about(
                &job.qualified_repo,
                job.run_id,
                job.count,
                &profile.profile_key,
            );
            let position = index + 1;
            let estimate = estimate(job, self.look.is_unicode);
            lines.push(format!("waiting, position {position}, estimate {estimate}"));
            lines.push(String::new());
            lines.push(format!("why: {}", job.why));
        } else if let Some(job) = assigned.find(|job| job.public_id == key) {
            about(&job.qualified_repo, job.run_id, job.count, &job.profile_key);
            lines.extend(on_runners(&job.runners));
        } else if let Some(job) = self.ended.get(key) {
            about(&job.qualified_repo, job.run_id, job.count, &job.profile_key);
            lines.extend(on_runners(&job.runners));
            let at = job.ended_at.date_and_time();
            lines.push(format!("{} at {at}", job.outcome));
        } else {
            lines.push("Nothing more is known of it.".to_owned());
        }
        (format!("Job {key}"), lines)
    }

    fn runner_details(&self, key: &str) -> (String, Vec<String>) {
        for (server, latest) in &self.servers {
            let runners = latest.get().into_iter().flat_map(|it| &it.runners);
            let Some(found) = runners.clone().find(|it| runner_key(server, it.id) == key) else {
                continue;
            };
            let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            let registration = found.runner.registration.as_ref();
            let profile = found.profile_key.as_ref().map(ToString::to_string);
            let mut lines = vec![
                format!("server   {server}"),
                format!("profile  {}", or_none(profile)),
                format!("status   {}", runner_status(found)),
                format!(
                    "name     {}",
                    or_none(registration.map(|it| it.name.clone()))
                ),
                format!("guest    {}", or_none(found.runner.guest_name.clone())),
                format!(
                    "address  {}",
                    or_none(found.runner.ipv4_address.map(|it| it.to_string()))
                ),
            ];
            if let Some(job) = self.job_on(server, found.id) {
                lines.push(format!(
                    "job      {}",
                    job_name(&job.qualified_repo, job.run_id)
                ));
            }
            if !self.can_change {
                lines.push(String::new());
                lines.push("What happened to it is shown with the API token.".to_owned());
            }
            return (
                format!("Runner {} of {}", found.id, short_name(server)),
                lines,
            );
        }
        ("Runner".to_owned(), vec!["It is gone.".to_owned()])
    }

    fn server_details(&self, key: &str) -> (String, Vec<String>) {
        let dashboard = self.queue.get();
        let mut servers = dashboard.into_iter().flat_map(|it| &it.servers);
        let title = format!("Server {}", short_name(key));
        let Some(server) = servers.find(|server| server.name == key) else {
            return (
                title,
                vec!["The queue does not have it any more.".to_owned()],
            );
        };
        let mut lines = vec![server.name.clone(), format!("health: {}", server.health)];
        match self.servers.get(key) {
            Some(latest) if latest.failure.is_some() => {
                let cause = latest.failure.as_ref().map(|(_, cause)| cause.as_str());
                lines.push(format!(
                    "from here: failed to {}",
                    cause.unwrap_or_default()
                ));
            }
            _ => {}
        }
        if let Some(drain) = &server.drain {
            lines.push(format!("drained {drain}"));
        }
        if let Some(set) = &server.target_override {
            let (targets, order) = (set.text(), &set.order);
            lines.push(format!("temporary targets of {targets}, {order}"));
        }
        let report = self.servers.get(key).and_then(super::Latest::get);
        for (profile_key, order) in report.into_iter().flat_map(|it| &it.rebuilds) {
            lines.push(format!(
                "rebuild of the image of {profile_key} ordered {order}"
            ));
        }
        for profile in &server.profiles {
            lines.push(format!(
                "{}: {} idle of {}",
                profile.profile_key,
                profile.idle,
                format::of_target(profile.target, profile.missing)
            ));
            if let Some(because) = &profile.missing_because {
                lines.push(format!("  missing because {because}"));
            }
        }
        for problem in &server.problems {
            lines.push(String::new());
            lines.push(format!(
                "{}: {}: {}",
                problem.severity, problem.subject, problem.cause
            ));
            lines.push(format!("remedy: {}", problem.remedy));
        }
        (title, lines)
    }

    fn problem_details(&self, key: &str) -> (String, Vec<String>) {
        let problems = self
            .queue
            .get()
            .map_or_else(Vec::new, |it| it.all_problems());
        let mut problems = problems.into_iter();
        let found = problems.find(|it| format!("{} {}", it.code, it.subject) == key);
        let Some(problem) = found else {
            return ("Problem".to_owned(), vec!["It is solved.".to_owned()]);
        };
        let mut lines = vec![
            format!("{}: {}", problem.subject, problem.cause),
            String::new(),
            format!("remedy: {}", problem.remedy),
            String::new(),
            format!(
                "code {}, since {}",
                problem.code,
                problem.since.date_and_time()
            ),
        ];
        if let Some(at) = problem.last_healthy {
            lines.push(format!("last healthy at {}", at.date_and_time()));
        }
        (format!("Problem ({})", problem.severity), lines)
    }
}

fn on_runners(runners: &[TakenFrom]) -> impl Iterator<Item = String> {
    let runners = runners.iter();
    runners.map(|it| format!("runner {} of {}", it.runner, it.server))
}
