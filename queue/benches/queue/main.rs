//! How fast the real daemon is, beside a bare actix-web handler on the same machine in the same
//! run: `cargo bench -p queue`.
//!
//! Four figures: how long after a runner has become idle a held take is answered; enqueues and
//! polls a second, with none and with many jobs waiting, with few and with many servers; memory
//! for each waiting job. Machines are noisy: look at ratios and medians, not at single figures.

mod bare;
mod daemon;
mod load;
mod monitor;

use std::time::{Duration, Instant};

use daemon::{Held, QueueProcess};
use load::{Load, request};
use monitor::Monitors;

/// The token of everything in here.
pub const API_TOKEN: &str = "bench";
/// How many jobs wait in the long line.
const LONG: usize = 100_000;
/// How many are enqueued to see how fast that goes.
const ENQUEUES: usize = 20_000;
/// How many clients take turns in asking.
const POLLERS: usize = 1_000;
/// How long polls are counted.
const ROUND: Duration = Duration::from_secs(3);
/// How many dispatches are timed.
const DISPATCHES: usize = 100;

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` ask for nothing to be run.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    if std::env::args().any(|argument| argument == bare::ARGUMENT) {
        return bare::serve();
    }
    for (server_count, behind) in [(1, 0), (5, 0), (200, 0), (5, LONG), (200, LONG)] {
        measure_dispatch(server_count, behind);
    }
    for server_count in [1, 5, 200] {
        measure_rates(server_count);
    }
}

/// From the moment in which a monitor has an idle runner to the held take's answer, for the first
/// in a line of some who hold their takes, and `behind` others.
fn measure_dispatch(server_count: usize, behind: usize) {
    let monitors = Monitors::start(server_count);
    let queue = QueueProcess::start(&monitors.base_urls());
    let held: Vec<Held> = (0..DISPATCHES)
        .map(|number| {
            let (unique_id, ticket) = queue.enqueue(&format!("held-{number}"));
            queue.hold(&unique_id, &ticket)
        })
        .collect();
    for number in 0..DISPATCHES {
        queue.wait_until_waiting(number);
    }
    enqueue_many(&queue, 0, behind);
    let mut micros: Vec<u128> = held
        .into_iter()
        .enumerate()
        .map(|(number, held)| {
            #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
            let started = Instant::now();
            monitors.add_idle_runner(number % server_count);
            held.answer();
            started.elapsed().as_micros()
        })
        .collect();
    micros.sort_unstable();
    let at = |share: usize| micros[(micros.len() - 1) * share / 100] as f64 / 1000.0;
    println!(
        "{server_count:>3} servers, {behind:>6} more waiting: idle runner to answer {:>7.2} ms median, {:.2} ms 99th percentile",
        at(50),
        at(99)
    );
}

/// Enqueues and polls a second with a short line and a long one, and what a waiting job costs.
fn measure_rates(server_count: usize) {
    let bare = bare::start();
    let nothing = |_| request("POST", "/take/job?token=ticket", "");
    let bare_rate = Load::of(bare.address, nothing).run(ROUND);
    drop(bare);
    println!("bare handler: {bare_rate:.0} requests/s");
    let show = |waiting: usize, what: &str, rate: f64| {
        let share = rate / bare_rate * 100.0;
        println!(
            "{server_count:>3} servers, {waiting:>6} waiting: {what:<8} {rate:>8.0} requests/s, {share:.0} % of bare"
        );
    };

    let monitors = Monitors::start(server_count);
    let queue = QueueProcess::start(&monitors.base_urls());
    let tickets = queue.tickets(POLLERS);
    let polls = || {
        let tickets = tickets.clone();
        Load::of(queue.address, move |number| {
            let (unique_id, ticket) = &tickets[number % tickets.len()];
            request("POST", &format!("/take/{unique_id}?token={ticket}"), "")
        })
        .run(ROUND)
    };
    show(POLLERS, "polls", polls());
    let bytes_before = queue.resident_bytes();
    show(POLLERS, "enqueues", enqueue_many(&queue, 0, ENQUEUES));
    enqueue_many(&queue, ENQUEUES, LONG - ENQUEUES);
    let bytes = queue.resident_bytes().saturating_sub(bytes_before) / LONG as u64;
    show(LONG, "polls", polls());
    show(LONG, "enqueues", enqueue_many(&queue, LONG, ENQUEUES));
    println!("{server_count:>3} servers, {LONG:>6} waiting: memory   {bytes:>8} bytes a job");
}

/// Enqueues `count` jobs, numbered from `first`; returns how many a second.
fn enqueue_many(queue: &QueueProcess, first: usize, count: usize) -> f64 {
    Load::of(queue.address, move |number| enqueue(first + number)).run_count(count)
}

fn enqueue(number: usize) -> Vec<u8> {
    let path = format!(
        "/profile/linux/enqueue?unique_id=job-{number}&qualified_repo=delan/servo&run_id={number}"
    );
    request(
        "POST",
        &path,
        &format!("Authorization: Bearer {API_TOKEN}\r\n"),
    )
}
