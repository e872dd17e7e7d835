//! Listing, registering, deleting and labelling runners.

use shared::registration::{Deletion, Registration};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use actix_web::{HttpResponse, http::header::ETAG};
use parking_lot::Mutex;

use super::*;
use http_client::testing::{Raw, RawServer, Server};

fn ids(registrations: &[Registration]) -> Vec<u64> {
    registrations.iter().map(|runner| runner.id).collect()
}

fn with_etag(mut response: HttpResponse, etag: &str) -> HttpResponse {
    let etag = etag.parse().unwrap();
    response.headers_mut().insert(ETAG, etag);
    response
}

/// A server with runners 1 to 250, changed by `change` once, after the first page.
fn changing_list(change: fn(&mut Vec<Value>)) -> Server {
    changing_lists(1, change)
}

/// The same, changed after each of the first `change_count` requests for the first page.
fn changing_lists(change_count: usize, change: fn(&mut Vec<Value>)) -> Server {
    let runners = Mutex::new((1..=250).map(runner).collect::<Vec<_>>());
    let first_page_count = AtomicUsize::new(0);
    Server::start(move |request| {
        let mut runners = runners.lock();
        let response = page("runners", &runners, request);
        if request.query("page") == Some("1")
            && first_page_count.fetch_add(1, Ordering::SeqCst) < change_count
        {
            change(&mut runners);
        }
        response
    })
}

#[actix_web::test]
async fn a_request_has_the_headers_that_github_expects() {
    let server = Server::start(|request| page("runners", &[runner(7)], request));
    let list = github(&server.url).list_runners().await.unwrap();
    let expected: Registration = serde_json::from_value(runner(7)).unwrap();
    assert_eq!(list, [expected]);
    assert_eq!(
        server.lines(),
        ["GET /orgs/o/actions/runners?per_page=100&page=1"]
    );
    for (name, expected) in [
        ("authorization", "Bearer hunter2"),
        ("accept", "application/vnd.github+json"),
        ("x-github-api-version", "2022-11-28"),
        (
            "user-agent",
            concat!("ci-runners/", env!("CARGO_PKG_VERSION")),
        ),
    ] {
        let received = &server.received()[0];
        assert_eq!(received.header(name), Some(expected), "{name}");
    }
}

#[actix_web::test]
async fn an_empty_list_is_no_error() {
    let server = Server::start(|request| page("runners", &[], request));
    assert_eq!(github(&server.url).list_runners().await.unwrap(), []);
    assert_eq!(server.received().len(), 1);
}

#[actix_web::test]
async fn several_pages_are_read_until_two_readings_agree() {
    let server = changing_list(|_| ());
    let github = github(&server.url);
    for request_count in [6, 9] {
        let list = github.list_runners().await.unwrap();
        assert_eq!(ids(&list), (1..=250).collect::<Vec<_>>());
        assert_eq!(server.received().len(), request_count);
    }
}

#[actix_web::test]
async fn a_runner_repeated_on_the_next_page_is_listed_once() {
    let server = changing_list(|runners| runners.insert(0, runner(251)));
    let list = github(&server.url).list_runners().await.unwrap();
    assert_eq!(ids(&list), (1..=251).collect::<Vec<_>>());
}

#[actix_web::test]
async fn a_runner_that_moved_between_pages_is_found_by_reading_again() {
    // Runner 101 moves to a page that has been read, and the count does not change.
    let server = changing_list(|runners| {
        runners.remove(0);
        runners.push(runner(251));
    });
    let list = github(&server.url).list_runners().await.unwrap();
    assert_eq!(ids(&list), (2..=251).collect::<Vec<_>>());
}

#[actix_web::test]
async fn a_list_that_keeps_changing_contains_the_runners_of_all_readings() {
    let server = changing_lists(99, |runners| drop(runners.remove(0)));
    let list = github(&server.url).list_runners().await.unwrap();
    assert_eq!(ids(&list), (1..=250).collect::<Vec<_>>());
    assert_eq!(server.received().len(), 9);
}

