//! A server's monitor states absurd targets, so that the runners of other servers seem to be missing.

use serde_json::{Value, json};

use crate::{
    bed::{Bed, BedSettings, Daemons},
    fake_monitor::FakeMonitor,
    http::fetch,
    outcome::{Attack, Outcome},
    wait,
};

pub const ATTACK: Attack = Attack {
    name: "targets",
    does: "is the owner of three servers, whose monitors state a target and idle runners of 2^64 - 2, 3,000 profiles with such targets, and \
           numbers that are none",
    guarantee: "the idle runners of the other servers are shown and assigned",
    run,
};

fn run(daemons: &Daemons) -> Outcome {
    let edits: [fn(&mut Value); 3] = [exaggerate, add_profiles, confuse];
    let hostile = edits.map(|edit| {
        let monitor = FakeMonitor::start();
        monitor.change(|state| state.edit_dashboard = Some(edit));
        monitor
    });
    let servers = hostile.each_ref().map(|monitor| monitor.url.clone());
    let settings = BedSettings {
        target_count: 2,
        servers: &servers,
        ..BedSettings::default()
    };
    let bed = Bed::start_without_waiting(daemons, &settings);
    let address = bed.queue.address;
    wait::until("the queue assigns runners", || {
        (fetch(address, "GET", "/readyz", "").status == 200).then_some(())
    });
    let assigned = (0..2).filter(|number| is_assigned(&bed, *number)).count();
    Outcome::new(format!("{assigned} of 2 runners assigned"), assigned == 2)
}

fn add_profiles(dashboard: &mut Value) {
    exaggerate(dashboard);
    let counts = dashboard["profile_runner_counts"]["linux"].clone();
    for number in 0..3000 {
        dashboard["profile_runner_counts"][format!("linux-{number}")] = counts.clone();
    }
}

fn confuse(dashboard: &mut Value) {
    dashboard["profile_runner_counts"]["linux"]["target"] = json!(-1.5e308);
    dashboard["profile_runner_counts"]["linux"]["idle"] = json!("many");
}

fn exaggerate(dashboard: &mut Value) {
    dashboard["profile_runner_counts"]["linux"]["target"] = json!(u64::MAX - 1);
    dashboard["profile_runner_counts"]["linux"]["idle"] = json!(u64::MAX - 1);
}

fn is_assigned(bed: &Bed, number: usize) -> bool {
    let ticket = bed.enqueue(&format!("job-{number}"));
    let take = format!("/take/job-{number}?token={ticket}");
    fetch(bed.queue.address, "POST", &take, "Prefer: wait=20\r\n").status == 200
}
