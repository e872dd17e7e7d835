//! Shutdown and restart: held requests are answered, and jobs keep their positions.

use std::time::Duration;

use queue::ticket::TicketKey;
use queue_core::{JobRequest, TicketContent};
use shared::{
    clock::{Clock, Timestamp},
    job_spec::JobSpec,
    secret::Secret,
    values::{Count, RunId},
};

use super::support::{Daemon, FakeMonitor, Fixture, log, wait_until};

#[test]
fn held_takes_are_answered_before_the_queue_stops() {
    let mut fixture = Fixture::one_server();
    let daemon = &mut fixture.daemon;
    let jobs: Vec<String> = (0..20).map(|job| format!("job-{job}")).collect();
    let held: Vec<_> = jobs
        .iter()
        .map(|job| {
            let ticket = daemon.enqueue(job);
            daemon.take_held(job, &ticket)
        })
        .collect();
    // All takes have arrived once each thread has answered a request that came after them.
    wait_until("all takes to be held", || {
        (0..4)
            .all(|_| daemon.request("GET", "/healthz", &[]).status == 200)
            .then_some(())
    });
    daemon.ask_to_stop();
    for held in held {
        held.response().assert_refused(503, "not_ready");
    }
    daemon.wait_for_end();
}

#[test]
fn after_a_restart_jobs_have_their_old_positions_and_tickets() {
    let fixture = Fixture::<1>::start("settle = 1");
    let first = fixture.daemon.enqueue("first");
    let second = fixture.daemon.enqueue("second");
    let fixture = fixture.restart();
    fixture.monitor().boot(1);
    // The order of the takes does not count.
    let second = fixture.daemon.take_held("second", &second);
    assert_eq!(fixture.daemon.expect_runners("first", &first)["id"], 1);
    fixture.monitor().boot(1);
    assert_eq!(second.response().expect_json(200)["id"], 2);
}

#[test]
fn after_a_restart_a_job_that_had_its_runner_has_the_same_one() {
    let (fixture, ticket) = Fixture::one_delivered_job();
    fixture.monitor().boot(1);
    let fixture = fixture.restart();
    assert_eq!(fixture.daemon.expect_runners("job", &ticket)["id"], 1);
    assert_eq!(
        fixture.monitor().read(|state| state.idle["linux"].clone()),
        [2]
    );
}

#[test]
fn after_a_restart_a_job_that_is_finished_is_unknown() {
    let (fixture, ticket) = Fixture::one_delivered_job();
    fixture.monitor().set_reservation_state("job", "served");
    let fixture = fixture.restart();
    fixture.daemon.wait_until_fresh(1);
    fixture.daemon.assert_unknown("job", &ticket);
}

#[test]
fn during_the_startup_grace_period_no_runner_is_assigned() {
    let fixture = Fixture::<1>::start("settle = 600");
    fixture.monitor().boot(1);
    let ticket = fixture.daemon.enqueue("job");
    fixture.daemon.assert_waiting("job", &ticket);
    assert_eq!(fixture.daemon.dashboard()["is_dispatching"], false);
    let why = fixture.daemon.job("job")["why"].clone();
    assert!(why.as_str().unwrap().contains("just started"), "{why}");
    assert_eq!(fixture.monitor().request_count("POST"), 0);
}

#[test]
fn a_ticket_is_valid_at_any_queue_with_the_same_key_and_at_no_other() {
    let monitor = FakeMonitor::start();
    let with_key = |letter: &str| {
        let settings = format!("settle = 0\nticket_key = \"{}\"", letter.repeat(32));
        Daemon::start_with(&[&monitor], &settings)
    };
    let (one, standby, other_key) = (with_key("a"), with_key("a"), with_key("b"));
    one.wait_until_fresh(1);
    let ticket = one.enqueue("job");
    standby.assert_waiting("job", &ticket);
    other_key
        .take("job", &ticket)
        .assert_refused(403, "wrong_ticket");
}

