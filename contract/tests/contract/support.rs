//! Fixtures: an emulated GitHub behind the proxy, and a monitor as a process.
//!
//! All waits are for events; the deadlines only end a broken test.

use std::{
    fs,
    future::Future,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use contract::{Finding, Proxy, Severity};
use emulator::{App, EmulatorSettings, EmulatorThread};
use github::{AppKey, Credentials, Github, GithubConfig};
use http_client::{Client, Method, Request, Response};
use shared::{
    secret::Secret,
    wire::{MonitorDashboard, RunnerStatus},
};
use tempfile::TempDir;
use tokio::process::{Child, Command};

pub const TOKEN: &str = "github-token-of-the-tests";
pub const API_TOKEN: &str = "api-token-of-the-tests";
pub const WEBHOOK_SECRET: &str = "webhook-secret-of-the-tests";
const DEADLINE: Duration = Duration::from_secs(60);

/// An emulated GitHub, and the proxy in front of it.
pub struct ProxiedGithub {
    pub github: EmulatorThread,
    pub proxy: Proxy,
}

impl ProxiedGithub {
    /// A GitHub with App 7 and its installation 9.
    pub async fn new() -> Self {
        let app = App {
            id: 7,
            installation_id: 9,
            public_key: app_key(7, 9).public_key(),
        };
        let github = emulator::spawn(EmulatorSettings {
            apps: vec![app],
            ..EmulatorSettings::new(Secret::new(TOKEN))
        });
        let github = github.unwrap();
        let proxy = in_time("the proxy to start", Proxy::start(&github.base_url)).await;
        Self {
            proxy: proxy.unwrap(),
            github,
        }
    }

    /// The client of the daemons, connected to the proxy.
    pub fn client(&self, scope_path: &str, credentials: impl Into<Credentials>) -> Github {
        let settings = GithubConfig {
            api_url: self.proxy.url.clone(),
            scope_path: scope_path.into(),
            credentials: credentials.into(),
            retry_timeout: Duration::ZERO,
        };
        Github::new(Client::new(), settings)
    }

    /// Stops the proxy. What it found, without repetitions, in alphabetical order.
    pub async fn findings(self) -> Vec<Finding> {
        let findings = in_time("the proxy to end", self.proxy.end()).await;
        let mut findings = findings.unwrap();
        findings.sort();
        findings.dedup();
        findings
    }
}

/// The description lists neither the answer to a conditional request nor most refusals: GitHub
/// documents those for all of its API, on pages of their own.
pub fn silent(request: &str, status: u16, listed: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        request: request.into(),
        message: format!(
            "answer {status}: Unable to match the returned status code with those defined in the \
             document: {listed}"
        ),
    }
}

pub fn app_key_file() -> PathBuf {
    workspace().join("github/src/tests/keys/pkcs1.pem")
}

