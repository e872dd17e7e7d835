//! A page of another site makes the browser of an operator send requests to the daemons.

use crate::{
    bed::{AUTHORISED, Bed, BedSettings, Daemons},
    http::{Connection, fetch},
    outcome::{Attack, Outcome},
};

pub const ATTACK: Attack = Attack {
    name: "browser",
    does: "lets a page of another site send requests that change something, with a browser that has the token",
    guarantee: "they are refused with 403, and every response forbids to be framed or sniffed",
    run,
};

/// Requests that change something, at the queue and at the monitor.
const OF_QUEUE: &[(&str, &str)] = &[
    (
        "POST",
        "/profile/linux/enqueue?unique_id=a&qualified_repo=delan/servo&run_id=7",
    ),
    (
        "POST",
        "/enqueue?unique_id=a&qualified_repo=delan/servo&run_id=7",
    ),
    ("POST", "/take/a?token=x"),
    ("DELETE", "/job/a"),
];
const OF_MONITOR: &[(&str, &str)] = &[
    (
        "POST",
        "/profile/linux/take?unique_id=a&qualified_repo=delan/servo&run_id=7",
    ),
    (
        "POST",
        "/select-runner?unique_id=a&qualified_repo=delan/servo&run_id=7",
    ),
    ("POST", "/policy/override?linux=0"),
    ("DELETE", "/policy/override"),
    ("DELETE", "/reservation/a"),
    ("DELETE", "/runner/0"),
    ("POST", "/webhook"),
];

/// What browsers of different age send with requests that a page of another site, or another server of the
/// same site, has caused: by a script, or by a form of each kind.
const SITES: &[&str] = &[
    "Sec-Fetch-Site: cross-site\r\n",
    "Sec-Fetch-Site: same-site\r\n",
    "Sec-Fetch-Site: cross-site\r\nOrigin: http://attacked\r\n",
    "Origin: https://evil.example\r\nContent-Type: text/plain\r\n",
    "Origin: null\r\nContent-Type: application/x-www-form-urlencoded\r\n",
    "Origin: http://attacked:81\r\nReferer: http://attacked/\r\n",
    "Referer: https://evil.example/attacked\r\nContent-Type: multipart/form-data; boundary=x\r\n",
    "Referer: https://attacked.evil.example/\r\n",
];

fn run(daemons: &Daemons) -> Outcome {
    let settings = BedSettings {
        target_count: 1,
        ..BedSettings::default()
    };
    let bed = Bed::start(daemons, &settings);
    let (mut accepted, mut count) = (0, 0);
    for (address, requests) in [
        (bed.queue.address, OF_QUEUE),
        (bed.monitor.address, OF_MONITOR),
    ] {
        for site in SITES {
            for (method, path) in requests {
                let headers = format!("{AUTHORISED}{site}");
                let mut connection = Connection::to(address).expect("the daemon listens");
                let response = connection.request(method, path, &headers);
                let response = response.expect("the daemon responds");
                count += 1;
                accepted += usize::from(response.status != 403);
            }
        }
    }
    let protects = |address| {
        let page = fetch(address, "GET", "/", "");
        page.header("x-content-type-options") == Some("nosniff")
            && page
                .header("content-security-policy")
                .is_some_and(|policy| policy.contains("frame-ancestors 'none'"))
    };
    let is_protected = protects(bed.queue.address) && protects(bed.monitor.address);
    let headers = if is_protected { "with" } else { "without" };
    let measured = format!("{accepted} of {count} accepted, pages {headers} protective headers");
    Outcome::new(measured, accepted == 0 && is_protected)
}
