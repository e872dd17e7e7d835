//! Characters that hide, reorder or forge text, in everything that comes from outside.

use emulator::faults::{Edit, Fault as GithubFault, FaultRule, PathMatch};
use serde_json::{Value, json};

use crate::{
    bed::{AUTHORISED, Bed, BedSettings, Daemons},
    fake_monitor::{FakeMonitor, Fault},
    http::{Connection, fetch},
    outcome::{Attack, Outcome},
    wait,
};

pub const ATTACK: Attack = Attack {
    name: "characters",
    does: "sends line separators, terminal escapes and characters that reverse text: as a client, as a server's monitor, as GitHub",
    guarantee: "no log, no page and no error contains one of them",
    run,
};

/// A right-to-left override, an isolate, a line separator, a next line, an escape, a zero-width space, and
/// a forged line of the log.
const DECEPTIVE: &str = "\u{202e}a\u{2066}b\u{2028}c\u{85}d\u{1b}[31me\u{200b}f\r\nERROR g";
/// The same, as far as an HTTP header or a status line may contain it.
const IN_A_LINE: &str = "\u{202e}a\u{2066}b\u{2028}c\u{200b}f";
const PAGES: &[&str] = &[
    "/",
    "/dashboard.html",
    "/dashboard.txt",
    "/dashboard.json",
    "/metrics",
    "/readyz",
];

fn run(daemons: &Daemons) -> Outcome {
    let hostile = FakeMonitor::start();
    let servers = [hostile.url.clone()];
    let settings = BedSettings {
        target_count: 1,
        environment: &[
            ("GITHUB_WEBHOOK_SECRET", "hunter4-signs-webhooks"),
            // Also the lines for each request.
            ("RUST_LOG", "debug"),
        ],
        servers: &servers,
        ..BedSettings::default()
    };
    let bed = Bed::start_without_waiting(daemons, &settings);
    bed.wait_until_idle(1);
    let mut texts = responses_to_client(&bed);
    report_as_monitor(&bed, &hostile);
    answer_as_github(&bed);
    wait::until("pages show what GitHub has answered", || {
        let text = fetch(bed.monitor.address, "GET", "/dashboard.json", "").text();
        text.contains("github_permission_missing").then_some(())
    });
    for address in [bed.queue.address, bed.monitor.address] {
        for path in PAGES {
            texts.push(fetch(address, "GET", path, "Accept: application/json\r\n").text());
            texts.push(fetch(address, "GET", path, AUTHORISED).text());
        }
    }
    let count = texts.len();
    let shown = texts.iter().filter(|text| is_deceptive(text)).count();
    let logs = [bed.queue.log(), bed.monitor.log()];
    let lines = logs.iter().flat_map(|log| log.lines());
    let lines = lines.filter(|line| is_deceptive(line)).count();
    let forged = logs
        .iter()
        .flat_map(|log| log.lines())
        .filter(|line| line.starts_with("ERROR g"))
        .count();
    let measured = format!(
        "{shown} of {count} pages and errors, {} lines of the logs",
        lines + forged
    );
    Outcome::new(measured, shown + lines + forged == 0)
}

/// Whether a text contains one of the characters. Line breaks are part of pages.
fn is_deceptive(text: &str) -> bool {
    let mut characters = DECEPTIVE
        .chars()
        .filter(|it| !it.is_ascii() || *it == '\u{1b}');
    characters.any(|character| text.contains(character))
}

