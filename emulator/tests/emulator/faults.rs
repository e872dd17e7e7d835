//! The effect of each fault.

use std::time::Duration;

use emulator::{
    Emulator,
    faults::{Fault, FaultId, FaultRule, PathMatch},
    model::ListMode,
};
use http_client::HttpError;
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::support::*;

fn inject_once(fixture: &Fixture, method: &str, path: &str, fault: Fault) -> FaultId {
    let rule = FaultRule::on(method, PathMatch::Exact(path.into()), fault).next(1);
    fixture.emulator().faults().add(rule).unwrap()
}

fn runner_count(emulator: &Emulator) -> usize {
    let page = emulator::model::PageRequest::new(None, None);
    let scope = "/orgs/acme".parse().unwrap();
    emulator
        .model(|model, now| model.runners(now, &scope, None, page))
        .total_count
}

#[actix_web::test]
async fn an_error_response_is_injected_and_the_request_has_no_effect() {
    for (status, headers) in [
        (401, vec![]),
        (403, vec![("x-ratelimit-remaining", "0")]),
        (403, vec![("retry-after", "60")]),
        (429, vec![("retry-after", "1")]),
        (502, vec![]),
        (503, vec![]),
    ] {
        let fixture = Fixture::new();
        let fault = headers
            .iter()
            .fold(Fault::status(status), |fault, (name, value)| {
                fault.with_header(name, value)
            });
        let id = inject_once(&fixture, "POST", JIT_CONFIG, fault);
        let answer = fixture
            .call("POST", JIT_CONFIG, Some(registration("a", &["x"])))
            .await;
        assert_eq!(answer.status.as_u16(), status);
        for (name, value) in headers {
            assert_eq!(answer.header(name), Some(value));
        }
        let body: serde_json::Value = answer.json().unwrap();
        assert_eq!(body["message"], format!("Fault {status}"));
        assert_eq!(runner_count(fixture.emulator()), 0);
        // The rule was for one request only.
        fixture.register("a", &["x"]).await;
        assert_eq!(fixture.emulator().faults().hit_count(id), 1);
    }
}

#[actix_web::test]
async fn a_rule_with_a_prefix_applies_until_it_is_cleared() {
    let fixture = Fixture::new();
    let rule = FaultRule::on(
        "",
        PathMatch::Prefix("/orgs/acme/".into()),
        Fault::status(500),
    );
    let id = fixture.emulator().faults().add(rule).unwrap();
    for path in [RUNNERS, "/orgs/acme/actions/runners/1"] {
        assert_eq!(fixture.call("GET", path, None).await.status, 500);
        assert_eq!(fixture.call("DELETE", path, None).await.status, 500);
    }
    assert_eq!(
        fixture
            .call("GET", "/orgs/other/actions/runners", None)
            .await
            .status,
        200
    );
    assert!(fixture.emulator().faults().clear(id));
    assert_eq!(fixture.call("GET", RUNNERS, None).await.status, 200);
}

#[actix_web::test]
async fn a_truncated_body_ends_early_with_the_connection() {
    let fixture = Fixture::new();
    let whole = fixture.raw(RAW_LIST).await;
    assert_eq!(whole.announced_length(), whole.body.len());
    for keep in [0, 10, usize::MAX] {
        inject_once(&fixture, "GET", RUNNERS, Fault::TruncateBody { keep });
        let raw = fixture.raw(RAW_LIST).await;
        assert!(raw.head.starts_with("http/1.1 200 "), "{}", raw.head);
        assert_eq!(raw.announced_length(), whole.body.len());
        assert_eq!(raw.body, whole.body[..keep.min(whole.body.len() - 1)]);
    }
    inject_once(&fixture, "GET", RUNNERS, Fault::TruncateBody { keep: 10 });
    let error = fixture
        .try_call("GET", RUNNERS, None, &[])
        .await
        .unwrap_err();
    assert!(matches!(error, HttpError::Broken { .. }), "{error}");
    assert_eq!(fixture.call("GET", RUNNERS, None).await.status, 200);
}

#[actix_web::test]
async fn a_stalled_body_stops_and_the_connection_stays_open() {
    let fixture = Fixture::new();
    inject_once(&fixture, "GET", RUNNERS, Fault::StallBody { keep: 10 });
    let mut stream = fixture.connect(RAW_LIST).await;
    let mut received = Vec::new();
    while !received.windows(4).any(|window| window == b"\r\n\r\n")
        || Raw::new(&received).body.len() < 10
    {
        assert_ne!(within(stream.read_buf(&mut received)).await.unwrap(), 0);
    }
    let raw = Raw::new(&received);
    assert_eq!(raw.body.len(), 10);
    assert!(raw.announced_length() > 10);
    // There are neither more bytes nor an end of the connection.
    let more = stream.read_buf(&mut received);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), more)
            .await
            .is_err()
    );
}

#[actix_web::test]
async fn a_held_request_has_its_effect_when_it_is_released() {
    let fixture = Fixture::new();
    let id = inject_once(&fixture, "POST", JIT_CONFIG, Fault::HoldRequest);
    let held = fixture.call("POST", JIT_CONFIG, Some(registration("a", &["x"])));
    let release = async {
        fixture
            .until(|emulator| emulator.faults().hit_count(id) == 1)
            .await;
        assert_eq!(runner_count(fixture.emulator()), 0);
        assert_eq!(fixture.emulator().requests().all()[0].status, None);
        assert!(fixture.emulator().faults().release(id));
    };
    let (answer, ()) = tokio::join!(held, release);
    assert_eq!(answer.status, 201);
    assert_eq!(runner_count(fixture.emulator()), 1);
    assert_eq!(fixture.emulator().requests().all()[0].status, Some(201));
}

