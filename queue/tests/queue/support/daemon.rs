//! The real queue, in a thread with a runtime of its own.

use std::{
    net::{SocketAddr, TcpListener},
    sync::mpsc,
    thread::JoinHandle,
};

use queue::app::build;
use serde_json::Value;
use shared::{
    clock::Clock,
    settings::{Environment, Settings},
};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::{API_TOKEN, FakeMonitor, PendingRequest, Response, http, log, wait_until};

/// A queue that runs until this is dropped.
pub struct Daemon {
    address: SocketAddr,
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    /// A queue in front of these monitors, without a startup grace period.
    pub fn start(monitors: &[&FakeMonitor]) -> Self {
        Self::start_with(monitors, "settle = 0")
    }

    /// The same, with other settings of `[queue]`.
    pub fn start_with(monitors: &[&FakeMonitor], queue_settings: &str) -> Self {
        Self::start_with_github(monitors, queue_settings, None)
    }

    /// The same, with the URL of a GitHub and a token for it.
    pub fn start_with_github(
        monitors: &[&FakeMonitor],
        queue_settings: &str,
        github: Option<(&str, &str)>,
    ) -> Self {
        let servers: Vec<&str> = monitors
            .iter()
            .map(|monitor| monitor.url.as_str())
            .collect();
        Self::start_with_servers(&servers, queue_settings, github)
    }

