//! Requests over several kept connections, each sent as soon as the one before it is answered.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use crate::{
    http::Connection,
    statistics::{millis, percentile},
};

/// When a load ends.
#[derive(Clone, Copy)]
pub enum Until {
    /// After this time.
    Elapsed(Duration),
    /// After so many requests.
    Sent(usize),
}

/// What a load measured.
pub struct Outcome {
    /// How many requests were answered a second.
    pub rate: f64,
    latencies: Vec<f64>,
}

impl Outcome {
    /// How many requests were answered.
    pub fn count(&self) -> usize {
        self.latencies.len()
    }

    /// The latency that 99 of 100 requests do not exceed, in milliseconds.
    pub fn p99_millis(&mut self) -> f64 {
        percentile(&mut self.latencies, 0.99)
    }
}

/// Sends the requests that `make` returns for the numbers from 0, and asserts their status.
pub fn run(
    address: SocketAddr,
    connections: usize,
    until: Until,
    expected_status: u16,
    make: impl Fn(usize) -> Vec<u8> + Sync,
) -> Outcome {
    let next = AtomicUsize::new(0);
    let started_at = now();
    let goes_on = |number| match until {
        Until::Elapsed(duration) => started_at.elapsed() < duration,
        Until::Sent(count) => number < count,
    };
    let send = || {
        let mut connection = Connection::to(address);
        let mut latencies = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if !goes_on(number) {
                return latencies;
            }
            let request = make(number);
            let sent_at = now();
            let response = connection.request(&request);
            latencies.push(millis(sent_at.elapsed()));
            assert_eq!(response.status(), expected_status, "{}", response.body());
        }
    };
    let latencies: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(send)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("every request is answered"))
            .collect()
    });
    Outcome {
        rate: latencies.len() as f64 / started_at.elapsed().as_secs_f64(),
        latencies,
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub fn now() -> Instant {
    Instant::now()
}