#[actix_web::test]
async fn a_request_with_a_held_response_has_its_effect_at_once() {
    let fixture = Fixture::new();
    let id = inject_once(&fixture, "POST", JIT_CONFIG, Fault::HoldAnswer);
    let held = fixture.call("POST", JIT_CONFIG, Some(registration("a", &["x"])));
    let release = async {
        fixture.until(|emulator| runner_count(emulator) == 1).await;
        assert_eq!(fixture.emulator().requests().all()[0].status, None);
        // Clearing a rule releases its requests as well.
        assert!(fixture.emulator().faults().clear(id));
    };
    let (answer, ()) = tokio::join!(held, release);
    assert_eq!(answer.status, 201);
}

#[actix_web::test]
async fn a_dropped_connection_gives_no_response_with_or_without_effect() {
    for (fault, effect) in [(Fault::DropRequest, 0), (Fault::DropAnswer, 1)] {
        let fixture = Fixture::new();
        // Over a new connection, and over one that was used before.
        for round in 0..2 {
            inject_once(&fixture, "POST", JIT_CONFIG, fault.clone());
            let body = registration(&format!("runner-{round}"), &["x"]);
            let error = fixture
                .try_call("POST", JIT_CONFIG, Some(body), &[])
                .await
                .unwrap_err();
            assert!(
                matches!(error, HttpError::Broken { .. }),
                "{fault:?}: {error}"
            );
            assert_eq!(
                runner_count(fixture.emulator()),
                effect * (round + 1),
                "{fault:?}"
            );
            assert_eq!(fixture.call("GET", RUNNERS, None).await.status, 200);
        }
        let has_no_response = |entry: &&emulator::RequestEntry| entry.status.is_none();
        let log = fixture.emulator().requests().all();
        assert_eq!(log.iter().filter(has_no_response).count(), 2, "{log:?}");
    }
}

#[actix_web::test]
async fn the_clock_skew_is_visible_in_headers_bodies_and_rate_limits() {
    let fixture = Fixture::new();
    let upload = json!({
        "repo": "acme/widgets", "run_id": 7, "name": "proof", "text_lines": ["a=b"],
    });
    assert_eq!(
        fixture
            .json("POST", "/_emulator/artifacts", Some(upload))
            .await
            .0,
        201
    );
    let path = "/repos/acme/widgets/actions/runs/7/artifacts";
    let created_at = async || fixture.get(path).await.1["artifacts"][0]["created_at"].clone();
    let right = created_at().await;
    for skew in [7_200, -7_200] {
        fixture.emulator().faults().set_clock_skew(skew);
        let before = i64::try_from(fixture.emulator().now().as_seconds()).unwrap();
        let answer = fixture.call("GET", "/rate_limit", None).await;
        let after = i64::try_from(fixture.emulator().now().as_seconds()).unwrap();
        let date = i64::try_from(answer.date().unwrap().as_seconds()).unwrap();
        assert!(
            (before + skew..=after + skew).contains(&date),
            "{before} {date} {after}"
        );
        let wrong = created_at().await;
        assert_eq!(seconds(&wrong) - seconds(&right), skew);
    }
    fixture.emulator().faults().clear_all();
    assert_eq!(created_at().await, right);
}

/// Seconds since the epoch of a date in JSON.
fn seconds(date: &serde_json::Value) -> i64 {
    let time = humantime::parse_rfc3339(date.as_str().unwrap()).unwrap();
    let since = time
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[actix_web::test]
async fn a_list_can_lag_or_be_frozen() {
    let fixture = Fixture::new();
    let set = |mode| {
        fixture
            .emulator()
            .model(|model, now| model.set_list_mode(now, mode));
    };
    fixture.register("a", &["x"]).await;
    set(ListMode::Frozen);
    fixture.register("b", &["x"]).await;
    assert_eq!(fixture.listed().await, ["a"]);
    set(ListMode::Lagging(1));
    fixture.register("c", &["x"]).await;
    assert_eq!(fixture.listed().await, ["a", "b"]);
    fixture.register("d", &["x"]).await;
    assert_eq!(fixture.listed().await, ["a", "b", "c"]);
    set(ListMode::Live);
    assert_eq!(fixture.listed().await, ["a", "b", "c", "d"]);
}

#[actix_web::test]
async fn a_registration_can_vanish_right_after_a_response() {
    let fixture = Fixture::new();
    for name in ["a", "b"] {
        fixture.register(name, &["x"]).await;
    }
    let vanish = Fault::ThenVanish { name: "a".into() };
    inject_once(&fixture, "GET", RUNNERS, vanish);
    assert_eq!(fixture.listed().await, ["a", "b"]);
    assert_eq!(fixture.listed().await, ["b"]);
}

#[actix_web::test]
async fn faults_do_not_apply_to_control_requests() {
    let fixture = Fixture::new();
    let rule = FaultRule::on("", PathMatch::Prefix("/".into()), Fault::DropRequest);
    fixture.emulator().faults().add(rule).unwrap();
    assert!(fixture.try_call("GET", RUNNERS, None, &[]).await.is_err());
    assert_eq!(
        fixture
            .call("DELETE", "/_emulator/faults", None)
            .await
            .status,
        204
    );
    assert_eq!(fixture.call("GET", RUNNERS, None).await.status, 200);
}
