//! `ci-runners-dev demo`, with real processes and HTTP; only GitHub is emulated.

use std::net::TcpListener;

use super::support::*;

/// The demo on these four ports.
fn demo_on([monitor_a, monitor_b, queue, github]: [u16; 4]) -> String {
    format!(
        "demo --monitor-a-port {monitor_a} --monitor-b-port {monitor_b} --queue-port {queue} \
         --github-port {github}"
    )
}

#[actix_web::test]
async fn all_jobs_end_as_expected_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = ci_runners_dev(&format!("{} --exit", demo_on(free_ports())));
    command.env("TMPDIR", folder.path());
    let finished = finish(command).await;
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
    for part in [
        "Sending 10 jobs at once.",
        "build        enqueued as build",
        "too-many     refused: ",
        "JOB          RUNNERS  WAITED  SERVER",
        "pair         2 linux",
        "wrong_token",
        "All jobs ended as expected",
    ] {
        finished.assert_stdout_has(part);
    }
    for part in ["WRONG", "Ctrl-C"] {
        assert!(!finished.stdout.contains(part), "{finished:?}");
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[actix_web::test]
async fn after_the_summary_the_printed_curl_commands_work() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let demo = demo_on(free_ports());
    let mut demo = start(ci_runners_dev(&format!(
        "{demo} --keep-data {}",
        data.display()
    )));
    demo.expect_stdout("Everything stays up until Ctrl-C").await;
    let export = demo
        .expect_stdout("export SERVO_CI_MONITOR_API_TOKEN=")
        .await;
    let pair = demo.expect_stdout("unique_id=$RANDOM; curl").await;
    let runner = stdout_of("bash", &["-c", &format!("{export}\n{pair}")]).await;
    let runner: serde_json::Value = serde_json::from_str(&runner).unwrap();
    assert!(runner["label"].as_str().unwrap().starts_with("runner:"));

    demo.signal("INT").await;
    let finished = demo.finish().await;
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
    for file in ["a/monitor.toml", "b/monitor.toml", "demo.log"] {
        assert!(data.join(file).is_file(), "{file}");
    }
    assert_eq!(processes_in(&data), Vec::<String>::new());
}

#[actix_web::test]
async fn ctrl_c_during_the_jobs_stops_the_runners() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let demo = demo_on(free_ports());
    let mut demo = start(ci_runners_dev(&format!(
        "{demo} --keep-data {}",
        data.display()
    )));
    demo.expect_stdout("runs on server").await;
    assert_ne!(processes_in(&data), Vec::<String>::new());
    demo.signal("INT").await;
    demo.finish().await.assert_status(130);
    assert_eq!(processes_in(&data), Vec::<String>::new());
}

#[actix_web::test]
async fn a_closed_standard_output_ends_the_demo_without_an_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = ci_runners_dev(&demo_on(free_ports()));
    command.stdout(writer);
    let output = command.spawn().unwrap().wait_with_output();
    let output = tokio::time::timeout(TIMEOUT, output).await.unwrap();
    let output = output.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""));
}

#[actix_web::test]
async fn a_taken_port_is_named_and_nothing_is_started() {
    let servers = [
        ("the monitor of server a", "--monitor-a-port"),
        ("the monitor of server b", "--monitor-b-port"),
        ("the queue", "--queue-port"),
        ("the emulated GitHub", "--github-port"),
    ];
    for (index, (server, option)) in servers.into_iter().enumerate() {
        let ports: [u16; 4] = free_ports();
        let port = ports[index];
        let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let finished = run(&format!("{} --exit", demo_on(ports))).await;
        finished.assert_exit(1, "");
        assert_eq!(
            finished.stderr,
            format!(
                "ci-runners-dev: failed to listen on port {port} for {server}: the port is taken; \
                 `ss -ltnp 'sport = :{port}'` shows its process, {option} or --port-base chooses \
                 another port\n"
            )
        );
    }
}

#[actix_web::test]
async fn a_busy_demo_goes_on_with_further_jobs() {
    let ports = free_ports();
    let queue = format!("http://127.0.0.1:{}", ports[2]);
    let demo = format!("{} --keep-busy", demo_on(ports));
    let mut demo = start(ci_runners_dev(&demo));
    demo.expect_stdout("Keeping the queue busy with 9 jobs at a time.")
        .await;
    wait_until("further jobs wait and run", async || {
        let dashboard = cli::testing::queue_dashboard(&queue).await;
        let is_some = |name: &str| dashboard[name].as_u64().is_some_and(|count| count > 0);
        is_some("waiting_count") && is_some("assigned_count")
    })
    .await;
    demo.signal("INT").await;
    demo.finish().await.assert_status(0);
}
