//! Polls and enqueues a second, and how long a poll takes with many connections, next to the bare
//! handler.

use std::{net::SocketAddr, time::Duration};

use crate::{
    bare_handler::{BareHandler, Template},
    fake_monitor::FakeMonitor,
    http::Connection,
    load::{self, Outcome, Until},
    options::Binary,
    process::processor_time,
    queue_process::{Job, QueueProcess, enqueue_request, take_request},
    statistics::median,
};

/// How many servers the queues have.
const SERVERS: usize = 5;
/// How many clients poll in turns.
const POLLERS: usize = 1_000;
/// How many rounds each subject has.
const ROUNDS: usize = 15;
/// How long a round of polls takes.
const POLL_ROUND: Duration = Duration::from_millis(300);
/// How many enqueues a round has. They are withdrawn again before the next round.
const ENQUEUES_PER_ROUND: usize = 10_000;
/// Connections when throughput is measured, and when latency is.
const CONNECTIONS: usize = 16;
const CONNECTIONS_FOR_LATENCY: usize = 64;

/// One queue, or the bare handler.
struct Subject {
    name: String,
    address: SocketAddr,
    /// `None` for the bare handler.
    queue: Option<QueueProcess>,
    jobs: Vec<Job>,
    pid: u32,
    polls: Rounds,
    enqueues: Rounds,
    p99: Vec<f64>,
}

/// What the rounds of one kind measured.
#[derive(Default)]
struct Rounds {
    /// Requests a second.
    rates: Vec<f64>,
    /// Processor time of the server for each request, in microseconds.
    micros: Vec<f64>,
}

/// Measures all executables and the bare handler in alternating rounds, while `waiting_count` jobs
/// wait.
pub fn measure(binaries: &[Binary], waiting_count: usize) {
    let monitors: Vec<FakeMonitor> = (0..SERVERS).map(|_| FakeMonitor::start()).collect();
    let queues: Vec<Subject> = binaries
        .iter()
        .map(|binary| Subject::start(binary, &monitors, waiting_count))
        .collect();
    let newest = queues.last().expect("there is an executable");
    let (poll, enqueue) = newest.templates();
    let bare_handler = BareHandler::start(&poll, &enqueue);
    let bare = Subject::new(
        "bare",
        bare_handler.address,
        bare_handler.pid(),
        None,
        newest.jobs.clone(),
    );
    bare.assert_same_size(newest);
    let mut subjects = vec![bare];
    subjects.extend(queues);
    let subject_count = subjects.len();
    for run in [
        Subject::run_polls,
        Subject::run_latency,
        Subject::run_enqueues,
    ] {
        for round in 0..ROUNDS {
            for turn in 0..subject_count {
                // The order rotates, so that none always follows the same other.
                run(&mut subjects[(turn + round) % subject_count]);
            }
        }
    }
    let (bare, queues) = subjects
        .split_first_mut()
        .expect("there is the bare handler");
    for queue in queues {
        queue.print(bare, waiting_count);
    }
}

impl Subject {
    fn new(
        name: &str,
        address: SocketAddr,
        pid: u32,
        queue: Option<QueueProcess>,
        jobs: Vec<Job>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            address,
            queue,
            jobs,
            pid,
            polls: Rounds::default(),
            enqueues: Rounds::default(),
            p99: Vec::new(),
        }
    }

    fn start(binary: &Binary, monitors: &[FakeMonitor], waiting_count: usize) -> Self {
        let queue = QueueProcess::start(binary, monitors);
        queue.enqueue_many("waiting", waiting_count - POLLERS, CONNECTIONS);
        let jobs = (0..POLLERS)
            .map(|number| queue.enqueue(&format!("poll-{number}")))
            .collect();
        let (address, pid) = (queue.address, queue.pid());
        Self::new(&binary.name, address, pid, Some(queue), jobs)
    }

    /// What this queue answers to a poll and to an enqueue.
    fn templates(&self) -> (Template, Template) {
        let mut connection = Connection::to(self.address);
        let poll = Template::of(connection.request(&self.poll_request(POLLERS - 1)));
        let enqueue = enqueue_request(&self.jobs[POLLERS - 1].unique_id);
        (poll, Template::of(connection.request(&enqueue)))
    }

    fn poll_request(&self, number: usize) -> Vec<u8> {
        take_request(&self.jobs[number % POLLERS], "")
    }

    fn assert_same_size(&self, queue: &Self) {
        let poll = self.poll_request(POLLERS - 1);
        let enqueue = enqueue_request(&self.jobs[POLLERS - 1].unique_id);
        for request in [poll, enqueue] {
            let size = |subject: &Self| {
                let mut connection = Connection::to(subject.address);
                connection.request(&request).bytes.len()
            };
            assert_eq!(size(self), size(queue), "the sizes of the responses");
        }
    }

    /// Polls from so many connections for one round.
    fn poll(&self, connections: usize) -> Outcome {
        let until = Until::Elapsed(POLL_ROUND);
        load::run(self.address, connections, until, 503, |number| {
            self.poll_request(number)
        })
    }

    fn run_polls(&mut self) {
        let before = processor_time(self.pid);
        let outcome = self.poll(CONNECTIONS);
        self.polls.push(&outcome, processor_time(self.pid) - before);
    }

    fn run_latency(&mut self) {
        let p99 = self.poll(CONNECTIONS_FOR_LATENCY).p99_millis();
        self.p99.push(p99);
    }

    fn run_enqueues(&mut self) {
        let prefix = format!("round-{}", self.enqueues.rates.len());
        let until = Until::Sent(ENQUEUES_PER_ROUND);
        let before = processor_time(self.pid);
        let outcome = load::run(self.address, CONNECTIONS, until, 200, |number| {
            enqueue_request(&format!("{prefix}-{number}"))
        });
        self.enqueues
            .push(&outcome, processor_time(self.pid) - before);
        if let Some(queue) = &self.queue {
            queue.withdraw_many(&prefix, ENQUEUES_PER_ROUND);
        }
    }

    fn print(&mut self, bare: &Self, waiting_count: usize) {
        let name = &self.name;
        let ratio = |own: &[f64], bare: &[f64]| {
            let mut ratios: Vec<f64> = own.iter().zip(bare).map(|(own, bare)| own / bare).collect();
            median(&mut ratios)
        };
        for (what, own, bare) in [
            ("polls", &self.polls, &bare.polls),
            ("enqueues", &self.enqueues, &bare.enqueues),
        ] {
            println!(
                "{name:>8}, {waiting_count:>6} waiting: {what:<8} {:>6.0} a second, {:.2} of the bare handler ({:.0}); {:.1} µs of processor time for each (bare handler: {:.1})",
                median(&mut own.rates.clone()),
                ratio(&own.rates, &bare.rates),
                median(&mut bare.rates.clone()),
                median(&mut own.micros.clone()),
                median(&mut bare.micros.clone()),
            );
        }
        println!(
            "{name:>8}, {waiting_count:>6} waiting: p99 of polls with {CONNECTIONS_FOR_LATENCY} connections {:.2} ms, {:.2} times the bare handler's ({:.2} ms)",
            median(&mut self.p99.clone()),
            ratio(&self.p99, &bare.p99),
            median(&mut bare.p99.clone()),
        );
    }
}

impl Rounds {
    fn push(&mut self, outcome: &Outcome, processor_time: Duration) {
        self.rates.push(outcome.rate);
        let micros = processor_time.as_secs_f64() * 1e6;
        self.micros.push(micros / outcome.count() as f64);
    }
}
