//! One queue, two servers, some clients, and the messages between them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shared::{
    clock::Timestamp,
    values::{ProfileKey, UniqueId},
    wire::TakenRunner,
};

use super::{
    model_server::{Life, ModelRefusal, ModelServer, PROFILES},
    network::{Letter, Message, Told},
    step::Step,
};
use crate::core::{
    events::{Answer, CallId, Forward, ForwardOutcome, Input, JobReference, Output},
    fleet::ServerId,
    job::{Claims, JobRequest, State},
    queue::{Queue, Rules},
    report::RunnerId,
    tests::{
        invariants,
        scene::{request, rules},
    },
};

const SERVERS: usize = 2;
const CLIENTS: usize = 7;

/// Everything there is.
pub struct World {
    queue: Queue,
    life: Life,
    now: Timestamp,
    servers: Vec<ModelServer>,
    letters: Vec<Letter>,
    /// The tickets of each client, the latest last.
    tickets: Vec<Vec<Claims>>,
    /// The calls without an answer; for held ones, of which job.
    calls: BTreeMap<CallId, Option<UniqueId>>,
    last_call: CallId,
    /// What the last step was answered with, by call.
    answers: BTreeMap<CallId, Answer>,
    /// Forwards that the queue waits for, and when it stops waiting.
    open_forwards: BTreeMap<(ServerId, UniqueId, u64), (Forward, Timestamp)>,
    loses_next_delivery: bool,
    /// Who was told of which runner.
    told: BTreeMap<(ServerId, RunnerId), UniqueId>,
}

/// Tight limits, so that they are met.
fn tight_rules() -> Rules {
    Rules {
        jobs_max: CLIENTS - 1,
        held_max: 3,
        ..rules()
    }
}

fn names() -> Vec<String> {
    (0..SERVERS).map(|server| format!("server-{server}")).collect()
}

/// What a client asks for; always the same.
fn wish(client: usize) -> JobRequest {
    let name = format!("job-{client}");
    request(&name, PROFILES[client % 2], 1 + client as u64 % 4)
}

impl World {
    /// A world in which nothing has happened yet.
    pub fn new() -> Self {
        let now = Timestamp::from_seconds(1_000_000);
        Self {
            queue: Queue::new(tight_rules(), &names(), now),
            life: 0,
            now,
            servers: (0..SERVERS).map(|_| ModelServer::default()).collect(),
            letters: Vec::new(),
            tickets: vec![Vec::new(); CLIENTS],
            calls: BTreeMap::new(),
            last_call: 0,
            answers: BTreeMap::new(),
            open_forwards: BTreeMap::new(),
            loses_next_delivery: false,
            told: BTreeMap::new(),
        }
    }

    /// Something happens.
    pub fn take_step(&mut self, step: Step) {
        match step {
            Step::Arrive { letter, is_repeated } => {
                if let Some(index) = self.letter(letter) {
                    let letter = if is_repeated {
                        self.letters[index].clone()
                    } else {
                        self.letters.remove(index)
                    };
                    self.arrive(letter);
                }
            }
            Step::Vanish { letter } => {
                if let Some(index) = self.letter(letter) {
                    self.letters.remove(index);
                }
            }
            Step::Break { letter } => self.break_off(letter),
            Step::Answer { server, arrives } => self.report(server % SERVERS, arrives),
            Step::Unreachable { server } => self.handle(Input::Unreachable { server: server % SERVERS }),
            Step::Boot { server, profile } => self.servers[server % SERVERS].boot(profile % 2),
            Step::LoseIdle { server, profile } => {
                self.servers[server % SERVERS].lose_idle(profile % 2);
            }
            Step::GoOn { server, client, is_used } => {
                let server = server % SERVERS;
                let unique_id = wish(client % CLIENTS).unique_id;
                // Nobody uses what nobody was told of.
                let mut held = self.servers[server].held_for(&unique_id).iter();
                let is_told = held.all(|runner| self.told.contains_key(&(server, *runner)));
                if is_used && is_told {
                    self.servers[server].run(&unique_id);
                } else {
                    self.servers[server].lapse(&unique_id);
                }
            }
            Step::Enqueue { client } => self.enqueue(client % CLIENTS),
            Step::Take { client, ticket, hold_seconds } => {
                if let Some(claims) = self.ticket(client, ticket) {
                    self.ask(&claims, Duration::from_secs(hold_seconds));
                }
            }
            Step::HangUp { call } => self.hang_up(call),
            Step::LoseNextDelivery => self.loses_next_delivery = true,
            Step::Withdraw { client, ticket, by_operator } => {
                if let Some(claims) = self.ticket(client, ticket) {
                    let by = if by_operator {
                        JobReference::Operator(claims.request.unique_id)
                    } else {
                        JobReference::Ticket(claims)
                    };
                    self.call(|call| Input::Withdraw { call, by });
                }
            }
            Step::Inspect { client } => {
                let by = JobReference::Operator(wish(client % CLIENTS).unique_id);
                self.call(|call| Input::Inspect { call, by });
            }
            Step::Pass { millis } => self.pass(Duration::from_millis(millis)),
            Step::BeStopped { seconds } => {
                self.now = self.now + Duration::from_secs(seconds);
                self.tick();
            }
            Step::Restart => self.restart(),
        }
    }

