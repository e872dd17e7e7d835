//! A monitor is stopped with SIGSTOP: its port accepts connections, and no request is answered.

use super::WorkflowJobs;
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
async fn a_stopped_monitor_delays_no_job_and_has_lost_no_runner_when_it_continues() {
    let fleet = Fleet::start(&POOLS, 1).await;
    let mut jobs = WorkflowJobs::default();
    let mut clients = Clients::new(&fleet.queue_url, fleet.folder.path());
    fleet.signal_monitor(0, "STOP").await;
    for number in 0..4 {
        let unique_id = format!("stopped-{number}");
        clients.start(&unique_id, "linux", &["--header", "prefer: wait=30"]);
    }
    wait_until("all jobs got runners of the other server", async || {
        jobs.run(&fleet, &clients.results()).await;
        clients.assigned_count() == 4
    })
    .await;
    for (unique_id, result) in clients.results() {
        let runner = &result.runners.unwrap()[0];
        let server = runner["server"].as_str().unwrap();
        assert_eq!(
            server.trim_end_matches('/'),
            fleet.monitor_urls[1],
            "{unique_id}"
        );
    }

    fleet.signal_monitor(0, "CONT").await;
    // Its runner is idle, so the queue has released what it tried to take meanwhile.
    fleet.wait_until_all_idle(&POOLS).await;
    for number in 0..2 {
        clients.start(&format!("continued-{number}"), "linux", &[]);
    }
    wait_until("both further jobs have a runner", async || {
        clients.assigned_count() == 6
    })
    .await;
    let results = clients.results();
    let servers = [0, 1].map(|number| {
        let result = &results[&format!("continued-{number}")];
        result.runners.as_ref().unwrap()[0]["server"].clone()
    });
    assert_ne!(servers[0], servers[1]);
    // It holds no reservation for a job that got a runner of the other server.
    let reservations = fleet.reservations(0).await;
    let reserved: Vec<&String> = reservations.as_object().unwrap().keys().collect();
    assert!(
        reserved.iter().all(|id| id.starts_with("continued-")),
        "{reservations}"
    );
}
