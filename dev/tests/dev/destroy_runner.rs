//! `ci-runners destroy-runner` against a real monitor and the emulator.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;

use super::{support::*, workflows::deployment::Deployment};

/// Runs the command with this input until it exits.
async fn destroy(deployment: &Deployment, arguments: &str, token: &str, input: &str) -> Finished {
    let monitor_url = &deployment.monitor_url;
    let arguments = format!("destroy-runner --monitor {monitor_url} {arguments}");
    let mut command = cli::testing::command(executable("ci-runners"), &arguments);
    command
        .env("SERVO_CI_MONITOR_API_TOKEN", token)
        .stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = tokio::time::timeout(TIMEOUT, child.wait_with_output()).await;
    let output = output.expect("it exits").unwrap();
    Finished {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The ids of the runners.
async fn ids(deployment: &Deployment) -> Vec<u64> {
    let dashboard = get(&format!("{}/dashboard.json", deployment.monitor_url)).await;
    let runners = dashboard.unwrap()["runners"].as_array().cloned().unwrap();
    runners
        .iter()
        .map(|it| it["id"].as_u64().unwrap())
        .collect()
}

#[actix_web::test]
async fn a_runner_with_a_job_is_destroyed_by_force_after_a_confirmation() {
    let deployment = Deployment::start(1).await;
    deployment.occupy_one().await;
    assert_eq!(ids(&deployment).await, [0]);
    for answer in ["", "n\n"] {
        let refused = destroy(&deployment, "--force 0", API_TOKEN, answer).await;
        refused.assert_exit(1, "");
        refused.assert_stderr_has("Destroy runner 0 (ci-runner-linux.0@host, ");
        refused.assert_stderr_has("; a job that it runs ends? [y/N]");
        refused.assert_stderr_has("it was not confirmed; answer y, or use --yes");
    }
    assert_eq!(ids(&deployment).await, [0]);

    let done = destroy(&deployment, "--force 0", API_TOKEN, "y\n").await;
    done.assert_exit(0, "runner 0: its monitor destroys it\n");
    wait_until("the runner is replaced", async || {
        ids(&deployment).await == [1] && deployment.idle_count().await == 1
    })
    .await;
}

#[actix_web::test]
async fn an_idle_runner_is_destroyed_without_force_and_an_unknown_one_is_refused() {
    let deployment = Deployment::start(1).await;
    let unknown = destroy(&deployment, "--yes 99", API_TOKEN, "").await;
    unknown.assert_exit(4, "");
    unknown.assert_stderr_has("failed to destroy the runner: there is no such runner");
    let unknown = destroy(&deployment, "99", API_TOKEN, "y").await;
    unknown.assert_exit(4, "");
    unknown.assert_stderr_has("Destroy runner 99 (not on the dashboard)? [y/N]");
    destroy(&deployment, "--yes 0", "wrong", "")
        .await
        .assert_exit(3, "");
    assert_eq!(ids(&deployment).await, [0]);

    let done = destroy(&deployment, "--yes 0", API_TOKEN, "").await;
    done.assert_status(0);
    assert_eq!(done.stderr, "");
    wait_until("the runner is replaced", async || {
        ids(&deployment).await == [1]
    })
    .await;
}
