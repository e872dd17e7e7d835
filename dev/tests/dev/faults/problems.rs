//! Something is broken, and every place where an operator may look shows what, why and what to do, until it
//! is mended.

use std::{fs, process::Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Child;

use super::shown::Daemon;
use crate::support::*;

const POOL: Pool = Pool {
    name: "a",
    profile: "linux",
    target: 1,
};

/// What GitHub answers to every request about runners until [`mend_github`].
async fn break_github(github: &str, fault: Value) {
    let rule = json!({"path": {"prefix": "/orgs"}, "fault": fault});
    let url = format!("{github}/_emulator/faults");
    let (json, rule) = ("content-type: application/json", rule.to_string());
    stdout_of("curl", &["-sSf", "-H", json, "-d", &rule, &url]).await;
}

async fn mend_github(github: &str) {
    let url = format!("{github}/_emulator/faults");
    stdout_of("curl", &["-sSf", "-X", "DELETE", &url]).await;
}

fn answer(status: u16, headers: Value, message: &str) -> Value {
    let body = json!({"message": message}).to_string();
    json!({"kind": "answer", "status": status, "headers": headers, "body": body})
}

/// A monitor alone, with an emulated GitHub, in a folder of its own.
struct Alone {
    github: String,
    daemon: Daemon,
    _process: Child,
    _emulator: Running,
    folder: TempDir,
}

impl Alone {
    /// Starts it with the fault that GitHub has from the start, and the command of its guests.
    async fn start(fault: Option<Value>, command: Option<Value>) -> Self {
        Self::start_with(fault, command, |command| command).await
    }

    async fn start_with(
        fault: Option<Value>,
        guest: Option<Value>,
        wrap: impl FnOnce(tokio::process::Command) -> tokio::process::Command,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (emulator, github) = start_emulator().await;
        if let Some(fault) = fault {
            break_github(&github, fault).await;
        }
        let [port, queue_port] = free_ports();
        let mut settings = settings_of_both(&github, port, queue_port, 1);
        if let Some(guest) = guest {
            let line = settings
                .lines()
                .find(|line| line.contains("command = ["))
                .unwrap();
            settings = settings.replace(line, &format!("command = {guest}"));
        }
        let log = folder.path().join("log");
        let mut command = wrap(daemon("monitor", folder.path(), &settings));
        command
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap());
        Self {
            _process: command.spawn().unwrap(),
            daemon: Daemon {
                kind: "monitor",
                url: url(port),
                log,
            },
            github,
            _emulator: emulator,
            folder,
        }
    }

    async fn wait_until_ready(&self) {
        wait_until("the monitor is ready", async || {
            self.daemon.ready().await.0 == 200
        })
        .await;
    }
}

#[actix_web::test]
async fn every_fault_of_github_is_shown_until_it_ends() {
    let alone = Alone::start(None, None).await;
    alone.wait_until_ready().await;
    for (fault, code) in [
        (answer(500, json!([]), "oops"), "github_unreachable"),
        (json!({"kind": "drop_request"}), "github_unreachable"),
        (
            answer(401, json!([]), "Bad credentials"),
            "github_credentials_rejected",
        ),
        (
            answer(403, json!([]), "Resource not accessible by integration"),
            "github_permission_missing",
        ),
        (answer(404, json!([]), "Not Found"), "github_not_found"),
        (
            answer(
                301,
                json!([["location", "/orgs/elsewhere"]]),
                "Moved Permanently",
            ),
            "github_moved",
        ),
        (
            answer(
                429,
                json!([["retry-after", "2"]]),
                "You have exceeded a secondary rate limit.",
            ),
            "github_rate_limit_reached",
        ),
    ] {
        break_github(&alone.github, fault).await;
        let problem = alone.daemon.wait_for_problem(code).await;
        // What is there goes on.
        assert_eq!(alone.daemon.ready().await.0, 200, "{problem}");
        mend_github(&alone.github).await;
        alone.daemon.wait_for_end_of_problem(code).await;
    }
}

