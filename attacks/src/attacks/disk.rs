//! The disk of both daemons is full: nothing that they write is kept.

use serde_json::Value;

use crate::{
    bed::{AUTHORISED, Bed, BedSettings, Daemons, Job},
    http::{Connection, Response, fetch},
    outcome::{Attack, Outcome},
    wait,
};

pub const ATTACK: Attack = Attack {
    name: "disk",
    does: "fills the disk of both daemons, then changes something at the monitor in five ways, and enqueues a job whose \
           artifact has no secret",
    guarantee: "no runner and no such ticket is given out, each answer is true, `readyz` is 503, and all works once there is space",
    run,
};

const TAKE: &str = "/profile/linux/take?qualified_repo=delan/servo&run_id=7&unique_id=";

const TARGET: usize = 3;

fn run(daemons: &Daemons) -> Outcome {
    let settings = BedSettings {
        target_count: TARGET,
        ..BedSettings::default()
    };
    let bed = Bed::start(daemons, &settings);
    let monitor = bed.monitor.address;
    let taken = fetch(monitor, "POST", &format!("{TAKE}held"), AUTHORISED);
    assert_eq!(taken.status, 200, "{}", taken.text());
    bed.monitor.fill_disk(true);
    bed.queue.fill_disk(true);
    let given = usize::from(call(&bed, "POST", &format!("{TAKE}other")).status == 200)
        + usize::from(is_enqueued_without_secret(&bed, "full"));
    let untrue = untrue_answers(&bed);
    // By the time of these requests it has tried to save something.
    let is_reported = fetch(monitor, "GET", "/readyz", "").status == 503;
    bed.monitor.fill_disk(false);
    bed.queue.fill_disk(false);
    wait::until("the monitor is ready again", || {
        (fetch(monitor, "GET", "/readyz", "").status == 200).then_some(())
    });
    wait::until("a runner is given out again", || {
        (call(&bed, "POST", &format!("{TAKE}later")).status == 200).then_some(())
    });
    let is_enqueued = is_enqueued_without_secret(&bed, "space");
    let ready = if is_reported { 503 } else { 200 };
    let measured =
        format!("{given} of 2 given out, {untrue} of 4 answers untrue, `readyz` {ready}");
    Outcome::new(
        measured,
        given == 0 && untrue == 0 && is_reported && is_enqueued,
    )
}

/// Of four changes, how many are answered by the opposite of what is done.
fn untrue_answers(bed: &Bed) -> usize {
    let monitor = bed.monitor.address;
    let dashboard = || fetch(monitor, "GET", "/dashboard.json", AUTHORISED).json();
    let overrides = || fetch(monitor, "GET", "/policy/override", AUTHORISED).json();
    let is_held = || !dashboard()["reservations"]["held"].is_null();
    let idle = wait::until("a runner is idle", || {
        let dashboard = dashboard();
        let mut runners = dashboard["runners"].as_array()?.iter();
        runners.find(|it| it["status"] == "idle")?["id"].as_u64()
    });
    let has_idle = || {
        let dashboard = dashboard();
        let mut runners = dashboard["runners"].as_array().into_iter().flatten();
        runners.any(|runner| runner["id"] == idle && runner["status"] == "idle")
    };
    // The target stays the same, so that the monitor itself removes no idle runner.
    let set = call(bed, "POST", &format!("/policy/override?linux={TARGET}"));
    let is_set = overrides() != Value::Null;
    let cancel = call(bed, "DELETE", "/policy/override");
    let is_cancelled = overrides() == Value::Null;
    let release = call(bed, "DELETE", "/reservation/held");
    let is_released = !is_held();
    let removal = call(bed, "DELETE", &format!("/runner/{idle}"));
    let is_removed = !has_idle();
    [
        (set, is_set),
        (cancel, is_cancelled && is_set),
        (release, is_released),
        (removal, is_removed),
    ]
    .iter()
    .filter(|(answer, is_done)| is_untrue(answer, *is_done))
    .count()
}

/// An error that does not say that the change is made means that it is not, and a success that it is.
fn is_untrue(answer: &Response, is_done: bool) -> bool {
    let says_so = answer.status < 300 || answer.text().contains("the change is made");
    says_so != is_done
}

fn call(bed: &Bed, method: &str, path: &str) -> Response {
    let headers = format!("{AUTHORISED}Accept: application/json\r\n");
    fetch(bed.monitor.address, method, path, &headers)
}

fn is_enqueued_without_secret(bed: &Bed, unique_id: &str) -> bool {
    let job = Job::upload_without_secret(bed, unique_id);
    let sent =
        Connection::to(bed.queue.address).and_then(|mut it| it.request("POST", &job.path(), ""));
    sent.is_ok_and(|response| response.status == 200)
}
