//! Enqueueing with the API token.

use super::support::{API_TOKEN, Daemon, FakeMonitor, Fault, Fixture};

const ENQUEUE: &str = "/profile/linux/enqueue?unique_id=job&qualified_repo=servo/servo&run_id=7";

#[test]
fn an_enqueue_is_answered_with_a_ticket_as_plain_text() {
    let Fixture { daemon, .. } = &Fixture::one_server();
    let response = daemon.request_as_operator("POST", ENQUEUE);
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let ticket = response.expect_text(200);
    assert!(
        ticket.len() < 1000 && ticket.split('.').count() == 3,
        "{ticket}"
    );
    daemon.assert_waiting("job", &ticket);
}

#[test]
fn a_repeated_enqueue_returns_an_equally_valid_ticket_and_changes_nothing() {
    let fixture = Fixture::one_server();
    let daemon = &fixture.daemon;
    let tickets = [daemon.enqueue("job"), daemon.enqueue("job")];
    daemon.enqueue("other");
    daemon.assert_waiting_count(2);
    fixture.monitor().boot(1);
    for ticket in &tickets {
        assert_eq!(daemon.expect_runners("job", ticket)["id"], 1);
    }
    let late = daemon.enqueue("job");
    assert_eq!(daemon.expect_runners("job", &late)["id"], 1);
}

#[test]
fn the_unique_id_of_a_job_with_other_parameters_is_refused() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    fixture
        .monitor()
        .change(|state| state.target.insert("windows".to_owned(), 3));
    let daemon = &fixture.daemon;
    for target in [
        "/profile/windows/enqueue?unique_id=job&qualified_repo=servo/servo&run_id=7",
        "/profile/linux/enqueue/1?unique_id=job&qualified_repo=servo/servo&run_id=7",
        "/profile/linux/enqueue/2?unique_id=job&qualified_repo=servo/servo&run_id=7",
        "/profile/linux/enqueue?unique_id=job&qualified_repo=servo/other&run_id=7",
        "/profile/linux/enqueue?unique_id=job&qualified_repo=servo/servo&run_id=8",
    ] {
        daemon
            .request_as_operator("POST", target)
            .assert_refused(409, "already_enqueued");
    }
    daemon.assert_waiting_count(1);
    daemon.assert_waiting("job", &ticket);
}

#[test]
fn the_monitor_is_sent_whether_the_client_reads_labels_from_the_response() {
    let (stated, not_stated) = ("&labels_from_response=true", "&labels_from_response=false");
    let mut fixture = Fixture::one_server();
    for (parameter, count, is_sent) in [
        (stated, "", true),
        (stated, "/1", true),
        (not_stated, "", false),
        ("", "", false),
    ] {
        let job = format!(
            "job-{}",
            fixture.monitor().read(|state| state.requests.len())
        );
        let target = format!(
            "/profile/linux/enqueue{count}?unique_id={job}&qualified_repo=servo/servo&run_id=7{parameter}"
        );
        let ticket = fixture
            .daemon
            .request_as_operator("POST", &target)
            .expect_text(200);
        // The ticket carries it.
        fixture = fixture.restart();
        fixture.daemon.wait_until_fresh(1);
        fixture.monitor().boot(1);
        fixture.daemon.expect_runners(&job, &ticket);
        let takes = fixture.monitor().read(|state| {
            let requests = state.requests.iter();
            let of_job = requests.filter(|request| request.contains(&format!("unique_id={job}&")));
            of_job.cloned().collect::<Vec<_>>()
        });
        assert!(
            !takes.is_empty() && takes.iter().all(|take| take.contains(stated) == is_sent),
            "{parameter}: {takes:?}"
        );
    }
}

#[test]
fn another_value_of_labels_from_response_is_refused() {
    let fixture = Fixture::one_server();
    for value in ["", "1", "yes", "TRUE"] {
        let target = format!("{ENQUEUE}&labels_from_response={value}");
        let response = fixture.daemon.request_as_operator("POST", &target);
        let message = response.assert_refused(400, "bad_request");
        assert!(
            message.contains("labels_from_response must be true or false"),
            "{message}"
        );
    }
    fixture.daemon.assert_waiting_count(0);
}

#[test]
fn a_job_that_exceeds_the_targets_of_all_servers_is_refused_for_good() {
    let Fixture {
        daemon,
        monitors: _monitors,
    } = &Fixture::two_servers();
    for (target, in_message) in [
        ("/profile/windows/enqueue", "profile windows add up to 0,"),
        ("/profile/linux/enqueue/7", "profile linux add up to 6,"),
    ] {
        let target = format!("{target}?unique_id=job&qualified_repo=servo/servo&run_id=7");
        let response = daemon.request_as_operator("POST", &target);
        let message = response.assert_refused(422, "unsatisfiable");
        assert!(message.contains(in_message), "{message}");
    }
    daemon.enqueue_several("job", 6);
}

#[test]
fn a_job_that_a_silent_server_might_satisfy_is_refused_only_for_now() {
    let monitors = FakeMonitor::start_several::<2>();
    monitors[1].freeze(true);
    let daemon = Daemon::start(&monitors.each_ref());
    daemon.wait_until_fresh(1);
    let target = "/profile/linux/enqueue/4?unique_id=job&qualified_repo=servo/servo&run_id=7";
    let response = daemon.request_as_operator("POST", target);
    let retry_after: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&retry_after));
    assert_eq!(
        response.expect_text(503),
        "",
        "curl repeats such a request and outputs the body of every response"
    );
    monitors[1].freeze(false);
    daemon.wait_until_fresh(2);
    daemon.enqueue_several("job", 4);
}

#[test]
fn a_failed_poll_makes_no_job_unsatisfiable() {
    let fixture = Fixture::one_server();
    let daemon = &fixture.daemon;
    fixture
        .monitor()
        .fail_dashboard(Fault::respond("503 Service Unavailable", ""));
    daemon.wait_until_down(0);
    // What it last reported still decides.
    daemon.enqueue("job");
    daemon.wait_until_fresh(1);
    daemon.assert_waiting_count(1);
}

#[test]
fn above_jobs_max_an_enqueue_is_refused_with_retry_after() {
    let Fixture {
        daemon,
        monitors: _monitors,
    } = &Fixture::<1>::start("settle = 0\njobs_max = 1");
    let ticket = daemon.enqueue("job");
    let response = daemon.try_enqueue("other");
    assert_eq!(response.header("retry-after"), Some("5"));
    assert_eq!(response.expect_text(429), "");
    let bearer = format!("Bearer {API_TOKEN}");
    let headers = [("authorization", &*bearer), ("accept", "application/json")];
    let target = ENQUEUE.replace("=job", "=other");
    daemon
        .request("POST", &target, &headers)
        .assert_refused(429, "too_many_jobs");
    daemon.enqueue("job");
    daemon.withdraw("job", &ticket);
    daemon.enqueue("other");
}