#[actix_web::test]
async fn a_monitor_whose_token_is_rejected_at_the_start_says_so_everywhere() {
    let fault = answer(401, json!([]), "Bad credentials");
    let alone = Alone::start(Some(fault), None).await;
    let daemon = &alone.daemon;
    let named = "because it has no list of GitHub: access to GitHub with a token: GitHub rejects it: Bad \
                 credentials; replace it";
    wait_until("the reason names GitHub's refusal", async || {
        let (status, body) = daemon.ready().await;
        status == 503
            && body["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains(named))
    })
    .await;
    daemon.wait_for_problem("github_credentials_rejected").await;
    let take = format!(
        "{}/profile/linux/take?unique_id=a&qualified_repo=delan/servo&run_id=1",
        daemon.url
    );
    let authorization = format!("authorization: Bearer {API_TOKEN}");
    let json = "accept: application/json";
    for (method, url) in [
        ("POST", take),
        ("GET", format!("{}/dashboard.json", daemon.url)),
    ] {
        let arguments = ["-sS", "-X", method, "-H", &authorization, "-H", json, &url];
        let body: Value = serde_json::from_str(&stdout_of("curl", &arguments).await).unwrap();
        let message = body["message"].as_str().unwrap();
        assert!(message.contains(named), "{method} {url}: {message}");
    }
    assert!(daemon.body("").await.1.contains(named));
    assert!(
        daemon
            .status()
            .await
            .contains("GitHub rejects it: Bad credentials")
    );
    mend_github(&alone.github).await;
    alone.wait_until_ready().await;
    daemon
        .wait_for_end_of_problem("github_credentials_rejected")
        .await;
}

#[actix_web::test]
async fn a_full_disk_is_shown_until_there_is_space() {
    // A small file system that only the monitor has, below a folder of the test.
    let script = "mount -t tmpfs -o size=2m,mode=0700 tmpfs data && exec \"$0\" \"$@\"";
    let alone = Alone::start_with(None, None, |monitor| {
        let monitor = monitor.into_std();
        let folder = monitor.get_current_dir().unwrap();
        fs::create_dir(folder.join("data")).unwrap();
        let mut wrapped = tokio::process::Command::new("unshare");
        wrapped.args(["--map-root-user", "--mount", "sh", "-c", script]);
        wrapped.arg(monitor.get_program()).args(monitor.get_args());
        wrapped
            .current_dir(folder)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for (name, value) in monitor.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        wrapped
    })
    .await;
    alone.wait_until_ready().await;
    let pid = alone._process.id().unwrap();
    let data = alone.folder.path().join("data");
    let data = data.strip_prefix("/").unwrap();
    let filler = format!("/proc/{pid}/root/{}/filler", data.display());
    let full = fs::write(&filler, vec![0; 4 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    // The state is saved again when a runner is taken.
    let take = format!(
        "{}/profile/linux/take?unique_id=a&qualified_repo=delan/servo&run_id=1",
        alone.daemon.url
    );
    let authorization = format!("authorization: Bearer {API_TOKEN}");
    stdout_of("curl", &["-sS", "-X", "POST", "-H", &authorization, &take]).await;
    let problem = alone.daemon.wait_for_problem("state_not_saved").await;
    let cause = problem["cause"].as_str().unwrap();
    assert!(cause.contains("No space left on device"), "{cause}");
    let (status, body) = alone.daemon.ready().await;
    assert_eq!((status, &body["ready"]), (503, &json!(false)), "{body}");
    fs::remove_file(&filler).unwrap();
    alone
        .daemon
        .wait_for_end_of_problem("state_not_saved")
        .await;
    alone.wait_until_ready().await;
}

#[actix_web::test]
async fn guests_that_end_at_once_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("guest");
    fs::write(&script, "exit 3").unwrap();
    let alone = Alone::start(None, Some(json!(["sh", script]))).await;
    let problem = alone.daemon.wait_for_problem("runners_fail").await;
    assert_eq!(problem["subject"], "profile linux");
}

#[actix_web::test]
async fn a_monitor_that_is_killed_stopped_or_has_another_token_is_shown_by_the_queue() {
    let mut fleet = Fleet::start(&[POOL], 1).await;
    let queue = Daemon::queue(&fleet);
    let server = format!("{}/", fleet.monitor_urls[0]);

    fleet.kill_monitor(0).await;
    let problem = queue.wait_for_problem("server_not_answering").await;
    assert_eq!(problem["subject"], server);
    // No server answers.
    let (status, body) = queue.ready().await;
    assert_eq!(status, 503, "{body}");
    let reason = body["reason"].as_str().unwrap();
    assert!(reason.contains("no longer answers polls"), "{reason}");

    fleet.restart_monitor(0, "another-token-of-32-characters-00");
    queue.wait_for_end_of_problem("server_not_answering").await;
    let problem = queue.wait_for_problem("server_refuses_token").await;
    assert_eq!(problem["subject"], server);

    fleet.kill_monitor(0).await;
    fleet.restart_monitor(0, API_TOKEN);
    queue.wait_for_end_of_problem("server_refuses_token").await;
    fleet.wait_until_all_idle(&[POOL]).await;

    fleet.signal_monitor(0, "STOP").await;
    queue.wait_for_problem("server_not_answering").await;
    fleet.signal_monitor(0, "CONT").await;
    let url = format!("{}/dashboard.json", fleet.queue_url);
    wait_until("the server is used again", async || {
        let dashboard = get(&url).await.unwrap_or_default();
        dashboard["servers"][0]["health"] == "fresh" && dashboard["problems"] == json!([])
    })
    .await;
}

#[actix_web::test]
async fn the_queue_shows_what_its_servers_lack() {
    let fleet = Fleet::start(&[POOL], 1).await;
    let (queue, monitor) = (Daemon::queue(&fleet), Daemon::monitor(&fleet, 0, "a"));
    let code = "github_unreachable";
    break_github(&fleet.github, answer(503, json!([]), "down")).await;
    let problem = monitor.wait_for_problem(code).await;
    let server = &fleet.monitor_urls[0];
    let expected = format!("{server}/: GitHub: {}", problem["cause"].as_str().unwrap());
    wait_until(
        "the queue shows it with the name of the server",
        async || {
            let (_, page) = queue.body("").await;
            let (_, text) = queue.body("dashboard.txt").await;
            page.contains(code)
                && text.contains(&expected)
                && queue.status().await.contains(&expected)
        },
    )
    .await;
    // It is not the queue's own.
    let dashboard = get(&format!("{}/dashboard.json", fleet.queue_url))
        .await
        .unwrap();
    assert_eq!(dashboard["problems"], json!([]));
    assert!(!queue.body("metrics").await.1.contains(code));
    assert_eq!(queue.ready().await.0, 200);
    mend_github(&fleet.github).await;
    monitor.wait_for_end_of_problem(code).await;
    wait_until("the queue no longer shows it", async || {
        !queue.body("").await.1.contains(code)
    })
    .await;
}
