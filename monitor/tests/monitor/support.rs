//! Fixtures: a host with a monitor, and its emulated GitHub.
//!
//! Responsible for the settings of the tests, the start and end of monitors, and requests. Every wait is
//! for an event or a condition; the deadlines only end a failing test.

use std::{
    fs,
    future::Future,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use emulator::{
    Emulator, EmulatorSettings, EmulatorThread,
    faults::{Fault, FaultId, FaultRule, PathMatch},
    model::{JobId, JobPhase, NewJob},
};
use http_client::{Client, Method, Request, Response};
use monitor::AppError;
use serde_json::Value;
use shared::{
    secret::Secret,
    settings::{Environment, Settings},
    values::RunId,
    wire::{MonitorDashboard, RunnerStatus, TakenRunner},
};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

pub const API_TOKEN: &str = "api-token-of-the-tests";
const GITHUB_TOKEN: &str = "github-token-of-the-tests";
const DEADLINE: Duration = Duration::from_secs(30);
/// GitHub's path of the runners.
pub const RUNNERS: &str = "/orgs/acme/actions/runners";
/// The parameters of a take besides `unique_id`, of a client that reads the label from the response.
pub const JOB: &str = "qualified_repo=acme/app&run_id=7&labels_from_response=true";

/// A host without a monitor, whose GitHub has no runner.
pub struct Host {
    pub github: EmulatorThread,
    pub folder: TempDir,
}

/// A running monitor.
pub struct Running {
    pub url: String,
    client: Client,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), AppError>>,
}

/// A monitor with one profile, `linux`, whose `count` runners are all idle.
pub async fn with_idle(count: usize) -> (Host, Running) {
    with_idle_and(count, "").await
}

/// The same with more settings, as in [`Host::settings`].
pub async fn with_idle_and(count: usize, more: &str) -> (Host, Running) {
    let host = Host::new();
    let monitor = host.start(host.settings(count, more)).await;
    monitor.until_idle(count).await;
    (host, monitor)
}

impl Host {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("agent.sh"), include_str!("agent.sh")).unwrap();
        let settings = EmulatorSettings::new(Secret::new(GITHUB_TOKEN));
        let github = emulator::spawn(settings).unwrap();
        Self { github, folder }
    }

    pub fn emulator(&self) -> &Emulator {
        &self.github.emulator
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Settings with one profile, `linux`, whose runners need 1 GiB of 8; `more` is inserted before the
    /// profiles.
    pub fn settings(&self, target_count: usize, more: &str) -> Settings {
        let agent = self.path("agent.sh");
        let profile = format!(
            r#"[profiles.linux]
            github_runner_label = "linux-label"
            target_count = {target_count}
            requires_normal_memory = "1G"
            guest = {{ driver = "command", command = ["bash", {agent:?}, {:?}] }}"#,
            self.folder.path(),
        );
        self.settings_with(&profile, more)
    }

    pub fn settings_with(&self, profiles: &str, more: &str) -> Settings {
        // Tests that need another value set it.
        let cache = match more.contains("api_cache_timeout") {
            true => "",
            false => "api_cache_timeout = \"100ms\"",
        };
        let text = format!(
            r#"listen_on = ["127.0.0.1"]
            port = 0
            external_base_url = "http://127.0.0.1:1/"
            github_api_url = "{}"
            github_api_scope = "/orgs/acme"
            github_api_suffix = "host"
            allowed_qualified_repo_prefix = "acme/"
            available_normal_memory = "8G"
            monitor_poll_interval = "50ms"
            {cache}
            {more}
            {profiles}"#,
            self.github.base_url,
        );
        self.settings_of(&text)
    }

    /// Settings with this content of `monitor.toml`.
    pub fn settings_of(&self, text: &str) -> Settings {
        let file = self.path("monitor.toml");
        fs::write(&file, text).unwrap();
        let data_path = self.path("data");
        let environment: Environment = [
            ("GITHUB_TOKEN", GITHUB_TOKEN),
            ("SERVO_CI_MONITOR_API_TOKEN", API_TOKEN),
            ("SERVO_CI_MONITOR_DATA_PATH", data_path.to_str().unwrap()),
            ("LIB_MONITOR_DIR", self.folder.path().to_str().unwrap()),
            ("IMAGE_DEPS_DIR", self.path("deps").to_str().unwrap()),
        ]
        .into_iter()
        .collect();
        Settings::load(&file, &environment).unwrap()
    }

    /// Starts a monitor on a free port.
    pub async fn start(&self, settings: Settings) -> Running {
        self.try_start(settings).await.unwrap()
    }

    pub async fn try_start(&self, mut settings: Settings) -> Result<Running, AppError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        // Guests outlive a monitor, but the next one has another port. By then they have fetched their
        // credential, after which they do not need the monitor.
        settings.network.guest_base_url = url.parse().unwrap();
        let app = monitor::build(settings, vec![listener]).await?;
        assert_eq!(format!("http://{}/", app.addresses()[0]), url);
        let (stop, stopped) = oneshot::channel();
        let task = actix_web::rt::spawn(app.run_until(async {
            let _ = stopped.await;
        }));
        let client = Client::new();
        Ok(Running {
            url,
            client,
            stop,
            task,
        })
    }

    /// Makes requests to GitHub fail from now on.
    pub fn break_github(&self, method: &str, path: &str, fault: Fault) -> FaultId {
        let path = PathMatch::Prefix(path.into());
        let rule = FaultRule::on(method, path, fault);
        self.emulator().faults().add(rule).unwrap()
    }

    /// Waits until a fault has affected a request.
    pub async fn until_hit(&self, fault: FaultId) {
        let hit = self.emulator().until(|it| it.faults().hit_count(fault) > 0);
        in_time("a request is affected by the fault", hit).await;
    }

    /// Queues a job for runners with `label`.
    pub fn queue_job(&self, label: &str, command: &str) -> JobId {
        let new = NewJob {
            repo: "acme/app".parse().unwrap(),
            run_id: RunId(7),
            labels: vec![label.into()],
            command: command.into(),
        };
        let queued = |model: &mut emulator::model::Model, now| model.queue_job(now, new);
        self.emulator().model(queued).unwrap()
    }

    pub fn phase(&self, job: JobId) -> JobPhase {
        self.emulator()
            .model(|model, now| model.job(now, job))
            .unwrap()
            .phase
    }

    pub async fn until_phase(&self, job: JobId, phase: JobPhase) {
        let reached = self.emulator().until(|_| self.phase(job) == phase);
        in_time("the job reaches the phase", reached).await;
    }

    /// A command that runs until the file `name` exists, or the host is gone.
    pub fn command_until(&self, name: &str) -> String {
        let (file, folder) = (self.path(name), self.folder.path().to_owned());
        let (file, folder) = (file.display(), folder.display());
        format!("until [ -e {file} ] || ! [ -d {folder} ]; do sleep 0.05; done")
    }

    pub fn guest_folders(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("data/guests")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }
}

