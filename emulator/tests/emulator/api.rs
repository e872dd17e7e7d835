//! GitHub's API: authentication, rate limits, registrations, labels, pagination.

use std::time::Duration;

use emulator::model::ModelSettings;
use http_client::Response;
use serde_json::{Value, json};

use super::support::*;

#[actix_web::test]
async fn requests_need_a_token_and_a_user_agent() {
    let fixture = Fixture::new();
    for (headers, status, message) in [
        (
            "User-Agent: test\nAuthorization: Bearer test-token\n",
            200,
            "",
        ),
        (
            "User-Agent: test\nAuthorization: token test-token\n",
            200,
            "",
        ),
        (
            "User-Agent: test\nAuthorization: Bearer wrong\n",
            401,
            "Bad credentials",
        ),
        (
            "User-Agent: test\nAuthorization: Basic test-token\n",
            401,
            "Bad credentials",
        ),
        ("User-Agent: test\n", 401, "Requires authentication"),
        ("Authorization: Bearer test-token\n", 403, "User-Agent"),
    ] {
        let request = format!("GET {RUNNERS} HTTP/1.1\nHost: HOST\nConnection: close\n{headers}\n");
        let raw = fixture.raw(&request).await;
        assert!(
            raw.head.starts_with(&format!("http/1.1 {status} ")),
            "{headers} {}",
            raw.head
        );
        assert!(raw.head.contains("\r\ndate: "), "{}", raw.head);
        let body: Value = serde_json::from_slice(&raw.body).unwrap();
        if status != 200 {
            assert!(
                body["message"].as_str().unwrap().contains(message),
                "{body}"
            );
            assert_eq!(body["documentation_url"], "https://docs.github.com/rest");
        }
    }
}

