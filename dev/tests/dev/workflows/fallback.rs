//! The action `runner-select` with hosted runners, for each fallback reason, and with invalid inputs.

use emulator::{EmulatorSettings, EmulatorThread};
use serde_json::{Value, json};
use shared::secret::Secret;

use super::{
    super::support::*,
    Done, RunningAction,
    deployment::{Deployment, GITHUB_TOKEN, artifact_count, job_at},
    job::Job,
    scripted_queue::{Response, ScriptedQueue},
    start_action,
};

fn select(job: Job, queue_url: &str, more: Value) -> RunningAction {
    let mut with = json!({
        "queue-url": queue_url,
        "github-hosted-runner-label": "ubuntu-latest",
        "github-hosted-runner-count": "2",
        "self-hosted-image-name": "linux",
        "max-wait": "50s",
    });
    for (name, value) in more.as_object().unwrap() {
        with[name] = value.clone();
    }
    start_action(job, "runner-select", with)
}

/// An emulator without a deployment.
fn github() -> EmulatorThread {
    emulator::spawn(EmulatorSettings::new(Secret::new(GITHUB_TOKEN))).unwrap()
}

/// Asserts that hosted runners were selected for this reason, which log and summary explain.
fn assert_hosted(done: &Done, reason: &str, text: &str) {
    let expected = json!({
        "status": "success", "is-self-hosted": "false", "fallback-reason": reason,
        "selected-runner-label": "ubuntu-latest",
        "selected-runner-labels": r#"["ubuntu-latest","ubuntu-latest"]"#,
        "selected-runner-count": "2", "selected-runner-indices": "[1,2]",
        "runner-type-label": "ubuntu-latest",
    });
    assert_eq!(done.status_and_outputs(), expected, "{}", done.log);
    for output in [&done.log, &done.ended.summary] {
        let selected = "GitHub-hosted (ubuntu-latest) after ";
        assert!(output.contains(selected), "{output}");
        assert!(output.contains(text), "{text:?} is not in {output}");
    }
    let is_warned = matches!(reason, "unproven" | "refused" | "unreachable");
    assert_eq!(
        done.log.contains("::warning title=runner-select::"),
        is_warned,
        "{}",
        done.log
    );
}

#[actix_web::test]
async fn the_queue_gets_no_request_if_self_hosted_runners_are_disabled() {
    let github = github();
    for (more, text) in [
        (
            json!({"force-github-hosted-runner": "true"}),
            "force-github-hosted-runner is set",
        ),
        (
            json!({"NO_SELF_HOSTED_RUNNERS": "1"}),
            "NO_SELF_HOSTED_RUNNERS is set",
        ),
        (json!({"queue-url": ""}), "queue-url is empty"),
    ] {
        let queue = ScriptedQueue::start(Vec::new());
        let done = select(job_at(&github), &queue.url, more).finish().await;
        assert_hosted(&done, "disabled", text);
        assert_eq!(queue.requests(), Vec::<String>::new());
    }
    assert_eq!(artifact_count(&github).await, 0);
    assert_eq!(
        github.emulator.requests().all().len(),
        1,
        "only the assertion above made a request"
    );
}

#[actix_web::test]
async fn the_queue_gets_no_request_without_the_run_identity() {
    let (github, queue) = (github(), ScriptedQueue::start(Vec::new()));
    let mut job = job_at(&github);
    job.takes_uploads = false;
    let done = select(job, &queue.url, json!({})).finish().await;
    assert_hosted(&done, "unproven", "could not be uploaded");
    assert_eq!(queue.requests(), Vec::<String>::new());
}

#[actix_web::test]
async fn a_refused_job_uses_hosted_runners() {
    let deployment = Deployment::start(1).await;
    let mut job = deployment.job();
    job.repo = "strangers/servo".to_owned();
    let done = select(job, &deployment.queue_url, json!({})).finish().await;
    assert_hosted(&done, "refused", "qualified_repo is not a repository");

    let more = json!({"self-hosted-image-name": "amiga"});
    let done = select(deployment.job(), &deployment.queue_url, more)
        .finish()
        .await;
    assert_hosted(&done, "unsatisfiable", "profile amiga");
    assert_eq!(deployment.artifact_count().await, 0, "{}", done.log);
}

#[actix_web::test]
async fn an_unreachable_queue_is_retried_for_a_limited_time() {
    let [port] = free_ports();
    let more = json!({"unreachable-after": "1s"});
    let done = select(job_at(&github()), &url(port), more).finish().await;
    assert_hosted(&done, "unreachable", "Failed to connect");
}

#[actix_web::test]
async fn a_waiting_job_falls_back_when_the_queue_stays_unreachable() {
    let mut deployment = Deployment::start(1).await;
    deployment.occupy_one().await;
    let more = json!({"unreachable-after": "1s"});
    let mut waiting = select(deployment.job(), &deployment.queue_url, more);
    waiting.expect_log("position 1").await;
    deployment.kill_queue().await;
    let done = waiting.finish().await;
    assert_hosted(&done, "unreachable", "the queue was unreachable for");
    done.assert_log_has("failed to withdraw");
    deployment.finish();
}

