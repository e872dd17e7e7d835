//! A scheduling policy: lanes, shares of repositories, and the limit of runners of each.

use std::{sync::Arc, time::Duration};

use shared::{
    policy::{FairShare, Lane, Policy, Rule, RunFacts},
    values::{Count, LaneName},
    wire::RunnerStatus,
};

use super::harness::{TestQueue, by_ticket, config, linux, request};
use crate::{
    Config, Forward, Input, JobStep, Limits, PassOverReason, PastRun, PastShare, RunnerId,
    TicketContent, estimate::tests::restore,
};

/// Jobs of `servo/release` and of the branch `release` are in the lane `release`, which is one rank before the others.
fn policy() -> Policy {
    let rule = Rule {
        lane: "release".parse().unwrap(),
        repository: None,
        branch: None,
        event: None,
        workflow: None,
    };
    Policy {
        ageing: Duration::from_secs(600),
        lanes: [("release".parse().unwrap(), Lane { rank: 1, weight: 1 })].into(),
        rules: vec![
            Rule {
                repository: Some("servo/release".parse().unwrap()),
                ..rule.clone()
            },
            Rule {
                branch: Some("release".parse().unwrap()),
                ..rule
            },
        ],
        fair_share: None,
        runners_per_repo_max: None,
    }
}

fn fair_share() -> Policy {
    Policy {
        fair_share: Some(FairShare {
            half_life: Duration::from_secs(3600),
            entry_penalty: Duration::from_secs(300),
            delay_max: Duration::from_secs(1800),
        }),
        ..policy()
    }
}

fn limited(max: usize) -> Policy {
    Policy {
        runners_per_repo_max: Some(max),
        ..policy()
    }
}

fn limits(policy: Policy) -> Limits {
    Limits {
        policy: Some(Arc::new(policy)),
        ..config().limits
    }
}

fn config_with(policy: Policy) -> Config {
    Config {
        limits: limits(policy),
        ..config()
    }
}

/// One server with nine runners, none of which is idle yet, and no client counts as silent.
fn queue_with(policy: Policy) -> TestQueue {
    let mut config = config_with(policy);
    config.limits.abandon_after = Duration::from_secs(100_000);
    let mut queue = TestQueue::with_config(config, &["a"]);
    queue.report("a", linux(9, &[]));
    queue
}

#[track_caller]
fn enqueue(queue: &mut TestQueue, job: &str, repo: &str, count: u64) -> TicketContent {
    let mut request = request(job, "linux", count);
    request.spec.qualified_repo = repo.parse().unwrap();
    queue.try_enqueue(request).unwrap()
}

/// The runners that have jobs.
type Running = Vec<(Forward, RunnerId)>;

/// The server reports these runners as idle, and which others have jobs.
fn report(queue: &mut TestQueue, running: &Running, idle: &[RunnerId]) {
    let mut report = linux(9, idle);
    for (forward, runner) in running {
        let job = forward.request.spec.unique_id.as_str();
        report = report
            .with_statuses("linux", &[*runner], RunnerStatus::Busy)
            .runs(job, &[*runner], forward);
    }
    queue.report("a", report);
}

/// The jobs that are forwarded, one after the other, each as soon as a runner is idle; they keep their runners.
#[track_caller]
fn expect_order(queue: &mut TestQueue, jobs: &[&str]) -> Running {
    let mut running = Running::new();
    for (index, job) in jobs.iter().enumerate() {
        let runner = 100 + index as u64;
        report(queue, &running, &[runner]);
        let forward = queue.expect_forward(job, "a");
        queue.grant(&forward, &[runner]);
        running.push((forward, runner));
    }
    report(queue, &running, &[]);
    running
}

#[test]
fn a_job_of_a_higher_rank_goes_first_until_the_others_have_waited_for_longer() {
    let mut queue = queue_with(policy());
    enqueue(&mut queue, "old", "servo/servo", 1);
    queue.advance(601);
    enqueue(&mut queue, "new", "servo/servo", 1);
    let release = enqueue(&mut queue, "release", "servo/release", 1);
    assert_eq!(release.lane, Some("release".parse().unwrap()));
    assert_eq!(queue.assert_waiting(&release).ahead, 1);
    expect_order(&mut queue, &["old", "release", "new"]);
}