/// A ticket that a queue with the same key issued when its clock showed `enqueued_at`.
fn ticket_of(key: &str, enqueued_at: Timestamp) -> String {
    let content = TicketContent {
        request: JobRequest {
            spec: JobSpec {
                unique_id: "job".parse().unwrap(),
                profile_key: "linux".parse().unwrap(),
                count: Count::ONE,
                qualified_repo: "servo/servo".parse().unwrap(),
                run_id: RunId(7),
            },
            is_array: false,
            labels_from_response: false,
            limits: shared::wait_limits::WaitLimits::default(),
        },
        enqueued_at,
        queued_at: enqueued_at,
        lane: None,
        nonce: 1,
    };
    let key = TicketKey::from_secret(&Secret::new(key));
    key.sign(&content, Duration::from_secs(24 * 3600))
}

#[test]
fn tickets_of_a_queue_that_was_started_before_its_clock_was_set_are_valid() {
    let monitor = FakeMonitor::start();
    let key = "a".repeat(32);
    let settings = format!("settle = 0\nticket_key = \"{key}\"");
    let daemon = Daemon::start_with(&[&monitor], &settings);
    daemon.wait_until_fresh(1);
    let year = Duration::from_secs(365 * 24 * 3600);
    let now = Clock::start().now();
    daemon.assert_unknown("job", &ticket_of(&key, now - year));
    for enqueued_at in [Timestamp::from_seconds(20), now + year * 10] {
        let ticket = ticket_of(&key, enqueued_at);
        daemon.assert_waiting("job", &ticket);
        daemon.withdraw("job", &ticket);
        daemon.assert_unknown("job", &ticket);
    }
}

#[test]
fn tickets_survive_a_clock_that_jumps_forward_while_the_queue_is_down() {
    let monitor = FakeMonitor::start();
    let key = "a".repeat(32);
    let settings = format!("settle = 0\nticket_key = \"{key}\"");
    let daemon = Daemon::start_with(&[&monitor], &settings);
    let last_run = daemon.data_file("last-run");
    let year = Duration::from_secs(365 * 24 * 3600);
    let last_ran_at: Timestamp = wait_until("the time of the last run", || {
        let text = std::fs::read_to_string(&last_run).ok()?;
        text.lines().last()?.parse().ok()
    });
    let last_ran_at = last_ran_at - year;
    // Without a checksum, as earlier releases wrote it.
    std::fs::write(&last_run, last_ran_at.as_micros().to_string()).unwrap();
    let daemon = daemon.restart();
    daemon.wait_until_fresh(1);
    let hour = Duration::from_secs(3600);
    daemon.assert_unknown("job", &ticket_of(&key, last_ran_at - hour * 25));
    daemon.assert_waiting("job", &ticket_of(&key, last_ran_at - hour));
}

#[test]
fn a_damaged_time_of_the_last_run_is_ignored_with_a_warning() {
    let monitor = FakeMonitor::start();
    let daemon = Daemon::start_with(&[&monitor], "settle = 0");
    let last_run = daemon.data_file("last-run");
    wait_until("the time of the last run", || {
        last_run.exists().then_some(())
    });
    std::fs::write(&last_run, "ci-runners last run 1\n179").unwrap();
    let daemon = daemon.restart();
    daemon.wait_until_fresh(1);
    let warning = "last-run: it is damaged: it has no checksum; the time since the last run counts against tickets";
    assert!(!log::lines_with(warning).is_empty());
}

#[test]
fn a_monitor_cannot_end_a_job_that_it_was_not_asked_for() {
    let fixture = Fixture::two_servers();
    let [honest, hostile] = &fixture.monitors;
    let ticket = fixture.daemon.enqueue("job");
    honest.boot(1);
    let runners = fixture.daemon.expect_runners("job", &ticket);
    let granted = honest.read(|state| state.reservations["job"].clone());
    // It has learned the whole reservation, with its proof, and reports the job as finished.
    hostile.change(|state| {
        let mut reservation = granted;
        reservation.state = "served";
        state.reservations.insert("job".to_owned(), reservation);
    });
    let daemon = fixture.daemon.restart();
    daemon.wait_until_fresh(2);
    assert_eq!(daemon.expect_runners("job", &ticket), runners);
}
