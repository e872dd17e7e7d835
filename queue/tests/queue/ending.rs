//! The end of the queue, and its beginning: nobody is left without an answer, nobody is forgotten.

use super::support::{Daemon, Monitor, until};

#[test]
fn held_takes_are_answered_before_the_queue_ends() {
    let monitor = Monitor::start();
    let mut daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let jobs: Vec<String> = (0..20).map(|job| format!("job-{job}")).collect();
    let held: Vec<_> = jobs
        .iter()
        .map(|job| {
            let ticket = daemon.enqueue(job);
            daemon.take_held(job, &ticket)
        })
        .collect();
    // The last one has arrived when a question that came after it is answered on each thread.
    until("that all are held", || {
        (0..4)
            .all(|_| daemon.ask("GET", "/healthz", &[]).status == 200)
            .then_some(())
    });
    daemon.ask_to_stop();
    for held in held {
        held.answer().assert_refused(503, "not_ready");
    }
    daemon.wait_for_end();
}

#[test]
fn after_a_restart_everybody_has_the_old_place_and_ticket() {
    let monitor = Monitor::start();
    let daemon = Daemon::with(&[&monitor], "settle = 1");
    daemon.wait_until_fresh(1);
    let first = daemon.enqueue("first");
    let second = daemon.enqueue("second");
    let daemon = daemon.restart();
    monitor.boot(1);
    // Who asks first is not served first.
    let second = daemon.take_held("second", &second);
    assert_eq!(daemon.runners("first", &first)["id"], 1);
    monitor.boot(1);
    assert_eq!(second.answer().json_of(200)["id"], 2);
}

#[test]
fn after_a_restart_a_job_that_had_its_runner_has_the_same_one() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    monitor.boot(1);
    assert_eq!(daemon.runners("job", &ticket)["id"], 1);
    monitor.boot(1);
    let daemon = daemon.restart();
    assert_eq!(daemon.runners("job", &ticket)["id"], 1);
    assert_eq!(monitor.look(|state| state.idle["linux"].clone()), [2]);
}

#[test]
fn after_a_restart_a_job_that_was_served_is_unknown() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    monitor.boot(1);
    assert_eq!(daemon.runners("job", &ticket)["id"], 1);
    monitor.change(|state| state.reservations.get_mut("job").unwrap().state = "served");
    let daemon = daemon.restart();
    daemon.wait_until_fresh(1);
    daemon
        .take("job", &ticket)
        .assert_refused(404, "unknown_job");
}

#[test]
fn a_queue_that_has_just_started_gives_nothing_out_until_everybody_is_back() {
    let monitor = Monitor::start();
    monitor.boot(1);
    let daemon = Daemon::with(&[&monitor], "settle = 600");
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    daemon.take("job", &ticket).assert_refused(503, "waiting");
    assert_eq!(daemon.view()["is_settled"], false);
    let why = daemon.job("job")["why"].as_str().unwrap().to_owned();
    assert!(why.contains("just started"), "{why}");
    assert_eq!(monitor.asked_count("POST"), 0);
}

#[test]
fn a_ticket_of_another_key_is_refused() {
    let monitor = Monitor::start();
    let key = |letter: &str| format!("settle = 0\nticket_key = \"{}\"", letter.repeat(32));
    let one = Daemon::with(&[&monitor], &key("a"));
    let standby = Daemon::with(&[&monitor], &key("a"));
    let stranger = Daemon::with(&[&monitor], &key("b"));
    one.wait_until_fresh(1);
    let ticket = one.enqueue("job");
    standby.take("job", &ticket).assert_refused(503, "waiting");
    stranger
        .take("job", &ticket)
        .assert_refused(403, "wrong_ticket");
}
