//! A host with the services of both systems, and a `systemctl` that starts and stops them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    process::Stdio,
};

use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, web};
use emulator::{
    EmulatorSettings, EmulatorThread,
    model::{Conclusion, JobPhase, NewJob},
};
use serde_json::json;
use shared::{secret::Secret, values::RunId};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    sync::{mpsc, oneshot},
};

use super::{
    super::{
        support::*,
        workflows::{GITHUB_TOKEN, REPO},
    },
    production,
};

const SETTINGS: &str = include_str!("recorded/monitor.toml");

/// A call of `systemctl`: the verb, the unit, and where to confirm it.
type Call = (String, String, oneshot::Sender<()>);

/// A service that runs.
enum Service {
    Model(ServerHandle),
    Process(Child),
}

/// The host.
pub struct Host {
    github: EmulatorThread,
    folder: TempDir,
    monitor_port: u16,
    queue_port: u16,
    services: BTreeMap<String, Service>,
    calls: mpsc::UnboundedReceiver<Call>,
}

impl Host {
    /// A host on which no service runs.
    pub fn start() -> Self {
        let github = emulator::spawn(EmulatorSettings::new(Secret::new(GITHUB_TOKEN))).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let [monitor_port, queue_port, control_port] = free_ports();
        let (sender, calls) = mpsc::unbounded_channel();
        serve_calls(control_port, sender);
        let host = Self {
            github,
            folder,
            monitor_port,
            queue_port,
            services: BTreeMap::new(),
            calls,
        };
        host.write_settings();
        let control = url(control_port);
        host.write_command(
            "systemctl",
            &format!("exec curl --silent --show-error --fail \"{control}/$1/$2\""),
        );
        for name in ["monitor", "queue", "ci-runners"] {
            host.write_command(
                name,
                &format!("exec \"{}\" \"$@\"", executable(name).display()),
            );
        }
        host
    }

