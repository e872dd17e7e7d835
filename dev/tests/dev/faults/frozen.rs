//! A monitor is frozen: its port is open, it takes connections and says nothing.

use super::Jobs;
use crate::support::*;

const POOLS: [Pool; 2] = [
    Pool {
        name: "a",
        profile: "linux",
        target: 1,
    },
    Pool {
        name: "b",
        profile: "linux",
        target: 1,
    },
];

#[actix_web::test]
async fn a_frozen_monitor_holds_nobody_up_and_has_lost_nothing_when_it_thaws() {
    let fleet = Fleet::start(&POOLS, 1).await;
    let mut jobs = Jobs::default();
    let mut clients = Clients::of(&fleet.queue_url, fleet.folder.path());
    fleet.signal_monitor(0, "STOP").await;
    for number in 0..4 {
        let unique_id = format!("frozen-{number}");
        clients.start(&unique_id, "linux", &["--header", "prefer: wait=30"]);
    }
    until("everybody is served elsewhere", async || {
        jobs.run(&fleet, &clients.told()).await;
        clients.counts() == (4, 4)
    })
    .await;
    for (unique_id, told) in clients.told() {
        let runner = &told.runners.unwrap()[0];
        let server = runner["server"].as_str().unwrap();
        assert_eq!(
            server.trim_end_matches('/'),
            fleet.monitor_urls[1],
            "{unique_id}"
        );
    }

    fleet.signal_monitor(0, "CONT").await;
    // Whatever was asked of it in vain has been given back.
    fleet.until_all_are_idle(&POOLS).await;
    for number in 0..2 {
        clients.start(&format!("thawed-{number}"), "linux", &[]);
    }
    until("both get one of the two runners", async || {
        clients.counts() == (6, 6)
    })
    .await;
    let told = clients.told();
    let servers = [0, 1].map(|number| {
        told[&format!("thawed-{number}")].runners.as_ref().unwrap()[0]["server"].clone()
    });
    assert_ne!(servers[0], servers[1]);
    // It owes nothing to those who were served elsewhere.
    let reservations = fleet.reservations(0).await;
    let reserved: Vec<&String> = reservations.as_object().unwrap().keys().collect();
    assert!(
        reserved.iter().all(|id| id.starts_with("thawed-")),
        "{reservations}"
    );
}
