//! Invalid tickets, and tickets of other jobs.

use super::support::Fixture;

#[test]
fn a_job_is_accessible_with_its_ticket_only() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let daemon = &fixture.daemon;
    let other = daemon.enqueue("other");
    daemon.withdraw("other", &other);
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
            .request(method, path, &[])
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
            let response = daemon.request(method, &format!("{path}?token={wrong}"), &[]);
            let message = response.assert_refused(403, "wrong_ticket");
            assert!(!message.contains(&ticket), "{message}");
            if !wrong.is_empty() {
                let bearer = format!("Bearer {wrong}");
                let response = daemon.request(method, path, &[("authorization", &bearer)]);
                response.assert_refused(403, "wrong_ticket");
            }
        }
        // The header takes precedence, even over a valid ticket in the query.
        let target = format!("{path}?token={ticket}");
        for wrong in ["Bearer wrong", "Bearer", "Basic x"] {
            let response = daemon.request(method, &target, &[("authorization", wrong)]);
            response.assert_refused(403, "wrong_ticket");
        }
    }
    daemon
        .request_as_operator("POST", "/take/job")
        .assert_refused(403, "wrong_ticket");
    // None of these requests has changed anything.
    daemon.assert_waiting_count(1);
    daemon.assert_waiting("job", &ticket);
}
