//! What must never be seen: in no log, at whatever level, on no page, in no refusal.

use super::support::{API_TOKEN, Daemon, Fault, Monitor, log, until};

/// Asks everything that answers with some text, rightly and wrongly; all that was answered.
fn ask_everything(daemon: &Daemon, own: &str, other: &str) -> Vec<String> {
    let bearer = format!("Bearer {own}");
    let headers = [("authorization", &*bearer)];
    let mut targets: Vec<String> = Vec::new();
    for page in [
        "/",
        "/dashboard.txt",
        "/dashboard.json",
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
    let answers = targets.iter().flat_map(|target| {
        let without = daemon.ask("GET", target, &[]);
        let with = daemon.ask("PUT", target, &headers);
        [without, daemon.ask("POST", target, &[]), with]
    });
    answers.map(|answer| format!("{answer:?}")).collect()
}

/// Has everything happen that is worth a line in the log: takes, failures, withdrawals, a restart.
fn let_everything_happen(monitors: &[Monitor; 2], daemon: Daemon, tickets: &[String; 3]) {
    monitors[0].fail_take(Fault::CutAfter);
    monitors[0].boot(1);
    monitors[0].wait_until_asked("POST", 1);
    monitors[0].boot(2);
    monitors[1].boot(2);
    daemon.runners("seen-a", &tickets[0]);
    let bearer = format!("Bearer {}", tickets[1]);
    let headers = [("authorization", &*bearer), ("prefer", "wait=20")];
    daemon.ask("POST", "/take/seen-b", &headers).json_of(200);
    let withdrawn = daemon.ask("DELETE", &format!("/job/seen-c?token={}", tickets[2]), &[]);
    assert_eq!(withdrawn.status, 204);
    let garbage = Fault::Say("garbage\r\n\r\n".to_owned());
    monitors[1].change(|state| state.dashboard_faults.push_back(garbage));
    until("that a server is down", || {
        (daemon.health(1) == "down").then_some(())
    });
    let daemon = daemon.restart();
    daemon.runners("seen-a", &tickets[0]);
}

#[test]
fn neither_tickets_nor_tokens_are_ever_seen() {
    let monitors = Monitor::two();
    let daemon = Daemon::before(&[&monitors[0], &monitors[1]]);
    daemon.wait_until_fresh(2);
    let tickets = ["seen-a", "seen-b", "seen-c"].map(|job| daemon.enqueue(job));
    let seen = ask_everything(&daemon, &tickets[1], &tickets[0]);
    let_everything_happen(&monitors, daemon, &tickets);
    let failures = log::lines_with("failed to take a runner for seen-");
    assert!(!failures.is_empty(), "the log is read");
    for secret in tickets.iter().map(String::as_str).chain([API_TOKEN]) {
        // Its last part, the signature, is what makes a ticket.
        let part = secret.rsplit('.').next().unwrap();
        assert_eq!(log::lines_with(part), [] as [String; 0]);
        let shown: Vec<_> = seen.iter().filter(|seen| seen.contains(part)).collect();
        assert_eq!(shown, [] as [&String; 0]);
    }
}
