//! The whole line, each part a process of its own: emulator, monitor, queue, the runners' agents,
//! and as the client curl, with exactly what operators type.

use super::support::*;
use serde_json::{Value, json};

/// What operators type; only host and port are replaced.
const CURL_PAIR: &str = r#"unique_id=$RANDOM; curl --fail-with-body -sSX POST --retry-max-time 3600 --retry 3600 --retry-delay 1 'http://[::1]:8002/take/'"$unique_id"'?token='"$(curl --fail-with-body -sSX POST --oauth2-bearer "$SERVO_CI_MONITOR_API_TOKEN" 'http://[::1]:8002/profile/linux/enqueue?unique_id='"$unique_id"'&qualified_repo=delan/servo&run_id=123')""#;

#[actix_web::test]
async fn a_job_that_curl_sends_runs_on_a_runner_that_is_then_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let mut emulator = start(ci_runners_dev("emulator --port 0"));
    let said = emulator.prints("github_api_url = ").await;
    let github = said.split('"').nth(1).unwrap().to_owned();
    let [monitor_port, queue_port] = free_ports();
    let (monitor_url, queue_url) = (url(monitor_port), url(queue_port));
    let settings = one_file(&github, monitor_port, queue_port, 1);
    let monitor = start(daemon("monitor", folder.path(), &settings));
    let queue = start(daemon("queue", folder.path(), &settings));
    until("the first runner is idle", async || {
        linux(&queue_url).await["idle"] == 1
    })
    .await;

    let first = take(&queue_url).await;
    let job = queue_workflow_job(&github, &first["label"], "echo it ran; exit 3").await;
    let replacement = take(&queue_url).await;
    assert_eq!(first["server"], format!("{monitor_url}/").as_str());
    assert_ne!(first["label"], replacement["label"]);
    assert!(first["id"].as_u64() < replacement["id"].as_u64());

    let job_url = format!("{github}/_emulator/jobs/{job}");
    let ended = get(&job_url).await.unwrap();
    let expected = (
        &json!("completed"),
        &json!("failure"),
        &json!(3),
        &json!("it ran\n"),
    );
    let seen = (
        &ended["state"],
        &ended["conclusion"],
        &ended["exit_code"],
        &ended["output_tail"],
    );
    assert_eq!(seen, expected, "{ended}");
    let dashboard = get(&format!("{monitor_url}/dashboard.json")).await.unwrap();
    let runners = dashboard["runners"].as_array().unwrap();
    let is_there = |taken: &Value| runners.iter().any(|runner| runner["id"] == taken["id"]);
    assert!(!is_there(&first), "destroyed: {dashboard}");
    assert!(is_there(&replacement), "kept for its job: {dashboard}");

    for (name, daemon) in [("queue", queue), ("monitor", monitor)] {
        daemon.signal("TERM").await;
        let ended = daemon.end().await;
        assert_eq!(ended.status, Some(0), "{name}: {}", ended.stderr);
        assert!(!ended.stderr.contains(API_TOKEN), "{name}");
        assert!(!ended.stderr.contains("panicked"), "{name}");
    }
    emulator.signal("INT").await;
    assert_eq!(emulator.end().await.status, Some(0));
    until("the agents end without GitHub", async || {
        processes_in(folder.path()).is_empty()
    })
    .await;
}

/// What the queue says of the profile; null as long as it says nothing.
async fn linux(queue_url: &str) -> Value {
    let dashboard = get(&format!("{queue_url}/dashboard.json")).await;
    let dashboard = dashboard.unwrap_or_default();
    dashboard["profiles"][0].clone()
}

/// The runner that curl gets, with exactly the line that operators type.
async fn take(queue_url: &str) -> Value {
    let pair = CURL_PAIR.replace("http://[::1]:8002", queue_url);
    let script = format!("export SERVO_CI_MONITOR_API_TOKEN={API_TOKEN}\n{pair}");
    serde_json::from_str(&text_of("bash", &["-c", &script]).await).unwrap()
}
