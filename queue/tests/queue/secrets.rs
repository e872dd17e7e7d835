//! Secrets appear in no log at any level, on no page and in no error response.

use super::support::{API_TOKEN, Daemon, Fault, Fixture, log};

/// Requests all paths, with valid and invalid tickets; returns all responses.
fn request_everything(daemon: &Daemon, own: &str, other: &str) -> Vec<String> {
    let bearer = format!("Bearer {own}");
    let headers = [("authorization", &*bearer)];
    let mut targets: Vec<String> = Vec::new();
    for page in [
        "/",
        "/dashboard.txt",
        "/dashboard.json",
        "/history.json",
        "/healthz",
        "/readyz",
        "/nothing",
    ] {
        targets.push(format!("{page}?token={own}"));
    }
    for path in [
        "/take/seen-b",
        "/job/seen-b",
        "/take/%ff",
        "/take/seen-b/more",
    ] {
        targets.push(format!("{path}?token={other}"));
        targets.push(format!("{path}?token={own}&token={own}"));
        targets.push(format!("{path}?token={own}x"));
    }
    let responses = targets.iter().flat_map(|target| {
        let without = daemon.request("GET", target, &[]);
        let with = daemon.request("PUT", target, &headers);
        [without, daemon.request("POST", target, &[]), with]
    });
    responses.map(|response| format!("{response:?}")).collect()
}

/// Causes everything that is logged: takes, failures, withdrawals, a restart.
fn cause_log_lines(fixture: Fixture<2>, tickets: &[String; 3]) {
    let (daemon, monitors) = (&fixture.daemon, &fixture.monitors);
    monitors[0].fail_take(Fault::CutAfter);
    monitors[0].boot(1);
    monitors[0].wait_for_requests("POST", 1);
    monitors[0].boot(2);
    monitors[1].boot(2);
    daemon.expect_runners("seen-a", &tickets[0]);
    let bearer = format!("Bearer {}", tickets[1]);
    let headers = [("authorization", &*bearer), ("prefer", "wait=20")];
    daemon
        .request("POST", "/take/seen-b", &headers)
        .expect_json(200);
    daemon.withdraw("seen-c", &tickets[2]);
    monitors[1].fail_dashboard(Fault::respond_garbage());
    daemon.wait_until_down(1);
    let fixture = fixture.restart();
    fixture.daemon.expect_runners("seen-a", &tickets[0]);
}

#[test]
fn tickets_and_tokens_appear_neither_in_the_log_nor_in_responses() {
    let fixture = Fixture::two_servers();
    let tickets = ["seen-a", "seen-b", "seen-c"].map(|job| fixture.daemon.enqueue(job));
    let seen = request_everything(&fixture.daemon, &tickets[1], &tickets[0]);
    cause_log_lines(fixture, &tickets);
    let failures = log::lines_with("failed to take runners for job seen-");
    assert!(!failures.is_empty(), "the log is captured");
    for secret in tickets.iter().map(String::as_str).chain([API_TOKEN]) {
        // The signature, which is the last part, must not appear even alone.
        let part = secret.rsplit('.').next().unwrap();
        assert_eq!(log::lines_with(part), [] as [String; 0]);
        let shown: Vec<_> = seen.iter().filter(|seen| seen.contains(part)).collect();
        assert_eq!(shown, [] as [&String; 0]);
    }
}
