//! Estimates as clients of a queue get them.

use std::time::Duration;

use shared::{
    clock::Timestamp,
    wire::{Estimate, RunnerStatus},
};

use super::{NoEstimate, PastRun};
use crate::{
    RunnerId, ServerId, TicketContent, WaitReason,
    tests::harness::{MadeBy, ReportBuilder, TestQueue, by_ticket, linux, one_server, request},
};

/// A server whose runners are all busy, with jobs that nothing is known of, since `since`.
pub fn busy(runners: &[RunnerId], since: Timestamp) -> ReportBuilder {
    let report = linux(runners.len(), &[]).with_statuses("linux", runners, RunnerStatus::Busy);
    runners.iter().fold(report, |it, id| it.since(*id, since))
}

/// Jobs of the repository of all tests took so many seconds before the queue was started.
pub fn restore(queue: &mut TestQueue, durations: &[u64]) {
    queue
        .core
        .restore(durations.iter().map(|took| PastRun::Finished {
            profile_key: "linux".parse().unwrap(),
            qualified_repo: "servo/servo".parse().unwrap(),
            took: Duration::from_secs(*took),
            share: None,
        }));
}

/// A queue that knows that jobs take 100 s, and whose server `a` has so many busy runners, since now.
pub fn busy_server(runners: usize) -> TestQueue {
    let mut queue = TestQueue::with(&["a"]);
    restore(&mut queue, &[100; 50]);
    let runners: Vec<RunnerId> = (1..=runners as u64).collect();
    let now = queue.now;
    queue.report("a", busy(&runners, now));
    queue
}

fn estimate(queue: &mut TestQueue, ticket: &TicketContent) -> Estimate {
    queue.assert_waiting(ticket).prospect.unwrap()
}

fn p50(queue: &mut TestQueue, ticket: &TicketContent) -> u64 {
    estimate(queue, ticket).p50_seconds
}

#[track_caller]
fn assert_about(seconds: u64, expected: u64) {
    let range = expected * 9 / 10..=expected * 11 / 10;
    assert!(range.contains(&seconds), "{seconds} s, not {expected} s");
}

/// A job runs on this runner for so many seconds, and `next` is idle so many seconds later.
fn run_job(
    queue: &mut TestQueue,
    job: &str,
    (runner, took): (RunnerId, u64),
    next: (RunnerId, u64),
) {
    queue.report("a", linux(1, &[runner]));
    let ticket = queue.enqueue(job, "linux", 1);
    let forward = queue.expect_forward(job, "a");
    queue.grant(&forward, &[runner]);
    queue.take_runners(&ticket);
    queue.report("a", linux(1, &[]).runs(job, &[runner], &forward));
    queue.advance(took);
    queue.report("a", linux(1, &[]).has_finished(job, &[runner], &forward));
    queue.advance(next.1);
    queue.report(
        "a",
        linux(1, &[next.0]).has_finished(job, &[runner], &forward),
    );
}

#[test]
fn the_wait_is_what_is_left_of_the_jobs_that_run_and_the_replacement_of_their_runners() {
    let mut queue = one_server(1, &[]);
    for run in 1..=20 {
        run_job(
            &mut queue,
            &format!("past-{run}"),
            (run, 100),
            (run + 1, 20),
        );
    }
    // For a restart, each replacement is recorded.
    let taken = queue.replacements.drain(..);
    let replaced: Vec<_> = taken
        .map(|it| (it.server, it.runner, it.took.as_secs()))
        .collect();
    assert_eq!(replaced, Vec::from_iter((2..=21).map(|next| (0, next, 20))));
    // The last runner takes a job, too.
    let running = queue.enqueue("running", "linux", 1);
    let forward = queue.expect_forward("running", "a");
    queue.grant(&forward, &[21]);
    queue.take_runners(&running);
    queue.report("a", linux(1, &[]).runs("running", &[21], &forward));
    let first = queue.enqueue("first", "linux", 1);
    let second = queue.enqueue("second", "linux", 1);
    assert_about(p50(&mut queue, &first), 120);
    assert_about(p50(&mut queue, &second), 240);
    for ticket in [&first, &second] {
        queue.take_held(ticket, 600);
    }
    queue.advance(60);
    assert_about(p50(&mut queue, &first), 60);
    assert_about(p50(&mut queue, &second), 180);
}

