//! All of it together: a queue, two servers with real guests, and a job that waits in line as the
//! README says.

use std::process::{Command, Stdio};

use emulator::model::JobPhase;
use futures_util::future::join_all;
use serde_json::Value;

use crate::support::{Daemon, Host, Profile, Queue};

/// The pair of calls of the README: join the line, then wait in it.
const PAIR: &str = r#"
queue=http://192.168.100.1:8002
ticket=$(curl --fail-with-body -sSX POST --retry 60 --retry-all-errors --retry-delay 1 --oauth2-bearer "$TOKEN" \
    "$queue/profile/tiny/enqueue?unique_id=$1&qualified_repo=acme/app&run_id=7")
curl --fail-with-body -sSX POST --retry 3600 --retry-max-time 3600 --retry-delay 1 "$queue/take/$1?token=$ticket"
"#;

#[actix_web::test]
async fn jobs_that_wait_in_line_run_in_the_guests_of_whichever_server_is_next() {
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
    // Two at once, and one that has to wait until one of them has done its job.
    let jobs = ["one", "two", "three"].map(|unique_id| wait_and_run(&hosts, unique_id));
    let served = join_all(jobs).await;
    let both = |port: &str| served.iter().any(|server| server.ends_with(port));
    assert!(both(":8000") && both(":8001"), "{served:?}");
    for monitor in &monitors {
        let full = |it: &shared::wire::MonitorDashboard| {
            it.profile_runner_counts
                .values()
                .all(|counts| counts.idle == 1)
        };
        monitor.until(full).await;
    }
}

/// Waits in line, runs a job on the runner that comes, and says which server's that was.
async fn wait_and_run(hosts: &[Host; 2], unique_id: &str) -> String {
    let pair = Command::new("bash")
        .args(["-c", PAIR, "pair", unique_id])
        .env("TOKEN", Daemon::API_TOKEN)
        .stdout(Stdio::piped())
        // Of every try that is repeated it says why.
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = actix_web::web::block(|| pair.wait_with_output()).await;
    let output = output.unwrap().unwrap();
    assert!(output.status.success());
    let taken: Value = serde_json::from_slice(&output.stdout).unwrap();
    let server = taken["server"].as_str().unwrap();
    let host = &hosts[usize::from(server.contains(":8001"))];
    let job = host.queue_job(taken["label"].as_str().unwrap(), "true");
    host.until_phase(job, JobPhase::Completed).await;
    server.trim_end_matches('/').to_owned()
}