    /// The faults stop, runners keep coming, and whoever keeps asking gets what it wants.
    pub fn serve_everybody(&mut self) {
        let mut served = BTreeSet::new();
        let mut waiting = BTreeSet::new();
        for round in 0..80 {
            for server in 0..SERVERS {
                if round == 20 {
                    // What nobody used within the time that servers keep it is destroyed.
                    let unserved = (0..CLIENTS).filter(|client| !served.contains(client));
                    for client in unserved {
                        self.servers[server].lapse(&wish(client).unique_id);
                    }
                }
                (0..2).for_each(|profile| self.servers[server].boot(profile));
                self.report(server, true);
            }
            self.let_everything_arrive();
            self.loses_next_delivery = false;
            for client in 0..CLIENTS {
                let Some(claims) = self.tickets[client].last().cloned() else {
                    continue;
                };
                match self.ask(&claims, Duration::ZERO) {
                    Some(Answer::Waiting(_)) => drop(waiting.insert(client)),
                    Some(Answer::Runners { .. }) => drop(served.insert(client)),
                    // Gone since before the faults stopped; nobody gets lost now.
                    _ => {
                        served.insert(client);
                        assert!(!waiting.contains(&client), "client {client} was lost");
                    }
                }
            }
            self.let_everything_arrive();
            self.pass(Duration::from_millis(2500));
        }
        let with_ticket = (0..CLIENTS).filter(|client| !self.tickets[*client].is_empty());
        let unserved: Vec<usize> = with_ticket.filter(|client| !served.contains(client)).collect();
        assert_eq!(unserved, [] as [usize; 0], "of all clients these wait for ever");
    }

    /// Everybody leaves; neither the queue nor any server keeps anything.
    pub fn clear_everything(&mut self) {
        for claims in self.tickets.concat() {
            let by = JobReference::Ticket(claims);
            self.call(|call| Input::Withdraw { call, by });
        }
        for _ in 0..70 {
            self.let_everything_arrive();
            self.pass(Duration::from_secs(1));
        }
        for server in 0..SERVERS {
            for client in 0..CLIENTS {
                // What another life of the queue may have handed out runs to its deadline.
                let unique_id = wish(client).unique_id;
                self.servers[server].lapse(&unique_id);
                self.servers[server].run(&unique_id);
            }
            assert!(self.servers[server].holds_nothing());
            self.report(server, true);
        }
        self.now = self.now + tight_rules().ticket_lifetime + Duration::from_secs(60);
        self.tick();
        assert_eq!(self.calls, BTreeMap::new(), "these were never answered");
        self.assert_empty();
    }

    fn assert_empty(&self) {
        let queue = &self.queue;
        assert!(queue.jobs.is_empty() && queue.lines.is_empty() && queue.jobs_per_repo.is_empty());
        assert!(queue.retired.is_empty() && queue.owed.is_empty(), "{:?}", queue.owed);
        assert!(queue.granted_by.is_empty(), "{:?}", queue.granted_by);
        assert_eq!(queue.held_count, 0);
        assert_eq!(queue.poll_timeout(), None, "{:?}", queue.timers);
    }

    fn letter(&self, letter: usize) -> Option<usize> {
        (!self.letters.is_empty()).then(|| letter % self.letters.len())
    }

    fn ticket(&self, client: usize, ticket: usize) -> Option<Claims> {
        let tickets = &self.tickets[client % CLIENTS];
        // Mostly the latest.
        let back = if ticket % 4 == 0 { ticket / 4 } else { 0 };
        tickets.iter().rev().cycle().take(tickets.len() * 2).nth(back % tickets.len().max(1)).cloned()
    }

    fn arrive(&mut self, letter: Letter) {
        let Letter { life, message } = letter;
        let reply = match message {
            Message::Take(forward) => {
                let told = match self.servers[forward.server].take(life, &forward) {
                    Ok(runners) => Told::Granted(
                        runners.iter().map(|&id| runner(forward.server, id)).collect(),
                    ),
                    Err(ModelRefusal::NothingIdle) => Told::Refused,
                    Err(ModelRefusal::NotThisJob) => Told::RefusedThisJob,
                };
                Message::Taken(forward, told)
            }
            Message::Release(release) => {
                self.servers[release.server].release(life, &release);
                Message::Released(release)
            }
            to_queue => return self.hear(life, to_queue),
        };
        self.letters.push(Letter { life, message: reply });
    }

