//! The workflows in the book work as they are documented.

use std::rc::Rc;

use serde_json::{Value, json};

use super::{
    deployment::Deployment,
    files::{parse, yaml_blocks},
    workflow::{FinishedRun, rerun_failed_jobs, run_workflow},
};

/// Executes a YAML block of the page on workflows, at a deployment of this many runners.
async fn run_block(index: usize, runners: usize) -> FinishedRun {
    let deployment = Rc::new(Deployment::start(runners).await);
    run_workflow(
        Rc::clone(&deployment),
        block(&deployment, index, "echo built"),
        json!({}),
    )
    .await
}

/// A YAML block of the page on workflows, with this command instead of `make`.
fn block(deployment: &Deployment, index: usize, command: &str) -> Value {
    let block = yaml_blocks("workflows.md").swap_remove(index);
    parse(
        &block
            .replace("https://queue.example.org", &deployment.queue_url)
            .replace("run: make", &format!("run: {command}")),
    )
}

#[actix_web::test]
async fn the_workflow_for_one_runner_builds_on_it() {
    let end = run_block(1, 1).await;
    assert_eq!(end.jobs.len(), 3);
    for (name, job) in &end.jobs {
        assert_eq!(job.result, "success", "{name}: {}", job.log);
    }
    assert!(end.jobs["select"].log.contains("Self-hosted (linux, 1)"));
    assert_eq!(end.jobs["build"].log, "built\n");
    let log = &end.jobs["timeout"].log;
    assert!(log.contains("jobs: 1 of 1 started"), "{log}");
}

#[actix_web::test]
async fn the_workflow_for_several_runners_tests_on_each() {
    let end = run_block(2, 4).await;
    for (name, job) in &end.jobs {
        assert_eq!(job.result, "success", "{name}: {}", job.log);
    }
    assert_eq!(end.jobs["test"].log.matches("built").count(), 4);
    let log = &end.jobs["timeout"].log;
    assert!(log.contains("jobs: 4 of 4 started"), "{log}");
}

/// `select` is not run again, and the label of the first attempt would be waited for in vain.
#[actix_web::test]
async fn a_rerun_of_the_failed_jobs_uses_hosted_runners() {
    for (index, name, count) in [(1, "build", 1), (2, "test", 4)] {
        let deployment = Rc::new(Deployment::start(count).await);
        let failing = block(&deployment, index, "exit 1");
        let first = run_workflow(Rc::clone(&deployment), failing, json!({})).await;
        assert_eq!(first.jobs["select"].result, "success");
        assert_eq!(first.jobs[name].result, "failure");
        assert_eq!(first.jobs["timeout"].result, "success");

        let succeeding = block(&deployment, index, "echo built");
        let second = rerun_failed_jobs(Rc::clone(&deployment), succeeding, &first).await;
        let job = &second.jobs[name];
        assert_eq!(job.result, "success", "{}", job.log);
        assert_eq!(job.log.matches("built").count(), count);
        assert!(
            job.labels.iter().all(|label| label == "ubuntu-latest"),
            "{:?}",
            job.labels
        );
        // Its outputs are those of the first attempt.
        assert_eq!(second.jobs["select"].log, first.jobs["select"].log);

        // An attempt of all jobs gets runners again.
        let third = block(&deployment, index, "echo built");
        let third = run_workflow(deployment, third, json!({})).await;
        assert!(
            third.jobs[name]
                .labels
                .iter()
                .all(|label| label.starts_with("runner:"))
        );
    }
}

/// The run was cancelled because the runner was lost, so all jobs but `select` are run again.
#[actix_web::test]
async fn a_rerun_after_a_timeout_has_nothing_to_observe() {
    let deployment = Rc::new(Deployment::start(1).await);
    let workflow = block(&deployment, 1, "echo built");
    let mut first = run_workflow(Rc::clone(&deployment), workflow.clone(), json!({})).await;
    for name in ["build", "timeout"] {
        first.jobs.get_mut(name).unwrap().result = "cancelled";
    }
    let second = rerun_failed_jobs(deployment, workflow, &first).await;
    assert_eq!(second.jobs["build"].result, "success");
    assert_eq!(second.jobs["timeout"].result, "skipped");
}

#[actix_web::test]
async fn the_workflow_with_the_checkout_runs() {
    let end = run_block(3, 1).await;
    assert_eq!(
        end.jobs["build"].result, "success",
        "{}",
        end.jobs["build"].log
    );
    assert!(end.jobs["build"].log.contains("actions/checkout with "));
}
