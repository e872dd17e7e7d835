//! `runner-select` where hosted runners are the better choice, for each reason, and where what it
//! was given makes no sense.

use emulator::{EmulatorSettings, EmulatorThread};
use serde_json::{Value, json};
use shared::secret::Secret;

use super::{
    super::support::*,
    Done, Running,
    scripted::{Line, ScriptedQueue},
    site::{GITHUB_TOKEN, Site, artifact_count, job_at},
    start_action,
    step::Job,
};

fn select(job: Job, queue_url: &str, more: Value) -> Running {
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

/// A GitHub without anything else.
fn github() -> EmulatorThread {
    emulator::spawn(EmulatorSettings::new(Secret::new(GITHUB_TOKEN))).unwrap()
}

/// Checks that hosted runners were selected, and that log and summary say why.
fn assert_hosted(done: &Done, reason: &str, text: &str) {
    let expected = json!({
        "status": "success", "is-self-hosted": "false", "fallback-reason": reason,
        "selected-runner-label": "ubuntu-latest",
        "selected-runner-labels": r#"["ubuntu-latest","ubuntu-latest"]"#,
        "selected-runner-count": "2", "selected-runner-indices": "[1,2]",
        "runner-type-label": "ubuntu-latest",
    });
    assert_eq!(done.seen(), expected, "{}", done.log);
    for said in [&done.log, &done.ended.summary] {
        assert!(
            said.contains("GitHub-hosted (ubuntu-latest) after "),
            "{said}"
        );
        assert!(said.contains(text), "{text:?} is not in {said}");
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
async fn where_they_are_not_wanted_nobody_is_asked_for_self_hosted_runners() {
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
        let done = select(job_at(&github), &queue.url, more).end().await;
        assert_hosted(&done, "disabled", text);
        assert_eq!(queue.asked(), Vec::<String>::new());
    }
    assert_eq!(artifact_count(&github).await, 0);
    assert_eq!(
        github.emulator.requests().all().len(),
        1,
        "only the line above asked"
    );
}

#[actix_web::test]
async fn without_a_proof_the_queue_is_not_asked() {
    let (github, queue) = (github(), ScriptedQueue::start(Vec::new()));
    let mut job = job_at(&github);
    job.takes_uploads = false;
    let done = select(job, &queue.url, json!({})).end().await;
    assert_hosted(&done, "unproven", "could not be uploaded");
    assert_eq!(queue.asked(), Vec::<String>::new());
}

#[actix_web::test]
async fn what_the_queue_refuses_is_done_by_hosted_runners() {
    let site = Site::start(1).await;
    let mut job = site.job();
    job.repo = "strangers/servo".to_owned();
    let done = select(job, &site.queue_url, json!({})).end().await;
    assert_hosted(
        &done,
        "refused",
        "qualified_repo is not a repository that this server works for",
    );

    let more = json!({"self-hosted-image-name": "amiga"});
    let done = select(site.job(), &site.queue_url, more).end().await;
    assert_hosted(
        &done,
        "unsatisfiable",
        "set up for 0 runners of profile amiga",
    );
    assert_eq!(site.artifact_count().await, 0, "{}", done.log);
}

#[actix_web::test]
async fn a_queue_that_gives_no_answer_is_waited_for_only_for_a_while() {
    let [port] = free_ports();
    let more = json!({"unreachable-after": "1s"});
    let done = select(job_at(&github()), &url(port), more).end().await;
    assert_hosted(&done, "unreachable", "Failed to connect");
}

#[actix_web::test]
async fn a_job_in_line_also_gives_up_a_queue_that_is_gone() {
    let mut site = Site::start(1).await;
    site.occupy_one().await;
    let more = json!({"unreachable-after": "1s"});
    let mut waiting = select(site.job(), &site.queue_url, more);
    waiting.says("position 1").await;
    site.kill_queue().await;
    let done = waiting.end().await;
    assert_hosted(&done, "unreachable", "the queue was unreachable for");
    assert!(done.log.contains("failed to withdraw"), "{}", done.log);
    site.finish();
}

#[actix_web::test]
async fn a_job_that_waited_too_long_leaves_the_line() {
    let site = Site::start(1).await;
    site.occupy_one().await;
    let done = select(
        site.job(),
        &site.queue_url,
        json!({"max-wait": "2 seconds"}),
    )
    .end()
    .await;
    assert_hosted(&done, "too-long", "no runners within 2 s");
    assert!(
        done.log.contains("withdrawn from the queue"),
        "{}",
        done.log
    );
    assert_eq!(site.jobs_in_line().await, Vec::<String>::new());
    site.finish();
}

fn said(status: u16, code: &str, more: Value) -> Line {
    let mut body = json!({"code": code, "message": format!("so much for {code}")});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    (status, Some(0), body.to_string())
}

fn ticket() -> Line {
    (200, None, "a.b.c".into())
}

async fn select_by_script(lines: Vec<Line>) -> (Done, Vec<String>) {
    let (github, queue) = (github(), ScriptedQueue::start(lines));
    let done = select(
        job_at(&github),
        &queue.url,
        json!({"unreachable-after": "1s"}),
    );
    (done.end().await, queue.asked())
}

#[actix_web::test]
async fn a_job_does_not_wait_for_longer_than_pays() {
    let estimate = |seconds: u64| json!({"position": 3, "estimate": {"p50_seconds": seconds, "p90_seconds": 9000}});
    let lines = vec![
        ticket(),
        said(503, "waiting", json!({"estimate": {"p50_seconds": 2}})),
        said(503, "waiting", estimate(3)),
        said(503, "waiting", estimate(100)),
    ];
    let (done, asked) = select_by_script(lines).await;
    assert_hosted(
        &done,
        "too-long",
        "position 3, about 1 min 40 s to go, which is more than the",
    );
    for said in [
        "position unknown, about 2 s to go; waited",
        "position 3, about 3 s to go; waited",
    ] {
        assert!(done.log.contains(said), "{said:?} is not in {}", done.log);
    }
    let expected = [
        "POST enqueue",
        "POST take wait=2",
        "POST take wait=20",
        "POST take wait=20",
        "DELETE job",
    ];
    assert_eq!(asked, expected);
}

#[actix_web::test]
async fn a_full_queue_is_asked_again_and_what_it_cannot_hold_is_answered_at_once() {
    let lines = vec![
        said(429, "too_many_jobs", json!({})),
        ticket(),
        said(429, "too_many_jobs", json!({})),
        said(503, "not_ready", json!({})),
        (200, None, json!([{"id": 1, "runner": {}}]).to_string()),
    ];
    let (done, asked) = select_by_script(lines).await;
    assert_eq!(done.outputs["is-self-hosted"], "true", "{}", done.log);
    let label = format!("reserved-for:{}", done.outputs["unique-id"]);
    assert_eq!(
        done.outputs["selected-runner-label"], label,
        "older servers say none"
    );
    let expected = [
        "POST enqueue",
        "POST enqueue",
        "POST take wait=2",
        "POST take",
        "POST take wait=20",
    ];
    assert_eq!(asked, expected);
}

#[actix_web::test]
async fn a_job_that_was_lost_in_a_cut_joins_again_and_one_that_was_withdrawn_does_not() {
    for (status, code) in [(404, "unknown_job"), (403, "wrong_ticket")] {
        let lines = vec![
            ticket(),
            said(502, "", json!({})),
            said(status, code, json!({})),
            ticket(),
            said(status, code, json!({})),
        ];
        let (done, asked) = select_by_script(lines).await;
        assert_hosted(
            &done,
            "refused",
            &format!("the queue gave the job up: so much for {code}"),
        );
        assert_eq!(
            asked.iter().filter(|call| *call == "POST enqueue").count(),
            2
        );
    }
}

#[actix_web::test]
async fn answers_that_make_no_sense_are_no_runners() {
    let runners = |json: Value| vec![ticket(), (200, None, json.to_string())];
    for (lines, reason) in [
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
        let (done, _) = select_by_script(lines).await;
        assert_eq!(done.outputs["fallback-reason"], reason, "{}", done.log);
    }
    // What a queue says cannot begin a command of the log.
    let message = json!({"message": "no\n::warning::yes"});
    let (done, _) = select_by_script(vec![said(403, "not_authorised", message)]).await;
    assert_hosted(&done, "refused", "the queue refused: no::warning::yes");
    assert!(!done.log.contains("\n::warning::yes"));
}

#[actix_web::test]
async fn what_makes_no_sense_ends_the_job_with_a_clear_error() {
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
            "max-wait must be a number of seconds, or such as 90s",
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
        (
            "self-hosted-image-name",
            "a\n::error::%",
            "not 'a%0A::error::%25'",
        ),
    ] {
        let queue = ScriptedQueue::start(Vec::new());
        let done = select(job_at(&github), &queue.url, json!({input: value}))
            .end()
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
        assert_eq!(queue.asked(), Vec::<String>::new());
    }
}
