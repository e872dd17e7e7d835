//! `emulator` and `agent`: a made-up GitHub, and its runner.

use serde_json::Value;

use super::support::*;

#[actix_web::test]
async fn an_emulator_says_how_to_use_it_and_ends_when_told_to() {
    let mut emulator = start(ci_runners_dev("emulator --port 0"));
    let first = emulator.prints("A made-up GitHub listens on").await;
    let url = first.split_whitespace().nth(5).unwrap();
    let url = url.trim_end_matches('.').to_owned();
    emulator
        .prints(&format!("github_api_url = \"{url}\""))
        .await;
    emulator.prints("export GITHUB_TOKEN=emulated").await;
    let call = emulator.prints("curl --fail-with-body").await;
    let data = emulator.prints("-d ").await;

    // What was printed is what a person copies.
    let script = format!("{}\n{data}", call.trim());
    let job: Value = serde_json::from_str(&text_of("sh", &["-c", &script]).await).unwrap();
    assert_eq!(job["state"], "queued");
    let authorization = "authorization: Bearer emulated";
    let list = format!("{url}/orgs/your-name/actions/runners");
    let runners = text_of("curl", &["-sSf", "-H", authorization, &list]).await;
    let runners: Value = serde_json::from_str(&runners).unwrap();
    assert_eq!(runners["total_count"], 0);

    emulator.signal("INT").await;
    let ended = emulator.end().await;
    assert_eq!(ended.status, Some(0), "{ended:?}");
}

#[actix_web::test]
async fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let ended = run(&format!("emulator --port {port}")).await;
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(1), ""));
    assert_eq!(
        ended.stderr,
        format!(
            "ci-runners-dev: failed to listen on port {port} for the made-up GitHub: it is taken; `ss \
             -ltnp 'sport = :{port}'` shows by whom, and --port chooses another\n"
        )
    );
}

#[actix_web::test]
async fn an_agent_without_a_monitor_gives_up_and_keeps_its_secret() {
    let mut command = ci_runners_dev("agent --give-up-after 1s");
    command
        .env("CI_RUNNERS_MONITOR_URL", "http://127.0.0.1:1")
        .env("CI_RUNNERS_GUEST_SECRET", "swordfish");
    let ended = end_of(command).await;
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(1), ""));
    let part = "failed to reach http://127.0.0.1:1/github-jitconfig";
    assert!(ended.stderr.contains(part), "{ended:?}");
    assert!(!ended.stderr.contains("swordfish"), "{ended:?}");
}

#[actix_web::test]
async fn an_agent_needs_to_know_its_monitor_and_who_it_is() {
    for (words, part) in [
        ("agent", "--monitor-url <URL>"),
        (
            "agent --monitor-url http://127.0.0.1:1",
            "CI_RUNNERS_GUEST_SECRET is not set",
        ),
    ] {
        let ended = run(words).await;
        assert_eq!(ended.status, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(part), "{ended:?}");
    }
}