#[actix_web::test]
async fn unknown_paths_and_ids_are_404_in_githubs_format() {
    let fixture = Fixture::new();
    let (id, _) = fixture.register("a", &["x"]).await;
    for path in [
        "/",
        "/orgs/acme",
        "/orgs/acme/actions/runners/999",
        "/orgs/acme/actions/runners/abc",
        "/orgs/acme/actions/runners/-1",
        "/orgs/a%2fb/actions/runners",
        &format!("/repos/acme/widgets/actions/runners/{id}"),
        &format!("/orgs/other/actions/runners/{id}"),
    ] {
        let (status, body) = fixture.get(path).await;
        assert_eq!(
            (status, &body["message"]),
            (404, &json!("Not Found")),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn a_registration_has_githubs_format_and_is_listed() {
    let fixture = Fixture::new();
    let body = registration("a", &["self-hosted", "Fast"]);
    let (status, created) = fixture.json("POST", JIT_CONFIG, Some(body)).await;
    assert_eq!(status, 201);
    let runner = json!({
        "id": 1, "name": "a", "os": "unknown", "status": "offline", "busy": false,
        "ephemeral": true, "runner_group_id": 1, "version": null,
        "labels": [
            { "id": 2, "name": "self-hosted", "type": "read-only" },
            { "id": 3, "name": "Fast", "type": "custom" },
        ],
    });
    assert_eq!(created["runner"], runner);
    let (status, listed) = fixture.get(RUNNERS).await;
    assert_eq!(
        (status, listed),
        (200, json!({ "total_count": 1, "runners": [runner] }))
    );
    let (status, shown) = fixture.get(&format!("{RUNNERS}/1")).await;
    assert_eq!((status, shown), (200, runner));
    // An organisation's runners are not those of its repositories.
    let (_, others) = fixture.get("/repos/acme/widgets/actions/runners").await;
    assert_eq!(others, json!({ "total_count": 0, "runners": [] }));
}

#[actix_web::test]
async fn invalid_registrations_are_rejected_with_githubs_statuses() {
    let fixture = Fixture::new();
    fixture.register("taken", &["x"]).await;
    for (body, status) in [
        ("{", 400),
        ("", 400),
        (r#"{"name":"a","runner_group_id":1}"#, 422),
        (r#"{"name":"a","labels":["x"]}"#, 422),
        (r#"{"runner_group_id":1,"labels":["x"]}"#, 422),
        (r#"{"name":"a","runner_group_id":1,"labels":[]}"#, 422),
        (r#"{"name":"a","runner_group_id":1,"labels":"x"}"#, 422),
        (r#"{"name":"a","runner_group_id":"1","labels":["x"]}"#, 422),
        (
            r#"{"name":"taken","runner_group_id":1,"labels":["x"]}"#,
            409,
        ),
        (r#"{"name":"a","runner_group_id":1,"labels":["x"]}"#, 201),
    ] {
        let request = format!(
            "POST {JIT_CONFIG} HTTP/1.1\nHost: HOST\nUser-Agent: test\nAuthorization: Bearer {TOKEN}\n\
             Connection: close\nContent-Length: {}\n\n{body}",
            body.len()
        );
        let raw = fixture.raw(&request).await;
        assert!(
            raw.head.starts_with(&format!("http/1.1 {status} ")),
            "{body} {}",
            raw.head
        );
    }
    assert_eq!(fixture.listed().await, ["taken", "a"]);
}

#[actix_web::test]
async fn too_many_registrations_are_rejected_with_retry_after() {
    let settings = ModelSettings {
        registration_count_max: 1,
        ..ModelSettings::default()
    };
    let fixture = Fixture::with(settings);
    fixture.register("a", &["x"]).await;
    let answer = fixture
        .call("POST", JIT_CONFIG, Some(registration("b", &["x"])))
        .await;
    assert_eq!(answer.status, 403);
    let wait = answer.retry_after().unwrap();
    assert!(
        (Duration::from_secs(1)..=Duration::from_mins(5)).contains(&wait),
        "{wait:?}"
    );
    fixture.emulator().advance_clock(wait);
    fixture.register("b", &["x"]).await;
}

#[actix_web::test]
async fn deleting_a_runner_again_is_404() {
    let fixture = Fixture::new();
    let (id, _) = fixture.register("a", &["x"]).await;
    let path = format!("{RUNNERS}/{id}");
    assert_eq!(fixture.call("DELETE", &path, None).await.status, 204);
    assert_eq!(fixture.call("DELETE", &path, None).await.status, 404);
    assert!(fixture.listed().await.is_empty());
}

#[actix_web::test]
async fn labels_are_added_replaced_and_removed() {
    let fixture = Fixture::new();
    let (id, _) = fixture.register("a", &["linux", "one"]).await;
    let labels = format!("{RUNNERS}/{id}/labels");
    let slashed = "reserved-by:acme/widgets/actions/runs/7";
    let encoded = "/reserved-by%3Aacme%2Fwidgets%2Factions%2Fruns%2F7";
    for (method, below, body, expected) in [
        ("GET", "", None, Ok("linux one")),
        (
            "POST",
            "",
            Some(json!({ "labels": ["ONE", slashed] })),
            Ok("linux one SLASHED"),
        ),
        ("DELETE", "/One", None, Ok("linux SLASHED")),
        ("DELETE", "/one", None, Err(404)),
        ("DELETE", "/linux", None, Err(422)),
        ("DELETE", encoded, None, Ok("linux")),
        (
            "PUT",
            "",
            Some(json!({ "labels": ["two", "three"] })),
            Ok("linux two three"),
        ),
        ("POST", "", Some(json!({ "labels": [] })), Err(422)),
        ("POST", "", Some(json!({})), Err(422)),
        ("PUT", "", Some(json!({ "labels": [] })), Ok("linux")),
        (
            "POST",
            "",
            Some(json!({ "labels": ["four"] })),
            Ok("linux four"),
        ),
        ("DELETE", "", None, Ok("linux")),
    ] {
        let (status, body) = fixture
            .json(method, &format!("{labels}{below}"), body)
            .await;
        match expected {
            Err(expected) => assert_eq!(status, expected, "{method} {below} {body}"),
            Ok(expected) => {
                let shown = body["labels"].as_array().unwrap();
                let names: Vec<_> = shown
                    .iter()
                    .map(|it| it["name"].as_str().unwrap())
                    .collect();
                assert_eq!(names.join(" "), expected.replace("SLASHED", slashed));
                assert_eq!((status, &body["total_count"]), (200, &json!(names.len())));
            }
        }
    }
}

#[actix_web::test]
async fn many_runners_are_listed_on_several_pages() {
    let fixture = Fixture::new();
    for n in 0..250 {
        fixture.register(&format!("runner-{n}"), &["x"]).await;
    }
    for (per_page, page_count) in [("", 9), ("?per_page=100", 3), ("?per_page=999", 3)] {
        let mut next = Some(fixture.url(&format!("{RUNNERS}{per_page}")));
        let (mut names, mut pages) = (Vec::new(), 0);
        while let Some(url) = next {
            let answer = fixture.call("GET", &url, None).await;
            let body: Value = answer.json().unwrap();
            assert_eq!(body["total_count"], 250);
            for runner in body["runners"].as_array().unwrap() {
                names.push(runner["name"].as_str().unwrap().to_owned());
            }
            pages += 1;
            next = linked(&answer, "next");
            let last = linked(&answer, "last");
            assert_eq!(next.is_some(), last.is_some());
            assert!(last.is_none_or(|last| last.ends_with(&format!("page={page_count}"))));
        }
        assert_eq!(pages, page_count, "{per_page}");
        assert!(
            names
                .iter()
                .enumerate()
                .all(|(n, name)| *name == format!("runner-{n}"))
        );
        assert_eq!(names.len(), 250);
    }
    let (_, one) = fixture.get(&format!("{RUNNERS}?name=runner-77")).await;
    assert_eq!(
        (&one["total_count"], &one["runners"][0]["name"]),
        (&json!(1), &json!("runner-77"))
    );
}

fn linked(answer: &Response, rel: &str) -> Option<String> {
    let links = answer.header("link")?;
    let link = links
        .split(", ")
        .find(|link| link.ends_with(&format!("rel=\"{rel}\"")))?;
    Some(
        link.split_once('>')
            .unwrap()
            .0
            .trim_start_matches('<')
            .to_owned(),
    )
}

#[actix_web::test]
async fn an_unchanged_list_is_304_and_does_not_count() {
    let settings = ModelSettings {
        request_count_max: 3,
        ..ModelSettings::default()
    };
    let fixture = Fixture::with(settings);
    let remaining = |answer: &Response| answer.header("x-ratelimit-remaining").unwrap().to_owned();
    let first = fixture.call("GET", RUNNERS, None).await;
    let etag = first.header("etag").unwrap().to_owned();
    assert_eq!(
        (first.status.as_u16(), remaining(&first).as_str()),
        (200, "2")
    );
    for _ in 0..5 {
        let headers = [("if-none-match", etag.as_str())];
        let same = fixture
            .try_call("GET", RUNNERS, None, &headers)
            .await
            .unwrap();
        assert_eq!(
            (same.status.as_u16(), remaining(&same).as_str()),
            (304, "2")
        );
        assert!(same.body.is_empty());
        assert_eq!(same.header("etag"), Some(etag.as_str()));
    }
    fixture.register("a", &["x"]).await;
    let headers = [("if-none-match", etag.as_str())];
    let changed = fixture
        .try_call("GET", RUNNERS, None, &headers)
        .await
        .unwrap();
    assert_eq!(
        (changed.status.as_u16(), remaining(&changed).as_str()),
        (200, "0")
    );
    assert_ne!(changed.header("etag"), Some(etag.as_str()));
}

#[actix_web::test]
async fn an_exceeded_rate_limit_is_403_until_its_reset() {
    let settings = ModelSettings {
        request_count_max: 1,
        ..ModelSettings::default()
    };
    let fixture = Fixture::with(settings);
    assert_eq!(fixture.call("GET", RUNNERS, None).await.status, 200);
    let spent = fixture.call("GET", RUNNERS, None).await;
    assert_eq!(spent.status, 403);
    let reset: u64 = spent.header("x-ratelimit-reset").unwrap().parse().unwrap();
    for (name, value) in [
        ("limit", "1"),
        ("remaining", "0"),
        ("used", "1"),
        ("resource", "core"),
    ] {
        assert_eq!(spent.header(&format!("x-ratelimit-{name}")), Some(value));
    }
    // A request for the rate limit is always allowed.
    let core = json!({ "limit": 1, "remaining": 0, "used": 1, "reset": reset });
    let (status, limits) = fixture.get("/rate_limit").await;
    assert_eq!(
        (status, &limits["resources"]["core"], &limits["rate"]),
        (200, &core, &core)
    );
    fixture.emulator().advance_clock(Duration::from_hours(1));
    assert_eq!(fixture.call("GET", RUNNERS, None).await.status, 200);
}

#[actix_web::test]
async fn a_dropped_emulator_stops_serving() {
    let fixture = Fixture::new();
    assert_eq!(fixture.call("GET", RUNNERS, None).await.status, 200);
    let url = fixture.url(RUNNERS);
    drop(fixture);
    let call = http_client::Request::new(http_client::Method::GET, &url);
    let error = within(http_client::Client::new().send(call))
        .await
        .unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[actix_web::test]
async fn an_emulator_can_be_served_on_an_existing_runtime() {
    let emulator = emulator::Emulator::new(emulator::EmulatorSettings {
        public_url: Some("http://github.example:8003".into()),
        ..emulator::EmulatorSettings::new(shared::secret::Secret::new(TOKEN))
    });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let running = emulator::serve(emulator.clone(), listener).unwrap();
    assert_eq!(emulator.base_url(), "http://github.example:8003");
    let url = format!("http://{}/rate_limit", running.addr());
    let call = || http_client::Request::new(http_client::Method::GET, &url);
    let client = http_client::Client::new();
    assert_eq!(within(client.send(call())).await.unwrap().status, 401);
    within(running.stop()).await;
    assert!(
        within(http_client::Client::new().send(call()))
            .await
            .is_err()
    );
}
