//! GitHub at its worst: runners that work or wait must not notice.

use emulator::{
    faults::{Fault, FaultRule, PathMatch},
    model::{JobPhase, NewRunner},
};
use shared::{secret::Secret, wire::RunnerStatus};

use crate::support::{Host, RUNNERS, ids, in_time, statuses};

#[actix_web::test]
async fn an_answer_that_stalls_holds_up_nothing_else() {
    let host = Host::new();
    let monitor = host.start(host.settings(1, "")).await;
    monitor.until_idle(1).await;
    let stall = host.break_github("GET", RUNNERS, Fault::StallBody { keep: 10 });
    let struck = host.emulator().until(|it| it.faults().hit_count(stall) > 0);
    in_time("the fault to strike", struck).await;

    let label = monitor.taken("job").await.label.unwrap();
    let reserved = monitor.dashboard().await;
    assert_eq!(statuses(&reserved), [RunnerStatus::Reserved]);
    let job = host.queue_job(&label, "true");
    host.until_phase(job, JobPhase::Completed).await;
    // It is still waiting for that list, and ends all the same.
    assert_eq!(host.emulator().faults().hit_count(stall), 1);
    monitor.stop().await;
}

/// GitHub may say when to ask again, or only that there is a limit. Neither is asked again soon, unlike
/// a GitHub that merely failed, by which the time of this test is told.
#[actix_web::test]
async fn who_is_told_to_wait_does_not_ask() {
    let refusals = [
        Fault::status(403).with_message("You have exceeded a secondary rate limit."),
        Fault::status(403).with_header("retry-after", "60"),
        Fault::status(429),
        Fault::status(429).with_header("retry-after", "60"),
    ];
    let mut told = Vec::new();
    for refusal in refusals {
        let host = Host::new();
        let rule = host.break_github("GET", RUNNERS, refusal);
        let monitor = host.start(host.settings(1, "")).await;
        told.push((host, rule, monitor));
    }
    for (host, rule, _) in &told {
        let struck = host.emulator().until(|it| it.faults().hit_count(*rule) > 0);
        in_time("the refusal", struck).await;
    }
    let failing = Host::new();
    let rule = failing.break_github("GET", RUNNERS, Fault::status(500));
    let monitor = failing.start(failing.settings(1, "")).await;
    let asked_again = failing
        .emulator()
        .until(|it| it.faults().hit_count(rule) > 2);
    in_time("the third question", asked_again).await;
    monitor.stop().await;
    for (host, rule, monitor) in told {
        assert_eq!(host.emulator().faults().hit_count(rule), 1);
        monitor.stop().await;
    }
}

#[actix_web::test]
async fn a_runner_that_slips_between_two_of_three_pages_keeps_its_guest() {
    let host = Host::new();
    let scope = "/orgs/acme".parse().unwrap();
    let register_others = |numbers: std::ops::Range<usize>| {
        for number in numbers {
            let other = NewRunner {
                name: format!("other-{number}"),
                labels: vec!["x".into()],
                runner_group_id: 1,
            };
            let secret = Secret::new("s");
            let emulator = host.emulator();
            let registered = emulator.model(|it, now| it.register(now, &scope, other, secret));
            registered.unwrap();
        }
    };
    register_others(0..100);
    let monitor = host.start(host.settings(1, "")).await;
    monitor.until_idle(1).await;
    register_others(100..249);

    // Ours is the first on page 2. When one of page 1 goes away, it is on no page still to come.
    let vanish = Fault::ThenVanish {
        name: "other-0".into(),
    };
    let rule = FaultRule::on("GET", PathMatch::Exact(RUNNERS.into()), vanish).next(1);
    let rule = host.emulator().faults().add(rule).unwrap();
    let struck = host.emulator().until(|it| it.faults().hit_count(rule) > 0);
    in_time("the change", struck).await;
    // Until this list has been read, thrice at most, and the next one is asked for.
    let asked_count = host.emulator().requests().count("GET", RUNNERS);
    let read = host
        .emulator()
        .until(|it| it.requests().count("GET", RUNNERS) > asked_count + 9);
    in_time("the list to be read", read).await;
    let dashboard = monitor.dashboard().await;
    assert_eq!(
        (ids(&dashboard), statuses(&dashboard)),
        (vec![0], vec![RunnerStatus::Idle])
    );
    assert_eq!(host.emulator().requests().count("DELETE", RUNNERS), 0);
    monitor.stop().await;
}
