//! Tests of what the monitor records of its runners and of changes by operators.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use emulator::model::JobPhase;
use http_client::{Method, Response};
use serde_json::Value;

use crate::support::{API_TOKEN, Host, Running, bearer, expect_refusal, ids, in_time, with_idle};

fn names(story: &Value) -> Vec<&str> {
    let events = story["events"].as_array().unwrap();
    events
        .iter()
        .map(|it| it["event"].as_str().unwrap())
        .collect()
}

async fn story(monitor: &Running, id: u64) -> Value {
    let response = monitor.call(Method::GET, &format!("runner/{id}")).await;
    assert_eq!(response.status, 200, "{:?}", response.text());
    response.json().unwrap()
}

/// Every event in the files of the journal, oldest first.
fn entries(host: &Host) -> Vec<Value> {
    let folder = fs::read_dir(host.path("data/monitor/journal")).unwrap();
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let text: String = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[actix_web::test]
async fn the_story_of_a_runner_is_known_after_its_end_and_after_a_restart() {
    let (host, monitor) = with_idle(1).await;
    let label = monitor.expect_taken("the-job").await.label.unwrap();
    let live = story(&monitor, 0).await;
    assert_eq!(live["status"], "reserved");
    assert_eq!(live["runner"]["id"], 0);
    let job = host.queue_job(&label, "echo");
    host.until_phase(job, JobPhase::Completed).await;
    monitor.until(|dashboard| ids(dashboard) == [1]).await;
    let gone = story(&monitor, 0).await;
    let all = names(&gone);
    let start = [
        "runner_created",
        "runner_guest_started",
        "runner_credential_fetched",
        "runner_online",
        "runner_reserved",
    ];
    assert_eq!(all[..5], start, "{gone}");
    // A short job may end before GitHub shows it, or be shown after the end of the guest only; and GitHub
    // may show its end so early that the guest is destroyed before it ends by itself.
    let mut end = all[5..].to_vec();
    end.retain(|name| !matches!(*name, "runner_busy" | "runner_ended"));
    assert_eq!(end, ["runner_destroyed"], "{gone}");
    assert_eq!(
        (&gone["status"], &gone["runner"]),
        (&Value::Null, &Value::Null)
    );
    let events = gone["events"].as_array().unwrap();
    assert_eq!(events[0]["reason"], "below_target");
    assert_eq!(events[4]["unique_id"], "the-job");
    assert_eq!(events[4]["qualified_repo"], "acme/app");
    let mut ended = events.iter().filter(|it| it["event"] == "runner_ended");
    assert!(
        ended.all(|it| it["exit_status"] == "exit status: 0"),
        "{gone}"
    );
    assert!(!gone.to_string().contains(&label), "{gone}");
    monitor.stop().await;

    let monitor = host.start(host.settings(1, "")).await;
    assert_eq!(names(&story(&monitor, 0).await), all);
    monitor.stop().await;
}

#[actix_web::test]
async fn the_story_of_a_runner_requires_the_api_token() {
    let host = Host::new();
    let monitor = host.start(host.settings(0, "")).await;
    let response = monitor.get("runner/0").await;
    expect_refusal(&response, 401, "unauthorised", "no token");
    let wrong = [("authorization", "Bearer wrong")];
    let response = monitor.call_with(Method::GET, "runner/0", &wrong).await;
    expect_refusal(&response, 403, "wrong_token", "another token");
    let response = monitor.call(Method::GET, "runner/0").await;
    expect_refusal(&response, 404, "not_found", "there was no such runner");
    monitor.stop().await;
}

#[actix_web::test]
async fn changes_by_operators_are_recorded_with_the_address_of_the_client() {
    let (host, monitor) = with_idle(1).await;
    let expect_done = |response: Response| {
        let is_done = response.status.is_success();
        assert!(is_done, "{}: {:?}", response.status, response.text());
    };
    expect_done(monitor.call(Method::POST, "policy/override?linux=1").await);
    expect_done(monitor.call(Method::DELETE, "policy/override").await);
    // Before the drain, which destroys idle runners.
    expect_done(monitor.call(Method::DELETE, "runner/0?force=true").await);
    expect_done(
        monitor
            .call(Method::POST, "policy/drain?note=new+memory")
            .await,
    );
    expect_done(monitor.call(Method::DELETE, "policy/drain").await);
    expect_done(monitor.call(Method::DELETE, "reservation/the-job").await);
    monitor.stop().await;
    let entries = entries(&host);
    let audits: Vec<_> = entries.iter().filter(|it| it["event"] == "audit").collect();
    let actions: Vec<_> = audits
        .iter()
        .map(|it| it["action"].as_str().unwrap())
        .collect();
    let expected = [
        "override",
        "cancel_override",
        "remove_runner",
        "drain",
        "end_drain",
        "release",
    ];
    assert_eq!(actions, expected);
    for audit in &audits {
        assert_eq!(audit["client_address"], "127.0.0.1", "{audit}");
        assert_eq!(audit["authorised_by"], "api_token", "{audit}");
    }
    assert_eq!(audits[0]["targets"], "linux=1");
    assert_eq!(audits[3]["note"], "new memory");
    assert_eq!(audits[5]["unique_id"], "the-job");
    assert_eq!(
        (&audits[2]["runner"], &audits[2]["force"]),
        (&0.into(), &true.into())
    );
}

/// The events of a stream until one has this name, as `name` and `data`.
fn read_until(address: &str, headers: &str, last: &str) -> Vec<(String, Value)> {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("GET /events?last_event_id=1 HTTP/1.1\r\nhost: {address}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut events = Vec::new();
    let mut name = String::new();
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        if let Some(event) = line.strip_prefix("event: ") {
            name = event.to_owned();
        } else if let Some(data) = line.strip_prefix("data: ") {
            events.push((name.clone(), serde_json::from_str(data).unwrap()));
            if name == last {
                return events;
            }
        }
    }
    panic!("the stream ended after {events:?}");
}

#[actix_web::test]
async fn the_stream_of_events_shows_strangers_neither_jobs_nor_audits() {
    let (_host, monitor) = with_idle(1).await;
    let response = monitor.call(Method::POST, "policy/override?linux=1").await;
    assert_eq!(response.status, 200);
    monitor.expect_taken("the-job").await;
    let address = monitor.url.replace("http://", "").replace('/', "");
    let read = async |headers: String| {
        let address = address.clone();
        let reading = move || read_until(&address, &headers, "runner_reserved");
        let reading = tokio::task::spawn_blocking(reading);
        in_time("a runner is reserved", reading).await.unwrap()
    };
    let public = read(String::new()).await;
    let authorised = read(format!("authorization: {}\r\n", bearer(API_TOKEN))).await;
    let has_audit = |events: &[(String, Value)]| events.iter().any(|(name, _)| name == "audit");
    assert_eq!((has_audit(&public), has_audit(&authorised)), (false, true));
    let last = |events: &[(String, Value)]| events.last().unwrap().1.clone();
    assert_eq!(last(&authorised)["unique_id"], "the-job");
    assert_eq!(last(&public)["unique_id"], Value::Null, "{public:?}");
    assert_eq!(last(&public)["runner"], 0);
    monitor.stop().await;
}
