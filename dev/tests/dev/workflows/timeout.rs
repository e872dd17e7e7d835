//! `runner-timeout`: what becomes of a run whose job does not start.

use emulator::{
    EmulatorSettings, EmulatorThread,
    faults::{Fault, FaultRule, PathMatch},
    model::{Conclusion, JobId, JobPhase, NewJob},
};
use serde_json::json;
use shared::{secret::Secret, values::RunId};

use super::{
    Done,
    site::{GITHUB_TOKEN, REPO, job_at},
    start_action,
    step::RUN_ID,
};

fn github() -> EmulatorThread {
    emulator::spawn(EmulatorSettings::new(Secret::new(GITHUB_TOKEN))).unwrap()
}

/// Queues a job of the run; nobody will ever run it.
fn queue(github: &EmulatorThread, label: &str) -> JobId {
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
        .end()
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
    let jobs = ["RUNNER:1", "runner:2"].map(|label| queue(&github, label));
    github
        .emulator
        .model(|model, now| model.cancel_job(now, jobs[1]))
        .unwrap();
    let done = time_out(&github, "true", r#"["runner:1","runner:2"]"#).await;
    assert_eq!(done.ended.status, "failure", "{}", done.log);
    assert!(
        done.log
            .contains("on 2 labels: 1 started, 1 waiting, 0 not there yet"),
        "{}",
        done.log
    );
    let said = "1 of 2 self-hosted runners got no job within 1 s";
    assert!(
        done.log
            .contains(&format!("::error title=runner-timeout::{said}")),
        "{}",
        done.log
    );
    assert_eq!(done.ended.summary, format!("Cancelled: {said}\n\n"));
    assert_eq!(
        phase(&github, jobs[0]),
        (JobPhase::Completed, Some(Conclusion::Cancelled))
    );
}

#[actix_web::test]
async fn a_job_that_has_started_needs_nobody_to_watch_it() {
    let github = github();
    let job = queue(&github, "runner:1");
    github
        .emulator
        .model(|model, now| model.cancel_job(now, job))
        .unwrap();
    // Somewhere among more jobs than one page holds.
    for _ in 0..150 {
        queue(&github, "other");
    }
    let done = time_out(&github, "true", r#"["runner:1"]"#).await;
    assert_eq!(done.ended.status, "success", "{}", done.log);
    assert!(done.log.contains("1 started, 0 waiting"), "{}", done.log);
    let cancels = github.emulator.requests().all();
    assert!(
        cancels
            .iter()
            .all(|request| !request.path.ends_with("/cancel")),
        "{cancels:?}"
    );
}

#[actix_web::test]
async fn hosted_runners_are_not_watched() {
    let github = github();
    let done = time_out(&github, "false", r#"["ubuntu-latest"]"#).await;
    assert_eq!((done.ended.status, done.log.as_str()), ("success", ""));
    assert_eq!(github.emulator.requests().all().len(), 0);
}

#[actix_web::test]
async fn what_nobody_knows_is_no_reason_to_cancel() {
    let github = github();
    let done = time_out(&github, "true", r#"["runner:1"]"#).await;
    assert_eq!(done.ended.status, "success", "{}", done.log);
    assert!(
        done.log
            .contains("no job of this run asks for the selected runners"),
        "{}",
        done.log
    );

    let job = queue(&github, "runner:1");
    let list = PathMatch::Suffix("/jobs".into());
    let rule = FaultRule::on("GET", list, Fault::status(502));
    github.emulator.faults().add(rule).unwrap();
    let done = time_out(&github, "true", r#"["runner:1"]"#).await;
    assert_eq!(done.ended.status, "success", "{}", done.log);
    assert!(
        done.log
            .contains("GitHub does not say whether the job has started"),
        "{}",
        done.log
    );
    assert_eq!(phase(&github, job), (JobPhase::Queued, None));
}

#[actix_web::test]
async fn what_makes_no_sense_ends_the_job() {
    let github = github();
    for labels in ["", "runner:1", "[]", "[1]"] {
        let done = time_out(&github, "true", labels).await;
        assert_eq!(done.ended.status, "failure", "{labels}: {}", done.log);
        assert!(
            done.log
                .contains("selected-runner-labels must be a JSON array"),
            "{}",
            done.log
        );
    }
}
