//! `simulate`: runs the simulation for many seeds and prints statistics, or the first violation.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use simulation::{Outage, Statistics, Workday, simulate, simulate_traced, simulate_workday};

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
    /// Print every message, reply and fault
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
    let Arguments {
        count, seed, trace, ..
    } = *arguments;
    let run = if trace { simulate_traced } else { simulate };
    let mut total = Statistics::default();
    for seed in seed..seed.saturating_add(count) {
        let statistics = run(seed).map_err(|violation| violation.to_string())?;
        total.add(&statistics);
    }
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
