//! A monitor as a process, which can be killed.

use std::{
    fs::{self, File, OpenOptions},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use http_client::{Client, Method, Request, Response};
use shared::wire::{MonitorDashboard, RunnerStatus, TakenRunner};

use super::{
    host::{BRIDGE, GITHUB_TOKEN, Host, Profile},
    in_time,
    mounts::mount,
};

const PORT: u16 = 8000;
const MONITOR: &str = env!("CARGO_BIN_EXE_monitor");

/// A running monitor. Killed when dropped, as by a power failure.
pub struct Daemon {
    child: Child,
    client: Client,
    url: String,
    log: PathBuf,
}

impl Daemon {
    pub const API_TOKEN: &str = "api-token-of-the-tests";

    pub fn start(host: &Host, profile: Profile<'_>) -> Self {
        Self::start_on(PORT, host, profile)
    }

    pub fn start_on(port: u16, host: &Host, profile: Profile<'_>) -> Self {
        let settings = host.write_settings(port, profile);
        let log = host.path("log");
        let file: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let child = program(host)
            .arg("--config")
            .arg(settings)
            .env("GITHUB_TOKEN", GITHUB_TOKEN)
            .env("SERVO_CI_MONITOR_API_TOKEN", Self::API_TOKEN)
            .env("SERVO_CI_MONITOR_DATA_PATH", host.path("data"))
            .env("LIB_MONITOR_DIR", host.path("lib"))
            .env("IMAGE_DEPS_DIR", host.path("deps"))
            .env("RUST_LOG", "debug,actix_server=warn")
            .stderr(file)
            .spawn()
            .unwrap();
        Self {
            child,
            client: Client::new(),
            url: format!("http://{BRIDGE}:{port}/"),
            log,
        }
    }

    /// The log of all monitors of this host.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the log contains a text: lines are written a moment after what they report.
    pub async fn until_logged(&self, text: &str) {
        super::until(&format!("the log contains {text:?}"), || {
            self.log().contains(text)
        })
        .await;
    }

    /// Ends the process by SIGKILL.
    pub fn kill(mut self) {
        self.kill_now();
    }

    fn kill_now(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a request, and repeats it until there is a response: the monitor may be starting.
    pub async fn call(&self, method: Method, path: &str) -> Response {
        let url = format!("{}{path}", self.url);
        let answered = async {
            loop {
                let call = Request::new(method.clone(), &url)
                    .header("authorization", format!("Bearer {}", Self::API_TOKEN));
                match self.client.send(call).await {
                    Ok(answer) => return answer,
                    Err(_) => tokio::time::sleep(super::PAUSE).await,
                }
            }
        };
        in_time("the monitor responds", answered).await
    }

    /// Waits until the dashboard satisfies a condition.
    pub async fn until(&self, is_expected: impl Fn(&MonitorDashboard) -> bool) -> MonitorDashboard {
        let reached = async {
            loop {
                let answer = self.call(Method::GET, "dashboard.json").await;
                if answer.status == 200 {
                    let dashboard: MonitorDashboard = answer.json().unwrap();
                    if is_expected(&dashboard) {
                        return dashboard;
                    }
                }
                tokio::time::sleep(super::PAUSE).await;
            }
        };
        in_time("the dashboard is as expected", reached).await
    }

    /// Waits until the console of a build, of the one that is under way or the last failed one, has this text.
    pub async fn until_console(&self, profile_key: &str, text: &str) -> String {
        let path = format!("profile/{profile_key}/console.log");
        let printed = async {
            loop {
                let answer = self.call(Method::GET, &path).await;
                let console = answer.text().unwrap_or_default();
                if answer.status == 200 && console.contains(text) {
                    return console.to_owned();
                }
                tokio::time::sleep(super::PAUSE).await;
            }
        };
        in_time("the console has the text", printed).await
    }

    /// Waits until the address of a runner's guest is known.
    pub async fn until_address(&self, id: u64) -> Ipv4Addr {
        let address = |dashboard: &MonitorDashboard| {
            let runner = dashboard.runners.iter().find(|runner| runner.id == id)?;
            runner.runner.ipv4_address
        };
        let dashboard = self.until(|dashboard| address(dashboard).is_some()).await;
        address(&dashboard).unwrap()
    }

    /// Requests a path for guests, with a secret.
    pub async fn get_as_guest(&self, secret: &str, path: &str) -> Response {
        let url = format!("{}{path}", self.url);
        let call = Request::new(Method::GET, &url);
        let call = call.header("authorization", format!("Bearer {secret}"));
        self.client.send(call).await.unwrap()
    }

    /// Requests a path for guests, without a secret.
    pub async fn get_without_secret(&self, path: &str) -> Response {
        let url = format!("{}{path}", self.url);
        self.client
            .send(Request::new(Method::GET, &url))
            .await
            .unwrap()
    }

    /// Waits until there are exactly these runners, and all are idle.
    pub async fn until_idle(&self, ids: &[u64]) -> MonitorDashboard {
        self.until(|dashboard| {
            let shown: Vec<_> = dashboard.runners.iter().map(|runner| runner.id).collect();
            shown == ids && statuses(dashboard) == vec![RunnerStatus::Idle; ids.len()]
        })
        .await
    }

    /// Takes an idle runner, and returns its label.
    pub async fn take(&self, unique_id: &str) -> String {
        let path =
            format!("profile/tiny/take?unique_id={unique_id}&qualified_repo=acme/app&run_id=7");
        let answer = self.call(Method::POST, &path).await;
        assert_eq!(answer.status, 200, "{:?}", answer.text());
        answer.json::<TakenRunner>().unwrap().label.unwrap()
    }
}

/// The monitor, run by its account on this host, which then owns the host's folder.
fn program(host: &Host) -> Command {
    let Some(account) = host.account else {
        return Command::new(MONITOR);
    };
    // The account may have no access to the target directory.
    let program = Path::new("/run/monitor");
    if !program.exists() {
        File::create(program).unwrap();
        mount(&["--bind", MONITOR], program);
    }
    let owned = Command::new("chown")
        .args(["--recursive", account])
        .arg(host.folder.path())
        .status();
    assert!(owned.unwrap().success());
    let mut command = Command::new("setpriv");
    let identity = [
        "--reuid",
        account,
        "--regid",
        account,
        "--init-groups",
        "--",
    ];
    command.args(identity).arg(program);
    command
}

fn statuses(dashboard: &MonitorDashboard) -> Vec<RunnerStatus> {
    let runners = dashboard.runners.iter();
    runners.filter_map(|runner| runner.status).collect()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill_now();
        if std::thread::panicking() {
            eprintln!("-- log of the monitor:\n{}", self.log());
        }
    }
}