    /// A message reaches the queue, unless it is for one that is no more.
    fn hear(&mut self, life: Life, message: Message) {
        if life != self.life {
            return;
        }
        match message {
            Message::Taken(forward, told) => self.end_forward(&forward, told.into_outcome()),
            Message::Released(release) => self.handle(Input::Released {
                server: release.server,
                unique_id: release.unique_id,
                attempt: release.attempt,
                is_settled: true,
            }),
            Message::Report(server, report) => self.handle(Input::Reported { server, report }),
            Message::Take(_) | Message::Release(_) => {}
        }
    }

    fn break_off(&mut self, letter: usize) {
        let Some(index) = self.letter(letter) else { return };
        let Letter { life, message } = self.letters.remove(index);
        match message {
            Message::Take(forward) | Message::Taken(forward, _) if life == self.life => {
                self.end_forward(&forward, ForwardOutcome::Ambiguous);
            }
            Message::Release(release) | Message::Released(release) if life == self.life => {
                self.handle(Input::Released {
                    server: release.server,
                    unique_id: release.unique_id,
                    attempt: release.attempt,
                    is_settled: false,
                });
            }
            _ => {}
        }
    }

    fn end_forward(&mut self, forward: &Forward, outcome: ForwardOutcome) {
        let unique_id = forward.request.unique_id.clone();
        self.open_forwards.remove(&(forward.server, unique_id.clone(), forward.attempt));
        self.handle(Input::Forwarded {
            server: forward.server,
            unique_id,
            attempt: forward.attempt,
            outcome,
        });
    }

    /// A server answers; if it has nothing new to say it says so.
    fn report(&mut self, server: ServerId, arrives: bool) {
        // No two questions are asked at the same moment.
        self.now = self.now + Duration::from_micros(1);
        let report = self.servers[server].report(self.now);
        let known = self.queue.fleet().report(server).cloned();
        let is_news = known.is_none_or(|known| {
            let asked_at = known.asked_at;
            known != crate::core::report::Report { asked_at, ..report.clone() }
        });
        if !is_news && arrives {
            let asked_at = self.now;
            return self.handle(Input::Unchanged { server, asked_at });
        }
        let letter = Letter { life: self.life, message: Message::Report(server, report) };
        if arrives {
            self.arrive(letter);
        } else {
            self.letters.push(letter);
        }
    }

    fn let_everything_arrive(&mut self) {
        while !self.letters.is_empty() {
            let letter = self.letters.remove(0);
            self.arrive(letter);
        }
    }

    fn enqueue(&mut self, client: usize) {
        let answer = self.call(|call| Input::Enqueue { call, request: wish(client), nonce: call });
        if let Answer::Enqueued(claims) = answer {
            let tickets = &mut self.tickets[client];
            if tickets.last() != Some(&claims) {
                tickets.push(claims);
            }
        }
    }

    fn ask(&mut self, claims: &Claims, hold: Duration) -> Option<Answer> {
        self.last_call += 1;
        let call = self.last_call;
        self.calls.insert(call, Some(claims.request.unique_id.clone()));
        let claims = claims.clone();
        self.handle(Input::Take { call, claims, hold: Some(hold) });
        let answer = self.answers.remove(&call);
        assert!(answer.is_some() || !hold.is_zero(), "call {call} was not answered at once");
        answer
    }

    /// A call that is answered at once.
    fn call(&mut self, input: impl FnOnce(CallId) -> Input) -> Answer {
        self.last_call += 1;
        let call = self.last_call;
        self.calls.insert(call, None);
        self.handle(input(call));
        self.answers.remove(&call).expect("such calls are answered at once")
    }

    fn hang_up(&mut self, call: usize) {
        let held: Vec<CallId> = self.calls.keys().copied().collect();
        if held.is_empty() {
            return;
        }
        let call = held[call % held.len()];
        if let Some(Some(unique_id)) = self.calls.remove(&call) {
            self.handle(Input::HungUp { call, unique_id });
        }
    }

    fn restart(&mut self) {
        self.now = self.now + Duration::from_secs(1);
        self.life += 1;
        self.queue = Queue::new(tight_rules(), &names(), self.now);
        self.calls.clear();
        self.open_forwards.clear();
    }

