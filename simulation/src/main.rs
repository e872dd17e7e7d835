//! `simulate`: runs the simulation for many seeds and prints statistics, or the first violation.

use std::{
    num::NonZero,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use clap::Parser;
use simulation::{
    Outage, Statistics, Violation, Workday, simulate, simulate_traced, simulate_workday,
};

/// Runs the simulation for many seeds, each with its own servers, clients and faults.
#[derive(Parser)]
#[command(name = "simulate")]
struct Arguments {
    /// Number of seeds
    #[arg(default_value_t = 1000)]
    count: u64,
    /// First seed. A violation names its seed; replay it with `simulate 1 --seed N --trace`
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Number of seeds to run at the same time [default: one per core]
    #[arg(long)]
    threads: Option<NonZero<usize>>,
    /// Print every message, reply and fault; runs one seed at a time
    #[arg(long)]
    trace: bool,
    /// Simulate working days instead, and count the requests to GitHub
    #[arg(long, exclusive = true)]
    workday: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = if arguments.workday {
        run_workdays()
    } else {
        run_seeds(&arguments)
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run_seeds(arguments: &Arguments) -> Result<(), String> {
    let count = arguments.count;
    let total = total_of(arguments).map_err(|violation| violation.to_string())?;
    let hours = total.micros as f64 / 3.6e9;
    println!("seeds           {count}");
    println!("simulated       {hours:.1} h in {} events", total.events);
    println!("faults          {}", total.faults);
    println!(
        "jobs            {} enqueued, {} assigned, {} abandoned by silent clients",
        total.jobs, total.assigned, total.abandoned
    );
    println!("workflow jobs   {}", total.workflow_jobs);
    println!(
        "forwards        {}, releases {}",
        total.forwards, total.releases
    );
    println!("losses 0, duplicates 0, leaks 0, order inversions 0");
    Ok(())
}

/// Runs all seeds. If an invariant is violated, the result is the violation with the lowest seed, so
/// that it does not depend on the number of threads.
fn total_of(arguments: &Arguments) -> Result<Statistics, Violation> {
    let threads = match arguments.threads {
        _ if arguments.trace => 1,
        Some(threads) => threads.get(),
        None => thread::available_parallelism().map_or(1, NonZero::get),
    };
    let end = arguments.seed.saturating_add(arguments.count);
    let next = AtomicU64::new(arguments.seed);
    let results: Vec<Result<Statistics, Violation>> = thread::scope(|scope| {
        let run = || run_until(&next, end, arguments.trace);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|result| result.expect("a panic in a run ends the process"))
            .collect()
    });
    let mut total = Statistics::default();
    let mut violations = Vec::new();
    for result in results {
        match result {
            Ok(statistics) => total.add(&statistics),
            Err(violation) => violations.push(violation),
        }
    }
    let first = violations
        .into_iter()
        .min_by_key(|violation| violation.seed);
    first.map_or(Ok(total), Err)
}

/// Runs the seed in `next` and the following ones up to `end`. A violation ends the other threads
/// too, after the seeds that they have begun.
fn run_until(next: &AtomicU64, end: u64, trace: bool) -> Result<Statistics, Violation> {
    let run = if trace { simulate_traced } else { simulate };
    let mut total = Statistics::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return Ok(total);
        }
        match run(seed) {
            Ok(statistics) => total.add(&statistics),
            Err(violation) => {
                next.store(end, Ordering::Relaxed);
                return Err(violation);
            }
        }
    }
}

/// An idle day, a typical one, and one with an outage of an hour at noon, each with and without
/// webhooks.
fn run_workdays() -> Result<(), String> {
    let outage = Outage {
        starts_after: Duration::from_secs(12 * 3600),
        length: Duration::from_secs(3600),
    };
    let jobs = Workday::TYPICAL.jobs;
    let mut is_within_limit = true;
    println!("day             webhooks  jobs   run  requests  per job  in the busiest hour");
    for has_webhooks in [false, true] {
        for (name, jobs, outage) in [
            ("idle", 0, None),
            ("typical", jobs, None),
            ("hour of outage", jobs, Some(outage)),
        ] {
            let workday = Workday {
                jobs,
                has_webhooks,
                outage,
                ..Workday::TYPICAL
            };
            let statistics =
                simulate_workday(workday).map_err(|violation| format!("{name}: {violation}"))?;
            let requests = statistics.github_requests;
            is_within_limit &= statistics.github_requests_per_hour < Workday::REQUESTS_PER_HOUR_MAX;
            println!(
                "{name:<16}{:<8}  {jobs:>4}  {:>4}  {requests:>8}  {:>7.1}  {:>19}",
                if has_webhooks { "yes" } else { "no" },
                statistics.workflow_jobs,
                requests as f64 / jobs.max(1) as f64,
                statistics.github_requests_per_hour,
            );
        }
    }
    if is_within_limit {
        Ok(())
    } else {
        Err("the busiest hour exceeds a fifth of the hourly rate limit".to_owned())
    }
}
