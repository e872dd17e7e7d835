//! The real queue, in a thread with a runtime of its own.

use std::{
    net::{SocketAddr, TcpListener},
    sync::mpsc,
    thread::JoinHandle,
};

use queue::app::build;
use serde_json::Value;
use shared::settings::{Environment, Settings};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::{Answer, Monitor, Open, http, log, until};

/// What opens the calls of the API, at the queue and at its monitors.
pub const API_TOKEN: &str = "hunter2-opens-the-api";

/// A queue that runs until this is dropped.
pub struct Daemon {
    address: SocketAddr,
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    /// A queue in front of these monitors that gives runners out at once.
    pub fn before(monitors: &[&Monitor]) -> Self {
        Self::with(monitors, "settle = 0")
    }

    /// The same, with other settings of `[queue]`.
    pub fn with(monitors: &[&Monitor], queue_settings: &str) -> Self {
        Self::with_github(monitors, queue_settings, None)
    }

    /// The same, with a GitHub and a token for it.
    pub fn with_github(
        monitors: &[&Monitor],
        queue_settings: &str,
        github: Option<(&str, &str)>,
    ) -> Self {
        let servers: Vec<&str> = monitors
            .iter()
            .map(|monitor| monitor.url.as_str())
            .collect();
        let api_url = github.map_or("http://127.0.0.1:9", |(url, _)| url);
        let settings = format!(
            "listen_on = [\"127.0.0.1\"]\n\
             external_base_url = \"http://127.0.0.1:8000/\"\n\
             github_api_url = \"{api_url}\"\n\
             github_api_scope = \"/orgs/servo\"\n\
             github_api_suffix = \"test\"\n\
             allowed_qualified_repo_prefix = \"servo/\"\n\
             available_normal_memory = \"16G\"\n\
             [queue]\nservers = {servers:?}\n{queue_settings}\n"
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("monitor.toml"), settings).unwrap();
        let data = folder.path().join("data").display().to_string();
        let mut environment = vec![
            ("SERVO_CI_MONITOR_API_TOKEN", API_TOKEN.to_owned()),
            ("SERVO_CI_MONITOR_DATA_PATH", data),
        ];
        environment.extend(github.map(|(_, token)| ("GITHUB_TOKEN", token.to_owned())));
        Self::start(folder, environment)
    }

    fn start(folder: TempDir, environment: Vec<(&'static str, String)>) -> Self {
        log::capture();
        let variables = environment
            .iter()
            .map(|(name, value)| (*name, value.clone()));
        let variables = Environment::from_iter(variables);
        let settings = Settings::load(&folder.path().join("monitor.toml"), &variables).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (started, is_started) = mpsc::channel();
        let run = move || {
            actix_web::rt::System::new().block_on(async move {
                let app = build(&settings, vec![listener]).unwrap();
                assert_eq!(app.addresses(), [address]);
                started.send(()).unwrap();
                let stop = async {
                    let _ = stopped.await;
                };
                app.run_until(stop).await.unwrap();
            });
        };
        let thread = std::thread::spawn(run);
        is_started.recv().expect("the queue starts");
        Self {
            address,
            folder,
            environment,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Asks the queue to end, as a signal would.
    pub fn ask_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).expect("the queue still runs");
        }
    }

    /// Waits for the end of a queue that was asked for it.
    pub fn wait_for_end(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the queue ends without a panic");
        }
    }

    /// Ends the queue and starts it again, with the same settings and data, at another port.
    pub fn restart(mut self) -> Self {
        self.ask_to_stop();
        self.wait_for_end();
        let empty = tempfile::tempdir().unwrap();
        let folder = std::mem::replace(&mut self.folder, empty);
        Self::start(folder, std::mem::take(&mut self.environment))
    }

    /// Sends a request and does not wait for its answer.
    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Open {
        http::send(self.address, method, target, headers)
    }

    /// Sends these bytes and does not wait for an answer.
    pub fn send_bytes(&self, bytes: &[u8]) -> Open {
        http::send_bytes(self.address, bytes)
    }

    /// A request and its answer.
    pub fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(method, target, headers).answer()
    }

    /// The same, with the API token.
    pub fn ask_as_operator(&self, method: &str, target: &str) -> Answer {
        let bearer = format!("Bearer {API_TOKEN}");
        self.ask(method, target, &[("authorization", &bearer)])
    }

    /// Asks to enqueue a job for one runner of `linux`.
    pub fn try_enqueue(&self, job: &str) -> Answer {
        self.ask_as_operator(
            "POST",
            &format!("/profile/linux/enqueue?{}", parameters(job)),
        )
    }

    /// Enqueues a job for one runner of `linux`; its ticket.
    #[track_caller]
    pub fn enqueue(&self, job: &str) -> String {
        self.try_enqueue(job).text_of(200)
    }

    /// Enqueues a job for several runners of `linux`; its ticket.
    #[track_caller]
    pub fn enqueue_several(&self, job: &str, count: usize) -> String {
        let target = format!("/profile/linux/enqueue/{count}?{}", parameters(job));
        self.ask_as_operator("POST", &target).text_of(200)
    }

    /// Asks for a job's runners, without waiting.
    pub fn take(&self, job: &str, ticket: &str) -> Answer {
        let json = ("accept", "application/json");
        self.ask("POST", &format!("/take/{job}?token={ticket}"), &[json])
    }

    /// Asks for a job's runners, ready to wait; the queue holds the request.
    pub fn take_held(&self, job: &str, ticket: &str) -> Open {
        let headers = [("prefer", "wait=25"), ("accept", "application/json")];
        self.send("POST", &format!("/take/{job}?token={ticket}"), &headers)
    }

    /// The runners of a job, once it has them.
    #[track_caller]
    pub fn runners(&self, job: &str, ticket: &str) -> Value {
        self.take_held(job, ticket).answer().json_of(200)
    }

    /// Everything that the dashboard shows.
    pub fn view(&self) -> Value {
        self.ask("GET", "/dashboard.json", &[]).json_of(200)
    }

    /// How the server of this number looks from the queue.
    pub fn health(&self, server: usize) -> String {
        self.view()["servers"][server]["health"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// How a job stands; null if there is none of that name.
    pub fn job(&self, job: &str) -> Value {
        let answer = self.ask_as_operator("GET", &format!("/job/{job}"));
        if answer.status == 404 {
            Value::Null
        } else {
            answer.json_of(200)
        }
    }

    /// Waits until the queue has heard of as many servers as it can.
    pub fn wait_until_fresh(&self, count: usize) {
        until("that servers are fresh", || {
            let view = self.view();
            let servers = view["servers"].as_array().unwrap();
            let fresh = servers.iter().filter(|server| server["health"] == "fresh");
            (fresh.count() == count).then_some(())
        });
    }

    /// Waits until a job is in this state.
    pub fn wait_until_job_is(&self, job: &str, state: &str) {
        until(state, || (self.job(job)["state"] == state).then_some(()));
    }
}

/// The parameters of a job that have nothing to do with what is tested.
pub fn parameters(job: &str) -> String {
    format!("unique_id={job}&qualified_repo=servo/servo&run_id=7")
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                std::thread::panicking() || ended.is_ok(),
                "the queue panicked"
            );
        }
    }
}
