//! Harness of the tests: a queue, its servers and the time, with a method for each thing that can
//! happen.
//!
//! Every effect of the queue must be asserted: the next input fails the test if one is left over,
//! and so does the end of the test. Time passes only where a test says so.

mod effects;
mod fixtures;
pub mod invariants;
mod reports;
mod requests;

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    operator::Intervention,
    values::{Count, ProfileKey, RunId},
    wait_limits::WaitLimits,
    wire::TakenRunner,
};

pub use self::{
    fixtures::{one_job_delivered, one_job_forwarded, one_job_waiting, one_server},
    reports::{MadeBy, ReportBuilder, linux, no_profiles},
    requests::not_ready,
};
use crate::{
    CallId, Config, Effect, Forward, ForwardOutcome, Input, JobEvent, JobReference, JobRequest,
    Limits, Queue, Release, Replacement, RunnerId, ServerFailure, ServerId, TicketContent,
    testing::Stories,
};

/// A queue under test.
pub struct TestQueue {
    pub core: Queue,
    pub now: Timestamp,
    servers: Vec<String>,
    config: Config,
    instance: u64,
    /// Effects that were not asserted yet, but for events.
    effects: VecDeque<Effect>,
    /// Every event since the last call of `take_events`.
    pub events: Vec<JobEvent>,
    /// Every replacement of a runner.
    pub replacements: Vec<Replacement>,
    stories: Stories,
    last_call: CallId,
    /// The servers that answer a poll every second with "not modified".
    answering: BTreeSet<ServerId>,
}

/// The defaults of the settings, with lower limits.
pub fn config() -> Config {
    Config {
        startup_grace: Duration::from_secs(5),
        stale_after: Duration::from_secs(15),
        ticket_lifetime: Duration::from_secs(24 * 3600),
        believable_from: Timestamp::default(),
        down_for: Duration::ZERO,
        limits: Limits {
            abandon_after: Duration::from_secs(30),
            forward_timeout: Duration::from_secs(10),
            jobs_max: 1000,
            jobs_per_repo_max: None,
            held_max: 100,
            policy: None,
        },
    }
}

/// A request for a job; its repository and run are always the same.
pub fn request(job: &str, profile_key: &str, count: u64) -> JobRequest {
    JobRequest {
        spec: JobSpec {
            unique_id: job.parse().unwrap(),
            profile_key: profile_key.parse().unwrap(),
            count: Count::new(count).unwrap(),
            qualified_repo: "servo/servo".parse().unwrap(),
            run_id: RunId(7),
        },
        is_array: count > 1,
        labels_from_response: true,
        limits: WaitLimits::default(),
    }
}

/// The reference to a job by its ticket.
pub fn by_ticket(ticket: &TicketContent) -> JobReference {
    JobReference::Ticket(ticket.clone())
}

/// The profiles that are paused, as the daemon keeps them on disk.
pub fn pauses_of(queue: &Queue) -> Vec<(ProfileKey, Intervention)> {
    let pauses = queue.pauses();
    let pauses = pauses.map(|(key, pause)| (key.clone(), pause.clone()));
    pauses.collect()
}

impl TestQueue {
    /// A queue whose startup grace period is over, and whose servers have not reported.
    pub fn with(servers: &[&str]) -> Self {
        Self::with_config(config(), servers)
    }

    /// The same with another configuration.
    pub fn with_config(config: Config, servers: &[&str]) -> Self {
        let mut queue = Self::starting_with_config(config, servers);
        queue.advance_by(queue.config.startup_grace);
        queue
    }

    /// A queue that has just started.
    pub fn starting(servers: &[&str]) -> Self {
        Self::starting_with_config(config(), servers)
    }

    fn starting_with_config(config: Config, servers: &[&str]) -> Self {
        let now = Timestamp::from_seconds(1_000_000);
        let servers: Vec<String> = servers.iter().map(|&name| name.to_owned()).collect();
        Self {
            core: Queue::new(config.clone(), &servers, 1, now),
            now,
            servers,
            config,
            instance: 1,
            effects: VecDeque::new(),
            events: Vec::new(),
            replacements: Vec::new(),
            stories: Stories::default(),
            last_call: 0,
            answering: BTreeSet::new(),
        }
    }