#[test]
fn the_wait_grows_if_a_job_runs_for_longer_than_all_before_it() {
    let mut queue = busy_server(1);
    let ticket = queue.enqueue("job", "linux", 1);
    queue.take_held(&ticket, 5000);
    queue.advance(500);
    let after_500 = queue.inspect(by_ticket(&ticket)).unwrap().estimate.unwrap();
    queue.advance(1000);
    let after_1500 = queue.inspect(by_ticket(&ticket)).unwrap().estimate.unwrap();
    assert!(after_500.p50_seconds > 100, "{after_500:?}");
    assert!(
        after_1500.p50_seconds > 2 * after_500.p50_seconds,
        "{after_1500:?}"
    );
    assert!(
        after_500.p90_seconds > 2 * after_500.p50_seconds,
        "{after_500:?}"
    );
}

#[test]
fn runners_are_counted_and_not_jobs() {
    let mut queue = busy_server(2);
    let large = queue.enqueue("large", "linux", 2);
    let small = queue.enqueue("small", "linux", 1);
    let last = queue.enqueue("last", "linux", 1);
    let waits = [&large, &small, &last].map(|ticket| p50(&mut queue, ticket));
    assert_about(waits[0], 150);
    assert_about(waits[1], 290);
    assert_about(waits[2], 320);
}

#[test]
fn a_job_that_no_server_can_have_enough_runners_for_has_a_reason_and_keeps_none_waiting() {
    let mut queue = busy_server(2);
    queue.report("a", busy(&[1, 2, 3], queue.now));
    let large = queue.enqueue("large", "linux", 3);
    let small = queue.enqueue("small", "linux", 1);
    queue.advance(1);
    queue.report("a", busy(&[1], queue.now));
    let reason = NoEstimate::Obstacle(WaitReason::TooFewReachable { reach: 1 });
    assert_eq!(queue.assert_waiting(&large).prospect, Err(reason));
    assert_about(p50(&mut queue, &small), 145);
}

#[test]
fn without_a_server_that_answers_there_is_a_reason_instead_of_an_estimate() {
    let mut queue = busy_server(1);
    let ticket = queue.enqueue("job", "linux", 1);
    assert!(queue.assert_waiting(&ticket).prospect.is_ok());
    queue.become_unreachable("a");
    let reason = NoEstimate::Obstacle(WaitReason::NoServer);
    assert_eq!(queue.assert_waiting(&ticket).prospect, Err(reason));
    let status = queue.inspect(by_ticket(&ticket)).unwrap();
    assert_eq!(
        (status.estimate, status.no_estimate_because.as_deref()),
        (None, Some("no server that has this profile is answering"))
    );
}

#[test]
fn before_any_job_has_finished_only_idle_runners_give_an_estimate() {
    let mut queue = TestQueue::starting(&["a"]);
    queue.report("a", linux(2, &[1]));
    let first = queue.enqueue("first", "linux", 1);
    let second = queue.enqueue("second", "linux", 1);
    let at_the_end_of_the_grace_period = Estimate {
        p50_seconds: 5,
        p90_seconds: 5,
    };
    assert_eq!(estimate(&mut queue, &first), at_the_end_of_the_grace_period);
    let waiting = queue.assert_waiting(&second);
    assert_eq!(waiting.prospect, Err(NoEstimate::NoHistory));
}

