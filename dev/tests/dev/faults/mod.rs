//! Processes are killed and stopped, connections are cut. Everything is a real process: daemons, the
//! agents of the runners, and clients made of curl.
//!
//! - `killed_queue`: the queue is killed again and again
//! - `stopped_monitor`: a monitor is stopped with SIGSTOP, so that its port accepts connections
//! - `problems`: what is wrong with GitHub, a host or a server is shown everywhere, with cause and remedy
//! - `lost_clients`: clients disconnect while their takes are held

mod killed_queue;
mod lost_clients;
mod problems;
mod shown;
mod stopped_monitor;

use std::collections::{BTreeMap, BTreeSet};

use crate::support::*;

/// Asserts for one monitor: every job has runners of its own, in the order of the enqueues; the
/// reservations on its dashboard are those that the clients got; no runner was created for no job.
async fn assert_assigned_in_order(
    fleet: &Fleet,
    index: usize,
    pool: &Pool,
    results: &BTreeMap<String, ClientResult>,
) {
    let of_pool = results.iter().filter_map(|(unique_id, result)| {
        let runners = result.runners.as_ref()?;
        let server = runners[0]["server"].as_str()?.trim_end_matches('/');
        let ids: Vec<u64> = runners.iter().map(|r| r["id"].as_u64().unwrap()).collect();
        (server == fleet.monitor_urls[index]).then_some((result.enqueued_at, unique_id, ids))
    });
    let mut in_order: Vec<_> = of_pool.collect();
    in_order.sort();
    let assigned: Vec<u64> = in_order.iter().flat_map(|(.., ids)| ids.clone()).collect();
    assert!(assigned.is_sorted(), "out of order: {in_order:?}");
    let distinct: BTreeSet<_> = assigned.iter().collect();
    assert_eq!(distinct.len(), assigned.len(), "twice: {in_order:?}");

    // A workflow job that ends at once may end before the monitor observes it. Then its reservation
    // is not on the dashboard.
    let expected: BTreeMap<_, _> = in_order.iter().map(|(_, id, ids)| (*id, ids)).collect();
    let reservations = fleet.reservations(index).await;
    for (unique_id, reservation) in reservations.as_object().unwrap() {
        let ids: Vec<u64> = serde_json::from_value(reservation["runners"].clone()).unwrap();
        assert_eq!(Some(&&ids), expected.get(unique_id), "{unique_id}");
        assert_eq!(reservation["state"], "served", "{unique_id}");
    }
    let dashboard = get(&format!("{}/dashboard.json", fleet.monitor_urls[index])).await;
    let dashboard = dashboard.unwrap();
    let runners = dashboard["runners"].as_array().unwrap();
    let newest = runners.iter().map(|r| r["id"].as_u64().unwrap()).max();
    // Ids begin with 0, and the last runners are idle.
    let created = usize::try_from(newest.unwrap()).unwrap() + 1;
    assert_eq!(created, assigned.len() + pool.target, "unused runners");
}

/// Queues the workflow jobs of the clients.
#[derive(Default)]
struct WorkflowJobs {
    /// The `unique_id` of each client whose workflow jobs were queued.
    queued: BTreeSet<String>,
}

impl WorkflowJobs {
    /// Queues a workflow job for every runner that was assigned since the last call. Each ends at
    /// once, and with it its runner.
    async fn run(&mut self, fleet: &Fleet, results: &BTreeMap<String, ClientResult>) {
        for (unique_id, result) in results {
            let Some(runners) = &result.runners else {
                continue;
            };
            if self.queued.insert(unique_id.clone()) {
                for runner in runners {
                    queue_workflow_job(&fleet.github, &runner["label"], "true").await;
                }
            }
        }
    }
}