    /// Kills the process and starts another one, which knows only what profiles are paused.
    #[track_caller]
    pub fn restart(&mut self) {
        self.assert_no_effects();
        self.now = self.now + Duration::from_secs(1);
        self.instance += 1;
        let pauses: Vec<_> = pauses_of(&self.core);
        let core = Queue::new(self.config.clone(), &self.servers, self.instance, self.now);
        self.core = core.with_pauses(pauses);
        self.stories = Stories::default();
        self.answering.clear();
    }

    /// Restarts, with the clock set back meanwhile.
    #[track_caller]
    pub fn restart_with_clock_set_back(&mut self, seconds: u64) {
        self.now = self.now - Duration::from_secs(seconds);
        self.restart();
    }

    /// Advances to the end of the startup grace period.
    #[track_caller]
    pub fn end_startup_grace(&mut self) {
        self.advance(self.config.startup_grace.as_secs());
    }

    /// Advances the time, while every server that has reported answers polls each second.
    #[track_caller]
    pub fn advance(&mut self, seconds: u64) {
        self.assert_no_effects();
        for _ in 0..seconds {
            self.advance_one_second();
        }
    }

    /// Advances until there is an effect, and returns how many seconds that took.
    #[track_caller]
    pub fn advance_until_effect(&mut self) -> u64 {
        self.assert_no_effects();
        for seconds in 1..=120 {
            self.advance_one_second();
            if !self.effects.is_empty() {
                return seconds;
            }
        }
        panic!("no effect within two minutes");
    }

    /// Advances until there is an effect, which must take `pause` seconds plus a jitter of at most a
    /// quarter.
    #[track_caller]
    pub fn advance_by_backoff(&mut self, pause: u64) {
        let seconds = self.advance_until_effect();
        let expected = pause..=pause + pause.div_ceil(4);
        assert!(
            expected.contains(&seconds),
            "{seconds} s instead of {expected:?}"
        );
    }

    fn advance_one_second(&mut self) {
        self.advance_by(Duration::from_secs(1));
        for server in self.answering.clone() {
            let asked_at = self.now;
            self.step(Input::Unchanged { server, asked_at });
        }
    }

    /// Suspends the process for some time.
    #[track_caller]
    pub fn pause_process(&mut self, seconds: u64) {
        self.assert_no_effects();
        self.now = self.now + Duration::from_secs(seconds);
        self.step(Input::Tick);
        invariants::check_rest(&self.core, self.now);
    }

    /// A server reports; from now on it answers polls every second.
    #[track_caller]
    pub fn report(&mut self, server: &str, report: ReportBuilder) {
        let server = self.server(server);
        self.answering.insert(server);
        let mut report = report.build(self.now);
        // Those with a proof have none yet.
        if report.proven.is_empty() {
            report.prove(|_, reservation| reservation.proof.is_none().then_some(server));
        }
        self.handle(Input::Reported { server, report });
    }

    /// A poll of a server fails, and the server answers no more until it reports again.
    #[track_caller]
    pub fn become_unreachable(&mut self, server: &str) {
        let server = self.stop_answering(server);
        let failure = ServerFailure::NoResponse(String::new());
        self.handle(Input::Unreachable { server, failure });
    }

    /// A server answers no more until it reports again.
    pub fn stop_answering(&mut self, server: &str) -> ServerId {
        let server = self.server(server);
        self.answering.remove(&server);
        server
    }

    /// A server answers a poll with "not modified".
    #[track_caller]
    pub fn report_unchanged(&mut self, server: &str) {
        let server = self.server(server);
        self.answering.insert(server);
        let asked_at = self.now;
        self.handle(Input::Unchanged { server, asked_at });
    }

    /// A server grants a forward these runners.
    #[track_caller]
    pub fn grant(&mut self, forward: &Forward, runners: &[RunnerId]) {
        let runners = runners.iter().map(|&id| self.runner(forward.server, id));
        let outcome = ForwardOutcome::Granted(runners.collect());
        self.end_forward(forward, outcome);
    }

