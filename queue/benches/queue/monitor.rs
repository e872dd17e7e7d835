//! Monitors that have nothing to do with guests: as many as wanted, at one address, told when to
//! have an idle runner.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::json;
use tokio::sync::watch;

/// What each monitor has: how many of its runners became idle, and how many were taken.
type Pool = watch::Sender<(u64, u64)>;

/// Many monitors, at `/0/`, `/1/` and so on.
pub struct Monitors {
    address: SocketAddr,
    pools: Arc<Vec<Pool>>,
}

impl Monitors {
    /// Starts so many; they live as long as the benchmark.
    pub fn start(count: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let pools: Arc<Vec<Pool>> =
            Arc::new((0..count).map(|_| watch::channel((0, 0)).0).collect());
        let data = web::Data::from(pools.clone());
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = move || {
                    App::new()
                        .app_data(data.clone())
                        .route("/{monitor}/dashboard.json", web::get().to(dashboard))
                        .route("/{monitor}/profile/linux/take", web::post().to(take))
                };
                HttpServer::new(app)
                    .workers(1)
                    .listen(listener)
                    .expect("it listens")
                    .run()
                    .await
            })
        });
        Self { address, pools }
    }

    /// Where each of them is.
    pub fn base_urls(&self) -> Vec<String> {
        (0..self.pools.len())
            .map(|monitor| format!("http://{}/{monitor}/", self.address))
            .collect()
    }

    /// A runner becomes idle.
    pub fn add_idle_runner(&self, monitor: usize) {
        self.pools[monitor].send_modify(|(idle, _)| *idle += 1);
    }
}

async fn dashboard(
    pools: web::Data<Vec<Pool>>,
    monitor: web::Path<usize>,
    request: HttpRequest,
) -> HttpResponse {
    let mut pool = pools[*monitor].subscribe();
    let known = request
        .headers()
        .get("if-none-match")
        .and_then(|etag| etag.to_str().ok());
    let etag = |(idle, taken): (u64, u64)| format!("\"{idle}-{taken}\"");
    let is_news = pool.wait_for(|now| known != Some(etag(*now).as_str()));
    if tokio::time::timeout(Duration::from_secs(5), is_news)
        .await
        .is_err()
    {
        return HttpResponse::NotModified().finish();
    }
    let (idle, taken) = *pool.borrow();
    let runners: Vec<_> = (taken..idle)
        .map(|id| {
            json!({"id": id, "profile_key": "linux", "status": "idle", "runner": {"id": id, "registration": null,
                "created_time": {"secs_since_epoch": 0, "nanos_since_epoch": 0}, "guest_name": null, "ipv4_address": null}})
        })
        .collect();
    HttpResponse::Ok().insert_header(("etag", etag((idle, taken)))).json(json!({
        "profile_runner_counts": {"linux": {"target": 4, "healthy": 4, "started_or_crashed": 0, "idle": idle - taken,
            "reserved": 0, "busy": 0, "excess_healthy": 0, "wanted": 0, "image_age": null}},
        "runners": runners,
        "reservations": {},
    }))
}

async fn take(pools: web::Data<Vec<Pool>>, monitor: web::Path<usize>) -> HttpResponse {
    let mut id = None;
    pools[*monitor].send_modify(|(idle, taken)| {
        if taken < idle {
            id = Some(*taken);
            *taken += 1;
        }
    });
    match id {
        Some(id) => HttpResponse::Ok()
            .json(json!({"id": id, "runner": {"id": id}, "label": format!("runner:{id}")})),
        None => HttpResponse::ServiceUnavailable().json(json!({"code": "no_capacity"})),
    }
}
