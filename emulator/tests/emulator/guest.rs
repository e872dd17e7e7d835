//! A runner agent in this process, the stand-in for a monitor that hands it its credential, and
//! what can be seen of both at GitHub.

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

use super::support::{Stage, within};

/// Hands out a JIT configuration, after some other answers.
pub struct Monitor {
    pub url: String,
    server: ServerHandle,
}

/// The answers to give, the last one first, and the credential for whoever comes after.
struct Desk {
    before: Mutex<Vec<u16>>,
    credential: Secret,
}

impl Monitor {
    pub fn with(before: &[u16], credential: Secret) -> Self {
        let before = Mutex::new(before.iter().rev().copied().collect());
        let desk = Data::new(Desk { before, credential });
        let app = move || {
            App::new()
                .app_data(desk.clone())
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

impl Drop for Monitor {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

async fn serve(desk: Data<Desk>, request: HttpRequest) -> HttpResponse {
    if request
        .headers()
        .get("authorization")
        .is_none_or(|value| value != "Bearer guest")
    {
        return HttpResponse::Unauthorized().finish();
    }
    match desk.before.lock().pop() {
        Some(status) => HttpResponse::build(status.try_into().unwrap()).finish(),
        None => HttpResponse::Ok().json(desk.credential.expose()),
    }
}

pub fn settings(monitor_url: &str) -> AgentSettings {
    AgentSettings {
        retry_pause: Duration::from_millis(10),
        ..AgentSettings::new(monitor_url, Secret::new("guest"))
    }
}

pub type Agent = JoinHandle<Result<AgentOutcome, AgentError>>;

/// Registers the runner `a` and starts its agent, and keeps its monitor.
pub async fn start(stage: &Stage, change: impl FnOnce(&mut AgentSettings)) -> (Agent, Monitor) {
    let (_, credential) = stage.register("a", &["x"]).await;
    let monitor = Monitor::with(&[], credential);
    let mut settings = settings(&monitor.url);
    change(&mut settings);
    (rt::spawn(agent::run(settings)), monitor)
}

pub fn job(emulator: &Emulator, id: JobId) -> JobView {
    emulator.model(|model, now| model.job(now, id)).unwrap()
}

pub async fn until_running(stage: &Stage, id: JobId) {
    stage
        .until(|emulator| job(emulator, id).phase == JobPhase::InProgress)
        .await;
}

pub async fn until_shown(stage: &Stage, id: JobId, output: &str) {
    stage
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
