//! Monitors that do not accept the queue's API token: visible, and used again once they do.

use super::support::{API_TOKEN, Daemon, FakeMonitor, Fixture, wait_until};

fn assert_shown_as_refusing(daemon: &Daemon, monitor: &FakeMonitor) {
    let subject = daemon.wait_for_problem("server_refuses_token");
    assert_eq!(subject, monitor.url);
    let dashboard = daemon.dashboard();
    let server = &dashboard["servers"][0];
    assert_eq!(server["health"], "unauthorised");
    assert_eq!(server["profiles"][0]["idle"], 0, "{server}");
    assert_eq!(dashboard["profiles"][0]["idle"], 0, "{dashboard}");
    let json = ("accept", "application/json");
    daemon
        .request("GET", "/readyz", &[json])
        .assert_refused(503, "not_ready");
}

#[test]
fn a_monitor_that_refuses_polls_with_a_wrong_token_is_shown_before_a_job_needs_it() {
    let monitor = FakeMonitor::start();
    monitor.change(|state| {
        state.boot(2);
        state.checks_polls = true;
        state.other_token = Some("changed".to_owned());
        state.target.insert("linux".to_owned(), 2);
    });
    let daemon = Daemon::start(&[&monitor]);
    let subject = daemon.wait_for_problem("server_refuses_token");
    assert_eq!(subject, monitor.url);
    assert_eq!(daemon.health(0), "unauthorised");
    // The token is changed back.
    monitor.change(|state| state.other_token = None);
    daemon.wait_until_fresh(1);
    daemon.wait_for_end_of_problem("server_refuses_token");
    let ticket = daemon.enqueue("job");
    daemon.expect_runners("job", &ticket);
}

#[test]
fn a_token_that_is_changed_on_a_monitor_only_is_a_visible_state_of_that_server() {
    let fixture = Fixture::one_server();
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    monitor.change(|state| {
        state.boot(2);
        state.other_token = Some("changed".to_owned());
    });
    wait_until("two idle runners", || {
        (daemon.dashboard()["profiles"][0]["idle"] == 2).then_some(())
    });
    let ticket = daemon.enqueue("job");
    assert_shown_as_refusing(daemon, monitor);
    let why = daemon.job("job")["why"].clone();
    assert!(why.as_str().unwrap().contains("API token"), "{why}");
    daemon.assert_waiting("job", &ticket);
    // After a pause it is asked again.
    monitor.change(|state| state.other_token = None);
    assert_eq!(daemon.expect_runners("job", &ticket)["id"], 1);
    daemon.wait_for_end_of_problem("server_refuses_token");
    daemon.wait_until_fresh(1);
}

#[test]
fn a_job_gets_the_runners_of_a_server_that_accepts_the_token() {
    let fixture = Fixture::two_servers();
    let [refusing, accepting] = &fixture.monitors;
    refusing.change(|state| {
        state.boot(2);
        state.other_token = Some("changed".to_owned());
    });
    let ticket = fixture.daemon.enqueue("job");
    refusing.wait_for_requests("POST", 1);
    accepting.boot(1);
    let runner = fixture.daemon.expect_runners("job", &ticket);
    assert_eq!(runner["server"], accepting.url.as_str());
    // It does not prove anything about the other one.
    assert_eq!(fixture.daemon.health(0), "unauthorised");
}

#[test]
fn each_server_is_sent_its_own_token_and_no_other() {
    let monitors = FakeMonitor::start_several::<2>();
    let [own, shared] = &monitors;
    own.change(|state| {
        state.other_token = Some("own-token".to_owned());
        state.checks_polls = true;
    });
    shared.change(|state| state.checks_polls = true);
    let tokens = format!("{}=own-token", own.url);
    let variables = [("SERVO_CI_MONITOR_SERVER_TOKENS", tokens)];
    let daemon = Daemon::start_with_variables(&[own, shared], &variables);
    daemon.wait_until_fresh(2);
    for (job, monitor) in [("first", own), ("second", shared)] {
        monitor.boot(1);
        let ticket = daemon.enqueue(job);
        daemon.expect_runners(job, &ticket);
        // Withdrawing it releases the runner.
        daemon.withdraw(job, &ticket);
        monitor.wait_for_requests(&format!("DELETE /reservation/{job}"), 1);
    }
    let sent = |monitor: &FakeMonitor| monitor.read(|state| state.authorizations.clone());
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    assert_eq!(sent(own), [bearer("own-token")].into());
    assert_eq!(sent(shared), [bearer(API_TOKEN)].into());
}
