//! Values that GitHub has been reported to send, or could send, although they make no sense.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::HttpResponse;
use http_client::testing::Server;
use shared::registration::{Label, RegistrationStatus};

use super::*;
use crate::priority::Priority;

/// A runner whose value at `key` is replaced.
fn with(id: u64, key: &str, value: Value) -> Value {
    let mut runner = runner(id);
    runner[key] = value;
    runner
}

#[actix_web::test]
async fn an_odd_entry_does_not_hide_the_others() {
    for odd in [
        json!(null),
        json!("text"),
        json!([]),
        json!({}),
        with(1, "id", json!(null)),
        with(1, "id", json!("1")),
        with(1, "id", json!(-1)),
        with(1, "name", json!(null)),
        with(1, "name", json!(7)),
    ] {
        let entries = [runner(6), odd.clone(), runner(7)];
        let server = Server::start(move |request| page("runners", &entries, request));
        let list = github(&server.url).list_runners().await.unwrap();
        let ids: Vec<u64> = list.iter().map(|runner| runner.id).collect();
        assert_eq!(ids, [6, 7], "{odd}");
    }
}

#[actix_web::test]
async fn an_unknown_state_counts_as_offline_and_not_busy() {
    use RegistrationStatus::{Offline, Online};
    for (key, value, expected) in [
        ("status", json!(null), (Offline, false)),
        ("status", json!(7), (Offline, false)),
        ("busy", json!(null), (Offline, false)),
        ("busy", json!("true"), (Offline, false)),
        ("labels", json!(null), (Online, false)),
        ("labels", json!([null, {"name": null}]), (Online, false)),
        ("version", json!(7), (Online, false)),
        ("os", json!(null), (Online, false)),
    ] {
        let entry = with(7, key, value.clone());
        let server =
            Server::start(move |request| page("runners", std::slice::from_ref(&entry), request));
        let list = github(&server.url).list_runners().await.unwrap();
        assert_eq!((list[0].status, list[0].busy), expected, "{key} {value}");
        let label_count = usize::from(key != "labels");
        assert_eq!(list[0].labels.len(), label_count, "{key} {value}");
    }
}

#[actix_web::test]
async fn a_missing_value_is_the_one_that_was_known_before() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |request| {
        let mut known = with(7, "busy", json!(true));
        known["version"] = "2.330.0".into();
        let entry = match count.fetch_add(1, Ordering::SeqCst) {
            0 => known,
            _ => json!({"id": 7, "name": null, "status": null, "busy": null, "labels": null}),
        };
        page("runners", &[entry], request)
    });
    let github = github(&server.url);
    let first = github.list_runners().await.unwrap();
    assert!(first[0].busy);
    assert_eq!(
        first[0].labels,
        [Label {
            name: "self-hosted".into()
        }]
    );
    for _ in 0..2 {
        assert_eq!(github.list_runners().await.unwrap(), first);
    }
}

#[actix_web::test]
async fn a_list_without_a_count_ends_with_a_page_that_is_not_full() {
    let entries: Vec<Value> = (1..=250).map(runner).collect();
    for total_count in [json!(null), json!("250"), json!(3)] {
        let entries = entries.clone();
        let has_link = total_count == json!(3);
        let server = Server::start(move |request| {
            let number: usize = request.query("page").unwrap().parse().unwrap();
            let shown: Vec<&Value> = entries.iter().skip((number - 1) * 100).take(100).collect();
            let mut response = HttpResponse::Ok();
            if has_link && number < 3 {
                response.insert_header(("link", "<http://host/>; rel=\"next\", <x>; rel=\"last\""));
            }
            response.json(json!({"total_count": total_count, "runners": shown}))
        });
        let list = github(&server.url).list_runners().await.unwrap();
        assert_eq!(list.len(), 250);
    }
}

#[actix_web::test]
async fn more_than_ten_thousand_runners_are_listed() {
    let entries: Vec<Value> = (1..=10_250).map(runner).collect();
    let server = Server::start(move |request| page("runners", &entries, request));
    let list = github(&server.url).list_runners().await.unwrap();
    assert_eq!(list.len(), 10_250);
}

