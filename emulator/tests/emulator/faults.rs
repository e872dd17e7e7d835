//! Each fault does what it says, and nothing else.

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

fn strike(stage: &Stage, method: &str, path: &str, fault: Fault) -> FaultId {
    let rule = FaultRule::on(method, PathMatch::Exact(path.into()), fault).next(1);
    stage.github.emulator.faults().add(rule).unwrap()
}

fn runner_count(emulator: &Emulator) -> usize {
    let page = emulator::model::PageRequest::new(None, None);
    let scope = "/orgs/acme".parse().unwrap();
    emulator
        .model(|model, now| model.runners(now, &scope, None, page))
        .total_count
}

#[actix_web::test]
async fn a_request_is_answered_as_the_fault_says_and_has_no_effect() {
    for (status, headers) in [
        (401, vec![]),
        (403, vec![("x-ratelimit-remaining", "0")]),
        (403, vec![("retry-after", "60")]),
        (429, vec![("retry-after", "1")]),
        (502, vec![]),
        (503, vec![]),
    ] {
        let stage = Stage::new();
        let fault = headers
            .iter()
            .fold(Fault::status(status), |fault, (name, value)| {
                fault.header(name, value)
            });
        let id = strike(&stage, "POST", JIT, fault);
        let answer = stage
            .call("POST", JIT, Some(registration("a", &["x"])))
            .await;
        assert_eq!(answer.status.as_u16(), status);
        for (name, value) in headers {
            assert_eq!(answer.header(name), Some(value));
        }
        let body: serde_json::Value = answer.json().unwrap();
        assert_eq!(body["message"], format!("Fault {status}"));
        assert_eq!(runner_count(&stage.github.emulator), 0);
        // It strikes as often as it was told to.
        stage.register("a", &["x"]).await;
        assert_eq!(stage.github.emulator.faults().hit_count(id), 1);
    }
}

#[actix_web::test]
async fn a_prefix_strikes_until_it_is_cleared() {
    let stage = Stage::new();
    let rule = FaultRule::on(
        "",
        PathMatch::Prefix("/orgs/acme/".into()),
        Fault::status(500),
    );
    let id = stage.github.emulator.faults().add(rule).unwrap();
    for path in [RUNNERS, "/orgs/acme/actions/runners/1"] {
        assert_eq!(stage.call("GET", path, None).await.status, 500);
        assert_eq!(stage.call("DELETE", path, None).await.status, 500);
    }
    assert_eq!(
        stage
            .call("GET", "/orgs/other/actions/runners", None)
            .await
            .status,
        200
    );
    assert!(stage.github.emulator.faults().clear(id));
    assert_eq!(stage.call("GET", RUNNERS, None).await.status, 200);
}

#[actix_web::test]
async fn a_truncated_body_ends_early_and_so_does_the_connection() {
    let stage = Stage::new();
    let whole = stage.raw(RAW_LIST).await;
    assert_eq!(whole.announced_length(), whole.body.len());
    for keep in [0, 10, usize::MAX] {
        strike(&stage, "GET", RUNNERS, Fault::TruncateBody { keep });
        let raw = stage.raw(RAW_LIST).await;
        assert!(raw.head.starts_with("http/1.1 200 "), "{}", raw.head);
        assert_eq!(raw.announced_length(), whole.body.len());
        assert_eq!(raw.body, whole.body[..keep.min(whole.body.len() - 1)]);
    }
    strike(&stage, "GET", RUNNERS, Fault::TruncateBody { keep: 10 });
    let error = stage.try_call("GET", RUNNERS, None, &[]).await.unwrap_err();
    assert!(matches!(error, HttpError::Broken { .. }), "{error}");
    assert_eq!(stage.call("GET", RUNNERS, None).await.status, 200);
}

#[actix_web::test]
async fn a_stalled_body_stops_and_the_connection_stays() {
    let stage = Stage::new();
    strike(&stage, "GET", RUNNERS, Fault::StallBody { keep: 10 });
    let mut stream = stage.connect(RAW_LIST).await;
    let mut received = Vec::new();
    while !received.windows(4).any(|window| window == b"\r\n\r\n")
        || Raw::new(&received).body.len() < 10
    {
        assert_ne!(within(stream.read_buf(&mut received)).await.unwrap(), 0);
    }
    let raw = Raw::new(&received);
    assert_eq!(raw.body.len(), 10);
    assert!(raw.announced_length() > 10);
    // Neither more of it nor an end: only the patience of this test.
    let more = stream.read_buf(&mut received);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), more)
            .await
            .is_err()
    );
}

#[actix_web::test]
async fn a_held_request_has_its_effect_only_when_it_is_released() {
    let stage = Stage::new();
    let id = strike(&stage, "POST", JIT, Fault::HoldRequest);
    let held = stage.call("POST", JIT, Some(registration("a", &["x"])));
    let release = async {
        stage
            .until(|emulator| emulator.faults().hit_count(id) == 1)
            .await;
        assert_eq!(runner_count(&stage.github.emulator), 0);
        assert_eq!(stage.github.emulator.requests().all()[0].status, None);
        assert!(stage.github.emulator.faults().release(id));
    };
    let (answer, ()) = tokio::join!(held, release);
    assert_eq!(answer.status, 201);
    assert_eq!(runner_count(&stage.github.emulator), 1);
    assert_eq!(stage.github.emulator.requests().all()[0].status, Some(201));
}

