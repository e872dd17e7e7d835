//! A stranger looks for labels of idle and reserved runners, each of which lets a job run there.

use serde_json::Value;

use crate::{
    bed::{AUTHORISED, Bed, BedSettings, Daemons},
    http::{Connection, fetch},
    outcome::{Attack, Outcome},
};

pub const ATTACK: Attack = Attack {
    name: "labels",
    does: "reads every page and API path of both daemons without a token, with 8 sets of headers, to find labels of idle and \
           reserved runners in the status line, the headers or the body",
    guarantee: "nothing that can be read without the API token contains a label of a runner or a reservation",
    run,
};

/// What can be read, on either daemon, and paths of neither.
const PATHS: &[&str] = &[
    "/",
    "/dashboard.html",
    "/dashboard.json",
    "/dashboard.txt",
    "/metrics",
    "/healthz",
    "/readyz",
    "/job/job-of-another",
    "/job/own",
    "/history.json",
    "/events",
    "/runner/0",
    "/runner/0/screenshot.png",
    "/runner/0/screenshot/now",
    "/reservation/job-of-another",
    "/policy/override",
    "/profile/linux/screenshot.png",
    "/profile/linux/console.log",
    "/runner/0/console.log",
    "/profile/linux/take?unique_id=job-of-another&qualified_repo=delan/servo&run_id=7",
    "/take/job-of-another",
    "/select-runner?unique_id=job-of-another&qualified_repo=delan/servo&run_id=7",
    "/boot",
    "/github-jitconfig",
    "/image-deps/../monitor.state",
    "/image-deps/monitor.state",
    "/cache/monitor/.git/config",
    "/data/monitor.state",
    "/state",
    "/dashboard.json?token=x&authorised=true",
    "//dashboard.json",
    "/./dashboard.json",
    "/%64ashboard.json",
    "/dashboard.json/",
];

/// What may lead to another version of a response.
const HEADERS: &[&str] = &[
    "",
    "Accept: application/json\r\n",
    "Accept-Encoding: gzip, br, zstd\r\n",
    "Range: bytes=0-\r\n",
    "If-None-Match: \"0\"\r\n",
    "If-None-Match: *\r\nPrefer: wait=0\r\n",
    "Authorization: Bearer wrong\r\nAccept: application/json\r\n",
    "X-Forwarded-For: 127.0.0.1\r\nX-HTTP-Method-Override: GET\r\nX-Original-URL: /dashboard.json\r\n",
];

fn run(daemons: &Daemons) -> Outcome {
    let settings = BedSettings {
        target_count: 2,
        ..BedSettings::default()
    };
    let bed = Bed::start(daemons, &settings);
    let take = "/profile/linux/take?unique_id=job-of-another&qualified_repo=delan/servo&run_id=7";
    let taken = fetch(bed.monitor.address, "POST", take, AUTHORISED);
    assert_eq!(taken.status, 200, "{}", taken.text());
    let dashboard = fetch(bed.monitor.address, "GET", "/dashboard.json", AUTHORISED).json();
    // Its name is a label as well: `reserved-for:job-of-another`.
    let mut labels = vec!["reserved-for:job-of-another".to_owned()];
    labels_in(&dashboard, &mut labels);
    assert!(
        labels.len() > 2,
        "the authorised view has labels: {dashboard}"
    );
    let mut found: Vec<String> = Vec::new();
    for address in [bed.monitor.address, bed.queue.address] {
        for path in PATHS {
            for headers in HEADERS {
                for method in ["GET", "HEAD", "POST", "OPTIONS"] {
                    let sent = Connection::to(address)
                        .and_then(|mut it| it.request(method, path, headers));
                    let text = sent.map_or_else(|_| String::new(), |response| response.whole());
                    let shown = labels.iter().filter(|label| text.contains(label.as_str()));
                    found.extend(shown.cloned());
                }
            }
        }
    }
    found.sort();
    found.dedup();
    let measured = format!("{} of {} labels found", found.len(), labels.len());
    Outcome::new(measured, found.is_empty())
}

/// Collects the labels that no other runner has.
fn labels_in(value: &Value, labels: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with("runner:") => labels.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|it| labels_in(it, labels)),
        Value::Object(values) => values.values().for_each(|it| labels_in(it, labels)),
        _ => {}
    }
}