#[actix_web::test]
async fn a_new_registration_may_lack_values() {
    for (runner, expected) in [
        (json!({"id": 7}), Some("a")),
        (
            json!({"id": 7, "name": null, "status": null, "busy": null}),
            Some("a"),
        ),
        (
            json!({"id": 7, "name": "b", "status": "offline", "busy": false}),
            Some("b"),
        ),
        (json!({"name": "a"}), None),
        (json!(null), None),
    ] {
        let answer = json!({"runner": runner, "encoded_jit_config": "x"});
        let server = Server::start(move |_| HttpResponse::Created().json(answer.clone()));
        let labels = ["x".to_owned()];
        let github = github(&server.url);
        let registered = github.generate_jitconfig("a", 1, &labels, "_work").await;
        let name = registered.map(|it| it.registration.name);
        assert_eq!(name.ok().as_deref(), expected, "{runner}");
    }
}

#[actix_web::test]
async fn the_reasons_of_a_refusal_are_shown() {
    for (errors, expected) in [
        (
            json!(["Name is too long (maximum is 64 characters)"]),
            "Validation Failed: Name is too long (maximum is 64 characters)",
        ),
        (
            json!([{"resource": "Runner", "field": "name", "code": "invalid"}, "other"]),
            "Validation Failed: name is invalid, other",
        ),
        (
            json!([{"message": "too long"}]),
            "Validation Failed: too long",
        ),
        (json!("too long"), "Validation Failed: too long"),
        (json!([7, null]), "Validation Failed"),
        (json!([]), "Validation Failed"),
        (json!(null), "Validation Failed"),
    ] {
        let answer = json!({"message": "Validation Failed", "errors": errors});
        let server =
            Server::start(move |_| HttpResponse::UnprocessableEntity().json(answer.clone()));
        let labels = ["x".to_owned()];
        let github = github(&server.url);
        let error = github
            .generate_jitconfig("a", 1, &labels, "_work")
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.ends_with(&format!("422 Unprocessable Entity: {expected}")),
            "{text}"
        );
    }
}

type Headers = &'static [(&'static str, &'static str)];

/// The pause after a response with these headers.
async fn pause_after(status: u16, headers: Headers) -> Option<Duration> {
    let server = Server::start(move |_| {
        let mut response = HttpResponse::build(status.try_into().unwrap());
        for header in headers {
            response.insert_header(*header);
        }
        response.json(json!({"message": ""}))
    });
    let github = github(&server.url);
    github.list_runners().await.unwrap_err().retry_after()
}

