//! How long after a runner has become idle a held take is answered.

use crate::{
    fake_monitor::FakeMonitor,
    http::Connection,
    load,
    options::Binary,
    queue_process::QueueProcess,
    statistics::{median, millis, percentile},
};

/// How many dispatches are timed of each executable.
const DISPATCHES: usize = 100;
/// How many follow each other at one executable, before it is the turn of the next.
const IN_A_ROW: usize = 20;
/// Connections over which the jobs behind are enqueued.
const CONNECTIONS: usize = 16;

/// One executable with its own monitors and its held takes.
struct Subject {
    queue: QueueProcess,
    monitors: Vec<FakeMonitor>,
    held: Vec<Connection>,
    millis: Vec<f64>,
}

/// Times the dispatches to jobs that hold their takes, with `waiting_behind` jobs behind them.
pub fn measure(binaries: &[Binary], server_count: usize, waiting_behind: usize) {
    let mut subjects: Vec<Subject> = binaries
        .iter()
        .map(|binary| Subject::start(binary, server_count, waiting_behind))
        .collect();
    for block in 0..DISPATCHES / IN_A_ROW {
        for subject in &mut subjects {
            for number in 0..IN_A_ROW {
                subject.dispatch((block * IN_A_ROW + number) % server_count);
            }
        }
    }
    for subject in &mut subjects {
        println!(
            "{:>8}, {server_count:>3} servers, {waiting_behind:>6} jobs behind: idle runner to answer {:>6.2} ms median, {:.2} ms p99",
            subject.queue.name,
            median(&mut subject.millis),
            percentile(&mut subject.millis, 0.99),
        );
    }
}

impl Subject {
    fn start(binary: &Binary, server_count: usize, waiting_behind: usize) -> Self {
        let monitors: Vec<FakeMonitor> = (0..server_count).map(|_| FakeMonitor::start()).collect();
        let queue = QueueProcess::start(binary, &monitors);
        let jobs: Vec<_> = (0..DISPATCHES)
            .map(|number| queue.enqueue(&format!("held-{number}")))
            .collect();
        let mut held: Vec<Connection> = jobs.iter().map(|job| queue.hold(job)).collect();
        for job in &jobs {
            queue.wait_until_waiting(job);
        }
        // They are answered in the order of the queue, and `pop` takes the last.
        held.reverse();
        queue.enqueue_many("behind", waiting_behind, CONNECTIONS);
        Self {
            queue,
            monitors,
            held,
            millis: Vec::new(),
        }
    }

    fn dispatch(&mut self, server: usize) {
        let mut held = self.held.pop().expect("there is a held take left");
        let started_at = load::now();
        self.monitors[server].boot(1);
        let response = held.receive();
        self.millis.push(millis(started_at.elapsed()));
        assert_eq!(response.status(), 200, "{}", response.body());
    }
}
