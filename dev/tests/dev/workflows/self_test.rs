//! The workflow `self-test`, whole, against real daemons and the emulator.

use std::rc::Rc;

use serde_json::json;

use super::{
    super::support::*,
    run::{run_workflow, workflow},
    site::Site,
};

const SCENARIOS: [&str; 5] = ["again", "one", "several", "unauthorised", "unsatisfiable"];

#[actix_web::test]
async fn a_deployment_that_works_passes_the_workflow_too() {
    let site = Rc::new(Site::start(2).await);
    let end = run_workflow(Rc::clone(&site), workflow("self-test.yml"), json!({})).await;
    assert!(end.jobs.keys().eq(&SCENARIOS), "{:?}", end.jobs.keys());
    for (name, job) in &end.jobs {
        assert_eq!(job.result, "success", "{name}: {}", job.said);
    }
    for (name, ran_count) in [("one", 1), ("again", 1), ("several", 2)] {
        let said = &end.jobs[name].said;
        assert_eq!(said.matches("this is ").count(), ran_count, "{said}");
        let all_started = format!("on {ran_count} labels: {ran_count} started, 0 waiting");
        assert!(said.contains(&all_started), "{said}");
    }
    assert_ne!(
        end.jobs["one"].outputs["labels"],
        end.jobs["again"].outputs["labels"]
    );
    let said = "unsatisfiable: the fallback reason is 'unsatisfiable'";
    assert!(end.jobs["unsatisfiable"].said.contains(said));
    let said = "unauthorised: the answer is 403 not_authorised";
    assert!(end.jobs["unauthorised"].said.contains(said));

    assert_eq!(site.artifact_count().await, 0);
    assert_eq!(site.jobs_in_line().await, Vec::<String>::new());
    until("the runners are replaced", async || {
        site.idle_count().await == 2
    })
    .await;
}

#[actix_web::test]
async fn one_scenario_runs_alone_and_fails_where_there_are_no_runners() {
    let site = Rc::new(Site::start(1).await);
    let inputs = json!({"scenario": "several", "count": "2"});
    let end = run_workflow(Rc::clone(&site), workflow("self-test.yml"), inputs).await;
    for (name, job) in &end.jobs {
        let expected = if name == "several" {
            "failure"
        } else {
            "skipped"
        };
        assert_eq!(job.result, expected, "{name}: {}", job.said);
    }
    let said = "GitHub-hosted (ubuntu-24.04) after ";
    assert!(
        end.jobs["several"].said.contains(said),
        "{}",
        end.jobs["several"].said
    );
}
