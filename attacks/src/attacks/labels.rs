//! A stranger looks for labels of idle and reserved runners, each of which lets a job run there.

use serde_json::Value;

use crate::{
    bed::{AUTHORISED, Bed, BedSettings, Daemons},
    http::fetch,
    outcome::{Attack, Outcome},
};

pub const ATTACK: Attack = Attack {
    name: "labels",
    does: "reads every page and API path without a token, to find labels of idle and reserved runners",
    guarantee: "nothing that can be read without the API token contains a label of a runner or a reservation",
    run,
};

/// What can be read with GET, on either daemon.
const PATHS: &[&str] = &[
    "/",
    "/dashboard.html",
    "/dashboard.json",
    "/dashboard.txt",
    "/metrics",
    "/healthz",
    "/readyz",
    "/job/job-of-another",
    "/runner/0",
    "/reservation/job-of-another",
    "/profile/linux/screenshot.png",
    "/state",
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
    let mut labels = vec!["job-of-another".to_owned()];
    labels_in(&dashboard, &mut labels);
    assert!(
        labels.len() > 2,
        "the authorised view has labels: {dashboard}"
    );
    let mut found: Vec<String> = Vec::new();
    for address in [bed.monitor.address, bed.queue.address] {
        for path in PATHS {
            let text = fetch(address, "GET", path, "").text();
            let shown = labels.iter().filter(|label| text.contains(label.as_str()));
            found.extend(shown.cloned());
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
