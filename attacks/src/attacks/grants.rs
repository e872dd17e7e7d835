//! The owner of one server grants labels that are not its own, and reports the jobs of others as its own.

use serde_json::{Value, json};

use crate::{
    bed::{Bed, BedSettings, Daemons},
    fake_monitor::{FakeMonitor, Fault},
    http::fetch,
    outcome::{Attack, Outcome},
    wait,
};

pub const ATTACK: Attack = Attack {
    name: "grants",
    does: "is the owner of one server, whose monitor grants runners with six kinds of invalid labels, and reports that three \
           jobs which were forwarded to others hold or have used its runners",
    guarantee: "no client gets such a label, and no job is ended or assigned by such a report",
    run,
};

/// Labels that a workflow cannot use, or that are not one label.
const LABELS: &[&str] = &["", "a,b", "self-hosted,linux", "a\nb", " a", "a\u{202e}b"];
const JOBS: &[&str] = &["held", "used", "served"];

fn run(daemons: &Daemons) -> Outcome {
    let invalid = invalid_labels(daemons);
    let ended = ended_by_reports(daemons);
    let measured = format!(
        "{invalid} of {} labels given to clients, {ended} of {} jobs lost",
        LABELS.len() + 1,
        JOBS.len()
    );
    Outcome::new(measured, invalid + ended == 0)
}

/// How many clients get an invalid label. Each is granted by a monitor of its own, because one that has
/// granted an invalid label gets no takes for a while.
fn invalid_labels(daemons: &Daemons) -> usize {
    let long = "x".repeat(300);
    let labels = LABELS.iter().copied().chain([&*long]);
    let monitors = labels.zip(100..).map(|(label, id)| {
        let monitor = FakeMonitor::start();
        let body = json!({"id": id, "runner": {}, "label": label}).to_string();
        monitor.fail_take(Fault::respond("200 OK", &body));
        monitor
    });
    let monitors: Vec<FakeMonitor> = monitors.collect();
    let servers: Vec<String> = monitors.iter().map(|it| it.url.clone()).collect();
    let settings = BedSettings {
        servers: &servers,
        ..BedSettings::default()
    };
    let bed = Bed::start_without_waiting(daemons, &settings);
    bed.wait_until_idle(0);
    let mut given = 0;
    for (number, monitor) in monitors.iter().enumerate() {
        let job = format!("job-{number}");
        let ticket = bed.enqueue(&job);
        monitor.boot(1);
        monitor.wait_for_requests("POST", 1);
        let path = format!("/take/{job}?token={ticket}");
        let taken = || fetch(bed.queue.address, "POST", &path, "").status == 200;
        // The queue either releases the runner or gives it to the client.
        let is_given = wait::until("the grant is accepted or not", || {
            let is_released = monitor.request_count("DELETE") > 0;
            let is_given = taken();
            (is_given || is_released).then_some(is_given)
        });
        given += usize::from(is_given);
        monitor.change(|state| state.idle.clear());
        let headers = format!("Authorization: Bearer {ticket}\r\n");
        fetch(
            bed.queue.address,
            "DELETE",
            &format!("/job/{job}"),
            &headers,
        );
    }
    given
}

/// How many waiting jobs a report ends or assigns, also after a restart of the queue.
fn ended_by_reports(daemons: &Daemons) -> usize {
    let hostile = FakeMonitor::start();
    let servers = [hostile.url.clone()];
    let settings = BedSettings {
        servers: &servers,
        ..BedSettings::default()
    };
    let mut bed = Bed::start_without_waiting(daemons, &settings);
    bed.wait_until_idle(0);
    let tickets: Vec<String> = JOBS.iter().map(|job| bed.enqueue(job)).collect();
    hostile.change(|state| state.edit_dashboard = Some(claim));
    wait_for_polls(&hostile);
    let lost = || {
        let jobs = JOBS.iter().zip(&tickets);
        let waits = jobs.map(|(job, ticket)| {
            let path = format!("/take/{job}?token={ticket}");
            fetch(bed.queue.address, "POST", &path, "").status
        });
        waits.filter(|status| *status != 503).count()
    };
    let before = lost();
    bed.queue.stop();
    bed.queue = bed.launcher.start("queue", bed.queue.address);
    wait_for_polls(&hostile);
    wait::until("the queue assigns runners", || {
        (fetch(bed.queue.address, "GET", "/readyz", "").status == 200).then_some(())
    });
    let jobs = JOBS.iter().zip(&tickets);
    let lost = jobs.filter(|(job, ticket)| {
        let path = format!("/take/{job}?token={ticket}");
        fetch(bed.queue.address, "POST", &path, "").status != 503
    });
    before.max(lost.count())
}

/// Waits until the queue has asked again for what it has just been sent.
fn wait_for_polls(hostile: &FakeMonitor) {
    let before = hostile.request_count("GET /dashboard.json");
    hostile.change(|_| {});
    hostile.wait_for_requests("GET /dashboard.json", before + 2);
    hostile.change(|_| {});
    hostile.wait_for_requests("GET /dashboard.json", before + 3);
}

fn claim(dashboard: &mut Value) {
    for (job, id) in JOBS.iter().zip(200..) {
        dashboard["reservations"][job] = json!({"runners": [id], "state": job, "attempt": 1});
        let runner = json!({"id": id, "status": "busy", "profile_key": "linux", "label": format!("stolen:{id}"),
            "runner": {"id": id, "registration": null}});
        let runners = dashboard["runners"].as_array_mut();
        runners.expect("a dashboard has runners").push(runner);
    }
}
