//! Some hundred stories, each of which has to end well.

use std::time::Duration;

use simulation::{Day, Outage, Tally, Violation, simulate};

/// How many stories; `simulate N` plays more.
const SEEDS: u64 = 300;
/// How many are played at a time.
const THREADS: u64 = 2;

#[test]
fn the_rules_hold_in_every_story() {
    let play = |first| {
        (first..SEEDS)
            .step_by(THREADS as usize)
            .map(simulate)
            .collect::<Vec<_>>()
    };
    let played: Vec<Result<Tally, Violation>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|first| scope.spawn(move || play(first)))
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let mut total = Tally::default();
    for outcome in played {
        match outcome {
            Ok(tally) => total.add(&tally),
            Err(violation) => panic!(
                "{violation}\nplay it again: cargo run --bin simulate -- 1 --aloud --seed {}",
                violation.seed
            ),
        }
    }
    // The stories are about something: most jobs are served although much goes wrong.
    assert!(total.faults > 10_000, "{total:?}");
    assert!(total.served * 2 > total.jobs, "{total:?}");
    assert!(total.workflow_jobs > 1000, "{total:?}");
}

/// The whole day, with webhooks and without, is played every night: `simulate --day`.
#[test]
fn two_hours_of_ten_servers_take_less_than_a_fifth_of_githubs_limit_and_an_outage_costs_no_job() {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let day = Day {
        jobs: 80,
        length: minutes(120),
        outage: Some(Outage {
            from: minutes(45),
            length: minutes(30),
        }),
        ..Day::WORKING
    };
    let tally = day.play().unwrap_or_else(|violation| panic!("{violation}"));
    assert_eq!(tally.workflow_jobs, 80, "{tally:?}");
    assert!(tally.github_calls_peak < Day::CALLS_MAX, "{tally:?}");
}

#[test]
fn a_seed_gives_the_same_story_each_time() {
    let [one, other] = [3, 3].map(|seed| format!("{:?}", simulate(seed)));
    assert_eq!(one, other);
}