    /// Time passes as it does for the driver: a tick when one is due, and at least every second.
    fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        while self.now < until {
            let next = (self.now + Duration::from_secs(1)).min(until);
            let due = self.queue.poll_timeout();
            self.now = due.map_or(next, |due| due.min(next)).max(self.now);
            self.tick();
        }
    }

    fn tick(&mut self) {
        let now = self.now;
        self.open_forwards.retain(|_, (_, deadline_at)| now < *deadline_at);
        self.handle(Input::Tick);
        invariants::check_rest(&self.queue, self.now);
    }

    fn handle(&mut self, input: Input) {
        // A tick is several steps: those who wait now may not have waited in each of them.
        let is_one_step = !matches!(input, Input::Tick);
        self.queue.handle(self.now, input);
        let mut undelivered = Vec::new();
        while let Some(output) = self.queue.poll_output() {
            match output {
                Output::Answer { call, answer } => {
                    assert!(self.calls.remove(&call).is_some(), "{call} is answered twice");
                    if let Answer::Runners { unique_id, runners, .. } = &answer {
                        if std::mem::take(&mut self.loses_next_delivery) {
                            undelivered.push(unique_id.clone());
                        } else {
                            self.tell(unique_id, runners);
                        }
                    }
                    self.answers.insert(call, answer);
                }
                Output::Forward(forward) => {
                    let is_held = self.check_forward(&forward);
                    if is_one_step && !is_held {
                        self.check_order(&forward);
                    }
                    self.send(Message::Take(forward));
                }
                Output::Release(release) => self.send(Message::Release(release)),
            }
        }
        invariants::check(&self.queue, self.now);
        for unique_id in undelivered {
            self.handle(Input::Undelivered { unique_id });
        }
    }

    fn send(&mut self, message: Message) {
        self.letters.push(Letter { life: self.life, message });
    }

    /// No runner that a client was told of is ever another job's.
    fn tell(&mut self, unique_id: &UniqueId, runners: &[TakenRunner]) {
        for runner in runners {
            let server = names().iter().position(|name| Some(name) == runner.server.as_ref());
            let key = (server.unwrap(), runner.id);
            let other = self.told.insert(key, unique_id.clone());
            assert!(
                other.as_ref().is_none_or(|other| other == unique_id),
                "{key:?} was {other:?}'s and is {unique_id}'s"
            );
        }
    }

    /// A server is asked for what it says is idle, less what it is being asked for and has
    /// given; or for what it says it holds for the job, which is returned.
    fn check_forward(&mut self, forward: &Forward) -> bool {
        let server = forward.server;
        let unique_id = forward.request.unique_id.clone();
        let report = self.queue.fleet().report(server).expect("a server without a word is not asked");
        let held = report.reservations.as_ref().and_then(|held| held.get(&unique_id));
        let is_held = held.is_some_and(|held| held.runners.len() == forward.count.get());
        let key: &ProfileKey = &forward.request.profile_key;
        let jobs = self.queue.jobs.values();
        let given: BTreeSet<RunnerId> = jobs
            .flat_map(|job| job.grants())
            .filter(|grant| grant.server == server && grant.end.is_none())
            .flat_map(|grant| grant.runners.iter().map(|runner| runner.id))
            .collect();
        let idle = report.profile(key).map_or(0, |profile| profile.idle.difference(&given).count());
        let open = self.open_forwards.values();
        let asked: usize = open
            .filter(|(open, _)| open.server == server && open.request.profile_key == *key)
            .map(|(open, _)| open.count.get())
            .sum();
        assert!(
            is_held || forward.count.get() + asked <= idle,
            "asked for {} and {asked} of {idle}: {forward:?}",
            forward.count
        );
        let open = (forward.clone(), forward.deadline_at);
        self.open_forwards.insert((server, unique_id, forward.attempt), open);
        is_held
    }

    /// Whoever is before the job in its line needs more than there can be, or cannot be asked for
    /// at one of the servers.
    fn check_order(&self, forward: &Forward) {
        let queue = &self.queue;
        let key = &forward.request.profile_key;
        let reach = queue.fleet.reach(key, self.now);
        let line = queue.lines[key].iter();
        let before = line.take_while(|place| place.unique_id != forward.request.unique_id);
        for place in before {
            let job = &queue.jobs[&place.unique_id];
            let mut servers = queue.fleet.ids();
            let can_be_asked =
                servers.all(|server| queue.can_ask(self.now, server, &place.unique_id));
            assert!(
                !matches!(job.state, State::Waiting)
                    || job.request().count.get() > reach
                    || !can_be_asked,
                "{forward:?} goes before {}",
                place.unique_id
            );
        }
    }
}

fn runner(server: ServerId, id: RunnerId) -> TakenRunner {
    TakenRunner {
        id,
        runner: serde_json::json!({ "id": id }),
        label: Some(format!("runner:{server}-{id}")),
        server: names().get(server).cloned(),
    }
}
