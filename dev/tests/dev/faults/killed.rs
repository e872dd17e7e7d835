//! The queue is killed with -9, fifty times, while its clients enqueue and while they are served.

use super::{Jobs, check_served};
use crate::support::*;

/// How often the queue is killed.
const KILLS: usize = 50;
/// Of these, how often while its clients are still enqueueing.
const KILLS_IN_THE_RUSH: usize = 20;
/// How many jobs there are of each profile.
const JOBS: [usize; 3] = [16, 16, 8];
const ALL_JOBS: usize = 40;
/// Longer than any client is told to wait, by a margin for machines that are busy.
const SETTLE: u64 = 4;

/// None of them can serve two jobs at a time, so that the numbers of the runners, which the monitor
/// gives them as it makes them, tell in which order jobs were served. Jobs of the last one want two.
const POOLS: [Pool; 3] = [
    Pool {
        name: "a",
        profile: "linux",
        target: 1,
    },
    Pool {
        name: "b",
        profile: "windows",
        target: 1,
    },
    Pool {
        name: "c",
        profile: "macos",
        target: 2,
    },
];

#[actix_web::test]
async fn a_queue_that_is_killed_fifty_times_loses_nobody_doubles_nothing_and_keeps_the_order() {
    let mut fleet = Fleet::start(&POOLS, SETTLE).await;
    let mut clients = Clients::of(&fleet.queue_url, fleet.folder.path());
    for (pool, count) in POOLS.iter().zip(JOBS) {
        for number in 0..count {
            let held = ["--header", "prefer: wait=10"];
            let options = if number % 2 == 0 { &held[..] } else { &[] };
            let profile = match pool.target {
                1 => pool.profile.to_owned(),
                target => format!("{}/{target}", pool.profile),
            };
            clients.start(&format!("{}-{number}", pool.name), &profile, options);
        }
    }
    let mut jobs = Jobs::default();
    let mut kills = 0;
    // In the rush: as soon as one more is enqueued, or somebody is back in line.
    while kills < KILLS_IN_THE_RUSH {
        let (enqueued, _) = clients.counts();
        until("somebody comes to the queue", async || {
            clients.counts().0 > enqueued || !fleet.jobs_in_line().await.is_empty()
        })
        .await;
        fleet.kill_and_restart_queue().await;
        kills += 1;
    }
    // While it serves: when some more have their runners and others are being replaced, then again
    // and again before it has settled.
    while kills < KILLS {
        let goal = (clients.counts().1 + 5).min(ALL_JOBS);
        until("some more are served", async || {
            jobs.run(&fleet, &clients.told()).await;
            clients.counts().1 >= goal
        })
        .await;
        for _ in 0..5.min(KILLS - kills) {
            fleet.kill_and_restart_queue().await;
            kills += 1;
            let health = format!("{}/dashboard.json", fleet.queue_url);
            until("the queue is back", async || get(&health).await.is_some()).await;
        }
    }
    until("everybody is served", async || {
        jobs.run(&fleet, &clients.told()).await;
        clients.counts() == (ALL_JOBS, ALL_JOBS)
    })
    .await;
    jobs.run(&fleet, &clients.told()).await;
    fleet.until_all_are_idle(&POOLS).await;

    let told = clients.told();
    for (index, pool) in POOLS.iter().enumerate() {
        check_served(&fleet, index, pool, &told).await;
    }
    let logs = fleet.logs();
    assert!(!logs.contains("panicked"), "{logs}");
    assert!(!logs.contains(API_TOKEN), "{logs}");
}
