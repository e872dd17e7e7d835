//! A host with the services of both systems, with a `systemctl` that starts and stops them, and with a `virsh` that
//! lists the guests of both.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Stdio,
    sync::atomic::AtomicU64,
};

use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, web};
use emulator::{
    EmulatorSettings, EmulatorThread,
    model::{Conclusion, JobId, JobPhase, NewJob, PageRequest},
};
use serde_json::{Value, json};
use shared::{secret::Secret, values::RunId};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    sync::{mpsc, oneshot},
};

use super::{
    super::{support::*, workflows::GITHUB_TOKEN},
    guest,
    servo_monitor::{PROFILE, ServoMonitor},
    servo_queue::ServoQueue,
};

/// The settings of a host of servo/ci-runners, as they are there.
const SETTINGS: &str = include_str!("recorded/monitor.toml");

/// The repository of the workflows.
pub const REPO: &str = "servo/servo";
/// How many runners there are.
pub const TARGET: u64 = 4;

/// A call of `systemctl` or `virsh`: the verb, the unit, and where its output goes.
type Call = (String, String, oneshot::Sender<String>);

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
        fs::create_dir_all(host.data().join("guests")).unwrap();
        fs::write(host.data().join("last-runner-id"), "40").unwrap();
        let control = url(control_port);
        host.write_command(
            "systemctl",
            &format!("exec curl --silent --show-error --fail \"{control}/$1/$2\""),
        );
        host.write_command(
            "virsh",
            &format!("exec curl --silent --fail {control}/guests/all"),
        );
        for name in ["monitor", "queue", "ci-runners"] {
            host.write_command(
                name,
                &format!("exec \"{}\" \"$@\"", executable(name).display()),
            );
        }
        host
    }

    /// The settings, with what has to be different on this host.
    fn write_settings(&self) {
        let agent = env!("CARGO_BIN_EXE_ci-runners-dev");
        let command = json!([agent, "agent", "--give-up-after", "2s"]);
        let (monitor_url, queue_port) = (url(self.monitor_port), self.queue_port);
        let (servers, _) = SETTINGS.split_once("\nservers = ").unwrap();
        let (_, profiles) = SETTINGS.split_once("\n[profiles").unwrap();
        let mut settings = format!(
            "port = {}\ngithub_api_url = \"{}\"\n{servers}\nservers = [\"{monitor_url}\"]\nport = {queue_port}\n\
             settle = 1\n[profiles{profiles}",
            self.monitor_port, self.github.base_url
        );
        for (from, to) in [
            (r#"["::1", "192.168.100.1"]"#, r#"["127.0.0.1"]"#),
            (
                "monitor_poll_interval = 5",
                "monitor_poll_interval = \"200ms\"",
            ),
            ("api_cache_timeout = 30", "api_cache_timeout = 1"),
            // As long as anything may take here.
            (
                "monitor_reserve_timeout = 60",
                "monitor_reserve_timeout = 600",
            ),
            ("\"/root/servo\"", "\"servo\""),
            // Guests that are processes find the monitor there.
            ("https://ci0.servo.org/", &format!("{monitor_url}/")),
            ("target_count = 3", &format!("target_count = {TARGET}")),
            ("target_count = 1", "target_count = 0"),
        ] {
            assert!(settings.contains(from), "{from} is not in the settings");
            settings = settings.replace(from, to);
        }
        for profile in [
            "servo-windows10",
            "servo-ubuntu2204",
            "servo-ubuntu2204-wpt",
        ] {
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

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
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
                output = &mut finished => match output {
                    Ok(output) => break output.unwrap(),
                    Err(_) => panic!("this does not end:\n{script}\n{}", self.logs()),
                },
                call = self.calls.recv() => {
                    let (verb, unit, done) = call.unwrap();
                    let mut answer = String::new();
                    match verb.as_str() {
                        "start" => self.start_service(&unit).await,
                        "stop" => self.stop_service(&unit).await,
                        "guests" => answer = guest::names(&self.data()).join("\n"),
                        other => panic!("systemctl {other} {unit}"),
                    }
                    done.send(answer).unwrap();
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
            "monitor" => Service::Model(self.servo_monitor().start().await),
            "queue" => Service::Model(self.servo_queue().start(self.queue_port)),
            "ci-runners-monitor" => Service::Process(self.spawn("monitor")),
            "ci-runners-queue" => Service::Process(self.spawn("queue")),
            other => panic!("there is no service {other}"),
        };
        let earlier = self.services.insert(unit.to_owned(), service);
        assert!(earlier.is_none(), "{unit} runs already");
    }

    fn servo_monitor(&self) -> ServoMonitor {
        ServoMonitor {
            github_url: self.github.base_url.clone(),
            data: self.data(),
            port: self.monitor_port,
            target: TARGET as usize,
            gap: AtomicU64::new(0),
        }
    }

    fn servo_queue(&self) -> ServoQueue {
        ServoQueue {
            monitor_url: url(self.monitor_port),
            jobs: Default::default(),
        }
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

    /// The base URL of the monitor that runs.
    pub fn monitor_url(&self) -> String {
        url(self.monitor_port)
    }

    /// Waits until the monitor counts that many idle runners, and, if `has_our_queue`, the queue does too.
    pub async fn wait_for_idle(&self, count: u64, has_our_queue: bool) {
        wait_until("the runners are idle", async || {
            let monitor = self.counts().await["idle"] == count;
            let url = format!("{}/dashboard.json", self.queue_url());
            let queue = get(&url).await.unwrap_or_default();
            let mut profiles = queue["profiles"].as_array().into_iter().flatten();
            let queue = profiles.any(|it| it["profile_key"] == PROFILE && it["idle"] == count);
            monitor && (queue || !has_our_queue)
        })
        .await;
    }

    /// The dashboard of the monitor that runs; null while it has none.
    pub async fn dashboard(&self) -> Value {
        let url = format!("{}/dashboard.json", self.monitor_url());
        get(&url).await.unwrap_or_default()
    }

    /// How many runners the monitor has, by status.
    pub async fn counts(&self) -> Value {
        self.dashboard().await["profile_runner_counts"][PROFILE].clone()
    }

    /// Queues a workflow job with `runs-on: <label>`. A command that waits for a file finds it in the host's folder.
    pub fn queue_job(&self, label: &str, command: &str) -> JobId {
        let new = NewJob {
            repo: REPO.parse().unwrap(),
            run_id: RunId(123),
            labels: vec![label.to_owned()],
            command: command.replace("FOLDER", self.folder.path().to_str().unwrap()),
        };
        let queued = self
            .github
            .emulator
            .model(|model, now| model.queue_job(now, new));
        queued.unwrap()
    }

    /// Waits until a workflow job is in this phase; returns its runner's name.
    pub async fn wait_for_job(&self, id: JobId, phase: JobPhase) -> String {
        let job = || {
            self.github
                .emulator
                .model(|model, now| model.job(now, id))
                .unwrap()
        };
        wait_until("the job is in the phase", async || job().phase == phase).await;
        let expected = (phase == JobPhase::Completed).then_some(Conclusion::Success);
        assert_eq!(job().conclusion, expected);
        job().runner_name.unwrap()
    }

    /// Runs a workflow job with `runs-on: <label>` until it has succeeded.
    pub async fn run_job(&self, label: &str) {
        let id = self.queue_job(label, "true");
        self.wait_for_job(id, JobPhase::Completed).await;
    }

    /// Lets the workflow jobs that wait for `name` in the host's folder end.
    pub fn create_file(&self, name: &str) {
        fs::write(self.folder.path().join(name), "").unwrap();
    }
}

impl Drop for Host {
    /// Shows what a failed test needs to be understood.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let runners = self.github.emulator.model(|model, now| {
                let scope = "/orgs/servo".parse().unwrap();
                model.runners(now, &scope, None, PageRequest::new(None, None))
            });
            eprintln!(
                "services: {:?}\n{runners:#?}\n{}",
                self.running(),
                self.logs()
            );
        }
    }
}

/// Serves the calls of `systemctl` and `virsh`.
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
                    HttpResponse::Ok().body(is_done.await.unwrap())
                }
            }),
        )
    };
    let server = HttpServer::new(app).workers(1).disable_signals();
    let server = server.bind(("127.0.0.1", port)).unwrap().run();
    actix_web::rt::spawn(server);
}