#[test]
fn what_is_known_of_the_run_decides_on_the_lane() {
    let mut queue = queue_with(policy());
    let facts = |branch: &str| RunFacts {
        branch: Some(branch.parse().unwrap()),
        ..RunFacts::default()
    };
    for (job, branch) in [("main", "main"), ("release", "release")] {
        let request = request(job, "linux", 1);
        let ticket = queue.try_enqueue_with(request, facts(branch)).unwrap();
        let lane: LaneName = if job == "main" { "default" } else { job }.parse().unwrap();
        assert_eq!(ticket.lane, Some(lane));
    }
    expect_order(&mut queue, &["release", "main"]);
}

#[test]
fn a_push_does_not_win_before_it_is_counted() {
    let mut queue = queue_with(fair_share());
    for job in 1..=6 {
        enqueue(&mut queue, &format!("push-{job}"), "servo/push", 1);
    }
    queue.advance(60);
    enqueue(&mut queue, "one", "servo/other", 1);
    enqueue(&mut queue, "two", "servo/other", 1);
    // They were enqueued a minute later; the first job of each repository is not delayed, the second by 257 s.
    expect_order(
        &mut queue,
        &["push-1", "one", "push-2", "two", "push-3", "push-4"],
    );
}

#[test]
fn a_restart_does_not_change_the_order() {
    let mut queue = queue_with(fair_share());
    let push = ["push-1", "push-2", "push-3"].map(|job| enqueue(&mut queue, job, "servo/push", 1));
    queue.advance(60);
    let other = enqueue(&mut queue, "other", "servo/other", 1);
    queue.restart();
    for ticket in push.iter().rev() {
        queue.assert_waiting(ticket);
    }
    assert_eq!(queue.assert_waiting(&other).ahead, 1);
    queue.report("a", linux(9, &[]));
    // Restored jobs are counted as well.
    let next = enqueue(&mut queue, "push-4", "servo/push", 1);
    assert!(next.queued_at > push[2].queued_at);
    queue.end_startup_grace();
    expect_order(
        &mut queue,
        &["push-1", "other", "push-2", "push-3", "push-4"],
    );
}

#[test]
fn what_was_used_before_a_restart_counts() {
    let run = |share| PastRun::Finished {
        profile_key: "linux".parse().unwrap(),
        qualified_repo: "servo/servo".parse().unwrap(),
        took: Duration::from_secs(600),
        share,
    };
    let delay_with = |ended_before: u64, lane: &str| {
        let mut queue = TestQueue::with_config(config_with(fair_share()), &["a"]);
        let share = PastShare {
            lane: lane.parse().unwrap(),
            ended_at: queue.now - Duration::from_secs(ended_before),
            count: Count::new(3).unwrap(),
        };
        queue.core.restore([run(Some(share)), run(None)]);
        queue.report("a", linux(9, &[]));
        let ticket = enqueue(&mut queue, "job", "servo/servo", 1);
        ticket.queued_at.since(ticket.enqueued_at).as_secs()
    };
    // 1800 s of 1800 s delay by half of the most; after the half-life 900 s by a third.
    assert_eq!(delay_with(0, "default"), 900);
    assert_eq!(delay_with(3600, "default"), 600);
    assert_eq!(delay_with(0, "release"), 0);
}

#[test]
fn a_job_that_is_withdrawn_does_not_count() {
    let mut queue = queue_with(fair_share());
    let ticket = enqueue(&mut queue, "first", "servo/servo", 1);
    queue.try_withdraw(by_ticket(&ticket)).unwrap();
    let next = enqueue(&mut queue, "next", "servo/servo", 1);
    assert_eq!(next.queued_at, next.enqueued_at);
}

#[test]
fn a_repository_has_no_more_runners_than_the_limit() {
    let mut queue = queue_with(limited(2));
    for job in ["a-1", "a-2", "a-3"] {
        enqueue(&mut queue, job, "servo/a", 1);
    }
    enqueue(&mut queue, "b-1", "servo/b", 1);
    queue.take_events();
    queue.report("a", linux(9, &[1, 2, 3, 4]));
    let first = queue.expect_forward("a-1", "a");
    queue.expect_forward("a-2", "a");
    queue.expect_forward("b-1", "a");
    queue.assert_no_effects();
    let reason = PassOverReason::RepositoryLimit;
    assert!(queue.events.iter().any(|event| {
        event.job.unique_id.as_str() == "a-3" && event.step == JobStep::PassedOver { reason }
    }));
    let status = queue.inspect(crate::JobReference::Operator("a-3".parse().unwrap()));
    let why = "its repository already uses 2 of 2 runners of this profile";
    assert_eq!(status.unwrap().why, why);
    // Also of those that are only being forwarded, until they are refused.
    queue.refuse_this_job(&first);
    queue.expect_forward("a-3", "a");
}

