//! `ci-runners self-test` against real daemons and the emulator.

use cli::testing::command;

use super::{support::*, workflows::site::Site};

#[actix_web::test]
async fn a_deployment_that_works_passes_and_is_left_as_it_was() {
    let site = Site::start(2).await;
    let ci_runners = executable("ci-runners");
    let arguments = format!("self-test --queue {}", site.queue_url);
    let ended = end_of(command(ci_runners.to_str().unwrap(), &arguments)).await;
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    for (line, start) in lines.iter().zip([
        "ok      one            runner:",
        "ok      again          runner:",
        "ok      several        runner:",
        "ok      unsatisfiable  refused as unsatisfiable (",
        "ok      unauthorised   refused as wrong_token (",
        "5 of 5 scenarios went as they should",
    ]) {
        assert!(line.starts_with(start), "{start:?} is not in {ended:?}");
    }
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[2].matches("runner:").count(), 2, "{ended:?}");
    until("all runners are idle again", async || {
        site.idle_count().await == 2
    })
    .await;
    assert_eq!(site.jobs_in_line().await, Vec::<String>::new());
}
