//! The owner of one server uses what its queue sends it at another server.

use crate::{
    bed::{Bed, BedSettings, Daemons},
    fake_monitor::FakeMonitor,
    http::fetch,
    outcome::{Attack, Outcome},
    wait,
};

pub const ATTACK: Attack = Attack {
    name: "tokens",
    does: "is the owner of one server with a token of its own, which collects what the queue sends it and uses that for seven \
           requests at another server and at the queue",
    guarantee: "it is sent its own token and no other, which allows nothing elsewhere",
    run,
};

const OWN_TOKEN: &str = "hunter6-opens-one-server";

fn run(daemons: &Daemons) -> Outcome {
    let hostile = FakeMonitor::start();
    hostile.change(|state| state.other_token = Some(OWN_TOKEN.to_owned()));
    let tokens = format!("{}={OWN_TOKEN}", hostile.url);
    let servers = [hostile.url.clone()];
    let settings = BedSettings {
        target_count: 1,
        servers: &servers,
        later_environment: &[("SERVO_CI_MONITOR_SERVER_TOKENS", &tokens)],
        ..BedSettings::default()
    };
    let bed = Bed::start_without_waiting(daemons, &settings);
    bed.wait_until_idle(1);
    hostile.boot(1);
    bed.enqueue("job");
    hostile.wait_until("a poll", |state| !state.authorizations.is_empty());
    wait::until("all servers have been asked", || {
        (hostile.request_count("GET /dashboard.json") > 1).then_some(())
    });
    let received = hostile.read(|state| state.authorizations.clone());
    let (mut accepted, mut count) = (0, 0);
    for authorization in received.iter().flatten() {
        let headers = format!("Authorization: {authorization}\r\nAccept: application/json\r\n");
        for (address, method, path) in [
            (
                bed.monitor.address,
                "POST",
                "/profile/linux/take?unique_id=stolen&qualified_repo=delan/servo&run_id=7",
            ),
            (bed.monitor.address, "DELETE", "/reservation/stolen"),
            (bed.monitor.address, "POST", "/policy/override?linux=1"),
            (bed.monitor.address, "DELETE", "/policy/override"),
            (bed.monitor.address, "DELETE", "/runner/0"),
            (
                bed.queue.address,
                "POST",
                "/profile/linux/enqueue?unique_id=stolen&qualified_repo=delan/servo&run_id=7",
            ),
            (bed.queue.address, "GET", "/job/job"),
        ] {
            count += 1;
            let status = fetch(address, method, path, &headers).status;
            accepted += usize::from(!matches!(status, 401 | 403));
        }
    }
    assert!(count > 0, "the queue sends a token");
    Outcome::new(format!("{accepted} of {count} accepted"), accepted == 0)
}
