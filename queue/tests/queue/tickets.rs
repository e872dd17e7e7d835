//! What is no ticket of a job opens nothing of it.

use super::support::{Daemon, Monitor};

#[test]
fn without_its_ticket_nobody_takes_a_job() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    let other = daemon.enqueue("other");
    assert_eq!(
        daemon
            .ask("DELETE", &format!("/job/other?token={other}"), &[])
            .status,
        204
    );
    let [head, payload, signature] = ticket.split('.').collect::<Vec<_>>()[..] else {
        panic!("a ticket has three parts");
    };
    let flipped = if payload.starts_with('A') { "B" } else { "A" };
    for (method, path) in [
        ("POST", "/take/job"),
        ("GET", "/job/job"),
        ("DELETE", "/job/job"),
    ] {
        daemon
            .ask(method, path, &[])
            .assert_refused(401, "unauthorised");
        for wrong in [
            "",
            "x",
            "a.b.c",
            &other,
            &format!("{head}.{payload}."),
            &format!("{head}.{payload}"),
            &format!("{head}.{flipped}{}.{signature}", &payload[1..]),
            &format!("{head}.{payload}.{}", signature.to_uppercase()),
            &format!("{ticket}x"),
            &format!("eyJhbGciOiJub25lIn0.{payload}."),
            &"x".repeat(5000),
        ] {
            let answer = daemon.ask(method, &format!("{path}?token={wrong}"), &[]);
            let message = answer.assert_refused(403, "wrong_ticket");
            assert!(!message.contains(&ticket), "{message}");
            if !wrong.is_empty() {
                let bearer = format!("Bearer {wrong}");
                let answer = daemon.ask(method, path, &[("authorization", &bearer)]);
                answer.assert_refused(403, "wrong_ticket");
            }
        }
        // What is in the header counts: a right ticket in the query does not make up for it.
        let target = format!("{path}?token={ticket}");
        for wrong in ["Bearer wrong", "Bearer", "Basic x"] {
            let answer = daemon.ask(method, &target, &[("authorization", wrong)]);
            answer.assert_refused(403, "wrong_ticket");
        }
    }
    daemon
        .ask_as_operator("POST", "/take/job")
        .assert_refused(403, "wrong_ticket");
    // Nothing of all this has changed anything.
    assert_eq!(daemon.view()["waiting_count"], 1);
    daemon.take("job", &ticket).assert_refused(503, "waiting");
}