#[actix_web::test]
async fn absurd_pauses_are_brought_into_range() {
    const DATE: (&str, &str) = ("date", "Thu, 01 Jan 2026 00:00:00 GMT");
    let (minute, hour) = (
        Some(Duration::from_secs(60)),
        Some(Duration::from_secs(3600)),
    );
    let second = Some(Duration::from_secs(1));
    for (headers, expected) in [
        (&[DATE, ("retry-after", "-5")][..], minute),
        (&[DATE, ("retry-after", "99999999999999999999")], hour),
        (&[DATE, ("retry-after", "0")], second),
        (&[DATE, ("retry-after", "")], minute),
        (
            &[DATE, ("retry-after", "Thu, 01 Jan 2026 00:01:00 GMT")],
            minute,
        ),
        (
            &[DATE, ("retry-after", "Wed, 31 Dec 2025 00:00:00 GMT")],
            second,
        ),
        (
            &[DATE, ("retry-after", "Fri, 31 Dec 9999 00:00:00 GMT")],
            hour,
        ),
    ] {
        assert_eq!(pause_after(429, headers).await, expected, "{headers:?}");
    }
    const LIMIT: [(&str, &str); 3] = [
        ("x-ratelimit-limit", "5000"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-resource", "core"),
    ];
    for (reset, expected) in [
        ("1767225660", minute),
        ("-5", minute),
        ("", minute),
        ("tomorrow", minute),
        ("0", second),
        ("18446744073709551615", hour),
        ("99999999999999999999999", minute),
    ] {
        let mut headers = LIMIT.to_vec();
        headers.extend([DATE, ("x-ratelimit-reset", reset)]);
        let pause = pause_after(403, headers.leak()).await;
        assert_eq!(pause, expected, "{reset}");
    }
}

#[actix_web::test]
async fn one_wrong_date_does_not_stop_requests_for_years() {
    // The year 2100 in the response that reports a limit, and none of it later.
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let server = Server::start(move |request| {
        if counter.fetch_add(1, Ordering::SeqCst) == 0 {
            return HttpResponse::TooManyRequests()
                .insert_header(("date", "Fri, 01 Jan 2100 00:00:00 GMT"))
                .insert_header(("retry-after", "60"))
                .finish();
        }
        page("runners", &[], request)
    });
    let github = github(&server.url);
    github.list_runners().await.unwrap_err();
    // The pause is measured by our clock.
    let error = github.list_runners().await.unwrap_err();
    assert!(matches!(error, GithubError::RateLimited { .. }), "{error}");
    let until = github.now() + Duration::from_secs(61);
    assert_eq!(github.api_status().rate_limited_for(until), None);
}

/// Dates and resets of a limit that nothing is left of. `None` is a response without the header.
const ODD_TIMES: &[(Option<&str>, Option<&str>)] = &[
    (Some("Fri, 31 Dec 9999 23:59:59 GMT"), Some("95617584000")),
    (Some("Fri, 31 Dec 9999 23:59:59 GMT"), None),
    (Some("Thu, 01 Jan 1970 00:00:00 GMT"), Some("1767225600")),
    (Some("Thu, 01 Jan 1970 00:00:00 GMT"), Some("95617584000")),
    (Some("Thu, 01 Jan 2026 00:00:00 GMT"), Some("95617584000")),
    (Some("Thu, 01 Jan 2026 00:00:00 GMT"), Some("0")),
    (Some("Thu, 01 Jan 2026 00:00:00 GMT"), Some("-1")),
    (Some("yesterday"), Some("95617584000")),
    (Some(""), Some("18446744073709551615")),
];

#[actix_web::test]
async fn no_date_and_no_reset_stop_requests_for_more_than_an_hour() {
    for status in [200_u16, 403, 429] {
        for &(date, reset) in ODD_TIMES {
            let count = AtomicUsize::new(0);
            let server = Server::start(move |_| {
                let is_odd = count.fetch_add(1, Ordering::SeqCst) == 0;
                let (date, status) = match is_odd {
                    true => (date, status),
                    // Later responses do not mention limits.
                    false => (Some("Thu, 01 Jan 2026 00:00:00 GMT"), 200),
                };
                let mut response = HttpResponse::build(status.try_into().unwrap());
                response.insert_header(("date", date.unwrap_or_default()));
                if is_odd {
                    response
                        .insert_header(("x-ratelimit-limit", "5000"))
                        .insert_header(("x-ratelimit-remaining", "0"))
                        .insert_header(("x-ratelimit-resource", "core"));
                    if let Some(reset) = reset {
                        response.insert_header(("x-ratelimit-reset", reset));
                    }
                }
                response.json(json!({"total_count": 0, "artifacts": [], "runners": []}))
            });
            let github = github(&server.url);
            let name = format!("{status} {date:?} {reset:?}");
            let _ = github.list_runners().await;
            let hour_later = github.now() + Duration::from_secs(3601);
            let api_status = github.api_status();
            assert_eq!(api_status.rate_limited_for(hour_later), None, "{name}");
            for priority in [Priority::Authentication, Priority::ListRunners] {
                let listed_for = Some(Duration::ZERO);
                let admitted = priority.admit(&api_status.read(), listed_for, hour_later);
                assert_eq!(admitted, Ok(()), "{name}");
            }
        }
    }
}
