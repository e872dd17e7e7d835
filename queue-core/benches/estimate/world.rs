//! One server and the clients of one profile around the real queue, on virtual time.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    time::Duration,
};

use queue_core::{
    Answer, Config, Effect, EnqueuedBy, ForwardOutcome, Input, JobReference, JobRequest, Limits,
    PastRun, ProfileReport, Queue, Report, RunnerId, SeenRunner, TicketContent,
};
use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    policy::RunFacts,
    values::{Count, QualifiedRepo, RunId, UniqueId},
    wait_limits::WaitLimits,
    wire::{Estimate, ReservationReport, ReservationState, RunnerStatus, TakenRunner},
};

use crate::{
    before::WaitEstimator,
    truth::{Profile, Random},
};

/// How often the server answers a poll without news.
const POLL: f64 = 20.0;
/// How many finished reservations and runs are remembered.
const REMEMBERED_MAX: usize = 200;
/// How many finished jobs and replacements the journal has.
const JOURNAL_MAX: usize = 2000;

/// What happens to a slot, or in general.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Ended(usize),
    Idle(usize),
    Poll,
}

/// What is in a slot, since when.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    Idle,
    Held { repo: usize },
    Vacant,
}

/// A place for a runner.
#[derive(Clone, Debug)]
pub struct SlotState {
    pub content: Content,
    pub since: f64,
    runner: RunnerId,
    created_at: f64,
    job: Option<TicketContent>,
}

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    pub repo: usize,
    pub assigned_at: Option<f64>,
    ticket: TicketContent,
}

/// The world.
pub struct World {
    pub now: f64,
    profile: Profile,
    random: Random,
    queue: Queue,
    queue_count: u64,
    happenings: BinaryHeap<Reverse<(u64, Happening)>>,
    pub slots: Vec<SlotState>,
    last_runner: RunnerId,
    finished: VecDeque<(TicketContent, RunnerId)>,
    /// Every job, by number.
    pub jobs: Vec<Job>,
    numbers: BTreeMap<UniqueId, usize>,
    /// The jobs that wait, in order.
    pub waiting: VecDeque<usize>,
    /// The journal of the queue.
    journal: VecDeque<PastRun>,
    assigned: BTreeMap<UniqueId, f64>,
    /// The estimator as it was before, with the same grants.
    pub before: WaitEstimator,
    /// How many jobs have ended.
    pub ended_count: usize,
    last_call: u64,
}

fn micros(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}

/// A time of the world as one of the queue.
pub fn time(seconds: f64) -> Timestamp {
    Timestamp::from_micros(micros(seconds))
}

fn repo_name(repo: usize) -> QualifiedRepo {
    format!("owner/repo-{repo}").parse().expect("a valid name")
}

fn new_queue(instance: u64, now: f64) -> Queue {
    let long = Duration::from_secs(1_000_000_000);
    let config = Config {
        startup_grace: Duration::ZERO,
        stale_after: long,
        ticket_lifetime: long,
        believable_from: Timestamp::default(),
        down_for: Duration::ZERO,
        limits: Limits {
            abandon_after: long,
            forward_timeout: Duration::from_secs(10),
            jobs_max: 100_000,
            jobs_per_repo_max: None,
            held_max: 100,
            policy: None,
        },
    };
    Queue::new(config, &["http://server/".to_owned()], instance, time(now))
}

impl World {
    /// A world whose runners are all idle, and whose queue knows nothing.
    pub fn new(profile: &Profile, random: Random) -> Self {
        let now = 1_000_000.0;
        let slots = (0..profile.runners).map(|slot| SlotState {
            content: Content::Idle,
            since: now,
            runner: slot as RunnerId,
            created_at: now - 60.0,
            job: None,
        });
        let mut world = Self {
            now,
            queue: new_queue(1, now),
            queue_count: 1,
            random,
            happenings: BinaryHeap::new(),
            slots: slots.collect(),
            last_runner: profile.runners as RunnerId,
            profile: profile.clone(),
            finished: VecDeque::new(),
            jobs: Vec::new(),
            numbers: BTreeMap::new(),
            waiting: VecDeque::new(),
            journal: VecDeque::new(),
            assigned: BTreeMap::new(),
            before: WaitEstimator::default(),
            ended_count: 0,
            last_call: 0,
        };
        world.report();
        world.schedule(POLL, Happening::Poll);
        world
    }

    /// Lets time pass.
    pub fn advance_to(&mut self, until: f64) {
        while let Some(Reverse((at, happening))) = self.happenings.peek().copied()
            && at <= micros(until)
        {
            self.happenings.pop();
            self.now = self.now.max(at as f64 / 1e6);
            self.happen(happening);
        }
        self.now = self.now.max(until);
        self.handle(Input::Tick);
    }

