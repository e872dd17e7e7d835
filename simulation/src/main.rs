//! Plays many stories, one after another, and says what happened in all of them.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use simulation::{Day, Outage, Tally, simulate, simulate_aloud};

/// Plays the stories of many seeds, each with its own servers, clients and faults.
#[derive(Parser)]
#[command(name = "simulate")]
struct Arguments {
    /// How many seeds.
    #[arg(default_value_t = 1000)]
    count: u64,
    /// The first one. A failure prints its seed; `simulate 1 --seed N` plays it again.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Tell the stories, message by message.
    #[arg(long)]
    aloud: bool,
    /// Play an ordinary day instead, and say what it costs at GitHub.
    #[arg(long, exclusive = true)]
    day: bool,
}

fn main() -> ExitCode {
    let Arguments {
        count,
        seed,
        aloud,
        day,
    } = Arguments::parse();
    if day {
        return play_days();
    }
    let play = if aloud { simulate_aloud } else { simulate };
    let mut total = Tally::default();
    for seed in seed..seed.saturating_add(count) {
        match play(seed) {
            Ok(tally) => total.add(&tally),
            Err(violation) => {
                println!("{violation}");
                return ExitCode::FAILURE;
            }
        }
    }
    let hours = total.micros as f64 / 3.6e9;
    println!("seeds           {count}");
    println!("simulated       {hours:.1} h in {} events", total.events);
    println!("faults          {}", total.faults);
    println!(
        "jobs            {} enqueued, {} served, {} given up rightly",
        total.jobs, total.served, total.given_up
    );
    println!("workflow jobs   {}", total.workflow_jobs);
    println!(
        "forwards        {}, releases {}",
        total.forwards, total.releases
    );
    println!("losses 0, doubles 0, leaks 0, order inversions 0");
    ExitCode::SUCCESS
}

/// An ordinary day, an idle one, each with webhooks and without; and an outage of an hour at noon.
fn play_days() -> ExitCode {
    let outage = Outage {
        from: Duration::from_secs(12 * 3600),
        length: Duration::from_secs(3600),
    };
    let mut is_cheap = true;
    println!("                            jobs  run   requests  a job  most in an hour");
    for has_webhooks in [false, true] {
        for (what, jobs, outage) in [
            ("idle day", 0, None),
            ("working day", Day::WORKING.jobs, None),
            ("with an hour's outage", Day::WORKING.jobs, Some(outage)),
        ] {
            let day = Day {
                jobs,
                has_webhooks,
                outage,
                ..Day::WORKING
            };
            let tally = match day.play() {
                Ok(tally) => tally,
                Err(violation) => {
                    println!("{what}: {violation}");
                    return ExitCode::FAILURE;
                }
            };
            let calls = tally.github_calls;
            is_cheap &= tally.github_calls_peak < Day::CALLS_MAX;
            println!(
                "{what:<22} {:<4} {jobs:>4} {:>4} {calls:>10} {:>6.1} {:>16}",
                if has_webhooks { "told" } else { "" },
                tally.workflow_jobs,
                calls as f64 / jobs.max(1) as f64,
                tally.github_calls_peak,
            );
        }
    }
    if !is_cheap {
        println!("that is more than a fifth of the hourly limit");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