    /// A server grants runners with these labels.
    #[track_caller]
    pub fn grant_labelled(&mut self, forward: &Forward, runners: &[(RunnerId, &str)]) {
        let runners = runners.iter().map(|&(id, label)| TakenRunner {
            label: Some(label.to_owned()),
            ..self.runner(forward.server, id)
        });
        let outcome = ForwardOutcome::Granted(runners.collect());
        self.end_forward(forward, outcome);
    }

    /// A server refuses a forward.
    #[track_caller]
    pub fn refuse(&mut self, forward: &Forward) {
        let reason = "it has none".to_owned();
        self.end_forward(forward, ForwardOutcome::Refused(reason));
    }

    /// A server refuses a forward, and would refuse this job always.
    #[track_caller]
    pub fn refuse_this_job(&mut self, forward: &Forward) {
        self.end_forward(forward, ForwardOutcome::RefusedThisJob);
    }

    /// The answer to a forward is lost.
    #[track_caller]
    pub fn lose_answer(&mut self, forward: &Forward) {
        self.end_forward(forward, ForwardOutcome::Ambiguous);
    }

    /// A forward ends.
    #[track_caller]
    pub fn end_forward(&mut self, forward: &Forward, outcome: ForwardOutcome) {
        self.handle(Input::Forwarded {
            server: forward.server,
            unique_id: forward.request.spec.unique_id.clone(),
            token: forward.token,
            outcome,
        });
    }

    /// A server confirms a release.
    #[track_caller]
    pub fn confirm(&mut self, release: &Release) {
        self.end_release(release, true);
    }

    /// A release is lost, or its confirmation.
    #[track_caller]
    pub fn lose_release(&mut self, release: &Release) {
        self.end_release(release, false);
    }

    #[track_caller]
    fn end_release(&mut self, release: &Release, is_confirmed: bool) {
        self.handle(Input::Released {
            server: release.server,
            unique_id: release.unique_id.clone(),
            token: release.token,
            is_confirmed,
        });
    }

    /// Hands in an input, and keeps the effects to be asserted.
    #[track_caller]
    pub fn handle(&mut self, input: Input) {
        self.assert_no_effects();
        self.step(input);
    }

    /// Hands in a request of a client.
    #[track_caller]
    pub fn call(&mut self, input: impl FnOnce(CallId) -> Input) -> CallId {
        self.last_call += 1;
        let call = self.last_call;
        self.handle(input(call));
        call
    }

    fn step(&mut self, input: Input) {
        self.core.handle(self.now, input);
        while let Some(effect) = self.core.poll_effect() {
            self.observe(effect);
        }
        self.stories.compare(&self.core).unwrap();
        invariants::check(&self.core, self.now);
    }

    /// Keeps an effect to be asserted. Events are checked at once, and may be asserted.
    fn observe(&mut self, effect: Effect) {
        self.stories.observe(&effect).unwrap();
        match effect {
            Effect::Record(event) => self.events.push(event),
            Effect::RecordReplacement(replacement) => self.replacements.push(replacement),
            effect => self.effects.push_back(effect),
        }
    }

    /// Advances as the contract of the queue demands: with a tick whenever one is due.
    fn advance_by(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(due) = self.core.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.step(Input::Tick);
            invariants::check_rest(&self.core, self.now);
        }
        self.now = until;
        self.step(Input::Tick);
    }

    /// The index of a server.
    pub fn server(&self, name: &str) -> ServerId {
        let mut servers = self.servers.iter();
        servers.position(|server| server == name).unwrap()
    }

    /// A runner as the queue receives it.
    pub fn runner(&self, server: ServerId, id: RunnerId) -> TakenRunner {
        TakenRunner {
            id,
            runner: serde_json::json!({ "id": id }),
            label: Some(format!("runner:{server}-{id}")),
            server: Some(self.servers[server].clone()),
        }
    }
}

impl Drop for TestQueue {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_no_effects();
        }
    }
}