    /// The settings of the other system, with what the test changes.
    fn write_settings(&self) {
        let agent = env!("CARGO_BIN_EXE_ci-runners-dev");
        let command = json!([agent, "agent", "--give-up-after", "2s"]);
        let monitor_url = url(self.monitor_port);
        let mut settings = SETTINGS
            .replace(r#"["::1", "192.168.100.1"]"#, r#"["127.0.0.1"]"#)
            .replace(
                r#"servers = ["https://ci0.example.org"]"#,
                &format!(
                    "servers = [\"{monitor_url}\"]\nport = {}\nsettle = 1",
                    self.queue_port
                ),
            )
            .replace("api_cache_timeout = 30", "api_cache_timeout = 1")
            .replace(
                "monitor_poll_interval = 5",
                "monitor_poll_interval = \"200ms\"",
            );
        settings.insert_str(
            0,
            &format!(
                "port = {}\ngithub_api_url = \"{}\"\n",
                self.monitor_port, self.github.base_url
            ),
        );
        for profile in ["servo-windows10", "servo-ubuntu2204"] {
            settings.push_str(&format!(
                "[profiles.{profile}.guest]\ndriver = \"command\"\ncommand = {command}\n"
            ));
        }
        fs::write(self.folder.path().join("monitor.toml"), settings).unwrap();
        let secrets = format!(
            "GITHUB_TOKEN={GITHUB_TOKEN}\nLIBVIRT_DEFAULT_URI=qemu:///system\n\n\
            # Accept requests with this API token only.\nSERVO_CI_MONITOR_API_TOKEN={API_TOKEN}\n"
        );
        fs::write(self.folder.path().join(".env"), secrets).unwrap();
    }

    fn write_command(&self, name: &str, script: &str) {
        let folder = self.folder.path().join("bin");
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(name);
        fs::write(&file, format!("#!/bin/bash\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The emulator.
    pub fn github(&self) -> &EmulatorThread {
        &self.github
    }

    /// The base URL of the queue that runs.
    pub fn queue_url(&self) -> String {
        url(self.queue_port)
    }

    /// A command of the page with the ports and the folder of this host.
    pub fn adapted(&self, command: &str) -> String {
        command
            .replace("/config/monitor", self.folder.path().to_str().unwrap())
            .replace(
                "127.0.0.1:8000",
                &format!("127.0.0.1:{}", self.monitor_port),
            )
            .replace("127.0.0.1:8002", &format!("127.0.0.1:{}", self.queue_port))
    }

    /// Runs a script to its end; returns its standard output.
    pub async fn run(&mut self, script: &str, variables: &[(&str, &str)]) -> String {
        let bin = self.folder.path().join("bin");
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c"])
            .arg(format!("PATH='{}':$PATH\n{script}", bin.display()))
            .current_dir(self.folder.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let finished = command.spawn().unwrap().wait_with_output();
        let finished = tokio::time::timeout(TIMEOUT, finished);
        tokio::pin!(finished);
        let output = loop {
            tokio::select! {
                output = &mut finished => break output.expect("the script ends").unwrap(),
                call = self.calls.recv() => {
                    let (verb, unit, done) = call.unwrap();
                    match verb.as_str() {
                        "start" => self.start_service(&unit).await,
                        "stop" => self.stop_service(&unit).await,
                        other => panic!("systemctl {other} {unit}"),
                    }
                    done.send(()).unwrap();
                }
            }
        };
        assert!(
            output.status.success(),
            "{script}\n{output:?}\n{}",
            self.logs()
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts a service: `monitor` and `queue` are those of servo/ci-runners.
    pub async fn start_service(&mut self, unit: &str) {
        let service = match unit {
            "monitor" => Service::Model(production::start_monitor(self.monitor_port)),
            "queue" => Service::Model(production::start_queue(self.queue_port)),
            "ci-runners-monitor" => Service::Process(self.spawn("monitor")),
            "ci-runners-queue" => Service::Process(self.spawn("queue")),
            other => panic!("there is no service {other}"),
        };
        let earlier = self.services.insert(unit.to_owned(), service);
        assert!(earlier.is_none(), "{unit} runs already");
    }

    async fn stop_service(&mut self, unit: &str) {
        match self.services.remove(unit).expect("the service runs") {
            Service::Model(handle) => handle.stop(false).await,
            Service::Process(mut child) => {
                let pid = child.id().unwrap().to_string();
                let mut kill = Command::new("kill");
                assert!(kill.arg(pid).status().await.unwrap().success());
                child.wait().await.unwrap();
            }
        }
    }

    /// The services that run.
    pub fn running(&self) -> Vec<&str> {
        self.services.keys().map(String::as_str).collect()
    }

    fn spawn(&self, name: &str) -> Child {
        let log = self.folder.path().join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log).unwrap();
        Command::new(executable(name))
            .current_dir(self.folder.path())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    fn logs(&self) -> String {
        let log =
            |name: &str| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        log("monitor.log") + &log("queue.log")
    }

    /// Waits until the queue knows that many idle runners.
    pub async fn wait_for_idle(&self, count: u64) {
        let url = format!("{}/dashboard.json", self.queue_url());
        wait_until("the runners are idle", async || {
            let dashboard = get(&url).await.unwrap_or_default();
            let profiles = dashboard["profiles"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            profiles.iter().any(|profile| {
                profile["profile_key"] == "servo-ubuntu2204" && profile["idle"] == count
            })
        })
        .await;
    }

    /// Runs a workflow job with `runs-on: <label>` until it has succeeded.
    pub async fn run_workflow_job(&self, label: &str) {
        let new = NewJob {
            repo: REPO.parse().unwrap(),
            run_id: RunId(123),
            labels: vec![label.to_owned()],
            command: "true".to_owned(),
        };
        let emulator = &self.github.emulator;
        let id = emulator
            .model(|model, now| model.queue_job(now, new))
            .unwrap();
        let job = || emulator.model(|model, now| model.job(now, id)).unwrap();
        wait_until("the job has ended", async || {
            job().phase == JobPhase::Completed
        })
        .await;
        assert_eq!(job().conclusion, Some(Conclusion::Success));
    }
}

/// Serves the calls of `systemctl`.
fn serve_calls(port: u16, calls: mpsc::UnboundedSender<Call>) {
    let app = move || {
        let calls = calls.clone();
        App::new().route(
            "/{verb}/{unit}",
            web::get().to(move |path: web::Path<(String, String)>| {
                let calls = calls.clone();
                async move {
                    let (verb, unit) = path.into_inner();
                    let (done, is_done) = oneshot::channel();
                    calls.send((verb, unit, done)).unwrap();
                    is_done.await.unwrap();
                    HttpResponse::Ok().finish()
                }
            }),
        )
    };
    let server = HttpServer::new(app).workers(1).disable_signals();
    let server = server.bind(("127.0.0.1", port)).unwrap().run();
    actix_web::rt::spawn(server);
}
