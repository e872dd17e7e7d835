//! The monitor of servo/ci-runners as GitHub, guests, queues and operators see it. Its responses have the form of
//! those recorded in `recorded/`; which runners they show follows from GitHub's list, the list of guests and the
//! files of the data folder, by the rules of its code.
//!
//! Not responsible for what the other monitor does about a runner that has ended, nor for its images.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::{Duration, UNIX_EPOCH},
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::ServerHandle,
    web::{self, Data, Path},
};
use http_client::{Client, Method, Request};
use serde_json::{Value, json};
use shared::{clock::Clock, secret::Secret};

use super::{
    super::{
        support::{API_TOKEN, url},
        workflows::GITHUB_TOKEN,
    },
    guest,
};

const DASHBOARD: &str = include_str!("recorded/dashboard.json");
/// Its only profile that has runners.
pub const PROFILE: &str = "servo-ubuntu2204";
/// How many requests for the dashboard fail after a take: it has none until its next look at everything.
const GAP: u64 = 2;

/// A monitor.
pub struct ServoMonitor {
    /// GitHub's base URL.
    pub github_url: String,
    pub data: PathBuf,
    pub port: u16,
    /// The number of runners of its only profile that has any.
    pub target: usize,
    /// How many of the next requests for the dashboard fail.
    pub gap: AtomicU64,
}

/// Serves on a port until the handle is used to stop it.
macro_rules! serve {
    ($port:expr, $app:expr) => {{
        let server = HttpServer::new($app).workers(1).disable_signals();
        let server = server.bind(("127.0.0.1", $port)).unwrap().run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        handle
    }};
}
pub(super) use serve;

impl ServoMonitor {
    /// Starts it: it creates the runners that are missing.
    pub async fn start(self) -> ServerHandle {
        let port = self.port;
        let monitor = Data::new(self);
        let state = monitor.clone();
        let app = move || {
            App::new()
                .app_data(state.clone())
                .route("/dashboard.json", web::get().to(dashboard))
                .route("/profile/{profile}/take", web::post().to(take_one))
                .route("/profile/{profile}/take/{count}", web::post().to(take))
                .route("/github-jitconfig", web::get().to(jit_config))
        };
        let handle = serve!(port, app);
        let missing = monitor.target.saturating_sub(monitor.runners().await.len());
        for _ in 0..missing {
            monitor.create_runner().await;
        }
        handle
    }

    async fn github(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}/orgs/servo/actions/runners{path}", self.github_url);
        let token = Secret::new(GITHUB_TOKEN);
        let mut request = Request::new(method, &url).json(&body);
        request.bearer = Some(&token);
        let response = Client::new().send(request).await.unwrap();
        assert!(response.status.is_success(), "{path}: {}", response.status);
        response.json().unwrap()
    }

    fn runner_data(&self, id: u64) -> PathBuf {
        self.data.join("runners").join(id.to_string())
    }

    async fn create_runner(&self) {
        let last_id = self.data.join("last-runner-id");
        let id = fs::read_to_string(&last_id).map_or(0, |id| id.parse::<u64>().unwrap() + 1);
        fs::write(last_id, id.to_string()).unwrap();
        fs::create_dir_all(self.data.join("runners")).unwrap();
        let runner_data = self.runner_data(id);
        fs::create_dir(&runner_data).unwrap();
        fs::write(runner_data.join("runner.toml"), "image_type = \"Rust\"\n").unwrap();
        let guest = format!("ci-runner-{PROFILE}.{id}");
        let body = json!({
            "name": format!("{guest}@ci0"), "runner_group_id": 1, "work_folder": "_work",
            "labels": ["self-hosted", "X64", format!("self-hosted-image:{PROFILE}")],
        });
        let registration = self.github(Method::POST, "/generate-jitconfig", body).await;
        let file = runner_data.join("github-api-registration");
        fs::write(file, registration.to_string()).unwrap();
        guest::start(&self.data, &guest, &url(self.port));
    }

    /// The runners that have a guest and a registration, by id. It knows those alone whose data folder says when
    /// they were created.
    async fn runners(&self) -> BTreeMap<u64, Value> {
        let list = self.github(Method::GET, "?per_page=100", Value::Null).await;
        let guests = guest::names(&self.data);
        let mut runners = BTreeMap::new();
        for registered in list["runners"].as_array().unwrap() {
            let Some(guest) = registered["name"].as_str().unwrap().strip_suffix("@ci0") else {
                continue;
            };
            let id: u64 = guest.rsplit_once('.').unwrap().1.parse().unwrap();
            let metadata = |file| fs::metadata(self.runner_data(id).join(file));
            let created = metadata("created-time").or_else(|_| metadata("runner.toml"));
            let (Ok(created), true) = (created, guests.iter().any(|name| name == guest)) else {
                continue;
            };
            let created = created.modified().unwrap();
            runners.insert(id, shown(id, guest, registered, created));
        }
        runners
    }
}

