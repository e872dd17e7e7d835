//! Which call gets which answer, and what happens to an answer whose client has hung up.

use std::collections::{BTreeMap, BTreeSet};

use daemon::journal::{Journal, JournalConfig};
use shared::{
    job_spec::JobSpec,
    settings::{JournalSettings, LogFormat},
    values::{Count, RunId},
};

use tempfile::{TempDir, tempdir};

use super::*;
use queue_core::{Config, EnqueuedBy, ForwardOutcome, JobRequest, Limits, ProfileReport, Report};

/// A queue with one server that has one idle runner, and the commands for that server.
fn event_loop(folder: &TempDir) -> (EventLoop, mpsc::UnboundedReceiver<Command>) {
    let clock = Clock::start();
    let config = Config {
        startup_grace: Duration::ZERO,
        stale_after: Duration::from_secs(15),
        ticket_lifetime: Duration::from_secs(3600),
        believable_from: Timestamp::default(),
        down_for: Duration::ZERO,
        limits: Limits {
            abandon_after: Duration::from_secs(30),
            forward_timeout: Duration::from_secs(10),
            jobs_max: 10,
            jobs_per_repo_max: None,
            held_max: 10,
            policy: None,
        },
    };
    let queue = Queue::new(config, &["http://a/".to_owned()], 1, clock.now());
    let (sender, receiver) = mpsc::unbounded_channel();
    let journal = Journal::open(
        JournalConfig {
            folder: folder.path().to_owned(),
            limits: JournalSettings::default(),
            log_format: LogFormat::Text,
        },
        clock,
    );
    let recorder = Recorder::new(journal, vec!["http://a/".to_owned()]);
    let event_loop = EventLoop::new(queue, clock, vec![sender], recorder);
    let profile = ProfileReport {
        target: 1,
        existing: 1,
        idle: BTreeSet::from([1]),
        ..ProfileReport::default()
    };
    let report = Report {
        asked_at: event_loop.now(),
        profiles: BTreeMap::from([("linux".parse().unwrap(), profile)]),
        runners: BTreeSet::from([1]),
        reservations: Some(BTreeMap::new()),
        ..Report::default()
    };
    event_loop.handle(Input::Reported { server: 0, report });
    (event_loop, receiver)
}

fn enqueue(event_loop: &EventLoop) -> TicketContent {
    let request = JobRequest {
        spec: JobSpec {
            unique_id: "job".parse().unwrap(),
            profile_key: "linux".parse().unwrap(),
            count: Count::ONE,
            qualified_repo: "servo/servo".parse().unwrap(),
            run_id: RunId(1),
        },
        is_array: false,
        labels_from_response: true,
        limits: shared::wait_limits::WaitLimits::default(),
    };
    let nonce = 1;
    let answer = event_loop.call(|call| Input::Enqueue {
        call,
        request,
        nonce,
        by: EnqueuedBy::ApiToken,
        facts: shared::policy::RunFacts::default(),
    });
    match answer {
        Some(Answer::Enqueued(content)) => content,
        other => panic!("expected a ticket, not {other:?}"),
    }
}

const HOLD: Option<Duration> = Some(Duration::from_secs(60));

fn take_held(event_loop: &EventLoop, ticket: &TicketContent) -> HeldTake {
    match event_loop.take(ticket.clone(), HOLD) {
        TakeReply::Held(held) => held,
        TakeReply::Ready(answer) => panic!("expected a held take, not {answer:?}"),
    }
}

#[track_caller]
fn assert_take_returns_runners(event_loop: &EventLoop, ticket: &TicketContent) {
    let reply = event_loop.take(ticket.clone(), HOLD);
    assert!(matches!(reply, TakeReply::Ready(Answer::Runners { .. })));
}

/// The server grants its runner.
fn grant(event_loop: &EventLoop, commands: &mut mpsc::UnboundedReceiver<Command>) {
    let Ok(Command::Take(forward)) = commands.try_recv() else {
        panic!("expected a take at the server");
    };
    let runner = shared::wire::TakenRunner {
        id: 1,
        runner: serde_json::Value::Null,
        label: None,
        server: None,
    };
    event_loop.handle(Input::Forwarded {
        server: 0,
        unique_id: forward.request.spec.unique_id,
        token: forward.token,
        outcome: ForwardOutcome::Granted(vec![runner]),
    });
}

#[track_caller]
fn assert_job_is(event_loop: &EventLoop, state: &str) {
    let actual = event_loop.read(|queue, _| queue.jobs().next().map(|job| job.state_name()));
    assert_eq!(actual, Some(state));
}

#[track_caller]
fn assert_held(event_loop: &EventLoop, count: usize) {
    assert_eq!(event_loop.0.state.lock().held.len(), count);
}

#[test]
fn all_held_takes_of_a_job_get_its_runners_once() {
    let (event_loop, mut commands) = event_loop(&tempdir().unwrap());
    let ticket = enqueue(&event_loop);
    let mut held = [
        take_held(&event_loop, &ticket),
        take_held(&event_loop, &ticket),
    ];
    assert_held(&event_loop, 2);
    grant(&event_loop, &mut commands);
    for held in &mut held {
        assert!(matches!(held.answer.try_recv(), Ok(Answer::Runners { .. })));
        held.is_answered = true;
    }
    assert_held(&event_loop, 0);
    assert_job_is(&event_loop, "delivered");
}

#[test]
fn a_client_that_hangs_up_leaves_no_held_take() {
    let (event_loop, _commands) = event_loop(&tempdir().unwrap());
    let ticket = enqueue(&event_loop);
    drop(take_held(&event_loop, &ticket));
    assert_held(&event_loop, 0);
}

#[test]
fn runners_are_kept_for_the_next_take_when_the_client_hung_up_before() {
    let (event_loop, mut commands) = event_loop(&tempdir().unwrap());
    let ticket = enqueue(&event_loop);
    drop(take_held(&event_loop, &ticket));
    grant(&event_loop, &mut commands);
    assert_job_is(&event_loop, "reserved");
    assert_take_returns_runners(&event_loop, &ticket);
    assert_held(&event_loop, 0);
    assert_job_is(&event_loop, "delivered");
}

#[test]
fn runners_are_kept_when_the_receiver_is_gone_before_the_core_is_told() {
    let (event_loop, mut commands) = event_loop(&tempdir().unwrap());
    let ticket = enqueue(&event_loop);
    let mut held = take_held(&event_loop, &ticket);
    held.answer.close();
    grant(&event_loop, &mut commands);
    assert_job_is(&event_loop, "reserved");
    drop(held);
    assert_job_is(&event_loop, "reserved");
    assert_take_returns_runners(&event_loop, &ticket);
}

#[test]
fn runners_are_kept_when_the_client_hangs_up_as_they_are_sent() {
    let (event_loop, mut commands) = event_loop(&tempdir().unwrap());
    let ticket = enqueue(&event_loop);
    let held = take_held(&event_loop, &ticket);
    grant(&event_loop, &mut commands);
    assert_job_is(&event_loop, "delivered");
    drop(held);
    assert_job_is(&event_loop, "reserved");
}

#[test]
fn a_lost_answer_without_runners_has_no_effect() {
    let (event_loop, _commands) = event_loop(&tempdir().unwrap());
    let ticket = enqueue(&event_loop);
    let held = take_held(&event_loop, &ticket);
    let by = queue_core::JobReference::Ticket(ticket);
    let withdrawn = event_loop.call(|call| Input::Withdraw { call, by });
    assert!(matches!(withdrawn, Some(Answer::Withdrawn { .. })));
    drop(held);
    assert_held(&event_loop, 0);
}
