//! What must hold when processes are killed, frozen and cut off in earnest: the fleet is real, down
//! to the processes of the runners, and its clients are curl.
//!
//! - `killed`: the queue, again and again
//! - `frozen`: a monitor that neither works nor ends
//! - `hung_up`: clients that go away while their takes are held

mod frozen;
mod hung_up;
mod killed;

use std::collections::{BTreeMap, BTreeSet};

use crate::support::*;

/// Everybody has runners of their own, in the order in which they were enqueued; what the monitor
/// remembers is what they were told, and no runner went to nobody.
async fn check_served(fleet: &Fleet, index: usize, pool: &Pool, told: &BTreeMap<String, Told>) {
    let of_pool = told.iter().filter_map(|(unique_id, told)| {
        let runners = told.runners.as_ref()?;
        let server = runners[0]["server"].as_str()?.trim_end_matches('/');
        let ids: Vec<u64> = runners.iter().map(|r| r["id"].as_u64().unwrap()).collect();
        (server == fleet.monitor_urls[index]).then_some((told.enqueued_at, unique_id, ids))
    });
    let mut in_order: Vec<_> = of_pool.collect();
    in_order.sort();
    let given: Vec<u64> = in_order.iter().flat_map(|(.., ids)| ids.clone()).collect();
    assert!(given.is_sorted(), "out of order: {in_order:?}");
    let distinct: BTreeSet<_> = given.iter().collect();
    assert_eq!(distinct.len(), given.len(), "given twice: {in_order:?}");

    // A workflow job that ends at once may end unseen: then its reservation is not remembered.
    let expected: BTreeMap<_, _> = in_order.iter().map(|(_, id, ids)| (*id, ids)).collect();
    let reservations = fleet.reservations(index).await;
    for (unique_id, remembered) in reservations.as_object().unwrap() {
        let ids: Vec<u64> = serde_json::from_value(remembered["runners"].clone()).unwrap();
        assert_eq!(Some(&&ids), expected.get(unique_id), "{unique_id}");
        assert_eq!(remembered["state"], "served", "{unique_id}");
    }
    let dashboard = get(&format!("{}/dashboard.json", fleet.monitor_urls[index])).await;
    let dashboard = dashboard.unwrap();
    let runners = dashboard["runners"].as_array().unwrap();
    let newest = runners.iter().map(|r| r["id"].as_u64().unwrap()).max();
    // Numbers begin with 0, and the last ones are idle.
    let made = usize::try_from(newest.unwrap()).unwrap() + 1;
    assert_eq!(made, given.len() + pool.target, "runners for nobody");
}

/// The workflow jobs of those who have their runners.
#[derive(Default)]
struct Jobs {
    queued: BTreeSet<String>,
}

impl Jobs {
    /// Queues a workflow job for every runner that was given out since the last time; each ends at
    /// once, and with it its runner.
    async fn run(&mut self, fleet: &Fleet, told: &BTreeMap<String, Told>) {
        for (unique_id, told) in told {
            let Some(runners) = &told.runners else {
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