/// A runner in the form of the recorded one.
fn shown(id: u64, guest: &str, registered: &Value, created: std::time::SystemTime) -> Value {
    let recorded: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut runner = recorded["runners"][0]["runner"].clone();
    let created: Duration = created.duration_since(UNIX_EPOCH).unwrap();
    runner["created_time"] = json!({
        "secs_since_epoch": created.as_secs(), "nanos_since_epoch": created.subsec_nanos(),
    });
    runner["id"] = json!(id);
    runner["guest_name"] = json!(guest);
    for field in ["id", "busy", "name", "status"] {
        runner["registration"][field] = registered[field].clone();
    }
    let labels = registered["labels"].as_array().unwrap().iter();
    let labels = labels.map(|label| json!({"name": label["name"]}));
    runner["registration"]["labels"] = labels.collect();
    runner
}

/// The status by which it counts a runner.
fn status(runner: &Value) -> &'static str {
    let registration = &runner["registration"];
    let mut labels = registration["labels"].as_array().unwrap().iter();
    if registration["busy"] == true {
        "busy"
    } else if labels.any(|label| label["name"].as_str().unwrap().starts_with("reserved-for:")) {
        "reserved"
    } else if registration["status"] == "online" {
        "idle"
    } else {
        "started_or_crashed"
    }
}

async fn dashboard(monitor: Data<ServoMonitor>) -> HttpResponse {
    let gap = monitor.gap.load(SeqCst);
    if gap > 0 {
        monitor.gap.store(gap - 1, SeqCst);
        return HttpResponse::ServiceUnavailable().body(
            "Monitor thread is still starting or not responding\n\nLocation:\n    monitor/src/main.rs:171:10",
        );
    }
    let runners = monitor.runners().await;
    let mut dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let counts = &mut dashboard["profile_runner_counts"][PROFILE];
    let count = |wanted| runners.values().filter(|it| status(it) == wanted).count();
    for wanted in ["started_or_crashed", "idle", "reserved", "busy"] {
        counts[wanted] = json!(count(wanted));
    }
    counts["target"] = json!(monitor.target);
    counts["healthy"] = json!(runners.len());
    let entry = |(id, runner): (&u64, &Value)| {
        let screenshot_url = format!("https://ci0.servo.org/runner/{id}/screenshot");
        json!({"id": id, "screenshot_url": screenshot_url, "runner": runner})
    };
    dashboard["runners"] = runners.iter().map(entry).collect();
    HttpResponse::Ok().json(dashboard)
}

async fn take_one(
    request: HttpRequest,
    profile: Path<String>,
    monitor: Data<ServoMonitor>,
) -> HttpResponse {
    monitor.take(&request, &profile, 1).await
}

async fn take(
    request: HttpRequest,
    path: Path<(String, usize)>,
    monitor: Data<ServoMonitor>,
) -> HttpResponse {
    monitor.take(&request, &path.0, path.1).await
}

impl ServoMonitor {
    /// Reserves as many runners as there are. The response shows them as they were before.
    async fn take(&self, request: &HttpRequest, profile: &str, count: usize) -> HttpResponse {
        let authorization = request.headers().get("authorization");
        if authorization.is_none_or(|value| value != format!("Bearer {API_TOKEN}").as_str()) {
            return HttpResponse::Forbidden().finish();
        }
        let query: BTreeMap<String, String> =
            web::Query::from_query(request.query_string()).unwrap().0;
        let mut taken = Vec::new();
        for (id, runner) in self.runners().await {
            if profile != PROFILE || taken.len() == count || status(&runner) != "idle" {
                continue;
            }
            let since = Clock::start().now().to_system_time();
            let since = since.duration_since(UNIX_EPOCH).unwrap().as_secs();
            let run = format!(
                "{}/actions/runs/{}",
                query["qualified_repo"], query["run_id"]
            );
            let labels = json!({"labels": [
                format!("reserved-for:{}", query["unique_id"]),
                format!("reserved-since:{since}"),
                format!("reserved-by:{run}"),
            ]});
            let path = format!("/{}/labels", runner["registration"]["id"]);
            self.github(Method::POST, &path, labels).await;
            self.gap.store(GAP, SeqCst);
            taken.push(json!({"id": id, "runner": runner}));
        }
        let taken = Some(taken).filter(|taken| !taken.is_empty());
        HttpResponse::Ok().json(taken)
    }
}

/// The JIT configuration of the guest that asks.
async fn jit_config(request: HttpRequest, monitor: Data<ServoMonitor>) -> HttpResponse {
    let name = request.headers().get("authorization").unwrap().to_str();
    let id = name.unwrap().rsplit_once('.').unwrap().1.parse().unwrap();
    let file = monitor.runner_data(id).join("github-api-registration");
    let registration: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    HttpResponse::Ok().json(&registration["encoded_jit_config"])
}