    /// A queue in front of these monitors, with these variables in addition.
    pub fn start_with_variables(
        monitors: &[&FakeMonitor],
        variables: &[(&'static str, String)],
    ) -> Self {
        let servers = monitors.iter().map(|monitor| monitor.url.as_str());
        let servers: Vec<&str> = servers.collect();
        let (folder, mut environment) = prepare(&servers, "settle = 0", None);
        environment.extend_from_slice(variables);
        Self::start_in(folder, environment)
    }

    /// A queue in front of these URLs.
    pub fn start_with_servers(
        servers: &[&str],
        queue_settings: &str,
        github: Option<(&str, &str)>,
    ) -> Self {
        let (folder, environment) = prepare(servers, queue_settings, github);
        Self::start_in(folder, environment)
    }

    /// A queue that listens here, in front of these URLs.
    pub fn start_at(listener: TcpListener, servers: &[&str], queue_settings: &str) -> Self {
        let (folder, environment) = prepare(servers, queue_settings, None);
        Self::start_on(listener, folder, environment)
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    fn start_in(folder: TempDir, environment: Vec<(&'static str, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::start_on(listener, folder, environment)
    }

    fn start_on(
        listener: TcpListener,
        folder: TempDir,
        environment: Vec<(&'static str, String)>,
    ) -> Self {
        log::capture();
        let variables = environment
            .iter()
            .map(|(name, value)| (*name, value.clone()));
        let variables = Environment::from_iter(variables);
        let settings = Settings::load(&folder.path().join("monitor.toml"), &variables).unwrap();
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

    /// Asks the queue to stop, as a signal would.
    pub fn ask_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).expect("the queue still runs");
        }
    }

    /// Waits until a queue that was asked to stop has stopped.
    pub fn wait_for_end(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the queue ends without a panic");
        }
    }

    /// Stops the queue and starts it again with the same settings and data, on another port.
    pub fn restart(mut self) -> Self {
        self.ask_to_stop();
        self.wait_for_end();
        let empty = tempfile::tempdir().unwrap();
        let folder = std::mem::replace(&mut self.folder, empty);
        Self::start_in(folder, std::mem::take(&mut self.environment))
    }

    /// Sends a request and does not wait for its response.
    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> PendingRequest {
        http::send(self.address, method, target, headers)
    }

    /// Sends these bytes and does not wait for a response.
    pub fn send_bytes(&self, bytes: &[u8]) -> PendingRequest {
        http::send_bytes(self.address, bytes)
    }

    /// Sends a request and waits for its response.
    pub fn request(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
        self.send(method, target, headers).response()
    }

    /// The same, with the API token.
    pub fn request_as_operator(&self, method: &str, target: &str) -> Response {
        let bearer = format!("Bearer {API_TOKEN}");
        self.request(method, target, &[("authorization", &bearer)])
    }

    /// Tries to enqueue a job for one runner of `linux`.
    pub fn try_enqueue(&self, job: &str) -> Response {
        self.request_as_operator(
            "POST",
            &format!("/profile/linux/enqueue?{}", parameters(job)),
        )
    }

    /// Enqueues a job for one runner of `linux`; returns its ticket.
    #[track_caller]
    pub fn enqueue(&self, job: &str) -> String {
        self.try_enqueue(job).expect_text(200)
    }

    /// Enqueues a job for several runners of `linux`; returns its ticket.
    #[track_caller]
    pub fn enqueue_several(&self, job: &str, count: usize) -> String {
        let target = format!("/profile/linux/enqueue/{count}?{}", parameters(job));
        self.request_as_operator("POST", &target).expect_text(200)
    }

    /// Takes a job's runners without waiting for them.
    pub fn take(&self, job: &str, ticket: &str) -> Response {
        let json = ("accept", "application/json");
        self.request("POST", &format!("/take/{job}?token={ticket}"), &[json])
    }

    /// Takes a job's runners; the queue holds the request until there are some.
    pub fn take_held(&self, job: &str, ticket: &str) -> PendingRequest {
        let headers = [("prefer", "wait=25"), ("accept", "application/json")];
        self.send("POST", &format!("/take/{job}?token={ticket}"), &headers)
    }

    /// Takes a job's runners and waits for them.
    #[track_caller]
    pub fn expect_runners(&self, job: &str, ticket: &str) -> Value {
        self.take_held(job, ticket).response().expect_json(200)
    }

    /// The dashboard as JSON, not older than this call.
    pub fn dashboard(&self) -> Value {
        let called_at = Clock::start().now().as_micros();
        wait_until("a new snapshot", || {
            let dashboard = self.request("GET", "/dashboard.json", &[]).expect_json(200);
            let captured_at = dashboard["captured_at_micros"].as_u64();
            captured_at
                .is_some_and(|at| called_at <= at)
                .then_some(dashboard)
        })
    }

    /// Asserts how many jobs wait.
    #[track_caller]
    pub fn assert_waiting_count(&self, count: usize) {
        let dashboard = self.dashboard();
        assert_eq!(dashboard["waiting_count"], count, "{dashboard}");
    }

    /// Asserts that a job keeps its place: it waits, and its ticket is valid.
    #[track_caller]
    pub fn assert_waiting(&self, job: &str, ticket: &str) {
        self.take(job, ticket).assert_refused(503, "waiting");
    }

    /// Asserts that there is no such job any more.
    #[track_caller]
    pub fn assert_unknown(&self, job: &str, ticket: &str) {
        self.take(job, ticket).assert_refused(404, "unknown_job");
    }

    /// Withdraws a job with its ticket.
    #[track_caller]
    pub fn withdraw(&self, job: &str, ticket: &str) {
        let response = self.request("DELETE", &format!("/job/{job}?token={ticket}"), &[]);
        assert_eq!(response.status, 204, "{response:?}");
        assert_eq!(response.body, "");
    }

    /// The status of a job; null if there is none of that name.
    pub fn job(&self, job: &str) -> Value {
        let response = self.request_as_operator("GET", &format!("/job/{job}"));
        if response.status == 404 {
            Value::Null
        } else {
            response.expect_json(200)
        }
    }

    /// The health of the server of this number, as on the dashboard.
    pub fn health(&self, server: usize) -> String {
        let health = &self.dashboard()["servers"][server]["health"];
        health.as_str().unwrap().to_owned()
    }

    /// The problems of this code: the subject of each, with its cause.
    pub fn problems(&self, code: &str) -> Vec<(String, String)> {
        let dashboard = self.dashboard();
        let problems = dashboard["problems"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        problems
            .filter(|problem| problem["code"] == code)
            .map(|problem| (text(&problem["subject"]), text(&problem["cause"])))
            .collect()
    }

    /// Waits until there is a problem of this code; returns its subject.
    pub fn wait_for_problem(&self, code: &str) -> String {
        wait_until(code, || {
            self.problems(code).pop().map(|(subject, _)| subject)
        })
    }

    /// Waits until there is no problem of this code.
    pub fn wait_for_end_of_problem(&self, code: &str) {
        wait_until(code, || self.problems(code).is_empty().then_some(()));
    }

    /// Replaces a part of the settings file.
    pub fn edit_settings(&self, former: &str, new: &str) {
        let file = self.folder.path().join("monitor.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(former), "{text}");
        std::fs::write(file, text.replace(former, new)).unwrap();
    }

    /// The file of that name in the queue's data folder.
    pub fn data_file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("data").join("queue").join(name)
    }

    /// Waits until the server of this number is down.
    pub fn wait_until_down(&self, server: usize) {
        wait_until("a server to be down", || {
            (self.health(server) == "down").then_some(())
        });
    }

    /// Waits until exactly so many servers have a fresh report.
    pub fn wait_until_fresh(&self, count: usize) {
        wait_until("fresh reports", || {
            let dashboard = self.request("GET", "/dashboard.json", &[]).expect_json(200);
            let servers = dashboard["servers"].as_array().unwrap().iter();
            let fresh = servers.filter(|server| server["health"] == "fresh");
            (fresh.count() == count).then_some(())
        });
    }

    /// Waits until a job is in this state.
    pub fn wait_until_job_is(&self, job: &str, state: &str) {
        wait_until(state, || (self.job(job)["state"] == state).then_some(()));
    }

    /// Waits until a job is over.
    pub fn wait_until_job_is_gone(&self, job: &str) {
        let outcomes = ["finished", "expired", "withdrawn", "abandoned"];
        wait_until("the end of the job", || {
            let state = self.job(job)["state"].take();
            outcomes.iter().any(|it| state == *it).then_some(())
        });
    }
}

/// A queue in front of monitors that have reported.
pub struct Fixture<const N: usize> {
    pub daemon: Daemon,
    /// In the order in which the queue numbers them.
    pub monitors: [FakeMonitor; N],
}

impl Fixture<1> {
    /// One server without runners, and no jobs.
    pub fn one_server() -> Self {
        Self::start("settle = 0")
    }

    /// One server without runners, and one waiting job, `job`, of which this returns the ticket.
    pub fn one_server_one_job() -> (Self, String) {
        let fixture = Self::one_server();
        let ticket = fixture.daemon.enqueue("job");
        (fixture, ticket)
    }

    /// One server, one job, `job`, and the one runner that the job has received; returns the ticket.
    pub fn one_delivered_job() -> (Self, String) {
        let (fixture, ticket) = Self::one_server_one_job();
        fixture.monitor().boot(1);
        let runner = fixture.daemon.expect_runners("job", &ticket);
        assert_eq!(runner["id"], 1);
        (fixture, ticket)
    }

    /// The monitor.
    pub fn monitor(&self) -> &FakeMonitor {
        &self.monitors[0]
    }
}

impl Fixture<2> {
    /// Two servers without runners, and no jobs.
    pub fn two_servers() -> Self {
        Self::start("settle = 0")
    }
}

impl<const N: usize> Fixture<N> {
    /// Servers without runners, no jobs, and these settings of `[queue]`.
    pub fn start(queue_settings: &str) -> Self {
        let monitors = FakeMonitor::start_several::<N>();
        let daemon = Daemon::start_with(&monitors.each_ref(), queue_settings);
        daemon.wait_until_fresh(N);
        Self { daemon, monitors }
    }

    /// Restarts the queue; the monitors keep running.
    pub fn restart(self) -> Self {
        Self {
            daemon: self.daemon.restart(),
            monitors: self.monitors,
        }
    }
}

/// The settings of a queue in front of these URLs, and its environment.
fn prepare(
    servers: &[&str],
    queue_settings: &str,
    github: Option<(&str, &str)>,
) -> (TempDir, Vec<(&'static str, String)>) {
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
    (folder, environment)
}

/// The parameters of an enqueue.
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
