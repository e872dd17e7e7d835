//! Clients hang up while their takes are held, just when a runner is coming; then they ask again.

use std::collections::BTreeMap;

use super::{Jobs, check_served};
use crate::support::*;

const POOL: Pool = Pool {
    name: "a",
    profile: "linux",
    target: 1,
};
const JOBS: usize = 6;

#[actix_web::test]
async fn a_runner_whose_client_hung_up_waits_for_it_to_ask_again() {
    let fleet = Fleet::start(&[POOL], 1).await;
    let mut told = BTreeMap::new();
    let mut jobs = Jobs::default();
    for round in 0..=JOBS {
        // In the last round nobody hangs up.
        let is_last = round == JOBS;
        let mut clients = Clients::of(&fleet.queue_url, fleet.folder.path());
        for number in 0..JOBS {
            let unique_id = format!("job-{number}");
            if !told.contains_key(&unique_id) {
                clients.start(&unique_id, "linux", &["--header", "prefer: wait=60"]);
            }
        }
        let missing = JOBS - told.len();
        until("everybody holds a take", async || {
            clients.counts().0 == missing
        })
        .await;
        // What was given out runs, ends, and its runner is replaced: for the next.
        jobs.run(&fleet, &told).await;
        if is_last {
            until("everybody is served", async || {
                jobs.run(&fleet, &clients.told()).await;
                clients.counts().1 == missing
            })
            .await;
        } else {
            until("a runner is reserved for the next", async || {
                let reservations = fleet.reservations(0).await;
                let states = reservations.as_object().unwrap().values();
                states.clone().any(|held| held["state"] == "held")
            })
            .await;
            clients.kill().await;
        }
        let served = clients.told().into_iter();
        told.extend(served.filter(|(_, told)| told.runners.is_some()));
    }
    assert_eq!(told.len(), JOBS);
    jobs.run(&fleet, &told).await;
    fleet.until_all_are_idle(&[POOL]).await;
    check_served(&fleet, 0, &POOL, &told).await;
}
