//! The action `runner-timeout`.

use emulator::{
    EmulatorSettings, EmulatorThread,
    faults::{Fault, FaultRule, PathMatch},
    model::{Conclusion, JobId, JobPhase, NewJob},
};
use serde_json::{Value, json};
use shared::{secret::Secret, values::RunId};

use super::{
    Done,
    deployment::{GITHUB_TOKEN, REPO, job_at},
    job::RUN_ID,
    scripted_queue::ScriptedQueue,
    start_action,
};

fn github() -> EmulatorThread {
    emulator::spawn(EmulatorSettings::new(Secret::new(GITHUB_TOKEN))).unwrap()
}

/// Queues a job of the run, which no runner will execute.
fn queue_job(github: &EmulatorThread, label: &str) -> JobId {
    let new = NewJob {
        repo: REPO.parse().unwrap(),
        run_id: RunId(RUN_ID),
        labels: vec![label.to_owned()],
        command: "true".to_owned(),
    };
    github
        .emulator
        .model(|model, now| model.queue_job(now, new))
        .unwrap()
}

async fn time_out(github: &EmulatorThread, is_self_hosted: &str, labels: &str) -> Done {
    let with = json!({"is-self-hosted": is_self_hosted, "selected-runner-labels": labels,
        "timeout": "1 second"});
    start_action(job_at(github), "runner-timeout", with)
        .finish()
        .await
}

fn phase(github: &EmulatorThread, job: JobId) -> (JobPhase, Option<Conclusion>) {
    let job = github
        .emulator
        .model(|model, now| model.job(now, job))
        .unwrap();
    (job.phase, job.conclusion)
}

#[actix_web::test]
async fn a_run_whose_job_does_not_start_is_cancelled() {
    let github = github();
    let jobs = ["RUNNER:1", "runner:2"].map(|label| queue_job(&github, label));
    github
        .emulator
        .model(|model, now| model.cancel_job(now, jobs[1]))
        .unwrap();
    let done = time_out(&github, "true", r#"["runner:1","runner:2"]"#).await;
    assert_eq!(done.ended.status, "failure", "{}", done.log);
    done.assert_log_has("jobs: 1 of 2 started, 1 waiting, 0 not created yet");
    let reason = "1 of 2 self-hosted runners got no job within 1 s";
    done.assert_log_has(&format!("::error title=runner-timeout::{reason}"));
    assert_eq!(done.ended.summary, format!("Cancelled: {reason}\n\n"));
    assert_eq!(
        phase(&github, jobs[0]),
        (JobPhase::Completed, Some(Conclusion::Cancelled))
    );
}

#[actix_web::test]
async fn a_run_whose_job_has_started_is_not_cancelled() {
    let github = github();
    let job = queue_job(&github, "runner:1");
    github
        .emulator
        .model(|model, now| model.cancel_job(now, job))
        .unwrap();
    // The job is among more jobs than a page of the list holds.
    for _ in 0..150 {
        queue_job(&github, "other");
    }
    let done = time_out(&github, "true", r#"["runner:1"]"#).await;
    assert_eq!(done.ended.status, "success", "{}", done.log);
    done.assert_log_has("1 of 1 started, 0 waiting");
    let cancels = github.emulator.requests().all();
    assert!(
        cancels
            .iter()
            .all(|request| !request.path.ends_with("/cancel")),
        "{cancels:?}"
    );
}

#[actix_web::test]
async fn hosted_runners_are_not_observed() {
    let github = github();
    let done = time_out(&github, "false", r#"["ubuntu-latest"]"#).await;
    assert_eq!((done.ended.status, done.log.as_str()), ("success", ""));
    assert_eq!(github.emulator.requests().all().len(), 0);
}

#[actix_web::test]
async fn a_run_is_not_cancelled_if_its_jobs_are_unknown() {
    let github = github();
    let done = time_out(&github, "true", r#"["runner:1"]"#).await;
    assert_eq!(done.ended.status, "success", "{}", done.log);
    done.assert_log_has("no job of this run has the labels of the selected runners");

    let job = queue_job(&github, "runner:1");
    let list = PathMatch::Suffix("/jobs".into());
    let rule = FaultRule::on("GET", list, Fault::status(502));
    github.emulator.faults().add(rule).unwrap();
    let done = time_out(&github, "true", r#"["runner:1"]"#).await;
    assert_eq!(done.ended.status, "success", "{}", done.log);
    done.assert_log_has("unknown whether the job has started");
    assert_eq!(phase(&github, job), (JobPhase::Queued, None));
}

#[actix_web::test]
async fn invalid_labels_fail_the_job() {
    let github = github();
    for labels in ["", "runner:1", "[]", "[1]"] {
        let done = time_out(&github, "true", labels).await;
        assert_eq!(done.ended.status, "failure", "{labels}: {}", done.log);
        done.assert_log_has("selected-runner-labels must be a JSON array");
    }
}

/// GitHub can list a job as queued for some seconds after it has started, and without labels.
#[actix_web::test]
async fn one_odd_list_does_not_end_a_run() {
    let list = |status: Value| {
        let jobs = json!([null, {"status": "queued", "labels": null}, {"name": 7},
            {"status": status, "labels": ["runner:1"]}]);
        (
            200,
            None,
            json!({"total_count": 4, "jobs": jobs}).to_string(),
        )
    };
    let page = (200, None, "<html></html>".to_owned());
    for (lists, text) in [
        (
            vec![list(json!("queued")), list(json!("in_progress"))],
            "1 of 1 started",
        ),
        (
            vec![page.clone(), list(json!("queued")), page, list(Value::Null)],
            "1 of 1 started",
        ),
        (
            vec![(200, None, "{}".to_owned()); 4],
            "unknown whether the job has started",
        ),
    ] {
        let api = ScriptedQueue::start(lists);
        let mut job = job_at(&github());
        job.api_url = api.url.clone();
        let with = json!({"is-self-hosted": "true", "selected-runner-labels": r#"["runner:1"]"#,
            "timeout": "0"});
        let done = start_action(job, "runner-timeout", with).finish().await;
        assert_eq!(done.ended.status, "success", "{}", done.log);
        done.assert_log_has(text);
        let calls = api.requests();
        assert!(calls.iter().all(|call| call == "GET repos"), "{calls:?}");
    }
}

#[actix_web::test]
async fn a_run_is_found_by_its_unique_id() {
    for (name, status) in [("build [a-1] (x)", "success"), ("build [a-2]", "failure")] {
        let job = |name: &str, status: &str| json!({"name": name, "status": status, "labels": ["reserved"]});
        let jobs = json!([
            job("build [a-2]", "queued"),
            job(name, "completed"),
            job("other", "queued")
        ]);
        let list = (
            200,
            None,
            json!({"total_count": 3, "jobs": jobs}).to_string(),
        );
        let api = ScriptedQueue::start(vec![list.clone(), list.clone(), list]);
        let mut job = job_at(&github());
        job.api_url = api.url.clone();
        let unique_id = if status == "success" { "a-1" } else { "a-2" };
        let with = json!({"unique-id": unique_id, "timeout": "0", "github_token": GITHUB_TOKEN});
        let done = start_action(job, "runner-timeout", with).finish().await;
        assert_eq!(done.ended.status, status, "{}", done.log);
    }
}