pub fn app_key(app_id: u64, installation_id: u64) -> Arc<AppKey> {
    Arc::new(AppKey::load(app_id, installation_id, &app_key_file()).unwrap())
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A monitor as a process.
pub struct Monitor {
    pub url: String,
    folder: TempDir,
    child: Child,
    client: Client,
}

impl Monitor {
    /// Starts a monitor that authenticates as App 7 and keeps `target_count` runners.
    pub async fn start(stage: &ProxiedGithub, target_count: usize, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Outgoing connections have ports of another address, so none of them uses this one meanwhile.
        let listener = TcpListener::bind("127.0.0.2:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let agent = workspace().join("monitor/tests/monitor/agent.sh");
        // A copy, because a monitor refuses a key that others can read.
        let key = folder.path().join("app.pem");
        fs::copy(app_key_file(), &key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let settings = format!(
            r#"listen_on = ["127.0.0.2"]
            port = {port}
            external_base_url = "http://{address}/"
            github_api_url = "{github}"
            github_api_scope = "/orgs/acme"
            github_api_suffix = "host"
            github_app = {{ id = 7, installation_id = 9, key_file = {key:?} }}
            allowed_qualified_repo_prefix = "acme/"
            available_normal_memory = "8G"
            monitor_poll_interval = "50ms"
            api_cache_timeout = "100ms"
            {more}
            [profiles.linux]
            github_runner_label = "linux-label"
            target_count = {target_count}
            requires_normal_memory = "1G"
            guest = {{ driver = "command", command = ["bash", {agent:?}, {path:?}] }}"#,
            port = address.port(),
            github = stage.proxy.url,
            path = folder.path(),
        );
        let file = folder.path().join("monitor.toml");
        fs::write(&file, settings).unwrap();
        let child = Command::new(executable("monitor"))
            .arg("--config")
            .arg(file)
            .current_dir(folder.path())
            .env("SERVO_CI_MONITOR_API_TOKEN", API_TOKEN)
            .env("SERVO_CI_MONITOR_DATA_PATH", folder.path().join("data"))
            .env("GITHUB_WEBHOOK_SECRET", WEBHOOK_SECRET)
            .env("RUST_LOG", "warn")
            .env_remove("GITHUB_TOKEN")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let monitor = Self {
            url: format!("http://{address}/"),
            folder,
            child: child.unwrap(),
            client: Client::new(),
        };
        monitor.until_idle(target_count).await;
        monitor
    }

    /// The response to a request with the API token.
    pub async fn call(&self, method: Method, path: &str) -> Response {
        let (url, token) = (format!("{}{path}", self.url), Secret::new(API_TOKEN));
        let call = Request {
            bearer: Some(&token),
            timeout: DEADLINE,
            ..Request::new(method, &url)
        };
        self.client.send(call).await.unwrap()
    }

    /// The response to a webhook with that signature.
    pub async fn post_webhook(&self, event: &str, signature: &str, payload: Vec<u8>) -> Response {
        let url = format!("{}webhook", self.url);
        let call = Request::new(Method::POST, &url)
            .header("content-type", "application/json")
            .header("x-github-event", event)
            .header("x-hub-signature-256", signature);
        let body = payload.into();
        self.client.send(Request { body, ..call }).await.unwrap()
    }

    /// Waits until `count` runners are idle and there are no others.
    pub async fn until_idle(&self, count: usize) -> MonitorDashboard {
        let reached = async {
            let mut etag = String::new();
            loop {
                // A long poll: the response is held until the dashboard changes.
                let url = format!("{}dashboard.json", self.url);
                let call = Request::new(Method::GET, &url)
                    .header("if-none-match", etag.as_str())
                    .header("prefer", "wait=30");
                let call = Request {
                    timeout: DEADLINE,
                    ..call
                };
                // It may not listen yet, or not have looked.
                let Ok(answer) = self.client.send(call).await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                if answer.status == 200 {
                    let dashboard: MonitorDashboard = answer.json().unwrap();
                    let statuses = dashboard.runners.iter().map(|runner| runner.status);
                    if statuses.eq(vec![Some(RunnerStatus::Idle); count]) {
                        return dashboard;
                    }
                    etag = answer.header("etag").unwrap().to_owned();
                }
            }
        };
        in_time("runners to be idle", reached).await
    }

    /// Asks it to end, as systemd does, and expects it to end well.
    pub async fn stop(mut self) {
        let pid = self.child.id().unwrap().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().await;
        assert!(asked.unwrap().success());
        let status = in_time("the monitor to end", self.child.wait()).await;
        assert_eq!(status.unwrap().code(), Some(0));
        self.folder.close().unwrap();
    }
}

/// The executable of that name from another crate of the workspace. It lies above ours, which is
/// in `deps`; cargo cannot express that a test needs the executable of another package.
fn executable(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own.parent().unwrap().with_file_name(name);
    let advice = "build it first, with cargo build, or start these tests with contract/run";
    assert!(path.is_file(), "there is no {}: {advice}", path.display());
    path
}

pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("timed out waiting for {what}"),
    }
}
