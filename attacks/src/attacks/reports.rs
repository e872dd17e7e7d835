//! A server's monitor answers every poll with a large report that differs from the last one.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    bed::{AUTHORISED, Bed, BedSettings, Daemons},
    fake_monitor::FakeMonitor,
    http::{Connection, fetch, request},
    outcome::{Attack, Outcome},
    wait,
};

pub const ATTACK: Attack = Attack {
    name: "reports",
    does: "is the owner of one server, whose monitor answers each poll at once with a new report of 7 MB",
    guarantee: "a runner that becomes idle at another server is assigned within 20 ms (median)",
    run,
};

const ASSIGNMENTS: usize = 100;
const MEDIAN_MAX: Duration = Duration::from_millis(20);

fn run(daemons: &Daemons) -> Outcome {
    let honest = FakeMonitor::start();
    let hostile = FakeMonitor::start();
    let servers = [honest.url.clone(), hostile.url.clone()];
    let settings = BedSettings {
        servers: &servers,
        ..BedSettings::default()
    };
    let bed = Bed::start(daemons, &settings);
    let mut alone = assignments(&bed, &honest, "alone");
    let is_over = AtomicBool::new(false);
    let mut during = std::thread::scope(|scope| {
        let (hostile, is_over) = (&hostile, &is_over);
        scope.spawn(move || {
            hostile.change(|state| state.edit_dashboard = Some(enlarge));
            while !is_over.load(Ordering::Relaxed) {
                hostile.change(|_| {});
                wait::pause(Duration::from_millis(5));
            }
        });
        let during = assignments(&bed, &honest, "during");
        is_over.store(true, Ordering::Relaxed);
        during
    });
    let millis = |durations: &mut [Duration], share| {
        wait::percentile(durations, share).as_secs_f64() * 1000.0
    };
    let measured = format!(
        "median {:.1} ms alone, {:.1} ms (p99 {:.0} ms) beside it",
        millis(&mut alone, 0.5),
        millis(&mut during, 0.5),
        millis(&mut during, 0.99),
    );
    let is_repelled = wait::percentile(&mut during, 0.5) < MEDIAN_MAX;
    Outcome::new(measured, is_repelled)
}

/// Adds 7 MB to a dashboard.
fn enlarge(dashboard: &mut Value) {
    let runner = |id: u64| json!({"id": id, "status": "busy", "profile_key": "linux", "padding": "x".repeat(600)});
    dashboard["runners"] = (1_000_000..1_010_000).map(runner).collect();
}

/// How long it takes from the moment at which a runner becomes idle until a held take is answered.
fn assignments(bed: &Bed, honest: &FakeMonitor, prefix: &str) -> Vec<Duration> {
    let assign = |number| {
        let job = format!("{prefix}-{number}");
        let path =
            format!("/profile/linux/enqueue?unique_id={job}&qualified_repo=delan/servo&run_id=7");
        let ticket = fetch(bed.queue.address, "POST", &path, AUTHORISED).text();
        let mut held = Connection::to(bed.queue.address).expect("the queue listens");
        let take = format!("/take/{job}?token={ticket}");
        held.send(&request("POST", &take, "Prefer: wait=60\r\n"))
            .expect("the queue reads the request");
        // A later request on another connection is answered: the queue has read the take.
        fetch(bed.queue.address, "GET", &format!("/job/{job}"), AUTHORISED);
        let began_at = wait::now();
        honest.boot(1);
        let response = held.receive().expect("the queue responds");
        assert_eq!(response.status, 200, "{}", response.text());
        began_at.elapsed()
    };
    (0..ASSIGNMENTS).map(assign).collect()
}
