//! The store of artifacts repeats the signed URL of a download in what it answers.

use emulator::faults::{Fault, FaultRule, PathMatch};

use crate::{
    bed::{Bed, BedSettings, Daemons, Job},
    http::Connection,
    outcome::{Attack, Outcome},
};

pub const ATTACK: Attack = Attack {
    name: "store",
    does: "is the store of artifacts, which fails in seven ways and repeats the signed URL of each download",
    guarantee: "neither a response nor the log contains the signature",
    run,
};

/// The signature in the URL.
const SIGNATURE: &str = "hunter5-signs-the-url";

fn faults() -> Vec<Fault> {
    let url = format!("https://store.example/blob?sig={SIGNATURE}");
    let xml = format!("<Error><Code>AuthenticationFailed</Code><Detail>{url}</Detail></Error>");
    let with_body = |status: u16, body: String| match Fault::status(status) {
        Fault::Answer {
            status, headers, ..
        } => Fault::Answer {
            status,
            headers,
            body,
        },
        other => other,
    };
    vec![
        with_body(403, xml.clone()),
        Fault::status(403).with_message(&format!("{url} has expired")),
        Fault::status(404).with_message(&url),
        Fault::status(302).with_header("location", &url),
        Fault::status(403).with_header("x-accepted-github-permissions", &url),
        Fault::status(401).with_header("www-authenticate", &format!("Bearer error=\"{url}\"")),
        with_body(200, xml),
    ]
}

fn run(daemons: &Daemons) -> Outcome {
    let settings = BedSettings {
        target_count: 1,
        ..BedSettings::default()
    };
    let bed = Bed::start(daemons, &settings);
    let faults = faults();
    let count = faults.len();
    let mut shown = 0;
    for (number, fault) in faults.into_iter().enumerate() {
        let log_length = bed.queue.log().len();
        let rule = FaultRule::on("GET", PathMatch::Prefix("/_blobs/".into()), fault);
        let rules = bed.github.emulator.faults();
        let id = rules.add(rule).expect("the rule is valid");
        let job = Job::upload(&bed, &format!("job-{number}"));
        let headers = format!("{}Accept: application/json\r\n", job.authorization());
        // From an address of its own: a failed check costs its budget.
        let source = [127, 0, 3, u8::try_from(number).unwrap_or(u8::MAX)];
        let response = Connection::from_to(source.into(), bed.queue.address)
            .and_then(|mut it| it.request("POST", &job.path(), &headers));
        let text = response.map_or_else(|_| String::new(), |response| response.text());
        assert!(
            rules.hit_count(id) > 0,
            "the artifact is downloaded: {text}"
        );
        rules.clear(id);
        let log = bed.queue.log().split_off(log_length);
        shown += usize::from([text, log].iter().any(|it| it.contains(SIGNATURE)));
    }
    Outcome::new(format!("{shown} of {count} shown"), shown == 0)
}
