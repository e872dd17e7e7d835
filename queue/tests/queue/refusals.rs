//! Everything that is refused, changing nothing, while the queue lives on.

use super::support::{API_TOKEN, Daemon, Monitor, daemon::parameters};

/// A queue in which one job waits; its ticket.
fn stage() -> (Monitor, Daemon, String) {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    (monitor, daemon, ticket)
}

/// The queue is as it was.
fn assert_nothing_changed(daemon: &Daemon, monitor: &Monitor, ticket: &str) {
    let view = daemon.view();
    assert_eq!(
        (&view["waiting_count"], &view["served_count"]),
        (&1.into(), &0.into()),
        "{view}"
    );
    assert_eq!(
        monitor.asked_count("POST") + monitor.asked_count("DELETE"),
        0
    );
    daemon.take("job", ticket).assert_refused(503, "waiting");
}

/// Queries of an enqueue, and the parameter that is wrong.
const WRONG_QUERIES: &[(&str, &str)] = &[
    ("", "unique_id"),
    ("unique_id=new&qualified_repo=a/b", "run_id"),
    ("unique_id=new&run_id=1", "qualified_repo"),
    ("qualified_repo=a/b&run_id=1", "unique_id"),
    ("unique_id=&qualified_repo=a/b&run_id=1", "unique_id"),
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

/// Paths of an enqueue, and the part that is wrong.
const WRONG_PATHS: &[(&str, &str)] = &[
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
fn parameters_of_the_wrong_form_are_refused_and_named() {
    let (monitor, daemon, ticket) = stage();
    let long = "x".repeat(65);
    let queries = WRONG_QUERIES.iter().map(|(query, named)| {
        let target = format!("/profile/linux/enqueue?{query}");
        (target, *named)
    });
    let right = parameters("new");
    let paths = WRONG_PATHS
        .iter()
        .map(|(path, named)| (format!("{path}?{right}"), *named));
    let long_id = parameters(&long);
    let too_long = [
        (format!("/profile/linux/enqueue?{long_id}"), "unique_id"),
        (format!("/profile/{long}/enqueue?{right}"), "profile_key"),
    ];
    for (target, named) in queries.chain(paths).chain(too_long) {
        let answer = daemon.ask_as_operator("POST", &target);
        let message = answer.assert_refused(400, "bad_request");
        assert!(message.contains(named), "{target}: {message}");
        assert!(message.len() < 300, "{message}");
    }
    for path in ["/take/a%2fb", "/take/%ff", &format!("/take/{long}")] {
        let target = format!("{path}?token={ticket}");
        let message = daemon
            .ask("POST", &target, &[])
            .assert_refused(400, "bad_request");
        assert!(message.contains("unique_id"), "{message}");
    }
    let target = format!("/take/job?token={ticket}&token={ticket}");
    let message = daemon
        .ask("POST", &target, &[])
        .assert_refused(400, "bad_request");
    assert!(
        message.contains("token") && !message.contains(&ticket),
        "{message}"
    );
    assert_nothing_changed(&daemon, &monitor, &ticket);
}

#[test]
fn without_the_api_token_nobody_enqueues() {
    let (monitor, daemon, ticket) = stage();
    let target = format!("/profile/linux/enqueue?{}", parameters("new"));
    let answer = daemon.ask("POST", &target, &[]);
    assert!(answer.header("www-authenticate").is_some());
    answer.assert_refused(401, "unauthorised");
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
        let answer = daemon.ask("POST", &target, &[("authorization", value)]);
        let message = answer.assert_refused(403, "wrong_token");
        assert!(
            !message.contains(API_TOKEN) && !message.contains("src/"),
            "{message}"
        );
    }
    let bearer = format!("Bearer {API_TOKEN}");
    let twice = [("authorization", &*bearer), ("authorization", &*bearer)];
    daemon
        .ask("POST", &target, &twice)
        .assert_refused(403, "wrong_token");
    assert_nothing_changed(&daemon, &monitor, &ticket);
}

#[test]
fn another_method_is_refused_and_told_which_there_are() {
    let (monitor, daemon, ticket) = stage();
    for (method, path, allowed) in [
        ("GET", "/take/job", "POST"),
        ("DELETE", "/take/job", "POST"),
        ("GET", "/profile/linux/enqueue", "POST"),
        ("PUT", "/profile/linux/enqueue/2", "POST"),
        ("GET", "/enqueue", "POST"),
        ("POST", "/job/job", "GET, DELETE"),
        ("POST", "/", "GET"),
        ("POST", "/dashboard.txt", "GET"),
        ("DELETE", "/dashboard.json", "GET"),
        ("POST", "/healthz", "GET"),
        ("POST", "/readyz", "GET"),
    ] {
        let answer = daemon.ask_as_operator(method, path);
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
        answer.assert_refused(405, "method_not_allowed");
    }
    assert_nothing_changed(&daemon, &monitor, &ticket);
}

#[test]
fn there_is_nothing_at_any_other_path() {
    let (monitor, daemon, ticket) = stage();
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
                .ask_as_operator(method, path)
                .assert_refused(404, "not_found");
        }
    }
    assert_nothing_changed(&daemon, &monitor, &ticket);
}

#[test]
fn what_is_too_large_or_no_http_at_all_does_no_harm() {
    let (monitor, daemon, ticket) = stage();
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
        // Whatever is not worth an answer is hung up on.
        let answer = daemon.send_bytes(request.as_bytes()).answer_or_end();
        assert!(
            answer
                .as_ref()
                .is_none_or(|answer| (400..500).contains(&answer.status)),
            "{:.60}: {answer:?}",
            request
        );
    }
    let invalid = b"POST /take/\xff\xfe HTTP/1.1\r\nhost: queue\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let answer = daemon.send_bytes(invalid).answer_or_end();
    assert!(answer.is_none_or(|answer| (400..500).contains(&answer.status)));
    assert_nothing_changed(&daemon, &monitor, &ticket);
}

#[test]
fn a_body_is_not_looked_at() {
    let (monitor, daemon, ticket) = stage();
    let body = "unique_id=evil".repeat(1000);
    let request = format!(
        "POST /take/job?token={ticket} HTTP/1.1\r\nhost: queue\r\nconnection: close\r\n\
         accept: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    daemon
        .send_bytes(request.as_bytes())
        .answer()
        .assert_refused(503, "waiting");
    assert_nothing_changed(&daemon, &monitor, &ticket);
}
