//! `demo`, whole: everything in it is real but GitHub.

use std::net::TcpListener;

use super::support::*;

/// The four ports, as options.
fn on_ports([monitor_a, monitor_b, queue, github]: [u16; 4]) -> String {
    format!(
        "demo --monitor-a-port {monitor_a} --monitor-b-port {monitor_b} --queue-port {queue} \
         --github-port {github}"
    )
}

#[actix_web::test]
async fn the_demo_ends_well_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = ci_runners_dev(&format!("{} --exit", on_ports(free_ports())));
    command.env("TMPDIR", folder.path());
    let ended = end_of(command).await;
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    for part in [
        "Now 10 jobs come at once.",
        "build        in line as build",
        "too-many     refused: all servers together",
        "JOB          WANTED   IN LINE  RAN ON",
        "pair         2 linux",
        "wrong_token",
        "Everything went as it should",
    ] {
        assert!(ended.stdout.contains(part), "{part} is not in {ended:?}");
    }
    assert!(!ended.stdout.contains("NO: "), "{ended:?}");
    assert!(!ended.stdout.contains("Ctrl-C"), "{ended:?}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[actix_web::test]
async fn a_demo_that_stays_up_has_a_curl_pair_to_copy() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let ports = on_ports(free_ports());
    let mut demo = start(ci_runners_dev(&format!(
        "{ports} --keep-data {}",
        kept.display()
    )));
    demo.prints("Everything stays up until Ctrl-C").await;
    let export = demo.prints("export SERVO_CI_MONITOR_API_TOKEN=").await;
    let pair = demo.prints("unique_id=$RANDOM; curl").await;
    let runner = text_of("bash", &["-c", &format!("{export}\n{pair}")]).await;
    let runner: serde_json::Value = serde_json::from_str(&runner).unwrap();
    assert!(runner["label"].as_str().unwrap().starts_with("runner:"));

    demo.signal("INT").await;
    let ended = demo.end().await;
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    for file in ["a/monitor.toml", "b/monitor.toml", "demo.log"] {
        assert!(kept.join(file).is_file(), "{file}");
    }
    assert_eq!(processes_in(&kept), Vec::<String>::new());
}

#[actix_web::test]
async fn a_demo_that_is_interrupted_ends_its_runners() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let ports = on_ports(free_ports());
    let mut demo = start(ci_runners_dev(&format!(
        "{ports} --keep-data {}",
        kept.display()
    )));
    demo.prints("runs on host").await;
    assert_ne!(processes_in(&kept), Vec::<String>::new());
    demo.signal("INT").await;
    assert_eq!(demo.end().await.status, Some(130));
    assert_eq!(processes_in(&kept), Vec::<String>::new());
}

#[actix_web::test]
async fn a_demo_that_nobody_reads_ends_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = ci_runners_dev(&on_ports(free_ports()));
    command.stdout(writer);
    let output = command.spawn().unwrap().wait_with_output();
    let output = tokio::time::timeout(PATIENCE, output).await.unwrap();
    let output = output.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
}

#[actix_web::test]
async fn a_taken_port_is_named_and_nothing_is_started() {
    let owners = [
        ("the monitor of host a", "--monitor-a-port"),
        ("the monitor of host b", "--monitor-b-port"),
        ("the queue", "--queue-port"),
        ("the made-up GitHub", "--github-port"),
    ];
    for (index, (owner, option)) in owners.into_iter().enumerate() {
        let ports: [u16; 4] = free_ports();
        let port = ports[index];
        let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let ended = run(&format!("{} --exit", on_ports(ports))).await;
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(1), ""));
        assert_eq!(
            ended.stderr,
            format!(
                "ci-runners-dev: failed to listen on port {port} for {owner}: it is taken; `ss -ltnp \
                 'sport = :{port}'` shows by whom, and {option} or --port-base chooses another\n"
            )
        );
    }
}