#[test]
fn waits_do_not_decrease_with_the_position_and_are_extrapolated_behind_200_jobs() {
    let mut queue = busy_server(4);
    let mut tickets: Vec<TicketContent> = Vec::new();
    for job in 0..400 {
        tickets.push(queue.enqueue(&format!("job-{job}"), "linux", 1 + job % 2));
    }
    let waits: Vec<Estimate> = tickets
        .iter()
        .map(|ticket| estimate(&mut queue, ticket))
        .collect();
    for pair in waits.windows(2) {
        assert!(pair[1].p50_seconds >= pair[0].p50_seconds, "{pair:?}");
        assert!(pair[1].p90_seconds >= pair[0].p90_seconds, "{pair:?}");
    }
    // The pace behind the 200 replayed jobs is that of the last of them.
    let replayed = waits[199].p50_seconds - waits[99].p50_seconds;
    let extrapolated = waits[399].p50_seconds - waits[299].p50_seconds;
    assert!(
        (replayed * 6 / 10..=replayed * 14 / 10).contains(&extrapolated),
        "{extrapolated} s instead of {replayed} s for 100 jobs"
    );
    assert!(waits[399].p90_seconds > waits[399].p50_seconds);
}

#[test]
fn the_same_state_gives_the_same_estimates_whether_they_are_looked_at_or_not() {
    let waits = |looks: bool| {
        let mut queue = busy_server(3);
        let tickets: Vec<TicketContent> = (0..20)
            .map(|job| queue.enqueue(&format!("job-{job}"), "linux", 1))
            .collect();
        for _ in 0..10 {
            queue.advance(1);
            if looks {
                queue.core.view(queue.now);
            }
        }
        tickets.map_waits(&mut queue)
    };
    assert_eq!(waits(false), waits(true));
}

trait MapWaits {
    fn map_waits(&self, queue: &mut TestQueue) -> Vec<Estimate>;
}

impl MapWaits for Vec<TicketContent> {
    fn map_waits(&self, queue: &mut TestQueue) -> Vec<Estimate> {
        self.iter().map(|ticket| estimate(queue, ticket)).collect()
    }
}

#[test]
fn the_dashboard_shows_what_clients_are_answered() {
    let mut queue = busy_server(3);
    let tickets: Vec<TicketContent> = (0..20)
        .map(|job| queue.enqueue(&format!("job-{job}"), "linux", 1))
        .collect();
    let answered = tickets.map_waits(&mut queue);
    let view = queue.core.view(queue.now);
    let shown = view.profiles[0].jobs.iter();
    let shown: Vec<Estimate> = shown.filter_map(|job| job.estimate).collect();
    assert_eq!(shown, answered);
}

#[test]
fn after_a_restart_it_is_known_how_long_jobs_take_and_for_how_long_they_have_run() {
    let mut queue = busy_server(1);
    let ticket = queue.enqueue("job", "linux", 1);
    let held = queue.take_held(&ticket, 70);
    queue.advance(69);
    queue.advance_until_effect();
    queue.expect_waiting(held);
    let before = p50(&mut queue, &ticket);
    queue.restart();
    restore(&mut queue, &[100; 50]);
    let since = queue.now - Duration::from_secs(71);
    queue.report("a", busy(&[1], since));
    queue.end_startup_grace();
    assert_about(p50(&mut queue, &ticket), before - 6);
}

#[test]
fn after_a_restart_it_is_known_of_which_repository_the_running_jobs_are() {
    let mut queue = TestQueue::with(&["a"]);
    restore(&mut queue, &[1000; 20]);
    queue.core.restore((0..20).map(|_| PastRun::Finished {
        profile_key: "linux".parse().unwrap(),
        qualified_repo: "servo/short".parse().unwrap(),
        took: Duration::from_secs(60),
        share: None,
    }));
    let assigned_at = queue.now - Duration::from_secs(20);
    queue.core.restore([PastRun::Running {
        unique_id: "running".parse().unwrap(),
        qualified_repo: "servo/short".parse().unwrap(),
        assigned_at,
        has_waited: true,
    }]);
    let running = MadeBy::queue_at(assigned_at);
    queue.report("a", linux(1, &[]).runs("running", &[1], running));
    let ticket = queue.enqueue("job", "linux", 1);
    assert_about(p50(&mut queue, &ticket), 85);
}

