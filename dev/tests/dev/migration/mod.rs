//! The page "Migrating from servo/ci-runners" of the book: its commands are run as they are and in their order,
//! on a host whose services are models of the daemons there, and the daemons here.
//!
//! - `production`: the daemons of servo/ci-runners, with recorded responses
//! - `host`: the services, the settings, and `systemctl`
//!
//! Differences from the page: ports and the folder of the settings, and guests are processes.

mod host;
mod production;

use serde_json::{Value, json};

use self::host::Host;
use super::{
    support::*,
    workflows::{REPO, start_select},
};

/// What the action of servo/ci-runners does after it has uploaded its artifact: the same calls of curl, with the
/// API token in place of the artifact. Prints the response to the take.
const THEIR_CLIENT: &str = r#"
ticket=$(curl -sS --fail-with-body --connect-timeout 5 --max-time 30 -X POST \
    --oauth2-bearer "$SERVO_CI_MONITOR_API_TOKEN" \
    "$QUEUE_URL/profile/servo-ubuntu2204/enqueue?unique_id=$UNIQUE_ID&qualified_repo=delan/servo&run_id=123")
curl -sS --fail-with-body --connect-timeout 5 --max-time 30 --retry-max-time 900 --retry 900 --retry-delay 1 \
    -X POST "$QUEUE_URL/take/$UNIQUE_ID?token=$ticket" | jq -e .
"#;

async fn take_as_their_action(host: &mut Host, unique_id: &str) -> Value {
    let script = format!(
        "export UNIQUE_ID={unique_id} QUEUE_URL={}\n{THEIR_CLIENT}",
        host.queue_url()
    );
    let output = host
        .run(&script, &[("SERVO_CI_MONITOR_API_TOKEN", API_TOKEN)])
        .await;
    serde_json::from_str(&output).unwrap()
}

/// The commands of a section of the page, one text for each block.
fn blocks(section: &str) -> Vec<String> {
    let page = include_str!("../../../../docs/src/migrating.md");
    let sections = page.split("\n## ");
    let section = sections.into_iter().find(|text| text.starts_with(section));
    let blocks = section
        .expect("the section exists")
        .split("```sh\n")
        .skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

async fn follow(host: &mut Host, section: &str) -> String {
    let mut output = String::new();
    for block in blocks(section) {
        output.push_str(&host.run(&host.adapted(&block), &[]).await);
    }
    output
}

#[actix_web::test]
async fn the_page_can_be_followed_to_its_end_and_back() {
    let mut host = Host::start();
    host.start_service("monitor").await;
    host.start_service("queue").await;

    follow(&mut host, "1. Check").await;

    // Our queue in front of their monitor, which has no dashboard for some time after each take.
    let status = follow(&mut host, "2. The queue").await;
    assert!(status.contains("servo-ubuntu2204"), "{status}");
    for unique_id in ["before-1", "before-2"] {
        let runner = take_as_their_action(&mut host, unique_id).await;
        assert_eq!(
            runner["runner"]["details"]["image_type"], "Rust",
            "{runner}"
        );
    }

    // Our monitor.
    let status = follow(&mut host, "3. The monitors").await;
    assert!(status.contains("servo-ubuntu2204"), "{status}");
    host.wait_for_idle(3).await;
    // Their action names the label itself; it is at GitHub before the take is answered.
    take_as_their_action(&mut host, "after").await;
    host.run_workflow_job("reserved-for:after").await;
    host.wait_for_idle(3).await;

    let report = follow(&mut host, "4. A test from outside").await;
    assert!(
        report.lines().all(|line| !line.starts_with("FAILED")),
        "{report}"
    );
    host.wait_for_idle(3).await;

    // The workflow with our action.
    let with = json!({"queue-url": host.queue_url(), "self-hosted-image-name": "servo-ubuntu2204"});
    let done = start_select(host.github(), with.clone()).finish().await;
    assert_eq!(done.outputs["is-self-hosted"], "true", "{}", done.log);
    host.run_workflow_job(&done.outputs["selected-runner-label"])
        .await;

    follow(&mut host, "Way back").await;
    let done = start_select(host.github(), with).finish().await;
    let label = format!("reserved-for:{}", done.outputs["unique-id"]);
    assert_eq!(done.outputs["selected-runner-label"], label, "{}", done.log);
    assert_eq!(host.running(), ["monitor", "queue"]);
    assert_eq!(REPO, "delan/servo", "the script above names it");
}

#[test]
fn every_command_of_the_page_is_run() {
    let page = include_str!("../../../../docs/src/migrating.md");
    let sections = [
        "1. Check",
        "2. The queue",
        "3. The monitors",
        "4. A test",
        "Way back",
    ];
    let run: usize = sections.iter().map(|section| blocks(section).len()).sum();
    assert_eq!(page.matches("```sh").count(), run);
}
