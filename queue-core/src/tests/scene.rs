//! A stage for the core: one queue, its servers and the time, spoken to in sentences.
//!
//! Owns what came out of the queue and was not asserted yet: the next sentence fails if anything
//! is left over, and so does the end of the test. Time passes only where a test says so.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    values::{Count, RunId},
    wire::TakenRunner,
};

use super::{invariants, word::Word};
use crate::{
    events::{CallId, Forward, ForwardOutcome, Input, JobReference, Output, Release},
    fleet::ServerId,
    job::{Claims, JobRequest},
    queue::{Queue, Rules},
    report::RunnerId,
};

/// A queue with servers in front of an audience that misses nothing.
pub struct Scene {
    pub queue: Queue,
    pub now: Timestamp,
    servers: Vec<String>,
    rules: Rules,
    pub outputs: VecDeque<Output>,
    last_call: CallId,
    /// The servers that are heard of every second.
    talkative: BTreeSet<ServerId>,
}

/// The rules of a scene that does not ask for others: those that the settings have by default.
pub fn rules() -> Rules {
    Rules {
        settle: Duration::from_secs(5),
        abandon_after: Duration::from_secs(30),
        forward_timeout: Duration::from_secs(10),
        stale_after: Duration::from_secs(15),
        ticket_lifetime: Duration::from_secs(24 * 3600),
        jobs_max: 1000,
        jobs_per_repo_max: None,
        held_max: 100,
    }
}

/// What a client asks for; its repository and run are always the same.
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
    }
}

impl Scene {
    /// A queue that has settled, before these servers, of which it has not heard yet.
    pub fn with(servers: &[&str]) -> Self {
        Self::with_rules(rules(), servers)
    }

    /// The same under other rules.
    pub fn with_rules(rules: Rules, servers: &[&str]) -> Self {
        let mut scene = Self::just_started_with_rules(rules, servers);
        scene.advance(scene.rules.settle);
        scene
    }

    /// A queue that has just started.
    pub fn just_started(servers: &[&str]) -> Self {
        Self::just_started_with_rules(rules(), servers)
    }

    fn just_started_with_rules(rules: Rules, servers: &[&str]) -> Self {
        let now = Timestamp::from_seconds(1_000_000);
        let servers: Vec<String> = servers.iter().map(|&name| name.to_owned()).collect();
        Self {
            queue: Queue::new(rules.clone(), &servers, now),
            now,
            servers,
            rules,
            outputs: VecDeque::new(),
            last_call: 0,
            talkative: BTreeSet::new(),
        }
    }

    /// The queue is killed and started again, and knows nothing any more.
    pub fn restart(&mut self) {
        self.assert_quiet();
        self.now = self.now + Duration::from_secs(1);
        self.queue = Queue::new(self.rules.clone(), &self.servers, self.now);
        self.talkative.clear();
    }

    /// While the queue is down, the clock of its host is set back.
    pub fn restart_with_clock_set_back(&mut self, seconds: u64) {
        self.now = self.now - Duration::from_secs(seconds);
        self.restart();
    }

    /// The time in which nothing is given out passes.
    pub fn settle(&mut self) {
        self.pass(self.rules.settle.as_secs());
    }

    /// Time passes, while every server that has said anything says every second that nothing has
    /// changed.
    pub fn pass(&mut self, seconds: u64) {
        self.assert_quiet();
        for _ in 0..seconds {
            self.advance(Duration::from_secs(1));
            for server in self.talkative.clone() {
                let asked_at = self.now;
                self.step(Input::Unchanged { server, asked_at });
            }
        }
    }

    /// The process itself is stopped, and goes on later.
    pub fn be_stopped_for(&mut self, seconds: u64) {
        self.assert_quiet();
        self.now = self.now + Duration::from_secs(seconds);
        self.step(Input::Tick);
        invariants::check_rest(&self.queue, self.now);
    }

    /// A server answers with what it has; from now on it is heard of every second.
    pub fn report(&mut self, server: &str, word: Word) {
        let server = self.server(server);
        self.talkative.insert(server);
        let mut report = word.report;
        report.asked_at = self.now - Duration::from_secs(word.asked_seconds_ago);
        self.handle(Input::Reported { server, report });
    }

