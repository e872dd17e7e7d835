//! The workflows in the book work as they are documented.

use std::rc::Rc;

use serde_json::json;

use super::{
    deployment::Deployment,
    files::{parse, yaml_blocks},
    workflow::{FinishedRun, run_workflow},
};

/// Executes a YAML block of the page on workflows, at a deployment of this many runners.
async fn run_block(index: usize, runners: usize) -> FinishedRun {
    let deployment = Rc::new(Deployment::start(runners).await);
    let block = yaml_blocks("workflows.md").swap_remove(index);
    assert!(block.contains("https://queue.example.org"), "{block}");
    let block = block
        .replace("https://queue.example.org", &deployment.queue_url)
        .replace("run: make", "run: echo built");
    run_workflow(deployment, parse(&block), json!({})).await
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