#[actix_web::test]
async fn a_later_reading_of_a_runner_replaces_an_earlier_one() {
    let server = changing_list(|runners| {
        runners[0]["busy"] = true.into();
        runners.remove(1);
    });
    let list = github(&server.url).list_runners().await.unwrap();
    assert!(list[0].busy);
}

#[actix_web::test]
async fn an_empty_page_is_the_last_whatever_the_count() {
    let server = Server::start(|request| {
        let runners = match request.query("page") {
            Some("1") => vec![runner(1)],
            _ => vec![],
        };
        HttpResponse::Ok().json(json!({"total_count": 3, "runners": runners}))
    });
    let list = github(&server.url).list_runners().await.unwrap();
    assert_eq!(ids(&list), [1]);
}

#[actix_web::test]
async fn a_list_with_too_many_pages_is_an_error() {
    let server = Server::start(|_| {
        let runners: Vec<Value> = (1..=2).map(runner).collect();
        HttpResponse::Ok().json(json!({"total_count": 1_000_000, "runners": runners}))
    });
    let error = github(&server.url).list_runners().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "list runners: the list has more pages than GitHub allows"
    );
    assert!(server.received().len() <= 1001);
}

#[actix_web::test]
async fn an_unchanged_page_is_confirmed_and_a_changed_one_read() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let (etag, runners) = match count.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => (r#"W/"one""#, vec![runner(1)]),
            _ => (r#"W/"two""#, vec![runner(1), runner(2)]),
        };
        if request.header("if-none-match") == Some(etag) {
            return HttpResponse::NotModified().finish();
        }
        with_etag(page("runners", &runners, request), etag)
    });
    let github = github(&server.url);
    for expected in [vec![1], vec![1], vec![1, 2], vec![1, 2]] {
        assert_eq!(ids(&github.list_runners().await.unwrap()), expected);
    }
    let received = server.received();
    let sent: Vec<_> = received
        .iter()
        .map(|one| one.header("if-none-match"))
        .collect();
    let (one, two) = (Some(r#"W/"one""#), Some(r#"W/"two""#));
    assert_eq!(sent, [None, one, one, two]);
}

#[actix_web::test]
async fn only_changed_pages_are_sent_again() {
    let busy_count = Arc::new(AtomicUsize::new(0));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (changes, log) = (Arc::clone(&busy_count), Arc::clone(&sent));
    let server = Server::start(move |request| {
        let is_busy = changes.load(Ordering::SeqCst) > 0;
        let mut runners: Vec<Value> = (1..=150).map(runner).collect();
        runners[120]["busy"] = is_busy.into();
        let number = request.query("page").unwrap();
        let etag = format!("\"{number} {}\"", is_busy && number == "2");
        if request.header("if-none-match") == Some(&etag) {
            return HttpResponse::NotModified().finish();
        }
        log.lock().push(number.to_owned());
        with_etag(page("runners", &runners, request), &etag)
    });
    let github = github(&server.url);
    for (is_busy, expected) in [
        (0, vec!["1", "2"]),
        (0, vec![]),
        (1, vec!["2"]),
        (1, vec![]),
    ] {
        busy_count.store(is_busy, Ordering::SeqCst);
        let list = github.list_runners().await.unwrap();
        assert_eq!((list.len(), list[120].busy), (150, is_busy > 0));
        assert_eq!(sent.lock().drain(..).collect::<Vec<_>>(), expected);
    }
}

#[actix_web::test]
async fn a_304_for_an_unknown_page_is_an_error() {
    let server = Server::start(|_| HttpResponse::NotModified().finish());
    let error = github(&server.url).list_runners().await.unwrap_err();
    assert_eq!(error.status().unwrap(), 304);
}

#[actix_web::test]
async fn a_registration_contains_group_labels_and_folder() {
    let server = Server::start(|_| {
        HttpResponse::Created().json(json!({"runner": runner(7), "encoded_jit_config": "c2VjcmV0"}))
    });
    let labels = ["runner:1".to_owned()];
    let github = github(&server.url);
    let registered = github.generate_jitconfig("ci-runner-linux.7@host", 1, &labels, "_work");
    let registered = registered.await.unwrap();
    assert_eq!(registered.registration.id, 7);
    assert_eq!(registered.jit_config.expose(), "c2VjcmV0");
    assert!(!format!("{registered:?}").contains("c2VjcmV0"));

    let received = &server.received()[0];
    assert_eq!(
        received.line,
        "POST /orgs/o/actions/runners/generate-jitconfig"
    );
    let sent: Value = serde_json::from_str(&received.body).unwrap();
    assert_eq!(
        sent,
        json!({
            "name": "ci-runner-linux.7@host", "runner_group_id": 1, "labels": ["runner:1"],
            "work_folder": "_work",
        })
    );
}

#[actix_web::test]
async fn a_registration_is_never_sent_twice() {
    let server = RawServer::start([Raw::Close(""), Raw::Close("")]);
    let github = github(&server.url);
    let error = github
        .generate_jitconfig("a", 1, &[], "_work")
        .await
        .unwrap_err();
    assert!(error.is_ambiguous() && error.is_transient(), "{error}");
    assert_eq!(server.connection_count(), 1);
}

#[actix_web::test]
async fn a_deletion_reports_its_outcome() {
    let server = Server::start(|request| match request.line.as_str() {
        "DELETE /orgs/o/actions/runners/1" => HttpResponse::NoContent().finish(),
        "DELETE /orgs/o/actions/runners/2" => HttpResponse::NotFound().finish(),
        "DELETE /orgs/o/actions/runners/3" => HttpResponse::UnprocessableEntity()
            .json(json!({"message": "Runner is still running a job"})),
        _ => HttpResponse::InternalServerError().finish(),
    });
    let github = github(&server.url);
    for (id, expected) in [
        (1, Deletion::Deleted),
        (2, Deletion::NotThere),
        (3, Deletion::Busy),
    ] {
        assert_eq!(github.delete_runner(id).await, Ok(expected));
    }
    let error = github.delete_runner(4).await.unwrap_err();
    assert_eq!(error.status().unwrap(), 500);
}

#[actix_web::test]
async fn labels_are_added_and_removed() {
    let server = Server::start(|request| match request.line.as_str() {
        "DELETE /orgs/o/actions/runners/7/labels/gone" => HttpResponse::NotFound().finish(),
        _ => HttpResponse::Ok().json(json!({"total_count": 0, "labels": []})),
    });
    let github = github(&server.url);
    let labels = ["reserved-for:a".to_owned(), "reserved-by:o/r".to_owned()];
    assert_eq!(github.add_labels(7, &labels).await, Ok(()));
    assert_eq!(github.remove_label(7, "reserved-by:o/r?#%é").await, Ok(()));
    assert_eq!(github.remove_label(7, "gone").await, Ok(()));
    assert_eq!(
        server.lines(),
        [
            "POST /orgs/o/actions/runners/7/labels",
            "DELETE /orgs/o/actions/runners/7/labels/reserved-by%3Ao%2Fr%3F%23%25%C3%A9",
            "DELETE /orgs/o/actions/runners/7/labels/gone",
        ]
    );
    let sent: Value = serde_json::from_str(&server.received()[0].body).unwrap();
    assert_eq!(sent, json!({ "labels": labels }));
}

#[actix_web::test]
async fn an_idempotent_request_survives_a_broken_connection() {
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    let server = RawServer::start([Raw::Close(""), Raw::Close(whole)]);
    let labels = ["a".to_owned()];
    assert_eq!(github(&server.url).add_labels(7, &labels).await, Ok(()));
    assert_eq!(server.connection_count(), 2);
}
