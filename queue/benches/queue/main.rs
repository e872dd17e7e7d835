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

use daemon::QueueProcess;
use load::{Load, request};
use monitor::Monitors;

/// The token of everything in here.
pub const API_TOKEN: &str = "bench";
/// How many jobs wait in the full line.
const WAITING_MAX: usize = 100_000;
/// How long each rate is measured.
const ROUND: Duration = Duration::from_secs(3);
/// How many dispatches are timed.
const DISPATCHES: usize = 200;

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` ask for nothing to be run.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    let bare = bare::start();
    let bare_rate = Load::of(bare.address, |_| {
        request("POST", "/take/job?token=ticket", "")
    })
    .run(ROUND);
    println!("bare handler                                {bare_rate:>10.0} requests/s");
    for server_count in [1, 5, 200] {
        measure_rates(server_count, bare_rate);
    }
    measure_dispatch();
}

fn measure_rates(server_count: usize, bare_rate: f64) {
    let monitors = Monitors::start(server_count);
    let queue = QueueProcess::start(&monitors.base_urls());
    let mut enqueued = 0;
    for waiting in [0, WAITING_MAX] {
        if waiting > 0 {
            let before = queue.resident_bytes();
            let had = enqueued;
            enqueued += fill(&queue, enqueued, waiting - enqueued);
            let bytes =
                (queue.resident_bytes().saturating_sub(before)) / (enqueued - had).max(1) as u64;
            println!(
                "{server_count:>3} servers, {enqueued:>6} waiting: memory       {bytes:>10} bytes a job"
            );
        }
        let first = enqueued;
        let load = Load::of(queue.address, move |number| enqueue(first + number));
        let rate = load.run(ROUND);
        enqueued += load.sent();
        show(server_count, enqueued, "enqueues", rate, bare_rate);
        let tickets = queue.tickets(1_000);
        let polls = Load::of(queue.address, move |number| {
            let (unique_id, ticket) = &tickets[number % tickets.len()];
            request("POST", &format!("/take/{unique_id}?token={ticket}"), "")
        });
        show(server_count, enqueued, "polls", polls.run(ROUND), bare_rate);
    }
}

fn show(server_count: usize, waiting: usize, what: &str, rate: f64, bare_rate: f64) {
    let share = rate / bare_rate * 100.0;
    println!(
        "{server_count:>3} servers, {waiting:>6} waiting: {what:<9}    {rate:>10.0} requests/s, {share:.0} % of bare"
    );
}

/// Enqueues `count` jobs, whatever time it takes; returns how many there were.
fn fill(queue: &QueueProcess, first: usize, count: usize) -> usize {
    let load = Load::of(queue.address, move |number| enqueue(first + number));
    load.run_count(count);
    load.sent()
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

/// From the moment in which a monitor has an idle runner to the held take's answer.
fn measure_dispatch() {
    let monitors = Monitors::start(5);
    let queue = QueueProcess::start(&monitors.base_urls());
    let mut micros: Vec<u128> = (0..DISPATCHES)
        .map(|number| {
            let (unique_id, ticket) = queue.enqueue(&format!("held-{number}"));
            let held = queue.hold(&unique_id, &ticket);
            queue.wait_until_held(number);
            #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
            let started = Instant::now();
            monitors.add_idle_runner(number % 5);
            held.answer();
            started.elapsed().as_micros()
        })
        .collect();
    micros.sort_unstable();
    let at = |share: usize| micros[(micros.len() - 1) * share / 100] as f64 / 1000.0;
    println!(
        "idle runner to held take's answer           {:>10.2} ms median, {:.2} ms 99th percentile",
        at(50),
        at(99)
    );
}
