//! The queue is killed with SIGKILL fifty times, while clients enqueue and while jobs are assigned.

use super::{WorkflowJobs, assert_assigned_in_order};
use crate::support::*;

/// How often the queue is killed.
const KILLS: usize = 50;
/// How many of these kills happen while clients still enqueue.
const KILLS_DURING_ENQUEUES: usize = 20;
/// The number of jobs of each pool.
const JOBS: [usize; 3] = [16, 16, 8];
const ALL_JOBS: usize = 40;
/// The startup grace period in seconds. Longer than any client pauses, with a margin for busy machines.
const SETTLE: u64 = 4;

/// No pool has runners for two jobs at once, so the ids of the runners, which a monitor assigns in the
/// order of their creation, show the order in which the jobs got them. Jobs of the last pool need two
/// runners.
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

/// Starts all clients. Every second one asks the queue to hold its takes.
fn start_clients(clients: &mut Clients) {
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
}

#[actix_web::test]
async fn a_queue_that_is_killed_fifty_times_keeps_every_job_and_their_order() {
    let mut fleet = Fleet::start(&POOLS, SETTLE).await;
    let mut clients = Clients::new(&fleet.queue_url, fleet.folder.path());
    start_clients(&mut clients);
    let mut jobs = WorkflowJobs::default();
    let mut kills = 0;
    while kills < KILLS_DURING_ENQUEUES {
        let enqueued = clients.enqueued_count();
        wait_until("a client enqueues or returns", async || {
            clients.enqueued_count() > enqueued || !fleet.waiting_jobs().await.is_empty()
        })
        .await;
        fleet.kill_and_restart_queue().await;
        kills += 1;
    }
    // Then whenever five more jobs have runners, five times in a row: again within the startup grace
    // period.
    while kills < KILLS {
        let goal = (clients.assigned_count() + 5).min(ALL_JOBS);
        wait_until("five more jobs have runners", async || {
            jobs.run(&fleet, &clients.results()).await;
            clients.assigned_count() >= goal
        })
        .await;
        for _ in 0..5.min(KILLS - kills) {
            fleet.kill_and_restart_queue().await;
            kills += 1;
            let url = format!("{}/dashboard.json", fleet.queue_url);
            wait_until("the queue responds again", async || {
                get(&url).await.is_some()
            })
            .await;
        }
    }
    wait_until("every job has its runners", async || {
        jobs.run(&fleet, &clients.results()).await;
        clients.assigned_count() == ALL_JOBS
    })
    .await;
    jobs.run(&fleet, &clients.results()).await;
    fleet.wait_until_all_idle(&POOLS).await;

    let results = clients.results();
    for (index, pool) in POOLS.iter().enumerate() {
        assert_assigned_in_order(&fleet, index, pool, &results).await;
    }
    let logs = fleet.logs();
    assert!(!logs.contains("panicked"), "{logs}");
    assert!(!logs.contains(API_TOKEN), "{logs}");
}
