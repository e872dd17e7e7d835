//! One job from curl to the end of its command, with every program as a process: emulator, monitor,
//! queue, and the agents of the runners. The client is the documented curl command.

use super::support::*;
use serde_json::{Value, json};

/// The documented command; the tests replace only host and port.
const CURL_PAIR: &str = r#"unique_id=$RANDOM; curl --fail-with-body -sSX POST --retry-max-time 3600 --retry 3600 --retry-delay 1 'http://[::1]:8002/take/'"$unique_id"'?token='"$(curl --fail-with-body -sSX POST --oauth2-bearer "$SERVO_CI_MONITOR_API_TOKEN" 'http://[::1]:8002/profile/linux/enqueue?unique_id='"$unique_id"'&qualified_repo=delan/servo&run_id=123')""#;

#[actix_web::test]
async fn the_runner_of_a_finished_job_is_destroyed_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (emulator, github) = start_emulator().await;
    let [monitor_port, queue_port] = free_ports();
    let (monitor_url, queue_url) = (url(monitor_port), url(queue_port));
    let settings = settings_of_both(&github, monitor_port, queue_port, 1);
    let monitor = start(daemon("monitor", folder.path(), &settings));
    let queue = start(daemon("queue", folder.path(), &settings));
    wait_until("the first runner is idle", async || {
        linux(&queue_url).await["idle"] == 1
    })
    .await;

    let first = take_with_curl(&queue_url).await;
    let job = queue_workflow_job(&github, &first["label"], "echo it ran; exit 3").await;
    let replacement = take_with_curl(&queue_url).await;
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
    let actual = (
        &ended["state"],
        &ended["conclusion"],
        &ended["exit_code"],
        &ended["output_tail"],
    );
    assert_eq!(actual, expected, "{ended}");
    let dashboard = get(&format!("{monitor_url}/dashboard.json")).await.unwrap();
    let runners = dashboard["runners"].as_array().unwrap();
    let exists = |taken: &Value| runners.iter().any(|runner| runner["id"] == taken["id"]);
    assert!(!exists(&first), "destroyed: {dashboard}");
    assert!(exists(&replacement), "reserved for its job: {dashboard}");

    for (name, daemon) in [("queue", queue), ("monitor", monitor)] {
        daemon.signal("TERM").await;
        let finished = daemon.finish().await;
        finished.assert_status(0);
        assert!(!finished.stderr.contains(API_TOKEN), "{name}");
        assert!(!finished.stderr.contains("panicked"), "{name}");
    }
    emulator.signal("INT").await;
    emulator.finish().await.assert_status(0);
    wait_until("the agents exit without GitHub", async || {
        processes_in(folder.path()).is_empty()
    })
    .await;
}

/// The profile on the queue's dashboard; null until it is there.
async fn linux(queue_url: &str) -> Value {
    let dashboard = get(&format!("{queue_url}/dashboard.json")).await;
    let dashboard = dashboard.unwrap_or_default();
    dashboard["profiles"][0].clone()
}

/// The runner that the documented command prints.
async fn take_with_curl(queue_url: &str) -> Value {
    let pair = CURL_PAIR.replace("http://[::1]:8002", queue_url);
    let script = format!("export SERVO_CI_MONITOR_API_TOKEN={API_TOKEN}\n{pair}");
    serde_json::from_str(&stdout_of("bash", &["-c", &script]).await).unwrap()
}
