//! `ci-runners self-test` against real daemons and the emulator.

use super::{support::*, workflows::deployment::Deployment};

#[actix_web::test]
async fn a_working_deployment_passes_and_no_job_is_left() {
    let deployment = Deployment::start(2).await;
    let arguments = format!("self-test --queue {}", deployment.queue_url);
    let command = cli::testing::command(executable("ci-runners"), &arguments);
    let finished = finish(command).await;
    finished.assert_status(0);
    let lines: Vec<&str> = finished.stdout.lines().collect();
    for (line, start) in lines.iter().zip([
        "ok      one            runner:",
        "ok      again          runner:",
        "ok      several        runner:",
        "ok      unsatisfiable  refused as unsatisfiable (",
        "ok      unauthorised   refused as wrong_token (",
        "5 of 5 scenarios passed",
    ]) {
        assert!(line.starts_with(start), "expected {start:?}: {finished:?}");
    }
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[2].matches("runner:").count(), 2, "{finished:?}");
    wait_until("all runners are idle again", async || {
        deployment.idle_count().await == 2
    })
    .await;
    assert_eq!(deployment.waiting_jobs().await, Vec::<String>::new());
    // Of the five runners, the one whose client does not read its label was given another.
    let requests = deployment.github.emulator.requests().all();
    let labelled = requests
        .iter()
        .filter(|request| request.method == "POST" && request.path.ends_with("/labels"));
    assert_eq!(labelled.count(), 1, "{requests:?}");
}