#[test]
fn a_large_job_is_not_starved_by_smaller_ones_of_its_repository() {
    let mut queue = queue_with(limited(3));
    enqueue(&mut queue, "first", "servo/a", 1);
    let running = expect_order(&mut queue, &["first"]);
    enqueue(&mut queue, "large", "servo/a", 3);
    enqueue(&mut queue, "small", "servo/a", 1);
    report(&mut queue, &running, &[1, 2, 3]);
    queue.assert_no_effects();
    // More than the limit at once, because its repository has no others then.
    queue.set_limits(limits(limited(2)));
    queue.advance(1);
    let (first, runner) = &running[0];
    queue.report(
        "a",
        linux(9, &[1, 2, 3]).has_finished("first", &[*runner], first),
    );
    queue.expect_forward("large", "a");
    queue.assert_no_effects();
}

#[test]
fn a_limit_can_be_changed_while_the_queue_runs() {
    let mut queue = queue_with(policy());
    for job in ["a-1", "a-2", "a-3", "a-4"] {
        enqueue(&mut queue, job, "servo/a", 1);
    }
    let running = expect_order(&mut queue, &["a-1"]);
    queue.set_limits(limits(limited(1)));
    report(&mut queue, &running, &[1, 2]);
    queue.assert_no_effects();
    queue.set_limits(limits(limited(2)));
    queue.expect_forward("a-2", "a");
    queue.assert_no_effects();
    queue.set_limits(config().limits);
    queue.expect_forward("a-3", "a");
}

#[test]
fn reasons_and_estimates_follow_the_policy() {
    let mut queue = queue_with(limited(1));
    restore(&mut queue, &[100; 20]);
    let old = enqueue(&mut queue, "old", "servo/servo", 1);
    for job in ["r-1", "r-2"] {
        enqueue(&mut queue, job, "servo/release", 1);
    }
    let status = queue.inspect(by_ticket(&old)).unwrap();
    assert_eq!((status.position, status.ahead), (Some(3), Some(2)));
    assert_eq!(status.lane.unwrap().as_str(), "default");
    let why = "2 jobs of lane release are before it, of which servo/release run 7 is next; no runner of this \
               profile is idle";
    assert_eq!(status.why, why);
    let newer = enqueue(&mut queue, "newer", "servo/other", 1);
    let status = queue.inspect(by_ticket(&newer)).unwrap();
    assert!(
        status
            .why
            .starts_with("3 jobs are before it (1 of lane default, 2 of lane release), of which"),
        "{}",
        status.why
    );
    let after = |queue: &mut TestQueue, job: &str| {
        let by = crate::JobReference::Operator(job.parse().unwrap());
        queue.inspect(by).unwrap().estimate.unwrap().p50_seconds
    };
    let running = expect_order(&mut queue, &["r-1"]);
    report(&mut queue, &running, &[1, 2]);
    queue.expect_forward("old", "a");
    queue.expect_forward("newer", "a");
    // It waits for the end of the other job of its repository, although runners are idle.
    report(&mut queue, &running, &[1, 2, 3]);
    queue.advance(1);
    let wait = after(&mut queue, "r-2");
    assert!((90..=110).contains(&wait), "{wait}");
}

#[test]
fn without_a_policy_facts_do_not_matter() {
    let mut queue = TestQueue::with(&["a"]);
    queue.report("a", linux(9, &[]));
    let facts = RunFacts {
        branch: Some("release".parse().unwrap()),
        ..RunFacts::default()
    };
    let ticket = queue
        .try_enqueue_with(request("job", "linux", 1), facts)
        .unwrap();
    assert_eq!((ticket.queued_at, ticket.lane), (ticket.enqueued_at, None));
}

impl TestQueue {
    fn set_limits(&mut self, limits: Limits) {
        self.handle(Input::SetLimits(limits));
    }
}
