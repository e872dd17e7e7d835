//! Some hundred stories, each of which has to end well.

use simulation::{Tally, simulate};

/// How many stories; `simulate N` plays more.
const SEEDS: u64 = 300;

#[test]
fn the_rules_hold_in_every_story() {
    let mut total = Tally::default();
    for seed in 0..SEEDS {
        match simulate(seed) {
            Ok(tally) => total.add(&tally),
            Err(violation) => panic!(
                "{violation}\nplay it again: cargo run -p simulation -- 1 --seed {}",
                violation.seed
            ),
        }
    }
    // The stories are about something: most jobs are served although much goes wrong.
    assert!(total.faults > 10_000, "{total:?}");
    assert!(total.served * 2 > total.jobs, "{total:?}");
    assert!(total.workflow_jobs > 1000, "{total:?}");
}

#[test]
fn a_seed_gives_the_same_story_each_time() {
    let [one, other] = [3, 3].map(|seed| format!("{:?}", simulate(seed)));
    assert_eq!(one, other);
}
