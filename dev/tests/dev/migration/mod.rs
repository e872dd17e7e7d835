//! The page "Migrating from servo/ci-runners" of the book: its commands are run as they are and in their order, on a
//! host with the settings of servo/ci-runners, with models of its daemons, and with our daemons.
//!
//! - `servo_monitor`, `servo_queue`: its daemons, with the responses of its code; `guest`: its guests
//! - `host`: settings, services, `systemctl` and `virsh`
//!
//! Differences from a real host: ports and the folder of the settings; guests are processes, of both monitors.

mod guest;
mod host;
mod servo_monitor;
mod servo_queue;

use emulator::model::JobPhase;
use http_client::{Client, Method, Request};
use serde_json::{Value, json};
use shared::secret::Secret;

use self::host::{Host, REPO, TARGET};
use super::{support::*, workflows::start_select};

const PAGE: &str = include_str!("../../../../docs/src/migrating.md");

/// The sections of the page with commands, in the order in which they are followed.
const SECTIONS: [&str; 5] = [
    "1. Check",
    "2. The queue",
    "3. The monitors",
    "4. A test from outside",
    "Way back",
];

/// What the action `runner-select` of servo/ci-runners does after it has uploaded its artifact: the same calls of
/// curl, with the API token in place of the artifact. Prints the response to the take.
const SERVO_CLIENT: &str = r#"
ticket=$(curl -sS --fail-with-body --connect-timeout 5 --max-time 30 -X POST \
    --oauth2-bearer "$SERVO_CI_MONITOR_API_TOKEN" \
    "$QUEUE_URL/profile/servo-ubuntu2204/enqueue?unique_id=$UNIQUE_ID&qualified_repo=servo/servo&run_id=123")
curl -sS --fail-with-body --connect-timeout 5 --max-time 30 --retry-max-time 900 --retry 900 --retry-delay 1 \
    -X POST "$QUEUE_URL/take/$UNIQUE_ID?token=$ticket" | jq -e .
"#;

/// Runs until the file exists.
const UNTIL_FINISHED: &str = "until [ -e FOLDER/finished ]; do sleep 0.05; done";

async fn take_as_servo(host: &mut Host, unique_id: &str) -> Value {
    let queue_url = host.queue_url();
    let variables = [
        ("UNIQUE_ID", unique_id),
        ("QUEUE_URL", &queue_url),
        ("SERVO_CI_MONITOR_API_TOKEN", API_TOKEN),
    ];
    let output = host.run(SERVO_CLIENT, &variables).await;
    serde_json::from_str(&output).unwrap()
}

/// The commands of a section of the page, one text for each block.
fn blocks(section: &str) -> Vec<String> {
    let mut sections = PAGE.split("\n## ");
    let section = sections.find(|text| text.starts_with(section));
    let blocks = section.expect("the section exists").split("```sh\n");
    let ends = blocks.skip(1).map(|block| block.split_once("```"));
    ends.map(|block| block.unwrap().0.to_owned()).collect()
}

/// Follows a section; returns what its commands printed.
async fn follow(host: &mut Host, section: &str) -> String {
    let mut output = String::new();
    for block in blocks(section) {
        output.push_str(&host.run(&host.adapted(&block), &[]).await);
    }
    output
}

/// The status of the response to a request with the API token, and its body.
async fn ask(base_url: &str, path: &str) -> (u16, Value) {
    let (url, token) = (format!("{base_url}/{path}"), Secret::new(API_TOKEN));
    let mut request = Request::new(Method::POST, &url).header("accept", "application/json");
    request.bearer = Some(&token);
    let response = Client::new().send(request).await.unwrap();
    let body = serde_json::from_slice(&response.body).unwrap_or_default();
    (response.status.as_u16(), body)
}

/// Whether the other system's rows of the table of differences are those of its daemons.
async fn assert_servo_differences(host: &Host) {
    let query = "unique_id=none&qualified_repo=servo/servo&run_id=1";
    let take = format!("profile/servo-windows10/take?{query}");
    assert_eq!(ask(&host.monitor_url(), &take).await, (200, Value::Null));
    assert_eq!(ask(&host.queue_url(), "take/none").await.0, 422);
}

/// Whether our rows of the table of differences are those of our daemons, of which `idle` runners are idle.
async fn assert_our_differences(host: &Host, idle: u64) {
    let query = "unique_id=none&qualified_repo=servo/servo&run_id=1";
    for path in [
        "profile/servo-windows10/take".to_owned(),
        format!("profile/servo-ubuntu2204/take/{}", idle + 1),
    ] {
        let (status, body) = ask(&host.monitor_url(), &format!("{path}?{query}")).await;
        assert_eq!(
            (status, &body["code"]),
            (503, &json!("no_capacity")),
            "{path}"
        );
    }
    assert_eq!(ask(&host.queue_url(), "take/none").await.0, 403);
}

