//! `runner-select` where it finds runners, and where it is cancelled.

use emulator::model::Conclusion;
use serde_json::{Value, json};

use super::{super::support::until, Done, Running, site::Site, start_action, step::Job};

fn select_in(job: Job, site: &Site, more: Value) -> Running {
    let mut with = json!({
        "queue-url": format!("{}/", site.queue_url),
        "github-hosted-runner-label": "ubuntu-latest",
        "self-hosted-image-name": "linux",
        "max-wait": "50s",
    });
    for (name, value) in more.as_object().unwrap() {
        with[name] = value.clone();
    }
    start_action(job, "runner-select", with)
}

fn select(site: &Site, more: Value) -> Running {
    select_in(site.job(), site, more)
}

/// The labels that were selected, after everything else was checked.
fn labels_of(done: &Done, count: usize) -> Vec<String> {
    let mut seen = done.seen();
    let labels = seen
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
    assert_eq!(seen, expected, "{}", done.log);
    labels
}

#[actix_web::test]
async fn an_idle_runner_is_taken_and_runs_the_job() {
    let site = Site::start(1).await;
    let done = select(&site, json!({})).end().await;
    let labels = labels_of(&done, 1);
    let start = "Self-hosted (linux, 1) after ";
    assert!(
        done.ended.summary.starts_with(start),
        "{}",
        done.ended.summary
    );
    assert_eq!(site.artifact_count().await, 0, "{}", done.log);

    let ran = site.run_job(&labels[0], "true").await;
    assert_eq!(ran.conclusion, Some(Conclusion::Success));

    let masked = done
        .log
        .lines()
        .find_map(|line| line.strip_prefix("::add-mask::"));
    let ticket = masked.expect("the ticket is masked");
    assert_eq!(
        done.log.matches(ticket).count(),
        1,
        "and never said: {}",
        done.log
    );
    assert!(!site.daemon_logs().contains(ticket));
    let left = done.job.folder.path().read_dir().unwrap().next();
    assert!(left.is_none(), "{left:?} is left");
}

/// Where labels come with the reservation, all runners of a job have the same one.
#[actix_web::test]
async fn labels_can_be_made_for_the_job() {
    let site = Site::start_with(2, "reservation_labels = \"on_take\"").await;
    let done = select(&site, json!({"self-hosted-runner-count": "2"}))
        .end()
        .await;
    let mut seen = done.seen();
    let label = seen["selected-runner-label"].take();
    let label = label.as_str().unwrap();
    let unique_id = label.strip_prefix("reserved-for:").unwrap();
    assert!(!unique_id.is_empty());
    let labels = seen["selected-runner-labels"].as_str().unwrap();
    assert_eq!(labels, json!([label, label]).to_string(), "{}", done.log);
    // Both are there for jobs that ask for it, and for nobody else's.
    for _ in 0..2 {
        let ran = site.run_job(label, "true").await;
        assert_eq!(ran.conclusion, Some(Conclusion::Success));
    }
    until("two others are idle", async || site.idle_count().await == 2).await;
}

#[actix_web::test]
async fn several_runners_have_a_label_each() {
    let site = Site::start(2).await;
    let done = select(&site, json!({"self-hosted-runner-count": "2"}))
        .end()
        .await;
    let labels = labels_of(&done, 2);
    assert_ne!(labels[0], labels[1]);
}

#[actix_web::test]
async fn a_job_waits_says_where_it_stands_and_gets_the_next_runner() {
    let site = Site::start(1).await;
    site.occupy_one().await;
    let mut waiting = select(&site, json!({}));
    waiting.says("position 1; waited").await;
    site.finish();
    labels_of(&waiting.end().await, 1);
}

#[actix_web::test]
async fn a_job_outlives_a_crash_of_the_queue() {
    let mut site = Site::start(1).await;
    site.occupy_one().await;
    let mut waiting = select(&site, json!({}));
    waiting.says("position 1").await;
    site.kill_queue().await;
    waiting.says("the queue cannot be asked").await;
    site.start_queue();
    site.finish();
    let done = waiting.end().await;
    labels_of(&done, 1);
    assert_eq!(
        done.log.matches("in line as").count(),
        1,
        "its ticket was enough: {}",
        done.log
    );
}

#[actix_web::test]
async fn a_job_that_is_cancelled_leaves_the_line() {
    // Also where the shell had no time to do so: then the step after it does.
    for (signal, says) in [
        ("INT", "cancelled after "),
        ("KILL", "withdrawn from the queue"),
    ] {
        let site = Site::start(1).await;
        site.occupy_one().await;
        let mut job = site.job();
        job.signal = signal;
        let mut waiting = select_in(job, &site, json!({}));
        waiting.says("position 1").await;
        assert_eq!(site.jobs_in_line().await.len(), 1);
        waiting.cancel();
        let done = waiting.end().await;
        assert_eq!(done.ended.status, "cancelled");
        assert!(done.log.contains(says), "{}", done.log);
        assert!(
            done.log.contains("withdrawn from the queue"),
            "{}",
            done.log
        );
        assert!(!done.log.contains("failed to withdraw"), "{}", done.log);
        assert_eq!(done.outputs["selected-runner-label"], "");
        assert_eq!(
            site.jobs_in_line().await,
            Vec::<String>::new(),
            "{}",
            done.log
        );
        assert_eq!(site.artifact_count().await, 0);
        site.finish();
    }
}
