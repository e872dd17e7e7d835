//! Pools that follow demand against fixed ones: how long jobs wait, and how many runners are created.
//!
//! `cargo bench -p simulation --bench pools` prints the table of docs/src/performance.md. Both real cores run on
//! virtual time, on the same hardware and the same traces, with fixed seeds, so that every run prints the same.
//! Without `--bench`, as `cargo test` starts it, one short trace is run.

#[path = "../../../queue-core/benches/estimate/truth.rs"]
#[expect(dead_code, reason = "only its distributions are used")]
mod truth;
mod world;

use truth::Random;
use world::{Pools, Profiles, World};

/// How many jobs a trace has.
const JOBS: usize = 2000;
/// Parts of the time in which the runners have jobs or are replaced, in working hours.
const LOADS: [f64; 4] = [0.1, 0.5, 0.7, 0.9];
/// How many pushes come in working hours, of all, and how long these are, in hours of a day.
const WORKING_SHARE: f64 = 0.8;
const WORKING_HOURS: f64 = 10.0;

/// Which jobs one push has.
#[derive(Clone, Copy)]
enum Pushes {
    OfOneProfile,
    /// Jobs of both profiles, in the same shares as all jobs.
    Mixed,
}

/// When each job is enqueued, in seconds, and its profile.
fn trace(
    profiles: &Profiles,
    pushes: Pushes,
    load: f64,
    jobs: usize,
    seed: u64,
) -> Vec<(f64, usize)> {
    let mut random = Random::new(seed);
    // 12.5 jobs in each push, on average.
    let pushed_every = 12.5 * profiles.mean_cycle() / (load * profiles.runners() as f64);
    let night = WORKING_SHARE / (1.0 - WORKING_SHARE) * (24.0 - WORKING_HOURS) / WORKING_HOURS;
    let (mut trace, mut now) = (Vec::new(), 8.0 * 3600.0);
    while trace.len() < jobs {
        // Thinned out outside of working hours.
        now += random.exponential(pushed_every);
        let hour = (now / 3600.0) % 24.0;
        let is_working = (8.0..8.0 + WORKING_HOURS).contains(&hour);
        if !is_working && random.unit() > 1.0 / night {
            continue;
        }
        let pushed = profiles.draw(&mut random);
        for index in 0..5 + random.below(16) {
            let profile = match pushes {
                Pushes::OfOneProfile => pushed,
                Pushes::Mixed => profiles.draw(&mut random),
            };
            trace.push((now + 0.2 * index as f64, profile));
        }
    }
    trace
}

struct Figures {
    mean: f64,
    p99: f64,
    waited: usize,
    created: usize,
}

fn figures(profiles: &Profiles, pools: Pools, trace: &[(f64, usize)], seed: u64) -> Figures {
    let mut world = World::new(profiles, pools, Random::new(seed));
    let (mut waits, created) = world.run(trace);
    waits.sort_by(f64::total_cmp);
    Figures {
        mean: waits.iter().sum::<f64>() / waits.len() as f64,
        p99: waits[waits.len() * 99 / 100],
        waited: waits.iter().filter(|wait| **wait > 1.0).count(),
        created,
    }
}

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let profiles = Profiles::published();
    println!(
        "3 servers with room for 6 runners: linux 4, windows 2; or, following demand, none to 6 of each"
    );
    let pushes = [
        ("Each push has jobs of one profile", Pushes::OfOneProfile),
        ("Each push has jobs of both profiles", Pushes::Mixed),
    ];
    for (name, pushes) in pushes {
        println!("\n{name}:\n");
        println!(
            "| load | jobs that waited: fixed, demand | mean wait | ratio | p99 | ratio | runners created | ratio |"
        );
        println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
        for (index, load) in LOADS.into_iter().enumerate() {
            let (jobs, seed) = (if is_bench { JOBS } else { 100 }, 100 + index as u64);
            row(&profiles, load, &trace(&profiles, pushes, load, jobs, seed));
            if !is_bench {
                return;
            }
        }
    }
}

fn row(profiles: &Profiles, load: f64, trace: &[(f64, usize)]) {
    let [fixed, demand] =
        [Pools::Fixed, Pools::FollowDemand].map(|pools| figures(profiles, pools, trace, 7));
    println!(
        "| {:.0} % | {}, {} | {:.1} s, {:.1} s | {:.2} | {:.0} s, {:.0} s | {:.2} | {}, {} | {:.2} |",
        load * 100.0,
        fixed.waited,
        demand.waited,
        fixed.mean,
        demand.mean,
        demand.mean / fixed.mean,
        fixed.p99,
        demand.p99,
        demand.p99 / fixed.p99,
        fixed.created,
        demand.created,
        demand.created as f64 / fixed.created as f64,
    );
}