#[actix_web::test]
async fn the_page_can_be_followed_to_its_end_and_back() {
    let mut host = Host::start();
    host.start_service("monitor").await;
    host.start_service("queue").await;
    host.wait_for_idle(TARGET, false).await;
    assert_servo_differences(&host).await;
    assert_eq!(take_as_servo(&mut host, "running").await, 1);
    let running = host.queue_job("reserved-for:running", UNTIL_FINISHED);
    let its_runner = host.wait_for_job(running, JobPhase::InProgress).await;

    follow(&mut host, SECTIONS[0]).await;

    // Our queue in front of their monitor, which has no dashboard for some time after each take.
    let status = follow(&mut host, SECTIONS[1]).await;
    assert!(status.contains("servo-ubuntu2204"), "{status}");
    for unique_id in ["through-both", "reserved"] {
        let taken = take_as_servo(&mut host, unique_id).await;
        let image_type = &taken["runner"]["details"]["image_type"];
        assert_eq!(image_type, "Rust", "{taken}");
    }
    host.run_job("reserved-for:through-both").await;

    // Our monitor, which finds a runner with a job, a reserved one, one that has ended, and an idle one.
    let status = follow(&mut host, SECTIONS[2]).await;
    assert!(status.contains("servo-ubuntu2204"), "{status}");
    host.wait_for_idle(TARGET - 2, true).await;
    let counts = host.counts().await;
    assert_eq!(
        (&counts["busy"], &counts["reserved"]),
        (&json!(1), &json!(1))
    );
    assert_our_differences(&host, TARGET - 2).await;
    host.run_job("reserved-for:reserved").await;
    host.create_file("finished");
    let ended_on = host.wait_for_job(running, JobPhase::Completed).await;
    assert_eq!(ended_on, its_runner);
    host.wait_for_idle(TARGET, true).await;
    // Their action names the label itself; it is at GitHub before the take is answered.
    take_as_servo(&mut host, "after").await;
    host.run_job("reserved-for:after").await;
    host.wait_for_idle(TARGET, true).await;

    let report = follow(&mut host, SECTIONS[3]).await;
    assert!(!report.contains("FAILED"), "{report}");
    host.wait_for_idle(TARGET, true).await;

    // The workflow with our action.
    let with = json!({"queue-url": host.queue_url(), "self-hosted-image-name": "servo-ubuntu2204"});
    let done = start_select(host.github(), REPO, with.clone())
        .finish()
        .await;
    assert_eq!(done.outputs["is-self-hosted"], "true", "{}", done.log);
    let label = &done.outputs["selected-runner-label"];
    assert!(label.starts_with("runner:"), "{label}");
    let running = host.queue_job(
        label,
        "until [ -e FOLDER/finished-too ]; do sleep 0.05; done",
    );
    let its_runner = host.wait_for_job(running, JobPhase::InProgress).await;
    host.wait_for_idle(TARGET - 1, true).await;

    // Their monitor knows our runners, and gives them out.
    let ours = ids(&host.dashboard().await);
    follow(&mut host, SECTIONS[4]).await;
    assert_eq!(host.running(), ["monitor", "queue"]);
    assert_eq!(ids(&host.dashboard().await), ours);
    let counts = host.counts().await;
    assert_eq!(
        (&counts["busy"], &counts["idle"]),
        (&json!(1), &json!(TARGET - 1))
    );
    let done = start_select(host.github(), REPO, with).finish().await;
    let label = format!("reserved-for:{}", done.outputs["unique-id"]);
    assert_eq!(done.outputs["selected-runner-label"], label, "{}", done.log);
    host.run_job(&label).await;
    host.create_file("finished-too");
    let ended_on = host.wait_for_job(running, JobPhase::Completed).await;
    assert_eq!(ended_on, its_runner);
}

/// The ids of the runners on a monitor's dashboard.
fn ids(dashboard: &Value) -> Vec<u64> {
    let runners = dashboard["runners"].as_array().unwrap().iter();
    runners.map(|it| it["id"].as_u64().unwrap()).collect()
}

#[test]
fn every_command_of_the_page_is_run() {
    let run: usize = SECTIONS.iter().map(|section| blocks(section).len()).sum();
    assert_eq!(PAGE.matches("```sh").count(), run);
    let in_order = SECTIONS.map(|section| PAGE.find(&format!("\n## {section}")).unwrap());
    assert!(in_order.is_sorted());
}
