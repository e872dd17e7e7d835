//! Requests that are rejected: they change nothing, and the queue keeps running.

use super::support::{API_TOKEN, Fixture, daemon::parameters};

/// Asserts that the one job still waits, and that no server has been asked for anything.
#[track_caller]
fn assert_nothing_changed(fixture: &Fixture<1>, ticket: &str) {
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    let dashboard = daemon.dashboard();
    assert_eq!(
        (&dashboard["waiting_count"], &dashboard["assigned_count"]),
        (&1.into(), &0.into()),
        "{dashboard}"
    );
    assert_eq!(
        monitor.request_count("POST") + monitor.request_count("DELETE"),
        0
    );
    daemon.assert_waiting("job", ticket);
}

/// Query strings of an enqueue, and the parameter that is invalid.
const INVALID_QUERIES: &[(&str, &str)] = &[
    ("", "unique_id"),
    ("unique_id=new&qualified_repo=a/b", "run_id"),
    ("unique_id=new&run_id=1", "qualified_repo"),
    ("qualified_repo=a/b&run_id=1", "unique_id"),
    ("unique_id=&qualified_repo=a/b&run_id=1", "unique_id"),
    ("unique_id=.&qualified_repo=a/b&run_id=1", "unique_id"),
    ("unique_id=..&qualified_repo=a/b&run_id=1", "unique_id"),
    ("unique_id=%2e%2E&qualified_repo=a/b&run_id=1", "unique_id"),
    ("unique_id=a%2fb&qualified_repo=a/b&run_id=1", "unique_id"),
    ("unique_id=a%00b&qualified_repo=a/b&run_id=1", "unique_id"),
    ("unique_id=a%0Ab&qualified_repo=a/b&run_id=1", "unique_id"),
    ("unique_id=%ff&qualified_repo=a/b&run_id=1", "unique_id"),
    ("unique_id=%zz&qualified_repo=a/b&run_id=1", "unique_id"),
    ("unique_id=new&qualified_repo=a&run_id=1", "qualified_repo"),
    (
        "unique_id=new&qualified_repo=../b&run_id=1",
        "qualified_repo",
    ),
    (
        "unique_id=new&qualified_repo=a/b/c&run_id=1",
        "qualified_repo",
    ),
    ("unique_id=new&qualified_repo=a/b&run_id=-1", "run_id"),
    ("unique_id=new&qualified_repo=a/b&run_id=1e3", "run_id"),
    (
        "unique_id=new&qualified_repo=a/b&run_id=18446744073709551616",
        "run_id",
    ),
    (
        "unique_id=new&unique_id=new&qualified_repo=a/b&run_id=1",
        "unique_id",
    ),
    (
        "unique_id=new&qualified_repo=a/b&run_id=1&run_id=2",
        "run_id",
    ),
];

/// Paths of an enqueue, and the part that is invalid.
const INVALID_PATHS: &[(&str, &str)] = &[
    ("/profile/..%2f/enqueue", "profile_key"),
    ("/profile/..%2Fetc%2Fpasswd/enqueue", "profile_key"),
    ("/profile/../enqueue", "profile_key"),
    ("/profile/%2e%2e/enqueue", "profile_key"),
    ("/profile/%ff/enqueue", "profile_key"),
    ("/profile/linux/enqueue/0", "count"),
    ("/profile/linux/enqueue/65", "count"),
    ("/profile/linux/enqueue/-1", "count"),
    ("/profile/linux/enqueue/one", "count"),
    ("/profile/linux/enqueue/18446744073709551615", "count"),
];

#[test]
fn an_invalid_parameter_is_refused_and_named() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let daemon = &fixture.daemon;
    let long = "x".repeat(65);
    let queries = INVALID_QUERIES.iter().map(|(query, named)| {
        let target = format!("/profile/linux/enqueue?{query}");
        (target, *named)
    });
    let right = parameters("new");
    let paths = INVALID_PATHS
        .iter()
        .map(|(path, named)| (format!("{path}?{right}"), *named));
    let long_id = parameters(&long);
    let too_long = [
        (format!("/profile/linux/enqueue?{long_id}"), "unique_id"),
        (format!("/profile/{long}/enqueue?{right}"), "profile_key"),
    ];
    for (target, named) in queries.chain(paths).chain(too_long) {
        let response = daemon.request_as_operator("POST", &target);
        let message = response.assert_refused(400, "bad_request");
        assert!(message.contains(named), "{target}: {message}");
        assert!(message.len() < 300, "{message}");
    }
    for path in ["/take/a%2fb", "/take/%ff", &format!("/take/{long}")] {
        let target = format!("{path}?token={ticket}");
        let message = daemon
            .request("POST", &target, &[])
            .assert_refused(400, "bad_request");
        assert!(message.contains("unique_id"), "{message}");
    }
    let target = format!("/take/job?token={ticket}&token={ticket}");
    let message = daemon
        .request("POST", &target, &[])
        .assert_refused(400, "bad_request");
    assert!(
        message.contains("token") && !message.contains(&ticket),
        "{message}"
    );
    assert_nothing_changed(&fixture, &ticket);
}

