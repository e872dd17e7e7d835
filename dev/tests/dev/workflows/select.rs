//! The action `runner-select` with self-hosted runners, and when it is cancelled.

use emulator::model::Conclusion;
use serde_json::{Value, json};

use super::{
    super::support::wait_until, Done, RunningAction, deployment::Deployment, job::Job, start_action,
};

fn select_in(job: Job, deployment: &Deployment, more: Value) -> RunningAction {
    let mut with = json!({
        "queue-url": format!("{}/", deployment.queue_url),
        "github-hosted-runner-label": "ubuntu-latest",
        "self-hosted-image-name": "linux",
        "max-wait": "50s",
    });
    for (name, value) in more.as_object().unwrap() {
        with[name] = value.clone();
    }
    start_action(job, "runner-select", with)
}

fn select(deployment: &Deployment, more: Value) -> RunningAction {
    select_in(deployment.job(), deployment, more)
}

/// Asserts that `count` self-hosted runners were selected; returns their labels.
fn assert_self_hosted(done: &Done, count: usize) -> Vec<String> {
    let mut outputs = done.status_and_outputs();
    let labels = outputs
        .as_object_mut()
        .unwrap()
        .remove("selected-runner-labels");
    let labels: Vec<String> = serde_json::from_str(labels.unwrap().as_str().unwrap()).unwrap();
    assert_eq!(labels.len(), count);
    assert!(
        labels.iter().all(|label| label.starts_with("runner:")),
        "{labels:?}"
    );
    let indices: Vec<usize> = (1..=count).collect();
    let expected = json!({
        "status": "success", "is-self-hosted": "true", "fallback-reason": "",
        "selected-runner-label": labels[0], "selected-runner-count": count.to_string(),
        "selected-runner-indices": json!(indices).to_string(),
        "runner-type-label": "self-hosted-image:linux",
    });
    assert_eq!(outputs, expected, "{}", done.log);
    labels
}

#[actix_web::test]
async fn an_idle_runner_is_taken_and_runs_the_job() {
    let deployment = Deployment::start(1).await;
    let done = select(&deployment, json!({})).finish().await;
    let labels = assert_self_hosted(&done, 1);
    let start = "Self-hosted (linux, 1) after ";
    assert!(
        done.ended.summary.starts_with(start),
        "{}",
        done.ended.summary
    );
    assert_eq!(deployment.artifact_count().await, 0, "{}", done.log);

    let ran = deployment.run_job(&labels[0], "true").await;
    assert_eq!(ran.conclusion, Some(Conclusion::Success));

    let masked = done
        .log
        .lines()
        .filter_map(|line| line.strip_prefix("::add-mask::"));
    let masked: Vec<_> = masked.collect();
    let [secret, ticket] = masked[..] else {
        panic!("the secret and the ticket are masked, not {masked:?}");
    };
    assert_eq!((secret.len(), ticket.split('.').count()), (64, 3));
    for masked in [secret, ticket] {
        assert_eq!(
            done.log.matches(masked).count(),
            1,
            "and not printed otherwise: {}",
            done.log
        );
        assert!(!deployment.daemon_logs().contains(masked));
    }
    let left = done.job.folder.path().read_dir().unwrap().next();
    assert!(left.is_none(), "{left:?} is left");
}

/// With this setting all runners of a job have the same label.
#[actix_web::test]
async fn runners_can_be_labelled_when_they_are_taken() {
    let deployment = Deployment::start_with(2, "reservation_labels = \"on_take\"").await;
    let done = select(&deployment, json!({"self-hosted-runner-count": "2"}))
        .finish()
        .await;
    let mut outputs = done.status_and_outputs();
    let label = outputs["selected-runner-label"].take();
    let label = label.as_str().unwrap();
    let unique_id = label.strip_prefix("reserved-for:").unwrap();
    assert!(!unique_id.is_empty());
    let labels = outputs["selected-runner-labels"].as_str().unwrap();
    assert_eq!(labels, json!([label, label]).to_string(), "{}", done.log);
    // Both run jobs with this label.
    for _ in 0..2 {
        let ran = deployment.run_job(label, "true").await;
        assert_eq!(ran.conclusion, Some(Conclusion::Success));
    }
    wait_until("both are replaced", async || {
        deployment.idle_count().await == 2
    })
    .await;
}

#[actix_web::test]
async fn several_runners_have_different_labels() {
    let deployment = Deployment::start(2).await;
    let done = select(&deployment, json!({"self-hosted-runner-count": "2"}))
        .finish()
        .await;
    let labels = assert_self_hosted(&done, 2);
    assert_ne!(labels[0], labels[1]);
}

#[actix_web::test]
async fn a_waiting_job_logs_its_position_and_gets_the_next_runner() {
    let deployment = Deployment::start(1).await;
    deployment.occupy_one().await;
    let mut waiting = select(&deployment, json!({}));
    waiting
        .expect_log("position 1, estimated wait: unknown, because no job has finished yet; waited")
        .await;
    deployment.finish();
    assert_self_hosted(&waiting.finish().await, 1);
}

#[actix_web::test]
async fn a_waiting_job_survives_a_crash_of_the_queue() {
    let mut deployment = Deployment::start(1).await;
    deployment.occupy_one().await;
    let mut waiting = select(&deployment, json!({}));
    waiting.expect_log("position 1").await;
    deployment.kill_queue().await;
    waiting.expect_log("the queue is unavailable").await;
    deployment.start_queue();
    deployment.finish();
    let done = waiting.finish().await;
    assert_self_hosted(&done, 1);
    assert_eq!(
        done.log.matches("enqueued as").count(),
        1,
        "its ticket is enough: {}",
        done.log
    );
}

#[actix_web::test]
async fn a_cancelled_job_is_withdrawn() {
    // Also if the script is killed: then the next step withdraws the job.
    for (signal, part) in [
        ("INT", "cancelled after "),
        ("TERM", "cancelled after "),
        ("KILL", "withdrew the job from the queue"),
    ] {
        let deployment = Deployment::start(1).await;
        deployment.occupy_one().await;
        let mut job = deployment.job();
        job.signal = signal;
        let mut waiting = select_in(job, &deployment, json!({}));
        waiting.expect_log("position 1").await;
        assert_eq!(deployment.waiting_jobs().await.len(), 1);
        waiting.cancel();
        let done = waiting.finish().await;
        assert_eq!(done.ended.status, "cancelled");
        done.assert_log_has(part);
        done.assert_log_has("withdrew the job from the queue");
        assert!(!done.log.contains("failed to withdraw"), "{}", done.log);
        assert_eq!(done.outputs["selected-runner-label"], "");
        assert_eq!(
            deployment.waiting_jobs().await,
            Vec::<String>::new(),
            "{}",
            done.log
        );
        assert_eq!(deployment.artifact_count().await, 0);
        deployment.finish();
    }
}
