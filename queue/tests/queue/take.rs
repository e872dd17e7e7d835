//! Taking a job's runners: at once, or held until there are some.

use serde_json::json;

use super::support::{FakeMonitor, Fixture, wait_until};

#[test]
fn a_job_without_a_count_gets_one_object() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let monitor = fixture.monitor();
    monitor.boot(1);
    let runner = fixture.daemon.expect_runners("job", &ticket);
    assert_eq!(runner["id"], 1);
    assert_eq!(runner["label"], "runner:1");
    assert_eq!(runner["server"], json!(monitor.url));
    assert_eq!(
        runner["runner"]["registration"]["name"],
        "ci-runner-linux.1@test"
    );
}

#[test]
fn a_job_with_a_count_gets_an_array() {
    let fixture = Fixture::two_servers();
    let (daemon, [first, second]) = (&fixture.daemon, &fixture.monitors);
    first.boot(2);
    let several = daemon.enqueue_several("several", 2);
    let runners = daemon.expect_runners("several", &several);
    let ids: Vec<_> = runners
        .as_array()
        .unwrap()
        .iter()
        .map(|runner| &runner["id"])
        .collect();
    assert_eq!(ids, [1, 2]);
    second.change(|state| state.label_prefix = Some("other"));
    second.boot(1);
    let one = daemon.enqueue_several("one", 1);
    let runners = daemon.expect_runners("one", &one);
    assert_eq!(
        (runners.as_array().unwrap().len(), &runners[0]["server"]),
        (1, &json!(second.url))
    );
}

#[test]
fn a_gang_too_large_for_one_server_gets_runners_of_several() {
    let fixture = Fixture::two_servers();
    let (daemon, [first, second]) = (&fixture.daemon, &fixture.monitors);
    let ticket = daemon.enqueue_several("gang", 3);
    let held = daemon.take_held("gang", &ticket);
    first.boot(1);
    second.boot(2);
    let runners = held.response().expect_json(200);
    let labels = |index: usize| (&runners[index]["label"], &runners[index]["server"]);
    assert_eq!(labels(0), (&json!("runner:1"), &json!(second.url)));
    assert_eq!(labels(1), (&json!("runner:2"), &json!(second.url)));
    assert_eq!(labels(2), (&json!("runner:1"), &json!(first.url)));
}

#[test]
fn a_repeated_take_returns_the_same_runner() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    monitor.boot(2);
    let first = daemon.expect_runners("job", &ticket);
    for _ in 0..3 {
        assert_eq!(daemon.take("job", &ticket).expect_json(200), first);
    }
    let bearer = format!("Bearer {ticket}");
    let response = daemon.request("POST", "/take/job", &[("authorization", &bearer)]);
    assert_eq!(response.expect_json(200), first);
    assert_eq!(monitor.request_count("POST /profile/linux/take?"), 1);
}

#[test]
fn the_response_to_a_waiting_job_has_its_position_and_retry_after() {
    let Fixture {
        daemon,
        monitors: _monitors,
    } = &Fixture::one_server();
    daemon.enqueue("first");
    let ticket = daemon.enqueue("second");
    let response = daemon.take("second", &ticket);
    assert_eq!(response.header("retry-after"), Some("1"));
    let expected = json!({
        "code": "waiting", "message": "1 job is ahead of this one; estimated wait: unknown, because no job has \
            finished yet; ask again",
        "position": 2, "ahead": 1, "estimate": null,
        "no_estimate_because": "no job has finished yet",
    });
    assert_eq!(response.expect_json(503), expected);
}

#[test]
fn responses_that_curl_repeats_have_no_body_unless_json_is_accepted() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let daemon = &fixture.daemon;
    let target = format!("/take/job?token={ticket}");
    for headers in [
        &[][..],
        &[("accept", "*/*")],
        &[("accept", "application/*")],
    ] {
        let response = daemon.request("POST", &target, headers);
        assert_eq!(response.header("retry-after"), Some("1"));
        assert_eq!(response.expect_text(503), "");
    }
    fixture.monitor().boot(1);
    daemon.wait_until_job_is("job", "reserved");
    assert_eq!(
        daemon.request("POST", &target, &[]).expect_json(200)["id"],
        1
    );
}

