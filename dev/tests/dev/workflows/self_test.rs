//! The workflow `self-test`.

use std::rc::Rc;

use serde_json::json;

use super::{
    super::support::*,
    deployment::Deployment,
    workflow::{run_workflow, workflow},
};

const JOBS: [&str; 8] = [
    "again",
    "one",
    "reserved-for",
    "reserved-for-timeout",
    "reserved-for-work",
    "several",
    "unauthorised",
    "unsatisfiable",
];

#[actix_web::test]
async fn a_working_deployment_passes() {
    let deployment = Rc::new(Deployment::start(2).await);
    let end = run_workflow(Rc::clone(&deployment), workflow("self-test.yml"), json!({})).await;
    assert!(end.jobs.keys().eq(&JOBS), "{:?}", end.jobs.keys());
    for (name, job) in &end.jobs {
        assert_eq!(job.result, "success", "{name}: {}", job.log);
    }
    for (name, ran_count) in [("one", 1), ("again", 1), ("several", 2)] {
        let log = &end.jobs[name].log;
        assert_eq!(log.matches("this is ").count(), ran_count, "{log}");
        let all_started = format!("jobs: {ran_count} of {ran_count} started, 0 waiting");
        assert!(log.contains(&all_started), "{log}");
    }
    assert_ne!(
        end.jobs["one"].outputs["labels"],
        end.jobs["again"].outputs["labels"]
    );
    let [took, work, timeout] =
        ["", "-work", "-timeout"].map(|it| &end.jobs[&format!("reserved-for{it}")]);
    assert_eq!(work.labels, [took.outputs["label"].as_str()]);
    assert!(
        work.labels[0].starts_with("reserved-for:"),
        "{:?}",
        work.labels
    );
    assert!(work.log.contains("this is "), "{}", work.log);
    let all_started = "jobs: 1 of 1 started, 0 waiting";
    assert!(timeout.log.contains(all_started), "{}", timeout.log);
    let part = "unsatisfiable: the fallback reason is 'unsatisfiable'";
    assert!(end.jobs["unsatisfiable"].log.contains(part));
    let part = "unauthorised: the answer is 403 not_authorised";
    assert!(end.jobs["unauthorised"].log.contains(part));

    assert_eq!(deployment.artifact_count().await, 0);
    assert_eq!(deployment.waiting_jobs().await, Vec::<String>::new());
    wait_until("the runners are replaced", async || {
        deployment.idle_count().await == 2
    })
    .await;
}

#[actix_web::test]
async fn a_scenario_can_run_alone_and_fails_without_enough_runners() {
    let deployment = Rc::new(Deployment::start(1).await);
    let inputs = json!({"scenario": "several", "count": "2"});
    let end = run_workflow(Rc::clone(&deployment), workflow("self-test.yml"), inputs).await;
    for (name, job) in &end.jobs {
        let expected = if name == "several" {
            "failure"
        } else {
            "skipped"
        };
        assert_eq!(job.result, expected, "{name}: {}", job.log);
    }
    let part = "GitHub-hosted (ubuntu-24.04) after ";
    assert!(
        end.jobs["several"].log.contains(part),
        "{}",
        end.jobs["several"].log
    );
}