    /// Enqueues a job and returns its number.
    pub fn enqueue(&mut self, repo: usize) -> usize {
        let number = self.jobs.len();
        let spec = JobSpec {
            unique_id: format!("job-{number}").parse().expect("a valid name"),
            profile_key: self.profile.key.parse().expect("a valid key"),
            count: Count::ONE,
            qualified_repo: repo_name(repo),
            run_id: RunId(1),
        };
        let request = JobRequest {
            spec,
            is_array: false,
            labels_from_response: true,
            limits: WaitLimits::default(),
        };
        self.last_call += 1;
        let answer = self.handle(Input::Enqueue {
            call: self.last_call,
            request,
            nonce: 1,
            by: EnqueuedBy::ApiToken,
            facts: RunFacts::default(),
        });
        let Some(Answer::Enqueued(ticket)) = answer else {
            panic!("the job is accepted, not {answer:?}");
        };
        let unique_id = ticket.request.spec.unique_id.clone();
        self.numbers.insert(unique_id, number);
        self.jobs.push(Job {
            repo,
            assigned_at: None,
            ticket,
        });
        self.waiting.push_back(number);
        self.settle();
        number
    }

    /// What the queue answers the client of a waiting job.
    pub fn estimate(&mut self, job: usize) -> Option<Estimate> {
        let unique_id = self.jobs[job].ticket.request.spec.unique_id.clone();
        self.last_call += 1;
        let by = JobReference::Operator(unique_id);
        let call = self.last_call;
        match self.handle(Input::Inspect { call, by }) {
            Some(Answer::Status(status)) => status.estimate,
            answer => panic!("the job is known, not {answer:?}"),
        }
    }

    /// Restarts the queue: it learns from its journal, the server reports, and the clients return.
    pub fn restart_queue(&mut self) {
        self.queue_count += 1;
        self.queue = new_queue(self.queue_count, self.now);
        self.queue.restore(self.journal.iter().cloned());
        let running = self.slots.iter().filter_map(|slot| slot.job.as_ref());
        let running = running.map(|ticket| PastRun::Running {
            unique_id: ticket.request.spec.unique_id.clone(),
            qualified_repo: ticket.request.spec.qualified_repo.clone(),
            assigned_at: time(self.assigned[&ticket.request.spec.unique_id]),
            has_waited: self.assigned[&ticket.request.spec.unique_id]
                > ticket.enqueued_at.as_micros() as f64 / 1e6 + 5.0,
        });
        self.queue.restore(running.collect::<Vec<_>>());
        self.report();
        for job in self.waiting.clone() {
            self.take(job);
        }
        self.settle();
    }