#[actix_web::test]
async fn a_job_that_waits_longer_than_max_wait_is_withdrawn() {
    let deployment = Deployment::start(1).await;
    deployment.occupy_one().await;
    let done = select(
        deployment.job(),
        &deployment.queue_url,
        json!({"max-wait": "2 seconds"}),
    )
    .finish()
    .await;
    assert_hosted(&done, "too-long", "no runners within 2 s");
    done.assert_log_has("withdrew the job from the queue");
    assert_eq!(deployment.waiting_jobs().await, Vec::<String>::new());
    deployment.finish();
}

fn error(status: u16, code: &str, more: Value) -> Response {
    let mut body = json!({"code": code, "message": format!("message of {code}")});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    (status, Some(0), body.to_string())
}

/// A response that is never sent.
const HELD: Response = (0, None, String::new());

fn ticket() -> Response {
    (200, None, "a.b.c".into())
}

async fn select_with_script(responses: Vec<Response>) -> (Done, Vec<String>) {
    let (github, queue) = (github(), ScriptedQueue::start(responses));
    let done = select(
        job_at(&github),
        &queue.url,
        json!({"unreachable-after": "1s"}),
    );
    (done.finish().await, queue.requests())
}

#[actix_web::test]
async fn a_cancellation_during_a_held_take_is_logged() {
    for signal in ["INT", "TERM"] {
        let (github, queue) = (github(), ScriptedQueue::start(vec![ticket(), HELD]));
        let mut job = job_at(&github);
        job.signal = signal;
        let running = select(job, &queue.url, json!({}));
        queue.expect_request("POST take").await;
        running.cancel();
        let done = running.finish().await;
        assert_eq!(done.ended.status, "cancelled");
        done.assert_log_has("cancelled after ");
        done.assert_log_has("withdrew the job from the queue");
        let is_withdrawal = |request: &String| request.starts_with("DELETE job");
        let requests = queue.requests();
        assert_eq!(requests.iter().filter(|it| is_withdrawal(it)).count(), 1);
    }
}

#[actix_web::test]
async fn a_job_does_not_wait_if_the_estimate_exceeds_max_wait() {
    let estimate = |seconds: u64| json!({"position": 3, "estimate": {"p50_seconds": seconds, "p90_seconds": 9000}});
    let message =
        "2 jobs are ahead of this one; estimated wait: about 3 s; 9 of 10 within 3 h; ask again";
    let mut written_out = estimate(3);
    written_out["message"] = json!(message);
    let responses = vec![
        ticket(),
        error(503, "waiting", json!({"estimate": {"p50_seconds": 2}})),
        error(503, "waiting", written_out),
        error(503, "waiting", estimate(100)),
    ];
    let (done, requests) = select_with_script(responses).await;
    assert_hosted(
        &done,
        "too-long",
        "position 3, estimated wait: about 1 min 40 s; max-wait ends in",
    );
    for part in [
        "position unknown, estimated wait: about 2 s; waited",
        "position 3, estimated wait: about 3 s; 9 of 10 within 3 h; waited",
    ] {
        assert!(done.log.contains(part), "{part:?} is not in {}", done.log);
    }
    let expected = [
        "POST enqueue",
        "POST take wait=2",
        "POST take wait=20",
        "POST take wait=20",
        "DELETE job",
    ];
    assert_eq!(requests, expected);
}

#[actix_web::test]
async fn the_queue_decides_by_the_limits_of_the_workflow() {
    let too_long = error(422, "wait_too_long", json!({}));
    let (done, requests) = select_with_script(vec![too_long]).await;
    assert_hosted(&done, "too-long", "message of wait_too_long");
    assert_eq!(requests, ["POST enqueue"]);

    let no_longer = error(410, "no_longer_worth_it", json!({}));
    let (github, queue) = (github(), ScriptedQueue::start(vec![ticket(), no_longer]));
    let more = json!({"slowdown": "4.5", "hosted-duration": "10 minutes"});
    let done = select(job_at(&github), &queue.url, more).finish().await;
    assert_hosted(&done, "too-long", "message of no_longer_worth_it");
    // The queue has withdrawn it.
    assert_eq!(queue.requests(), ["POST enqueue", "POST take wait=2"]);
    let enqueue = &queue.targets()[0];
    assert!(enqueue.contains("&max_wait="), "{enqueue}");
    assert!(
        enqueue.contains("&hosted_duration=600&slowdown=4.5"),
        "{enqueue}"
    );
}

