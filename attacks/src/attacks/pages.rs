//! Strangers read the queue's page again and again, while many jobs wait.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::{
    bed::{AUTHORISED, Bed, BedSettings, Daemons, enqueue_path},
    http::{Connection, request},
    outcome::{Attack, Outcome},
    wait,
};

pub const ATTACK: Attack = Attack {
    name: "pages",
    does: "reads the queue's page, its other forms and its metrics with 1,000 connections, with queries that no cache \
           knows, half of them without reading the responses, while 100,000 jobs wait",
    guarantee: "the median of a poll stays below 20 ms",
    run,
};

const JOBS: usize = 100_000;
const ENQUEUEING_THREADS: usize = 8;
const READING_THREADS: u8 = 8;
const READERS_OF_THREAD: u8 = 125;
const POLLS: usize = 200;
const MEDIAN_MAX: Duration = Duration::from_millis(20);

fn run(daemons: &Daemons) -> Outcome {
    let settings = BedSettings {
        target_count: 1,
        queue_settings: "jobs_max = 200000\njobs_per_repo_max = 200000\nabandon_after = \"1h\"",
        ..BedSettings::default()
    };
    let bed = Bed::start(daemons, &settings);
    let ticket = bed.enqueue("first");
    let take = request("POST", &format!("/take/first?token={ticket}"), "");
    wait::until("the runner is assigned", || {
        let mut connection = Connection::to(bed.queue.address).ok()?;
        connection.send(&take).ok()?;
        (connection.receive().ok()?.status == 200).then_some(())
    });
    std::thread::scope(|scope| {
        for thread in 0..ENQUEUEING_THREADS {
            let bed = &bed;
            scope.spawn(move || {
                let mut connection = Connection::to(bed.queue.address).expect("the queue listens");
                for number in 0..JOBS / ENQUEUEING_THREADS {
                    let path = enqueue_path(&format!("job-{thread}-{number}"));
                    let response = connection.request("POST", &path, AUTHORISED);
                    assert_eq!(response.expect("the queue responds").status, 200);
                }
            });
        }
    });
    let waiting = bed.enqueue("waiting");
    let mut before = polls(&bed, &waiting);
    let is_over = AtomicBool::new(false);
    let mut during = std::thread::scope(|scope| {
        let (bed, is_over) = (&bed, &is_over);
        for thread in 0..READING_THREADS {
            scope.spawn(move || read_until(bed, thread, is_over));
        }
        let during = polls(bed, &waiting);
        is_over.store(true, Ordering::Relaxed);
        during
    });
    let millis = |durations: &mut [Duration], share| {
        wait::percentile(durations, share).as_secs_f64() * 1000.0
    };
    let measured = format!(
        "median of a poll {:.1} ms alone, {:.1} ms (p99 {:.0} ms) with readers",
        millis(&mut before, 0.5),
        millis(&mut during, 0.5),
        millis(&mut during, 0.99),
    );
    let is_repelled = wait::percentile(&mut during, 0.5) < MEDIAN_MAX;
    Outcome::new(measured, is_repelled)
}

/// Polls with a ticket, and how long each took.
fn polls(bed: &Bed, ticket: &str) -> Vec<Duration> {
    let path = format!("/take/waiting?token={ticket}");
    let mut connection = Connection::to(bed.queue.address).expect("the queue listens");
    let poll = |_| {
        wait::pause(Duration::from_millis(10));
        let began_at = wait::now();
        let response = connection.request("POST", &path, "");
        assert_eq!(response.expect("the queue responds").status, 503);
        began_at.elapsed()
    };
    (0..POLLS).map(poll).collect()
}

/// A request for the page in one of its forms; half of them for the page itself.
fn page(number: u32) -> Vec<u8> {
    match number % 8 {
        0 => request("GET", &format!("/?{number}"), ""),
        1 => request("GET", "/dashboard.json", "Accept-Encoding: gzip\r\n"),
        2 => request(
            "GET",
            &format!("/dashboard.txt?{number}"),
            "Range: bytes=0-9\r\n",
        ),
        3 => request("GET", "/metrics", "Cache-Control: no-cache\r\n"),
        4 => request(
            "GET",
            "/",
            "Cache-Control: no-cache\r\nPragma: no-cache\r\n",
        ),
        _ => request("GET", "/", ""),
    }
}

/// Requests the page on many connections at once, again and again. Those that the queue closes are opened
/// again.
fn read_until(bed: &Bed, thread: u8, is_over: &AtomicBool) {
    let pages: Vec<Vec<u8>> = (0..u32::from(READERS_OF_THREAD)).map(page).collect();
    let mut readers: Vec<Option<Connection>> = (0..READERS_OF_THREAD).map(|_| None).collect();
    while !is_over.load(Ordering::Relaxed) {
        for ((number, reader), page) in (0..).zip(&mut readers).zip(&pages) {
            let source = Ipv4Addr::new(127, 0, 10 + thread, number);
            let connection = reader
                .take()
                .or_else(|| Connection::from_to(source, bed.queue.address).ok());
            *reader = connection.and_then(|mut connection| {
                let sent = connection.send_without_waiting(page);
                sent.is_ok().then_some(connection)
            });
        }
        // Every second one reads nothing.
        for reader in readers.iter_mut().step_by(2) {
            if reader
                .as_mut()
                .is_some_and(|connection| connection.receive().is_err())
            {
                *reader = None;
            }
        }
    }
}
