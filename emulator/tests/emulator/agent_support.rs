//! An agent in this process, and a test double of the monitor that returns its JIT configuration.

use std::time::Duration;

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::ServerHandle,
    rt,
    web::{self, Data},
};
use emulator::{
    Emulator,
    agent::{self, AgentError, AgentOutcome, AgentSettings},
    model::{JobId, JobPhase, JobView, PageRequest, RunnerStatus},
};
use parking_lot::Mutex;
use shared::secret::Secret;
use tokio::task::JoinHandle;

use super::support::{Fixture, within};

/// A monitor that returns a JIT configuration after some error responses.
pub struct FakeMonitor {
    pub url: String,
    server: ServerHandle,
}

struct MonitorState {
    /// The statuses of the next responses, last one first.
    errors: Mutex<Vec<u16>>,
    jit_config: Secret,
}

impl FakeMonitor {
    pub fn new(errors: &[u16], jit_config: Secret) -> Self {
        let errors = Mutex::new(errors.iter().rev().copied().collect());
        let state = Data::new(MonitorState { errors, jit_config });
        let app = move || {
            App::new()
                .app_data(state.clone())
                .route("/github-jitconfig", web::get().to(serve))
        };
        let server = HttpServer::new(app).workers(1).disable_signals();
        let server = server.bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        rt::spawn(server);
        Self {
            url,
            server: handle,
        }
    }
}

impl Drop for FakeMonitor {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

async fn serve(state: Data<MonitorState>, request: HttpRequest) -> HttpResponse {
    if request
        .headers()
        .get("authorization")
        .is_none_or(|value| value != "Bearer guest")
    {
        return HttpResponse::Unauthorized().finish();
    }
    match state.errors.lock().pop() {
        Some(status) => HttpResponse::build(status.try_into().unwrap()).finish(),
        None => HttpResponse::Ok().json(state.jit_config.expose()),
    }
}

pub fn settings(monitor_url: &str) -> AgentSettings {
    AgentSettings {
        retry_pause: Duration::from_millis(10),
        ..AgentSettings::new(monitor_url, Secret::new("guest"))
    }
}

pub type Agent = JoinHandle<Result<AgentOutcome, AgentError>>;

/// Registers the runner `a` and starts its agent; returns the agent and its monitor.
pub async fn start(
    fixture: &Fixture,
    change: impl FnOnce(&mut AgentSettings),
) -> (Agent, FakeMonitor) {
    let (_, jit_config) = fixture.register("a", &["x"]).await;
    let monitor = FakeMonitor::new(&[], jit_config);
    let mut settings = settings(&monitor.url);
    change(&mut settings);
    (rt::spawn(agent::run(settings)), monitor)
}

pub fn job(emulator: &Emulator, id: JobId) -> JobView {
    emulator.model(|model, now| model.job(now, id)).unwrap()
}

pub async fn wait_until_running(fixture: &Fixture, id: JobId) {
    fixture
        .until(|emulator| job(emulator, id).phase == JobPhase::InProgress)
        .await;
}

pub async fn wait_for_output(fixture: &Fixture, id: JobId, output: &str) {
    fixture
        .until(|emulator| job(emulator, id).output_tail.contains(output))
        .await;
}

pub async fn end(agent: Agent) -> Result<AgentOutcome, AgentError> {
    within(agent).await.unwrap()
}

pub fn runner_status(emulator: &Emulator) -> Option<(&'static str, bool)> {
    let page = PageRequest::new(None, None);
    let scope = "/orgs/acme".parse().unwrap();
    let page = emulator.model(|model, now| model.runners(now, &scope, Some("a"), page));
    let runner = page.items.first()?;
    Some(match runner.status {
        RunnerStatus::Online => ("online", runner.busy),
        RunnerStatus::Offline => ("offline", runner.busy),
    })
}