    fn take(&mut self, job: usize) {
        self.last_call += 1;
        let (call, ticket) = (self.last_call, self.jobs[job].ticket.clone());
        self.handle(Input::Take {
            call,
            ticket,
            hold: None,
        });
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Poll => {
                let asked_at = time(self.now);
                self.handle(Input::Unchanged {
                    server: 0,
                    asked_at,
                });
                self.schedule(POLL, Happening::Poll);
            }
            Happening::Ended(slot) => {
                self.ended_count += 1;
                let took = self.profile.replacement.draw(&mut self.random);
                let ended = &mut self.slots[slot];
                ended.content = Content::Vacant;
                ended.since = self.now;
                if let Some(ticket) = ended.job.take() {
                    let spec = &ticket.request.spec;
                    // As the journal tells it, also of jobs from before a restart.
                    let finished = PastRun::Finished {
                        profile_key: spec.profile_key.clone(),
                        qualified_repo: spec.qualified_repo.clone(),
                        took: time(self.now).since(time(self.assigned[&spec.unique_id])),
                        share: None,
                    };
                    record(&mut self.journal, finished);
                    self.finished.push_back((ticket, ended.runner));
                }
                // Its guest is destroyed before the next one is created.
                ended.created_at = self.now + 5.0;
                self.last_runner += 1;
                ended.runner = self.last_runner;
                self.schedule(took, Happening::Idle(slot));
                if self.finished.len() > REMEMBERED_MAX {
                    self.finished.pop_front();
                }
                self.report();
                self.settle();
            }
            Happening::Idle(slot) => {
                self.slots[slot].content = Content::Idle;
                self.slots[slot].since = self.now;
                self.report();
                self.settle();
            }
        }
    }

    fn schedule(&mut self, after: f64, happening: Happening) {
        let at = micros(self.now + after);
        self.happenings.push(Reverse((at, happening)));
    }

    /// Hands in an input, and performs what the queue wants; returns the last answer.
    fn handle(&mut self, input: Input) -> Option<Answer> {
        let mut last_answer = None;
        self.queue.handle(time(self.now), input);
        let mut forwards = Vec::new();
        while let Some(effect) = self.queue.poll_effect() {
            match effect {
                Effect::Answer { answer, .. } => last_answer = Some(answer),
                Effect::Forward(forward) => forwards.push(forward),
                Effect::Record(_) => {}
                Effect::RecordReplacement(replacement) => {
                    let replaced = PastRun::Replaced {
                        profile_key: replacement.profile_key,
                        took: replacement.took,
                    };
                    record(&mut self.journal, replaced);
                }
                Effect::Release(release) => panic!("nothing is released: {release:?}"),
            }
        }
        for forward in forwards {
            let unique_id = forward.request.spec.unique_id.clone();
            let number = self.numbers.get(&unique_id).copied();
            let number = number.unwrap_or(self.jobs.len());
            let mut idle = self.slots.iter_mut().enumerate();
            let idle = idle.find(|(_, slot)| matches!(slot.content, Content::Idle));
            let (index, slot) = idle.expect("only idle runners are requested");
            let spec = &forward.request.spec;
            let repo = spec.qualified_repo.as_str();
            let repo = repo.rsplit('-').next().and_then(|it| it.parse().ok());
            let repo: usize = repo.expect("a repository of this world");
            slot.content = Content::Held { repo };
            slot.since = self.now;
            slot.job = Some(TicketContent {
                request: forward.request.clone(),
                enqueued_at: forward.enqueued_at,
                queued_at: forward.enqueued_at,
                lane: None,
                nonce: 1,
            });
            let runner = slot.runner;
            let took = self.profile.repos[repo].draw(&mut self.random);
            self.schedule(took, Happening::Ended(index));
            self.assigned.insert(unique_id.clone(), self.now);
            let granted = TakenRunner {
                id: runner,
                runner: serde_json::json!({ "id": runner }),
                label: Some(format!("runner:{runner}")),
                server: None,
            };
            self.handle(Input::Forwarded {
                server: 0,
                unique_id,
                token: forward.token,
                outcome: ForwardOutcome::Granted(vec![granted]),
            });
            self.pending_assignment(number);
        }
        last_answer
    }

    /// Notes that a job was assigned, as soon as it is known by its number.
    fn pending_assignment(&mut self, number: usize) {
        if let Some(job) = self.jobs.get_mut(number) {
            job.assigned_at = Some(self.now);
        }
    }

    /// Lets the clients of assigned jobs fetch their runners, and the server report them.
    fn settle(&mut self) {
        let assigned: Vec<usize> = self
            .waiting
            .iter()
            .copied()
            .filter(|job| {
                let unique_id = &self.jobs[*job].ticket.request.spec.unique_id;
                self.assigned.contains_key(unique_id)
            })
            .collect();
        if assigned.is_empty() {
            return;
        }
        for job in assigned {
            self.jobs[job].assigned_at = Some(self.now);
            self.waiting.retain(|other| *other != job);
            let is_contended = !self.waiting.is_empty();
            self.before.record_grant(time(self.now), 1, is_contended);
            self.take(job);
        }
        self.report();
    }

    fn report(&mut self) {
        let mut report = Report {
            asked_at: time(self.now),
            instance: Some("instance".to_owned()),
            reservations: Some(BTreeMap::new()),
            ..Report::default()
        };
        let key: shared::values::ProfileKey = self.profile.key.parse().expect("a valid key");
        let mut profile = ProfileReport {
            target: self.profile.runners,
            existing: self.slots.len(),
            ..ProfileReport::default()
        };
        let reservations = report.reservations.get_or_insert_default();
        for slot in &self.slots {
            report.runners.insert(slot.runner);
            let status = match slot.content {
                Content::Idle => RunnerStatus::Idle,
                Content::Held { .. } => RunnerStatus::Busy,
                Content::Vacant => RunnerStatus::Starting,
            };
            let since = match slot.content {
                Content::Vacant => slot.created_at,
                _ => slot.since,
            };
            if status == RunnerStatus::Idle {
                profile.idle.insert(slot.runner);
            }
            let seen = SeenRunner {
                profile_key: key.clone(),
                status,
                since: Some(time(since)),
                created_at: Some(time(slot.created_at)),
            };
            report.statuses.insert(slot.runner, seen);
            if let Some(ticket) = &slot.job {
                let (name, reservation) = reservation(ticket, slot.runner, ReservationState::Used);
                reservations.insert(name, reservation);
            }
        }
        for (ticket, runner) in &self.finished {
            let (name, reservation) = reservation(ticket, *runner, ReservationState::Finished);
            reservations.insert(name, reservation);
        }
        report.profiles.insert(key, profile);
        report.prove(|_, _| Some(0));
        self.handle(Input::Reported { server: 0, report });
    }
}

fn reservation(
    ticket: &TicketContent,
    runner: RunnerId,
    state: ReservationState,
) -> (UniqueId, ReservationReport) {
    let report = ReservationReport {
        runners: vec![runner],
        state,
        attempt: 1,
        enqueued_at: Some(ticket.enqueued_at),
        proof: None,
    };
    (ticket.request.spec.unique_id.clone(), report)
}

/// Adds to the journal, which has a limited length.
fn record(journal: &mut VecDeque<PastRun>, past: PastRun) {
    journal.push_back(past);
    if journal.len() > JOURNAL_MAX {
        journal.pop_front();
    }
}
