//! Names that mean another place in a path.

use crate::{
    bed::{AUTHORISED, Bed, BedSettings, Daemons},
    http::{Connection, Response},
    outcome::{Attack, Outcome},
};

pub const ATTACK: Attack = Attack {
    name: "names",
    does: "names jobs and repositories `.` and `..`, plain and encoded, in every place for a name",
    guarantee: "all are refused with 400 or 404",
    run,
};

/// Names that a client, a proxy or a file system takes for another place.
const NAMES: &[&str] = &[
    ".",
    "..",
    "%2e",
    "%2E%2e",
    ".%2e",
    "%2e%2e%2f",
    "..%2fa",
    "%00",
    "a%0a",
];

fn run(daemons: &Daemons) -> Outcome {
    let settings = BedSettings {
        target_count: 1,
        ..BedSettings::default()
    };
    let bed = Bed::start(daemons, &settings);
    let (queue, monitor) = (bed.queue.address, bed.monitor.address);
    let (mut accepted, mut count) = (0, 0);
    for name in NAMES {
        let ids = format!("unique_id={name}&qualified_repo=delan/servo&run_id=7");
        let repo = format!("unique_id=a&qualified_repo=delan/{name}&run_id=7");
        let owner = format!("unique_id=a&qualified_repo={name}/servo&run_id=7");
        for (address, method, path) in [
            (queue, "POST", format!("/profile/linux/enqueue?{ids}")),
            (queue, "POST", format!("/profile/linux/enqueue?{repo}")),
            (queue, "POST", format!("/profile/linux/enqueue?{owner}")),
            (queue, "POST", format!("/profile/{name}/enqueue?{ids}")),
            (queue, "POST", format!("/enqueue?{ids}")),
            (queue, "POST", format!("/take/{name}?token=x")),
            (queue, "GET", format!("/job/{name}")),
            (queue, "DELETE", format!("/job/{name}")),
            (monitor, "POST", format!("/profile/linux/take?{ids}")),
            (monitor, "POST", format!("/profile/linux/take?{repo}")),
            (monitor, "DELETE", format!("/reservation/{name}")),
            (monitor, "GET", format!("/profile/{name}/console.log")),
            (monitor, "GET", format!("/cache/{name}/.git/config")),
            (monitor, "GET", format!("/image-deps/{name}")),
        ] {
            let sent =
                Connection::to(address).and_then(|mut it| it.request(method, &path, AUTHORISED));
            count += 1;
            let is_accepted = |response: &Response| !matches!(response.status, 400..=404);
            accepted += usize::from(sent.as_ref().is_ok_and(is_accepted));
        }
    }
    Outcome::new(format!("{accepted} of {count} accepted"), accepted == 0)
}
