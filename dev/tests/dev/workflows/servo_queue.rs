//! The action `runner-select` in front of the queue of servo/ci-runners, with the responses of that queue:
//! tickets of 32 letters and digits that are read from the URL, 503 without a body while a job waits, the number
//! of runners as the response to a take, and errors that are texts with the status 500.

use emulator::{EmulatorSettings, EmulatorThread};
use serde_json::{Value, json};
use shared::secret::Secret;

use super::{
    Done,
    deployment::{GITHUB_TOKEN, job_at},
    scripted_queue::{Response, ScriptedQueue},
    start_action,
};

const TICKET: &str = "Zk3mP0aQw9LxT7rB2nVc5HyJ8dKs1FgU";

fn github() -> EmulatorThread {
    emulator::spawn(EmulatorSettings::new(Secret::new(GITHUB_TOKEN))).unwrap()
}

fn text(status: u16, text: &str) -> Response {
    (status, None, text.to_owned())
}

fn ticket() -> Response {
    text(200, TICKET)
}

/// The response to a take of a job that waits.
fn waiting() -> Response {
    (503, Some(0), String::new())
}

async fn select(responses: Vec<Response>, more: Value) -> (Done, ScriptedQueue) {
    let queue = ScriptedQueue::start(responses);
    let mut with = json!({
        "queue-url": queue.url, "github-hosted-runner-label": "ubuntu-latest",
        "self-hosted-image-name": "servo-ubuntu2204", "max-wait": "50s", "unreachable-after": "2s",
    });
    for (name, value) in more.as_object().unwrap() {
        with[name] = value.clone();
    }
    let done = start_action(job_at(&github()), "runner-select", with);
    (done.finish().await, queue)
}

fn count(calls: &[String], call: &str) -> usize {
    calls.iter().filter(|other| other.starts_with(call)).count()
}

#[actix_web::test]
async fn a_job_gets_runners_with_the_label_that_is_reserved_for_it() {
    let responses = vec![ticket(), waiting(), waiting(), text(200, "2")];
    let more = json!({"self-hosted-runner-count": "2"});
    let (done, queue) = select(responses, more).await;
    assert_eq!(done.outputs["is-self-hosted"], "true", "{}", done.log);
    let label = format!("reserved-for:{}", done.outputs["unique-id"]);
    let labels = json!([label, label]).to_string();
    assert_eq!(done.outputs["selected-runner-labels"], labels);
    let expected = [
        "POST enqueue",
        "POST take wait=2",
        "POST take wait=20",
        "POST take wait=20",
    ];
    assert_eq!(queue.requests(), expected);
    let takes = &queue.targets()[1..];
    let query = format!("?token={TICKET} Bearer {TICKET}");
    assert!(takes.iter().all(|take| take.ends_with(&query)), "{takes:?}");
    // It is masked, and printed nowhere else.
    assert_eq!(done.log.matches(TICKET).count(), 1, "{}", done.log);
}

/// Its waiting looks like an outage, which would end the wait after `unreachable-after`.
#[actix_web::test]
async fn waiting_is_no_outage() {
    let mut responses = vec![ticket()];
    responses.extend(vec![(503, Some(1), String::new()); 4]);
    responses.push(text(200, "1"));
    let (done, _) = select(responses, json!({})).await;
    assert_eq!(done.outputs["is-self-hosted"], "true", "{}", done.log);
    assert!(!done.log.contains("unavailable"), "{}", done.log);
}

#[actix_web::test]
async fn refusals_are_understood_and_other_errors_repeated() {
    let location =
        "\n\nLocation:\n    monitor/src/bin/queue.rs:1:1\n  3: <alloc::boxed::Box<F> as core>";
    for (refusal, reason) in [
        (
            "Request for profile not satisfiable: \"servo-ubuntu2204\"",
            "unsatisfiable",
        ),
        ("Not allowed on this `qualified_repo`", "refused"),
    ] {
        let (done, queue) =
            select(vec![text(500, &format!("{refusal}{location}"))], json!({})).await;
        assert_eq!(done.outputs["fallback-reason"], reason, "{}", done.log);
        done.assert_log_has(refusal);
        assert_eq!(queue.requests(), ["POST enqueue"]);
    }
    // The artifact is listed late; the request before was lost after it was enqueued.
    let responses = vec![
        text(500, "No args artifact found: servo-ci-runners_x"),
        text(500, &format!("Already in queue: UniqueId(\"x\"){location}")),
        ticket(),
        text(200, "1"),
    ];
    let (done, _) = select(responses, json!({"unreachable-after": "5s"})).await;
    assert_eq!(done.outputs["is-self-hosted"], "true", "{}", done.log);
}

/// It keeps its jobs in memory, and forgets a job whose runners it failed to take.
#[actix_web::test]
async fn a_lost_job_is_enqueued_again() {
    let responses = vec![
        ticket(),
        waiting(),
        text(404, "Not found: UniqueId(\"x\")"),
        ticket(),
        text(500, "Failed to take enough runners: expected 1, actual 0"),
        text(404, "Not found: UniqueId(\"x\")"),
        ticket(),
        text(200, "1"),
    ];
    let (done, queue) = select(responses, json!({"unreachable-after": "5s"})).await;
    assert_eq!(done.outputs["is-self-hosted"], "true", "{}", done.log);
    assert_eq!(count(&queue.requests(), "POST enqueue"), 3);
}

#[actix_web::test]
async fn a_job_that_waits_too_long_is_left_to_the_queue() {
    let mut responses = vec![ticket()];
    responses.extend(vec![(503, Some(1), String::new()); 9]);
    let (done, queue) = select(responses, json!({"max-wait": "2s"})).await;
    assert_eq!(done.outputs["fallback-reason"], "too-long", "{}", done.log);
    done.assert_log_has("this queue cannot withdraw a job; it abandons the job after 30 s");
    assert_eq!(count(&queue.requests(), "DELETE"), 0);
}

#[actix_web::test]
async fn a_queue_that_does_not_take_the_header_gets_the_ticket_as_a_parameter() {
    for status in [400, 401, 422] {
        let runner = json!([{"id": 1, "runner": {}}]).to_string();
        let page = "<html>422: Unprocessable Entity</html>";
        let responses = vec![text(200, "a.b.c"), text(status, page), text(200, &runner)];
        let (done, queue) = select(responses, json!({})).await;
        assert_eq!(done.outputs["is-self-hosted"], "true", "{}", done.log);
        let targets = queue.targets();
        assert!(targets[1].ends_with(" Bearer a.b.c"), "{targets:?}");
        assert!(!targets[1].contains("token="), "{targets:?}");
        assert!(
            targets[2].ends_with("?token=a.b.c Bearer a.b.c"),
            "{targets:?}"
        );
    }
}