#[test]
fn an_enqueue_needs_the_api_token() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let daemon = &fixture.daemon;
    let target = format!("/profile/linux/enqueue?{}", parameters("new"));
    let response = daemon.request("POST", &target, &[]);
    assert!(response.header("www-authenticate").is_some());
    response.assert_refused(401, "unauthorised");
    for value in [
        "Bearer wrong",
        "Bearer",
        "Bearer ",
        "Basic aHVudGVyMg==",
        API_TOKEN,
        &format!("Bearer {API_TOKEN}x"),
        &format!("Bearer {} ", &API_TOKEN[1..]),
        &format!("Bearer {ticket}"),
        "\u{e9}",
    ] {
        let response = daemon.request("POST", &target, &[("authorization", value)]);
        let message = response.assert_refused(403, "wrong_token");
        assert!(
            !message.contains(API_TOKEN) && !message.contains("src/"),
            "{message}"
        );
    }
    let bearer = format!("Bearer {API_TOKEN}");
    let twice = [("authorization", &*bearer), ("authorization", &*bearer)];
    daemon
        .request("POST", &target, &twice)
        .assert_refused(403, "wrong_token");
    assert_nothing_changed(&fixture, &ticket);
}

#[test]
fn another_method_is_refused_with_the_accepted_ones() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let daemon = &fixture.daemon;
    for (method, path, allowed) in [
        ("GET", "/take/job", "POST"),
        ("DELETE", "/take/job", "POST"),
        ("GET", "/profile/linux/enqueue", "POST"),
        ("PUT", "/profile/linux/enqueue/2", "POST"),
        ("GET", "/enqueue", "POST"),
        ("POST", "/job/job", "GET, HEAD, DELETE"),
        ("POST", "/", "GET, HEAD"),
        ("POST", "/dashboard.txt", "GET, HEAD"),
        ("DELETE", "/dashboard.json", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/readyz", "GET, HEAD"),
    ] {
        let response = daemon.request_as_operator(method, path);
        assert_eq!(response.header("allow"), Some(allowed), "{method} {path}");
        response.assert_refused(405, "method_not_allowed");
    }
    assert_nothing_changed(&fixture, &ticket);
}

#[test]
fn any_other_path_is_not_found() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let daemon = &fixture.daemon;
    for path in [
        "/nothing",
        "/take",
        "/take/",
        "/take/job/more",
        "/job",
        "/profile/linux",
        "/profile//enqueue",
        "/profile/linux/enqueue/",
        "/profile/linux/enqueue/2/3",
        "/dashboard",
        "//",
    ] {
        for method in ["GET", "POST"] {
            daemon
                .request_as_operator(method, path)
                .assert_refused(404, "not_found");
        }
    }
    assert_nothing_changed(&fixture, &ticket);
}

#[test]
fn requests_that_are_too_large_or_not_http_do_no_harm() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let daemon = &fixture.daemon;
    let long = "x".repeat(1 << 20);
    let head = format!("authorization: Bearer {API_TOKEN}\r\ncontent-length: 0\r\n\r\n");
    for request in [
        format!(
            "POST /profile/linux/enqueue?unique_id={long}&qualified_repo=a/b&run_id=1 HTTP/1.1\r\n{head}"
        ),
        format!("POST /take/{long}?token={ticket} HTTP/1.1\r\n{head}"),
        format!("POST /take/job?token={long} HTTP/1.1\r\n{head}"),
        format!("POST /take/job HTTP/1.1\r\nx: {long}\r\n{head}"),
        format!("GET {long}"),
        long,
        "\u{0}\u{1}\r\n\r\n".to_owned(),
    ] {
        // The connection may also be closed without a response.
        let response = daemon.send_bytes(request.as_bytes()).response_or_end();
        assert!(
            response
                .as_ref()
                .is_none_or(|response| (400..500).contains(&response.status)),
            "{:.60}: {response:?}",
            request
        );
    }
    let invalid = b"POST /take/\xff\xfe HTTP/1.1\r\nhost: queue\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let response = daemon.send_bytes(invalid).response_or_end();
    assert!(response.is_none_or(|response| (400..500).contains(&response.status)));
    assert_nothing_changed(&fixture, &ticket);
}

#[test]
fn the_body_of_a_request_is_ignored() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let daemon = &fixture.daemon;
    let body = "unique_id=evil".repeat(1000);
    let request = format!(
        "POST /take/job?token={ticket} HTTP/1.1\r\nhost: queue\r\nconnection: close\r\n\
         accept: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    daemon
        .send_bytes(request.as_bytes())
        .response()
        .assert_refused(503, "waiting");
    assert_nothing_changed(&fixture, &ticket);
}
