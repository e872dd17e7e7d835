//! Test of a queue and two servers with real guests, with the calls of the README.

use std::process::{Command, Stdio};

use emulator::model::JobPhase;
use futures_util::future::join_all;
use serde_json::Value;

use crate::support::{Daemon, Host, Profile, Queue};

/// The two calls of the README: enqueue, then take.
const ENQUEUE_AND_TAKE: &str = r#"
queue=http://192.168.100.1:8002
ticket=$(curl --fail-with-body -sSX POST --retry 60 --retry-all-errors --retry-delay 1 --oauth2-bearer "$TOKEN" \
    "$queue/profile/tiny/enqueue?unique_id=$1&qualified_repo=acme/app&run_id=7")
curl --fail-with-body -sSX POST --retry 3600 --retry-max-time 3600 --retry-delay 1 "$queue/take/$1?token=$ticket"
"#;

#[actix_web::test]
async fn queued_jobs_run_on_the_next_server_with_an_idle_runner() {
    let hosts = [Host::new(), Host::with_prefix("ci-other")];
    let profile = Profile {
        more: "[queue]\n settle = 1\n \
               servers = [\"http://192.168.100.1:8000\", \"http://192.168.100.1:8001\"]",
        ..Profile::default()
    };
    let monitors = [
        Daemon::start_on(8000, &hosts[0], profile),
        Daemon::start_on(8001, &hosts[1], profile),
    ];
    let _queue = Queue::start(&hosts[0]);
    // Two jobs get a runner at once; the third waits until one of them has finished.
    let jobs = ["one", "two", "three"].map(|unique_id| wait_and_run(&hosts, unique_id));
    let servers = join_all(jobs).await;
    let both = |port: &str| servers.iter().any(|server| server.ends_with(port));
    assert!(both(":8000") && both(":8001"), "{servers:?}");
    for monitor in &monitors {
        let is_idle = |it: &shared::wire::MonitorDashboard| {
            it.profile_runner_counts
                .values()
                .all(|counts| counts.idle == 1)
        };
        monitor.until(is_idle).await;
    }
}

/// Enqueues and takes a runner, runs a job on it, and returns the server of the runner.
async fn wait_and_run(hosts: &[Host; 2], unique_id: &str) -> String {
    let calls = Command::new("bash")
        .args(["-c", ENQUEUE_AND_TAKE, "enqueue-and-take", unique_id])
        .env("TOKEN", Daemon::API_TOKEN)
        .stdout(Stdio::piped())
        // curl writes there why it repeats a request.
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = actix_web::web::block(|| calls.wait_with_output()).await;
    let output = output.unwrap().unwrap();
    assert!(output.status.success());
    let taken: Value = serde_json::from_slice(&output.stdout).unwrap();
    let server = taken["server"].as_str().unwrap();
    let host = &hosts[usize::from(server.contains(":8001"))];
    let job = host.queue_job(taken["label"].as_str().unwrap(), "true");
    host.until_phase(job, JobPhase::Completed).await;
    server.trim_end_matches('/').to_owned()
}
