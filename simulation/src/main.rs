//! Plays many stories, one after another, and says what happened in all of them.

use std::process::ExitCode;

use clap::Parser;
use simulation::{Tally, simulate, simulate_aloud};

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
}

fn main() -> ExitCode {
    let Arguments { count, seed, aloud } = Arguments::parse();
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