#[actix_web::test]
async fn a_full_queue_is_retried_and_not_asked_to_hold_the_take() {
    let responses = vec![
        error(429, "too_many_jobs", json!({})),
        ticket(),
        error(429, "too_many_jobs", json!({})),
        error(503, "not_ready", json!({})),
        (200, None, json!([{"id": 1, "runner": {}}]).to_string()),
    ];
    let (done, requests) = select_with_script(responses).await;
    assert_eq!(done.outputs["is-self-hosted"], "true", "{}", done.log);
    let label = format!("reserved-for:{}", done.outputs["unique-id"]);
    assert_eq!(
        done.outputs["selected-runner-label"], label,
        "older monitors return no label"
    );
    let expected = [
        "POST enqueue",
        "POST enqueue",
        "POST take wait=2",
        "POST take",
        "POST take wait=20",
    ];
    assert_eq!(requests, expected);
}

#[actix_web::test]
async fn a_job_that_is_unknown_after_an_outage_is_enqueued_again_and_a_withdrawn_job_is_not() {
    for (status, code) in [(404, "unknown_job"), (403, "wrong_ticket")] {
        let responses = vec![
            ticket(),
            error(502, "", json!({})),
            error(status, code, json!({})),
            ticket(),
            error(status, code, json!({})),
        ];
        let (done, requests) = select_with_script(responses).await;
        assert_hosted(
            &done,
            "refused",
            &format!("the job was withdrawn: message of {code}"),
        );
        assert_eq!(
            requests
                .iter()
                .filter(|call| *call == "POST enqueue")
                .count(),
            2
        );
    }
}

#[actix_web::test]
async fn malformed_responses_lead_to_hosted_runners() {
    let runners = |json: Value| vec![ticket(), (200, None, json.to_string())];
    for (responses, reason) in [
        (
            vec![(200, None, "no ticket\u{7f}".into()); 3],
            "unreachable",
        ),
        (vec![(200, None, String::new()); 3], "unreachable"),
        (vec![(301, None, String::new())], "refused"),
        (runners(json!(null)), "refused"),
        (runners(json!([])), "refused"),
        (runners(json!([{"label": "a"}, {"label": "b"}])), "refused"),
        (
            runners(json!({"label": "a\nis-self-hosted=false"})),
            "refused",
        ),
        (runners(json!({"label": 7})), "refused"),
    ] {
        let (done, _) = select_with_script(responses).await;
        assert_eq!(done.outputs["fallback-reason"], reason, "{}", done.log);
    }
    // The message of a queue cannot start a workflow command.
    let message = json!({"message": "no\n::warning::yes"});
    let (done, _) = select_with_script(vec![error(403, "not_authorised", message)]).await;
    assert_hosted(&done, "refused", "the queue refused: no::warning::yes");
    assert!(!done.log.contains("\n::warning::yes"));
}

#[actix_web::test]
async fn an_invalid_input_fails_the_job_with_an_error_that_names_it() {
    let github = github();
    for (input, value, text) in [
        (
            "queue-url",
            "queue.example.org",
            "queue-url must be a URL that begins with https://",
        ),
        (
            "github-hosted-runner-label",
            "",
            "github-hosted-runner-label must be 1 to 256",
        ),
        (
            "github-hosted-runner-count",
            "257",
            "must be a number from 1 to 256, not '257'",
        ),
        (
            "self-hosted-image-name",
            "a b",
            "self-hosted-image-name must be 1 to 64 of",
        ),
        (
            "self-hosted-runner-count",
            "0",
            "must be a number from 1 to 64, not '0'",
        ),
        (
            "self-hosted-runner-count",
            "65",
            "must be a number from 1 to 64, not '65'",
        ),
        (
            "force-github-hosted-runner",
            "yes",
            "must be true or false, not 'yes'",
        ),
        (
            "max-wait",
            "soon",
            "max-wait must be a number of seconds, or for example 90s",
        ),
        (
            "max-wait",
            "6h",
            "max-wait must be 1 second to 5 hours, not '6h'",
        ),
        (
            "max-wait",
            "0",
            "max-wait must be 1 second to 5 hours, not '0'",
        ),
        ("unreachable-after", "1 day", "unreachable-after must be"),
        ("slowdown", "1.0", "slowdown must be a number above 1 and"),
        ("slowdown", "fast", "slowdown must be a number above 1 and"),
        (
            "hosted-duration",
            "10m",
            "hosted-duration needs the input slowdown",
        ),
        (
            "self-hosted-image-name",
            "a\n::error::%",
            "not 'a%0A::error::%25'",
        ),
    ] {
        let queue = ScriptedQueue::start(Vec::new());
        let done = select(job_at(&github), &queue.url, json!({input: value}))
            .finish()
            .await;
        assert_eq!(done.ended.status, "failure", "{input}: {}", done.log);
        let error = done
            .log
            .lines()
            .find(|line| line.starts_with("::error title=runner-select::"));
        assert!(
            error.expect("an error").contains(text),
            "{text:?} is not in {}",
            done.log
        );
        assert_eq!(queue.requests(), Vec::<String>::new());
    }
}
