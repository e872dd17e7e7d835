//! GitHub's own examples of webhooks, posted to a real monitor.

use std::{fs, path::Path};

use ring::hmac;
use serde_json::Value;

use crate::support::{Monitor, ProxiedGithub, WEBHOOK_SECRET};

/// GitHub's examples of `event`.
fn examples(event: &str) -> Vec<Vec<u8>> {
    let file = "node_modules/@octokit/webhooks-examples/api.github.com/index.json";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let events: Vec<Value> = serde_json::from_slice(&text).unwrap();
    let of_event = events.iter().find(|of| of["name"] == event).unwrap();
    let examples = of_event["examples"].as_array().unwrap();
    examples
        .iter()
        .map(|example| serde_json::to_vec(example).unwrap())
        .collect()
}

fn signature(secret: &str, payload: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, payload);
    let hex = tag.as_ref().iter().map(|byte| format!("{byte:02x}"));
    format!("sha256={}", hex.collect::<String>())
}

#[actix_web::test]
async fn githubs_examples_are_accepted_and_wrong_signatures_are_rejected() {
    let stage = ProxiedGithub::new().await;
    let monitor = Monitor::start(&stage, 0, "").await;
    let jobs = examples("workflow_job");
    let actions: Vec<String> = jobs
        .iter()
        .map(|job| serde_json::from_slice::<Value>(job).unwrap()["action"].to_string())
        .collect();
    for action in ["queued", "in_progress", "completed", "waiting"] {
        let quoted = format!("{action:?}");
        assert!(actions.contains(&quoted), "{action} is not in {actions:?}");
    }
    let others = ["ping", "push", "workflow_run"].map(|event| (event, examples(event)));
    let all = others.into_iter().chain([("workflow_job", jobs)]);
    for (event, payloads) in all {
        for payload in payloads {
            let forged = signature("guess", &payload);
            let answer = monitor.post_webhook(event, &forged, payload.clone()).await;
            assert_eq!(answer.status, 403, "{event}");
            let signed = signature(WEBHOOK_SECRET, &payload);
            // GitHub sends some of them twice.
            for _ in 0..2 {
                let answer = monitor.post_webhook(event, &signed, payload.clone()).await;
                assert_eq!(answer.status, 204, "{event}: {:?}", answer.text());
            }
        }
    }
    // None of them is about a runner of ours.
    monitor.until_idle(0).await;
    monitor.stop().await;
}
