//! `ci-runners-dev emulator` and `ci-runners-dev agent`.

use serde_json::Value;

use super::support::*;

#[actix_web::test]
async fn the_printed_settings_and_commands_work() {
    let mut emulator = start(ci_runners_dev("emulator --port 0"));
    let first = emulator
        .expect_stdout("The emulated GitHub listens on")
        .await;
    let url = first.split_whitespace().nth(5).unwrap();
    let url = url.trim_end_matches('.').to_owned();
    emulator
        .expect_stdout(&format!("github_api_url = \"{url}\""))
        .await;
    emulator.expect_stdout("export GITHUB_TOKEN=emulated").await;
    let call = emulator.expect_stdout("curl --fail-with-body").await;
    let data = emulator.expect_stdout("-d ").await;

    let script = format!("{}\n{data}", call.trim());
    let job: Value = serde_json::from_str(&stdout_of("sh", &["-c", &script]).await).unwrap();
    assert_eq!(job["state"], "queued");
    let authorization = "authorization: Bearer emulated";
    let list = format!("{url}/orgs/your-name/actions/runners");
    let runners = stdout_of("curl", &["-sSf", "-H", authorization, &list]).await;
    let runners: Value = serde_json::from_str(&runners).unwrap();
    assert_eq!(runners["total_count"], 0);

    emulator.signal("INT").await;
    emulator.finish().await.assert_status(0);
}

#[actix_web::test]
async fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let finished = run(&format!("emulator --port {port}")).await;
    finished.assert_exit(1, "");
    assert_eq!(
        finished.stderr,
        format!(
            "ci-runners-dev: failed to listen on port {port} for the emulated GitHub: the port is \
             taken; `ss -ltnp 'sport = :{port}'` shows its process, --port chooses another port\n"
        )
    );
}

#[actix_web::test]
async fn an_agent_without_a_monitor_gives_up_and_does_not_print_its_secret() {
    let mut command = ci_runners_dev("agent --give-up-after 1s");
    command
        .env("CI_RUNNERS_MONITOR_URL", "http://127.0.0.1:1")
        .env("CI_RUNNERS_GUEST_SECRET", "swordfish");
    let finished = finish(command).await;
    finished.assert_exit(1, "");
    finished.assert_stderr_has("failed to reach http://127.0.0.1:1/github-jitconfig");
    assert!(!finished.stderr.contains("swordfish"), "{finished:?}");
}

#[actix_web::test]
async fn an_agent_needs_the_url_of_its_monitor_and_its_secret() {
    for (arguments, part) in [
        ("agent", "--monitor-url <URL>"),
        (
            "agent --monitor-url http://127.0.0.1:1",
            "CI_RUNNERS_GUEST_SECRET is not set",
        ),
    ] {
        let finished = run(arguments).await;
        finished.assert_status(2);
        finished.assert_stderr_has(part);
    }
}
