//! What the book says to copy works: its workflows are run, but for what they would make.

use std::rc::Rc;

use serde_json::json;

use super::{
    files::{parse, yaml_blocks},
    run::{RunEnd, run_workflow},
    site::Site,
};

/// Runs a workflow of the page, on a site of as many runners as it needs.
async fn run_block(index: usize, runners: usize) -> RunEnd {
    let site = Rc::new(Site::start(runners).await);
    let block = yaml_blocks("workflows.md").swap_remove(index);
    assert!(block.contains("https://queue.example.org"), "{block}");
    let block = block
        .replace("https://queue.example.org", &site.queue_url)
        .replace("run: make", "run: echo it is made");
    run_workflow(site, parse(&block), json!({})).await
}

#[actix_web::test]
async fn the_workflow_for_one_runner_gets_one_and_works_there() {
    let end = run_block(1, 1).await;
    assert_eq!(end.jobs.len(), 3);
    for (name, job) in &end.jobs {
        assert_eq!(job.result, "success", "{name}: {}", job.said);
    }
    assert!(end.jobs["select"].said.contains("Self-hosted (linux, 1)"));
    assert_eq!(end.jobs["build"].said, "it is made\n");
    let said = "on 1 labels: 1 started";
    assert!(
        end.jobs["timeout"].said.contains(said),
        "{}",
        end.jobs["timeout"].said
    );
}

#[actix_web::test]
async fn the_workflow_for_several_runners_works_on_each() {
    let end = run_block(2, 4).await;
    for (name, job) in &end.jobs {
        assert_eq!(job.result, "success", "{name}: {}", job.said);
    }
    assert_eq!(end.jobs["test"].said.matches("it is made").count(), 4);
    let said = "on 4 labels: 4 started";
    assert!(
        end.jobs["timeout"].said.contains(said),
        "{}",
        end.jobs["timeout"].said
    );
}
