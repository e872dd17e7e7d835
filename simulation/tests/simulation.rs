//! Simulated runs of several hundred seeds.

use std::time::Duration;

use simulation::{Outage, Statistics, Violation, Workday, simulate, simulate_workday};

/// Number of seeds; `simulate N` runs more.
const SEEDS: u64 = 300;
const THREADS: u64 = 2;

#[test]
fn the_invariants_hold_for_all_seeds() {
    let run = |first| {
        (first..SEEDS)
            .step_by(THREADS as usize)
            .map(simulate)
            .collect::<Vec<_>>()
    };
    let results: Vec<Result<Statistics, Violation>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|first| scope.spawn(move || run(first)))
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let mut total = Statistics::default();
    for result in results {
        match result {
            Ok(statistics) => total.add(&statistics),
            Err(violation) => panic!(
                "{violation}\nto replay: cargo run --bin simulate -- 1 --trace --seed {}",
                violation.seed
            ),
        }
    }
    // Without these, the runs would prove little: faults occur, and most jobs succeed anyway.
    assert!(total.faults > 10_000, "{total:?}");
    assert!(total.assigned * 2 > total.jobs, "{total:?}");
    assert!(total.workflow_jobs > 1000, "{total:?}");
}

/// The nightly workflow simulates whole days, with webhooks and without: `simulate --workday`.
#[test]
fn two_hours_of_ten_servers_use_a_fifth_of_the_rate_limit_and_an_outage_loses_no_job() {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let workday = Workday {
        jobs: 80,
        length: minutes(120),
        outage: Some(Outage {
            starts_after: minutes(45),
            length: minutes(30),
        }),
        ..Workday::TYPICAL
    };
    let statistics = simulate_workday(workday).unwrap_or_else(|violation| panic!("{violation}"));
    assert_eq!(statistics.workflow_jobs, 80, "{statistics:?}");
    assert!(
        statistics.github_requests_per_hour < Workday::REQUESTS_PER_HOUR_MAX,
        "{statistics:?}"
    );
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    let [one, other] = [3, 3].map(|seed| format!("{:?}", simulate(seed)));
    assert_eq!(one, other);
}