/// Sends requests with such characters, and returns the responses.
fn responses_to_client(bed: &Bed) -> Vec<String> {
    let encoded: String = DECEPTIVE
        .bytes()
        .map(|byte| format!("%{byte:02x}"))
        .collect();
    let mut texts = Vec::new();
    for name in [&encoded, IN_A_LINE] {
        let ids = format!("unique_id={name}&qualified_repo={name}/servo&run_id={name}");
        for (method, path) in [
            ("GET", format!("/{name}")),
            ("GET", format!("/job/{name}")),
            (
                "POST",
                format!("/enqueue?{ids}&labels_from_response={name}"),
            ),
            ("POST", format!("/profile/linux/enqueue?{ids}")),
            ("POST", format!("/profile/{name}/enqueue?{ids}")),
            ("POST", format!("/profile/linux/enqueue/{name}?{ids}")),
            ("POST", format!("/take/{name}?token={name}")),
            ("POST", format!("/profile/linux/take?{ids}&attempt={name}")),
            ("POST", format!("/select-runner?{ids}")),
            ("POST", format!("/policy/override?{name}={name}")),
            ("DELETE", format!("/runner/{name}")),
            ("DELETE", format!("/reservation/{name}?destroy={name}")),
            ("GET", format!("/image-deps/{name}")),
            (IN_A_LINE, "/".to_owned()),
        ] {
            for address in [bed.queue.address, bed.monitor.address] {
                let headers = format!(
                    "{AUTHORISED}Accept: application/json\r\nX-Forwarded-For: {IN_A_LINE}\r\nPrefer: {IN_A_LINE}\r\n\
                     X-GitHub-Event: {IN_A_LINE}\r\nUser-Agent: {IN_A_LINE}\r\n"
                );
                let sent =
                    Connection::to(address).and_then(|mut it| it.request(method, &path, &headers));
                texts.extend(sent.map(|response| response.text()));
            }
        }
    }
    texts
}

/// Reports and refuses as a monitor.
fn report_as_monitor(bed: &Bed, hostile: &FakeMonitor) {
    let refusal = json!({"code": "already_reserved", "message": DECEPTIVE}).to_string();
    let odd = json!({"code": DECEPTIVE, "message": DECEPTIVE}).to_string();
    let label = json!({"id": 1, "runner": {}, "label": DECEPTIVE}).to_string();
    for fault in [
        Fault::respond("200 OK", &label),
        Fault::respond("409 Conflict", &refusal),
        Fault::respond(&format!("500 {IN_A_LINE}"), &odd),
    ] {
        hostile.fail_take(fault);
    }
    hostile.fail_dashboard(Fault::respond(&format!("500 {IN_A_LINE}"), &odd));
    hostile.fail_dashboard(Fault::respond("200 OK", DECEPTIVE));
    hostile.change(|state| {
        state.edit_dashboard = Some(deceive);
        state.boot(3);
        state.instance = Some(DECEPTIVE.to_owned());
    });
    for number in 0..4 {
        bed.enqueue(&format!("job-{number}"));
    }
    hostile.wait_for_requests("POST", 2);
}

fn deceive(dashboard: &mut Value) {
    let counts = dashboard["profile_runner_counts"]["linux"].clone();
    dashboard["profile_runner_counts"][DECEPTIVE] = counts;
    dashboard["reservations"][DECEPTIVE] = json!({"runners": [7], "state": DECEPTIVE});
    dashboard["problems"] = json!([{"code": DECEPTIVE, "severity": "error", "subject": DECEPTIVE,
        "sentence": DECEPTIVE, "remedy": DECEPTIVE, "since": 1}]);
}

/// Refuses requests of the monitor as GitHub, and names a runner so.
fn answer_as_github(bed: &Bed) {
    let faults = bed.github.emulator.faults();
    let refused = GithubFault::status(403)
        .with_message(DECEPTIVE)
        .with_header("x-accepted-github-permissions", IN_A_LINE);
    let name = |pointer| Edit::new(pointer, json!(DECEPTIVE));
    let edits = vec![
        name("/runners/0/os"),
        name("/runners/0/labels/0/name"),
        name("/runners/0/status"),
    ];
    let rule = |fault| {
        let path = PathMatch::Exact("/orgs/delan/actions/runners".into());
        FaultRule::on("GET", path, fault)
    };
    // The last one stays: what it says is a problem until such a request succeeds.
    for rule in [rule(GithubFault::EditJson { edits }).next(2), rule(refused)] {
        let id = faults.add(rule).expect("the rule is valid");
        wait::until("the monitor has asked GitHub", || {
            (faults.hit_count(id) > 1).then_some(())
        });
    }
}
