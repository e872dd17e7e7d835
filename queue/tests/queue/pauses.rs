//! Profiles that an operator pauses and resumes.

use std::fs;

use serde_json::{Value, json};

use super::support::{API_TOKEN, Fixture, log, wait_until};

const PAUSE: &str = "/profile/linux/pause";

fn show(fixture: &Fixture<1>) -> Value {
    fixture.daemon.request("GET", PAUSE, &[]).expect_json(200)
}

fn order(fixture: &Fixture<1>, method: &str, target: &str) -> Value {
    let response = fixture.daemon.request_as_operator(method, target);
    response.expect_json(200)
}

#[test]
fn a_paused_profile_gets_no_runner_until_it_is_resumed_also_after_restarts() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let bearer = format!("Bearer {API_TOKEN}");
    let headers = [
        ("authorization", &*bearer),
        ("ci-runners-author", "alice@laptop"),
    ];
    let target = format!("{PAUSE}?note=new%20disks");
    let paused = fixture
        .daemon
        .request("POST", &target, &headers)
        .expect_json(200);
    assert_eq!(
        (&paused["note"], &paused["client_address"]),
        (&"new disks".into(), &"127.0.0.1".into())
    );
    fixture.monitor().boot(1);
    let fixture = fixture.restart();
    fixture.daemon.wait_until_fresh(1);
    fixture.daemon.assert_waiting("job", &ticket);
    let job = fixture.daemon.job("job");
    let why = job["why"].as_str().unwrap();
    assert!(
        why.starts_with("its profile is paused by alice@laptop since 20"),
        "{why}"
    );
    assert!(why.ends_with("Z: new disks"), "{why}");

    let again = order(&fixture, "POST", PAUSE);
    assert_eq!(
        (&again["since"], &again["note"]),
        (&paused["since"], &"".into())
    );
    assert_eq!(order(&fixture, "DELETE", PAUSE), again);
    assert_eq!(order(&fixture, "DELETE", PAUSE), Value::Null);
    let fixture = fixture.restart();
    assert_eq!(show(&fixture), Value::Null);
    assert_eq!(fixture.daemon.expect_runners("job", &ticket)["id"], 1);
}

#[test]
fn only_the_api_token_pauses_and_resumes_and_both_are_audited() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let daemon = &fixture.daemon;
    let wrong = format!("Bearer {ticket}");
    for method in ["POST", "DELETE"] {
        daemon
            .request(method, PAUSE, &[])
            .assert_refused(401, "unauthorised");
        let headers = [("authorization", &*wrong)];
        daemon
            .request(method, PAUSE, &headers)
            .assert_refused(403, "wrong_token");
    }
    assert_eq!(show(&fixture), Value::Null);
    order(&fixture, "POST", &format!("{PAUSE}?note=audited-pause"));
    order(&fixture, "DELETE", PAUSE);
    let line = log::lines_with("note=audited-pause").pop().unwrap();
    assert!(
        line.contains("action=pause authorised_by=api_token client_address=127.0.0.1"),
        "{line}"
    );
    assert!(line.contains("profile_key=linux"), "{line}");
    assert!(!log::lines_with("action=resume authorised_by=api_token").is_empty());
}

#[test]
fn without_a_token_a_pause_is_shown_without_the_address_of_its_author() {
    let fixture = Fixture::one_server();
    let paused = order(&fixture, "POST", &format!("{PAUSE}?note=disks"));
    assert_eq!(order(&fixture, "GET", PAUSE), paused);
    let dashboard = fixture.daemon.dashboard();
    for shown in [&show(&fixture), &dashboard["profiles"][0]["paused"]] {
        assert_eq!(
            (&shown["since"], &shown["note"]),
            (&paused["since"], &"disks".into())
        );
        assert_eq!(shown["client_address"], Value::Null);
    }
}

#[test]
fn what_cannot_be_paused_is_refused_with_a_reason() {
    let fixture = Fixture::one_server();
    let refuse = |target: &str, status, code| {
        let response = fixture.daemon.request_as_operator("POST", target);
        response.assert_refused(status, code)
    };
    let long = format!("{PAUSE}?note={}", "x".repeat(201));
    let message = refuse(&long, 400, "bad_request");
    assert!(
        message.contains("note must be at most 200 characters long"),
        "{message}"
    );
    refuse("/profile/-%2F/pause", 400, "bad_request");
    refuse("/profile/windows/pause", 404, "unknown_profile");
    assert_eq!(
        order(&fixture, "DELETE", "/profile/windows/pause"),
        Value::Null
    );
}

#[test]
fn a_damaged_file_resumes_all_profiles_and_is_a_problem_until_it_is_replaced() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    order(&fixture, "POST", PAUSE);
    fs::write(fixture.daemon.data_file("paused-profiles"), "linux").unwrap();
    let fixture = fixture.restart();
    let subject = fixture.daemon.wait_for_problem("pauses_lost");
    assert_eq!(subject, "paused profiles");
    fixture.monitor().boot(1);
    fixture.daemon.expect_runners("job", &ticket);
    order(&fixture, "DELETE", PAUSE);
    fixture.daemon.wait_for_end_of_problem("pauses_lost");
    let fixture = fixture.restart();
    assert_eq!(fixture.daemon.problems("pauses_lost"), []);

    order(&fixture, "POST", PAUSE);
    fs::remove_file(fixture.daemon.data_file("paused-profiles")).unwrap();
    let fixture = fixture.restart();
    assert_eq!(
        (show(&fixture), fixture.daemon.problems("pauses_lost")),
        (Value::Null, Vec::new())
    );
}

#[test]
fn a_pause_that_cannot_be_saved_is_in_force_and_the_response_says_so() {
    let fixture = Fixture::one_server();
    let draft = fixture.daemon.data_file("paused-profiles.new");
    fs::create_dir(&draft).unwrap();
    let json = ("accept", "application/json");
    let bearer = format!("Bearer {}", API_TOKEN);
    let headers = [("authorization", &*bearer), json];
    let response = fixture.daemon.request("POST", PAUSE, &headers);
    let message = response.assert_refused(503, "not_ready");
    assert!(message.contains("a restart may undo it"), "{message}");
    assert_ne!(show(&fixture), Value::Null);
    assert_eq!(
        fixture.daemon.wait_for_problem("state_not_saved"),
        "paused profiles"
    );
    fs::remove_dir(&draft).unwrap();
    fixture.daemon.wait_for_end_of_problem("state_not_saved");
    let fixture = fixture.restart();
    assert_ne!(show(&fixture), Value::Null);
}

#[test]
fn a_drain_of_a_server_is_shown_at_the_queue() {
    let fixture = Fixture::one_server();
    let edit = |dashboard: &mut Value| {
        dashboard["drain"] =
            json!({"since": 7, "note": "new memory", "client_address": "192.0.2.1"});
    };
    fixture
        .monitor()
        .change(|state| state.edit_dashboard = Some(edit));
    wait_until("the drain", || {
        let dashboard = fixture.daemon.dashboard();
        let shown = dashboard["servers"][0]["drain"].clone();
        (shown == json!({"since": 7, "note": "new memory"})).then_some(())
    });
}