#[actix_web::test]
async fn a_held_answer_has_its_effect_before_it_is_released() {
    let stage = Stage::new();
    let id = strike(&stage, "POST", JIT, Fault::HoldAnswer);
    let held = stage.call("POST", JIT, Some(registration("a", &["x"])));
    let release = async {
        stage.until(|emulator| runner_count(emulator) == 1).await;
        assert_eq!(stage.github.emulator.requests().all()[0].status, None);
        // Clearing lets go as well.
        assert!(stage.github.emulator.faults().clear(id));
    };
    let (answer, ()) = tokio::join!(held, release);
    assert_eq!(answer.status, 201);
}

#[actix_web::test]
async fn a_dropped_connection_gives_no_answer_with_or_without_effect() {
    for (fault, effect) in [(Fault::DropRequest, 0), (Fault::DropAnswer, 1)] {
        let stage = Stage::new();
        // Over a fresh connection, and over one that was used before.
        for round in 0..2 {
            strike(&stage, "POST", JIT, fault.clone());
            let body = registration(&format!("runner-{round}"), &["x"]);
            let error = stage
                .try_call("POST", JIT, Some(body), &[])
                .await
                .unwrap_err();
            assert!(
                matches!(error, HttpError::Broken { .. }),
                "{fault:?}: {error}"
            );
            assert_eq!(
                runner_count(&stage.github.emulator),
                effect * (round + 1),
                "{fault:?}"
            );
            assert_eq!(stage.call("GET", RUNNERS, None).await.status, 200);
        }
        let unanswered = |entry: &&emulator::RequestEntry| entry.status.is_none();
        let log = stage.github.emulator.requests().all();
        assert_eq!(log.iter().filter(unanswered).count(), 2, "{log:?}");
    }
}

#[actix_web::test]
async fn a_wrong_clock_shows_in_dates_headers_and_limits() {
    let stage = Stage::new();
    let upload = json!({
        "repo": "acme/widgets", "run_id": 7, "name": "proof", "text_lines": ["a=b"],
    });
    assert_eq!(
        stage
            .json("POST", "/_emulator/artifacts", Some(upload))
            .await
            .0,
        201
    );
    let path = "/repos/acme/widgets/actions/runs/7/artifacts";
    let created_at = async || stage.get(path).await.1["artifacts"][0]["created_at"].clone();
    let right = created_at().await;
    for skew in [7_200, -7_200] {
        stage.github.emulator.faults().set_clock_skew(skew);
        let before = i64::try_from(stage.github.emulator.now().as_seconds()).unwrap();
        let answer = stage.call("GET", "/rate_limit", None).await;
        let after = i64::try_from(stage.github.emulator.now().as_seconds()).unwrap();
        let date = i64::try_from(answer.date().unwrap().as_seconds()).unwrap();
        assert!(
            (before + skew..=after + skew).contains(&date),
            "{before} {date} {after}"
        );
        let wrong = created_at().await;
        assert_eq!(seconds(&wrong) - seconds(&right), skew);
    }
    stage.github.emulator.faults().clear_all();
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
async fn a_list_can_lag_or_stand_still() {
    let stage = Stage::new();
    let set = |mode| {
        stage
            .github
            .emulator
            .model(|model, now| model.set_list_mode(now, mode));
    };
    stage.register("a", &["x"]).await;
    set(ListMode::Frozen);
    stage.register("b", &["x"]).await;
    assert_eq!(stage.listed().await, ["a"]);
    set(ListMode::Lagging(1));
    stage.register("c", &["x"]).await;
    assert_eq!(stage.listed().await, ["a", "b"]);
    stage.register("d", &["x"]).await;
    assert_eq!(stage.listed().await, ["a", "b", "c"]);
    set(ListMode::Live);
    assert_eq!(stage.listed().await, ["a", "b", "c", "d"]);
}

#[actix_web::test]
async fn a_registration_can_vanish_right_after_an_answer() {
    let stage = Stage::new();
    for name in ["a", "b"] {
        stage.register(name, &["x"]).await;
    }
    let vanish = Fault::ThenVanish { name: "a".into() };
    strike(&stage, "GET", RUNNERS, vanish);
    assert_eq!(stage.listed().await, ["a", "b"]);
    assert_eq!(stage.listed().await, ["b"]);
}

#[actix_web::test]
async fn the_control_side_is_above_all_faults() {
    let stage = Stage::new();
    let rule = FaultRule::on("", PathMatch::Prefix("/".into()), Fault::DropRequest);
    stage.github.emulator.faults().add(rule).unwrap();
    assert!(stage.try_call("GET", RUNNERS, None, &[]).await.is_err());
    assert_eq!(
        stage.call("DELETE", "/_emulator/faults", None).await.status,
        204
    );
    assert_eq!(stage.call("GET", RUNNERS, None).await.status, 200);
}
