//! Clients disconnect while their takes are held, just when a runner becomes idle; then they return.

use std::collections::BTreeMap;

use super::{WorkflowJobs, assert_assigned_in_order};
use crate::support::*;

const POOL: Pool = Pool {
    name: "a",
    profile: "linux",
    target: 1,
};
const JOBS: usize = 6;

#[actix_web::test]
async fn a_runner_whose_client_disconnected_is_kept_until_the_client_returns() {
    let fleet = Fleet::start(&[POOL], 1).await;
    let mut results = BTreeMap::new();
    let mut jobs = WorkflowJobs::default();
    for round in 0..=JOBS {
        let is_last = round == JOBS;
        let mut clients = Clients::new(&fleet.queue_url, fleet.folder.path());
        for number in 0..JOBS {
            let unique_id = format!("job-{number}");
            if !results.contains_key(&unique_id) {
                clients.start(&unique_id, "linux", &["--header", "prefer: wait=60"]);
            }
        }
        let missing = JOBS - results.len();
        wait_until("every take is held", async || {
            clients.enqueued_count() == missing
        })
        .await;
        // Runs the jobs that have a runner; the replacement of the runner is for the next job.
        jobs.run(&fleet, &results).await;
        if is_last {
            // In the last round no client disconnects.
            wait_until("every job has a runner", async || {
                jobs.run(&fleet, &clients.results()).await;
                clients.assigned_count() == missing
            })
            .await;
        } else {
            wait_until("a runner is reserved for the next job", async || {
                let reservations = fleet.reservations(0).await;
                let mut states = reservations.as_object().unwrap().values();
                states.any(|reservation| reservation["state"] == "held")
            })
            .await;
            clients.kill().await;
        }
        let assigned = clients.results().into_iter();
        results.extend(assigned.filter(|(_, result)| result.runners.is_some()));
    }
    assert_eq!(results.len(), JOBS);
    jobs.run(&fleet, &results).await;
    fleet.wait_until_all_idle(&[POOL]).await;
    assert_assigned_in_order(&fleet, 0, &POOL, &results).await;
}