#[test]
fn after_a_restart_it_is_known_how_long_the_runners_of_jobs_that_had_waited_took_to_start() {
    for (has_waited, expected) in [(true, 1100), (false, 145)] {
        let mut queue = TestQueue::with(&["a"]);
        restore(&mut queue, &[100; 50]);
        let assigned_at = queue.now;
        let runners: Vec<RunnerId> = (1..=20).collect();
        let mut report = linux(20, &[]);
        for id in &runners {
            queue.core.restore([PastRun::Running {
                unique_id: format!("running-{id}").parse().unwrap(),
                qualified_repo: "servo/servo".parse().unwrap(),
                assigned_at,
                has_waited,
            }]);
            let by = MadeBy::queue_at(assigned_at);
            let created_at = assigned_at - Duration::from_secs(1000);
            report = report
                .runs(&format!("running-{id}"), &[*id], by)
                .created(*id, created_at);
        }
        queue.report("a", report);
        let ticket = queue.enqueue("job", "linux", 1);
        let wait = p50(&mut queue, &ticket);
        assert!(
            (expected * 7 / 10..=expected * 11 / 10).contains(&wait),
            "{wait} s"
        );
    }
}

#[test]
fn jobs_of_a_repository_take_as_long_as_its_last_ones() {
    let mut queue = busy_server(1);
    queue.core.restore((0..20).map(|_| PastRun::Finished {
        profile_key: "linux".parse().unwrap(),
        qualified_repo: "servo/long".parse().unwrap(),
        took: Duration::from_secs(2000),
        share: None,
    }));
    let mut of_other = request("long", "linux", 1);
    of_other.spec.qualified_repo = "servo/long".parse().unwrap();
    queue.try_enqueue(of_other).unwrap();
    let behind_it = queue.enqueue("behind", "linux", 1);
    assert!(p50(&mut queue, &behind_it) > 2000);
}

#[test]
fn a_job_of_another_repository_takes_as_long_as_those_before_it_also_a_moment_later() {
    let mut queue = busy_server(1);
    queue.core.restore((0..20).map(|_| PastRun::Finished {
        profile_key: "linux".parse().unwrap(),
        qualified_repo: "servo/long".parse().unwrap(),
        took: Duration::from_secs(2000),
        share: None,
    }));
    // The first estimate is made before the queue knows that jobs of the other one wait.
    let first = queue.enqueue("first", "linux", 1);
    queue.assert_waiting(&first);
    let mut of_other = request("long", "linux", 1);
    of_other.spec.qualified_repo = "servo/long".parse().unwrap();
    queue.try_enqueue(of_other).unwrap();
    let behind_it = queue.enqueue("behind", "linux", 1);
    assert!(p50(&mut queue, &behind_it) > 2000);
}

#[test]
fn how_long_replacements_took_before_a_restart_counts_more_than_the_first_report() {
    let mut queue = TestQueue::with(&["a"]);
    restore(&mut queue, &[100; 50]);
    queue.core.restore((0..20).map(|_| PastRun::Replaced {
        profile_key: "linux".parse().unwrap(),
        took: Duration::from_secs(500),
    }));
    // Those in its first report took 10 s, without the time until they were created.
    let runners: Vec<RunnerId> = (1..=40).collect();
    let created_at = queue.now - Duration::from_secs(1000);
    let idle_since = created_at + Duration::from_secs(10);
    let report = runners.iter().fold(linux(40, &runners), |report, id| {
        report.created(*id, created_at).since(*id, idle_since)
    });
    queue.report("a", report);
    queue.report("a", busy(&runners, queue.now));
    let ticket = queue.enqueue("job", "linux", 1);
    // The first of 40 replacements is idle a little earlier than most.
    assert!(p50(&mut queue, &ticket) > 300);
}