    /// A server cannot be reached, and is not heard of until it reports again.
    pub fn go_down(&mut self, server: &str) {
        let server = self.fall_silent(server);
        self.handle(Input::Unreachable { server });
    }

    /// A server is not heard of until it reports again.
    pub fn fall_silent(&mut self, server: &str) -> ServerId {
        let server = self.server(server);
        self.talkative.remove(&server);
        server
    }

    /// A server says that nothing has changed since it last reported.
    pub fn come_back_unchanged(&mut self, server: &str) {
        let server = self.server(server);
        self.talkative.insert(server);
        let asked_at = self.now;
        self.handle(Input::Unchanged { server, asked_at });
    }

    /// A server gives these runners.
    pub fn grant(&mut self, forward: &Forward, runners: &[RunnerId]) {
        let runners = runners.iter().map(|&id| self.runner(forward.server, id));
        let outcome = ForwardOutcome::Granted(runners.collect());
        self.end_forward(forward, outcome);
    }

    /// A forward ends in some other way.
    pub fn end_forward(&mut self, forward: &Forward, outcome: ForwardOutcome) {
        self.handle(Input::Forwarded {
            server: forward.server,
            unique_id: forward.request.spec.unique_id.clone(),
            attempt: forward.attempt,
            outcome,
        });
    }

    /// A server says that it gives nothing.
    pub fn refuse(&mut self, forward: &Forward) {
        self.end_forward(forward, ForwardOutcome::Refused);
    }

    /// A server says that it gives nothing, and never would to this job.
    pub fn refuse_this_job(&mut self, forward: &Forward) {
        self.end_forward(forward, ForwardOutcome::RefusedThisJob);
    }

    /// Nobody knows what a server did.
    pub fn lose_answer(&mut self, forward: &Forward) {
        self.end_forward(forward, ForwardOutcome::Ambiguous);
    }

    /// A server confirms a release.
    pub fn confirm(&mut self, release: &Release) {
        self.end_release(release, true);
    }

    /// A server could not be told of a release.
    pub fn lose_release(&mut self, release: &Release) {
        self.end_release(release, false);
    }

    fn end_release(&mut self, release: &Release, is_settled: bool) {
        self.handle(Input::Released {
            server: release.server,
            unique_id: release.unique_id.clone(),
            attempt: release.attempt,
            is_settled,
        });
    }

    /// Hands something in, and keeps what comes out.
    #[track_caller]
    pub fn handle(&mut self, input: Input) {
        self.assert_quiet();
        self.step(input);
    }

    /// Hands a call in.
    #[track_caller]
    pub fn call(&mut self, input: impl FnOnce(CallId) -> Input) -> CallId {
        self.last_call += 1;
        let call = self.last_call;
        self.handle(input(call));
        call
    }

    fn step(&mut self, input: Input) {
        self.queue.handle(self.now, input);
        while let Some(output) = self.queue.poll_output() {
            self.outputs.push_back(output);
        }
        invariants::check(&self.queue, self.now);
    }

    /// Time passes as the contract of the core wants it: a tick whenever one is due.
    fn advance(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(due) = self.queue.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.step(Input::Tick);
            invariants::check_rest(&self.queue, self.now);
        }
        self.now = until;
        self.step(Input::Tick);
    }

    /// The number of a server.
    pub fn server(&self, name: &str) -> ServerId {
        let mut servers = self.servers.iter();
        servers.position(|server| server == name).unwrap()
    }

    /// A runner as a monitor hands it out.
    pub fn runner(&self, server: ServerId, id: RunnerId) -> TakenRunner {
        TakenRunner {
            id,
            runner: serde_json::json!({ "id": id }),
            label: Some(format!("runner:{id}")),
            server: Some(self.servers[server].clone()),
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_quiet();
        }
    }
}

/// How a caller names a job by its ticket.
pub fn ticket(claims: &Claims) -> JobReference {
    JobReference::Ticket(claims.clone())
}