#[test]
fn a_held_take_is_answered_as_soon_as_a_runner_becomes_idle() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let monitor = fixture.monitor();
    let held = fixture.daemon.take_held("job", &ticket);
    monitor.wait_until("a long poll", |state| {
        let mut preferred = state.preferred.iter().flatten();
        preferred.any(|prefer| prefer == "wait=5")
    });
    monitor.boot(1);
    assert_eq!(held.response().expect_json(200)["id"], 1);
    assert_eq!(monitor.request_count("POST"), 1);
}

#[test]
fn a_held_take_is_answered_when_the_preferred_wait_is_over() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let target = format!("/take/job?token={ticket}");
    for prefer in [
        "respond-async, wait=1",
        "wait=0",
        "wait=-1",
        "wait=soon",
        "wait",
    ] {
        let headers = [("prefer", prefer), ("accept", "application/json")];
        fixture
            .daemon
            .request("POST", &target, &headers)
            .assert_refused(503, "waiting");
    }
}

#[test]
fn two_held_takes_of_one_job_get_the_same_runner() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let held = [(); 2].map(|()| fixture.daemon.take_held("job", &ticket));
    fixture.monitor().boot(2);
    for held in held {
        assert_eq!(held.response().expect_json(200)["id"], 1);
    }
    assert_eq!(
        fixture.monitor().read(|state| state.idle["linux"].clone()),
        [2]
    );
}

#[test]
fn above_held_requests_max_a_take_is_answered_at_once() {
    let Fixture {
        daemon,
        monitors: _monitors,
    } = &Fixture::<1>::start("settle = 0\nheld_requests_max = 0");
    let ticket = daemon.enqueue("job");
    daemon
        .take_held("job", &ticket)
        .response()
        .assert_refused(503, "waiting");
}

#[test]
fn runners_are_assigned_in_the_order_of_enqueueing_whatever_the_order_of_takes() {
    let fixture = Fixture::one_server();
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    monitor.change(|state| state.target.insert("linux".to_owned(), 10));
    let jobs: Vec<String> = (0..10).map(|job| format!("job-{}", job * 7 % 10)).collect();
    let tickets: Vec<String> = jobs.iter().map(|job| daemon.enqueue(job)).collect();
    for (job, ticket) in jobs.iter().zip(&tickets).rev() {
        daemon.assert_waiting(job, ticket);
    }
    for (runner, (job, ticket)) in (1..).zip(jobs.iter().zip(&tickets)) {
        let last = jobs.len() - 1;
        daemon.take(&jobs[last], &tickets[last]);
        monitor.boot(1);
        daemon.wait_until_job_is(job, "reserved");
        assert_eq!(daemon.take(job, ticket).expect_json(200)["id"], runner);
    }
}

#[test]
fn a_client_that_hangs_up_during_a_held_take_loses_nothing() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    daemon.take_held("job", &ticket).hang_up();
    monitor.boot(2);
    daemon.wait_until_job_is("job", "reserved");
    assert_eq!(daemon.expect_runners("job", &ticket)["id"], 1);
    assert_eq!(daemon.job("job")["state"], "delivered");
    assert_eq!(monitor.request_count("POST"), 1);
}

#[test]
fn a_client_whose_connections_break_loses_nothing() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let (daemon, monitor): (_, &FakeMonitor) = (&fixture.daemon, fixture.monitor());
    for _ in 0..20 {
        drop(daemon.take_held("job", &ticket));
    }
    monitor.boot(1);
    // Four takes of a job are held at most. While the queue has not noticed that these clients are gone, it
    // answers others at once, and they ask again.
    let runner = wait_until("the runner", || {
        let response = daemon.take("job", &ticket);
        (response.status == 200).then(|| response.expect_json(200))
    });
    assert_eq!(runner["id"], 1);
    assert_eq!(monitor.request_count("POST"), 1);
}