#[test]
fn how_long_a_replacement_takes_is_known_from_the_first_report_of_a_server() {
    let mut queue = TestQueue::with(&["a"]);
    restore(&mut queue, &[100; 50]);
    let runners: Vec<RunnerId> = (1..=20).collect();
    let started = queue.now - Duration::from_secs(1000);
    let mut report = linux(21, &runners).with_statuses("linux", &[21], RunnerStatus::Busy);
    for id in runners {
        report = report
            .created(id, started)
            .since(id, started + Duration::from_secs(300));
    }
    let now = queue.now;
    queue.report("a", report.since(21, now));
    queue.report("a", busy(&[21], queue.now));
    let ticket = queue.enqueue("job", "linux", 1);
    assert_about(p50(&mut queue, &ticket), 400);
}

#[test]
fn runners_that_a_server_has_beyond_its_target_are_not_replaced() {
    let mut queue = busy_server(2);
    let since = queue.now;
    let ended_late = busy(&[1, 2], since).since(1, since - Duration::from_secs(90));
    queue.report("a", ended_late.clone());
    let ticket = queue.enqueue("job", "linux", 1);
    assert_about(p50(&mut queue, &ticket), 145);
    let server: ServerId = queue.server("a");
    assert_eq!(server, 0);
    queue.report("a", ended_late.with_linux(|linux| linux.target = 1));
    queue.advance(1);
    assert_about(p50(&mut queue, &ticket), 145);
}

#[test]
fn a_runner_that_ended_while_its_server_did_not_answer_teaches_nothing() {
    for (is_silent, is_known) in [(false, true), (true, false)] {
        let mut queue = one_server(1, &[1]);
        let ticket = queue.enqueue("past", "linux", 1);
        let forward = queue.expect_forward("past", "a");
        queue.grant(&forward, &[1]);
        queue.take_runners(&ticket);
        queue.report("a", linux(1, &[]).runs("past", &[1], &forward));
        if is_silent {
            queue.stop_answering("a");
        }
        queue.advance(100);
        queue.report("a", linux(1, &[]).has_finished("past", &[1], &forward));
        let next = queue.enqueue("next", "linux", 1);
        assert_eq!(queue.assert_waiting(&next).prospect.is_ok(), is_known);
    }
}

#[test]
fn a_reservation_that_was_not_used_teaches_nothing() {
    let mut queue = one_server(1, &[1]);
    let ticket = queue.enqueue("past", "linux", 1);
    let forward = queue.expect_forward("past", "a");
    queue.grant(&forward, &[1]);
    queue.take_runners(&ticket);
    queue.report("a", linux(1, &[]).holds("past", &[1], &forward));
    queue.advance(100);
    queue.report("a", linux(1, &[]));
    let next = queue.enqueue("next", "linux", 1);
    let waiting = queue.assert_waiting(&next);
    assert_eq!(waiting.prospect, Err(NoEstimate::NoHistory));
}

#[test]
fn runners_that_something_delays_give_no_estimate_but_a_reason() {
    let mut queue = busy_server(1);
    let ticket = queue.enqueue("waiting", "linux", 1);
    assert_about(p50(&mut queue, &ticket), 145);
    let gone = |delayed| {
        linux(1, &[]).with_linux(|linux| {
            linux.delayed = Some(shared::wire::DelayedRunners {
                count: delayed,
                reason: "it cannot use GitHub".to_owned(),
            });
        })
    };
    queue.advance(1);
    queue.report("a", gone(1));
    let prospect = queue.assert_waiting(&ticket).prospect;
    let reason = prospect.unwrap_err().to_string();
    let expected = "its runners are delayed at a because it cannot use GitHub";
    assert_eq!(reason, expected);
    // As soon as nothing delays it, it is expected again.
    queue.advance(1);
    queue.report("a", gone(0));
    queue.assert_waiting(&ticket).prospect.unwrap();
}