impl Running {
    /// Ends the monitor; its guests keep running.
    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        in_time("the monitor has ended", self.task)
            .await
            .unwrap()
            .unwrap();
    }

    /// Sends a request with the API token.
    pub async fn call(&self, method: Method, path: &str) -> Response {
        self.call_with(method, path, &[("authorization", &bearer(API_TOKEN))])
            .await
    }

    pub async fn call_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Response {
        let url = format!("{}{path}", self.url);
        let mut request = Request {
            timeout: DEADLINE,
            ..Request::new(method, &url)
        };
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        self.client.send(request).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Response {
        self.call_with(Method::GET, path, &[]).await
    }

    pub async fn take(&self, unique_id: &str) -> Response {
        let path = format!("profile/linux/take?unique_id={unique_id}&{JOB}");
        self.call(Method::POST, &path).await
    }

    /// Takes a runner, which must be granted.
    pub async fn expect_taken(&self, unique_id: &str) -> TakenRunner {
        let response = self.take(unique_id).await;
        assert_eq!(response.status, 200, "{:?}", response.text());
        response.json().unwrap()
    }

    pub async fn dashboard(&self) -> MonitorDashboard {
        let response = self.call(Method::GET, "dashboard.json").await;
        assert_eq!(response.status, 200);
        response.json().unwrap()
    }

    /// Waits, by long polls, until the dashboard satisfies a condition.
    pub async fn until(&self, is_expected: impl Fn(&MonitorDashboard) -> bool) -> MonitorDashboard {
        let reached = async {
            let mut etag = String::new();
            loop {
                let authorization = bearer(API_TOKEN);
                let headers = [
                    ("authorization", authorization.as_str()),
                    ("if-none-match", etag.as_str()),
                    ("prefer", "wait=30"),
                ];
                let response = self
                    .call_with(Method::GET, "dashboard.json", &headers)
                    .await;
                if response.status == 200 {
                    let dashboard: MonitorDashboard = response.json().unwrap();
                    if is_expected(&dashboard) {
                        return dashboard;
                    }
                    etag = response.header("etag").unwrap().to_owned();
                } else {
                    // Before the first poll of the monitor requests are not held.
                    tokio::task::yield_now().await;
                }
            }
        };
        in_time("the dashboard is as expected", reached).await
    }

    /// Waits until there are `count` runners, and all are idle.
    pub async fn until_idle(&self, count: usize) -> MonitorDashboard {
        self.until(|dashboard| statuses(dashboard) == vec![RunnerStatus::Idle; count])
            .await
    }
}

pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

pub fn statuses(dashboard: &MonitorDashboard) -> Vec<RunnerStatus> {
    dashboard
        .runners
        .iter()
        .filter_map(|runner| runner.status)
        .collect()
}

pub fn ids(dashboard: &MonitorDashboard) -> Vec<u64> {
    dashboard.runners.iter().map(|runner| runner.id).collect()
}

/// The error code in the body of a response.
pub fn code(response: &Response) -> String {
    let body: Value = response.json().unwrap();
    body["code"].as_str().unwrap().to_owned()
}

/// The response must be an error with this status and code. `context` is part of the failure message.
pub fn expect_refusal(response: &Response, status: u16, code: &str, context: &str) {
    let found = (response.status.as_u16(), self::code(response));
    assert_eq!(found, (status, code.to_owned()), "{context}");
}

pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("timed out waiting until {what}"),
    }
}

/// Waits until a file exists and its content satisfies a condition.
pub async fn until_file(path: &Path, is_expected: impl Fn(&str) -> bool) -> String {
    let reached = async {
        loop {
            match fs::read_to_string(path) {
                Ok(text) if is_expected(&text) => return text,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    in_time("the file is as expected", reached).await
}
