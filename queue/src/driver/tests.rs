//! Who gets which answer, and what becomes of one that nobody takes.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    job_spec::JobSpec,
    values::{Count, RunId},
};

use super::*;
use queue_core::{
    events::ForwardOutcome,
    job::{Claims, JobRequest},
    queue::Rules,
    report::{ProfileReport, Report},
};

/// A queue with one server that has one idle runner, and what that server is told.
fn driver() -> (Driver, mpsc::UnboundedReceiver<Order>) {
    let clock = Clock::start();
    let rules = Rules {
        settle: Duration::ZERO,
        abandon_after: Duration::from_secs(30),
        forward_timeout: Duration::from_secs(10),
        stale_after: Duration::from_secs(15),
        ticket_lifetime: Duration::from_secs(3600),
        jobs_max: 10,
        jobs_per_repo_max: None,
        held_max: 10,
    };
    let queue = Queue::new(rules, &["http://a/".to_owned()], clock.now());
    let (sender, receiver) = mpsc::unbounded_channel();
    let driver = Driver::new(queue, clock, vec![sender]);
    let profile = ProfileReport {
        target: 1,
        idle: BTreeSet::from([1]),
    };
    let report = Report {
        asked_at: driver.now(),
        profiles: BTreeMap::from([("linux".parse().unwrap(), profile)]),
        runners: BTreeSet::from([1]),
        reservations: Some(BTreeMap::new()),
    };
    driver.handle(Input::Reported { server: 0, report });
    (driver, receiver)
}

fn enqueue(driver: &Driver) -> Claims {
    let request = JobRequest {
        spec: JobSpec {
            unique_id: "job".parse().unwrap(),
            profile_key: "linux".parse().unwrap(),
            count: Count::ONE,
            qualified_repo: "servo/servo".parse().unwrap(),
            run_id: RunId(1),
        },
        is_array: false,
    };
    let (_, mut answer) = driver.call(|call| Input::Enqueue {
        call,
        request,
        nonce: 1,
    });
    match answer.try_recv() {
        Ok(Answer::Enqueued(claims)) => claims,
        other => panic!("expected a ticket, not {other:?}"),
    }
}

fn take(driver: &Driver, claims: &Claims) -> (CallId, oneshot::Receiver<Answer>) {
    let claims = claims.clone();
    driver.call(|call| Input::Take {
        call,
        claims,
        hold: Some(Duration::from_secs(60)),
    })
}

/// The server gives its runner.
fn grant(driver: &Driver, orders: &mut mpsc::UnboundedReceiver<Order>) {
    let Ok(Order::Forward(forward)) = orders.try_recv() else {
        panic!("the server is asked for its runner");
    };
    let runner = shared::wire::TakenRunner {
        id: 1,
        runner: serde_json::Value::Null,
        label: None,
        server: None,
    };
    driver.handle(Input::Forwarded {
        server: 0,
        unique_id: forward.request.spec.unique_id,
        attempt: forward.attempt,
        outcome: ForwardOutcome::Granted(vec![runner]),
    });
}

fn state_of_job(driver: &Driver) -> &'static str {
    driver.look(|queue, _| queue.jobs().next().expect("there is a job").state_name())
}

fn callers_count(driver: &Driver) -> usize {
    driver.0.state.lock().callers.len()
}

#[test]
fn everybody_who_waits_for_a_job_gets_its_answer_once() {
    let (driver, mut orders) = driver();
    let claims = enqueue(&driver);
    let (_, mut first) = take(&driver, &claims);
    let (_, mut second) = take(&driver, &claims);
    assert_eq!(callers_count(&driver), 2);
    grant(&driver, &mut orders);
    for answer in [&mut first, &mut second] {
        assert!(matches!(answer.try_recv(), Ok(Answer::Runners { .. })));
    }
    assert_eq!(
        (callers_count(&driver), state_of_job(&driver)),
        (0, "delivered")
    );
}

#[test]
fn a_client_that_hangs_up_leaves_nothing_behind() {
    let (driver, _orders) = driver();
    let claims = enqueue(&driver);
    let (call, mut answer) = take(&driver, &claims);
    driver.hang_up(call, &claims.request.spec.unique_id, &mut answer);
    assert_eq!(callers_count(&driver), 0);
}

#[test]
fn an_answer_that_nobody_is_there_to_receive_is_kept_for_the_next_who_asks() {
    let (driver, mut orders) = driver();
    let claims = enqueue(&driver);
    drop(take(&driver, &claims));
    grant(&driver, &mut orders);
    assert_eq!(state_of_job(&driver), "reserved");
    let (_, mut answer) = take(&driver, &claims);
    assert!(matches!(answer.try_recv(), Ok(Answer::Runners { .. })));
    assert_eq!(
        (callers_count(&driver), state_of_job(&driver)),
        (0, "delivered")
    );
}

#[test]
fn an_answer_that_came_out_just_as_its_client_hung_up_is_kept_too() {
    let (driver, mut orders) = driver();
    let claims = enqueue(&driver);
    let (call, mut answer) = take(&driver, &claims);
    grant(&driver, &mut orders);
    assert_eq!(state_of_job(&driver), "delivered");
    driver.hang_up(call, &claims.request.spec.unique_id, &mut answer);
    assert_eq!(state_of_job(&driver), "reserved");
}

#[test]
fn an_answer_without_runners_is_not_missed() {
    let (driver, _orders) = driver();
    let claims = enqueue(&driver);
    let (call, mut answer) = take(&driver, &claims);
    let unique_id = claims.request.spec.unique_id.clone();
    let by = queue_core::events::JobReference::Ticket(claims);
    let (_, mut withdrawn) = driver.call(|call| Input::Withdraw { call, by });
    assert!(matches!(withdrawn.try_recv(), Ok(Answer::Withdrawn)));
    driver.hang_up(call, &unique_id, &mut answer);
    assert_eq!(callers_count(&driver), 0);
}
