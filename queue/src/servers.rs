//! One task for each server: hears what it has, takes runners there, gives reservations back.
//!
//! Owns the talking, and what an answer means: granted, refused for sure, or anybody's guess.
//! A server that is slow, silent or mad costs its own task time, and nobody else.

use std::time::Duration;

use http_client::{Client, HttpError, Method, Request, Response, Retry, StatusCode};
use serde::Deserialize;
use shared::{
    clock::Timestamp,
    secret::Secret,
    settings::BaseUrl,
    values::FencingToken,
    wire::{MonitorDashboard, TakeAnswer, TakenRunner},
};
use tokio::sync::mpsc;

use crate::driver::{Driver, Order};
use queue_core::{
    events::{Forward, ForwardOutcome, Input, Release},
    fleet::ServerId,
    report::Report,
};

/// How long a monitor is asked to hold its answer while nothing changes.
const WATCH_HOLD: Duration = Duration::from_secs(5);
/// How much longer than that an answer may take.
const WATCH_GRACE: Duration = Duration::from_secs(5);
/// Pause between two questions to a monitor that does not hold its answers.
const POLL_PAUSE: Duration = Duration::from_secs(1);
/// Shortest time between two reports of one server: however often it says that something changed.
const REPORT_PAUSE: Duration = Duration::from_millis(5);
/// How long a release may take.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest dashboard: some thousand runners and a day's reservations.
const DASHBOARD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The largest answer to a take.
const TAKE_BYTES_MAX: usize = 1024 * 1024;

/// One server, as its task sees it. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    /// Its number in the core.
    pub id: ServerId,
    /// Where it is.
    pub base_url: BaseUrl,
    /// Which queue this is: a number drawn at its start.
    pub queue: u64,
    /// The token that all monitors and their queue share.
    pub api_token: Secret,
    /// How calls go out.
    pub client: Client,
    /// Whom to tell.
    pub driver: Driver,
}

impl Server {
    /// An attempt of this queue as it stands on the wire.
    fn attempt(&self, number: u64) -> FencingToken {
        FencingToken {
            instance: self.queue,
            sequence: number,
        }
    }
}

/// Hears from a server for ever.
pub async fn watch(server: Server) {
    let mut etag: Option<String> = None;
    let mut was_reached = true;
    loop {
        let asked_at = server.driver.now();
        let heard = ask(&server, etag.as_deref(), asked_at).await;
        let took = server.driver.now().since(asked_at);
        let pause = match &heard {
            // It said that nothing changed without having waited for a change.
            Ok(Heard::Unchanged) if took < WATCH_HOLD / 2 => POLL_PAUSE,
            Ok(Heard::Unchanged) => Duration::ZERO,
            // It does not look at what we know already.
            Ok(Heard::Report { etag: new, .. }) if *new == etag => POLL_PAUSE,
            Ok(Heard::Report { .. }) => REPORT_PAUSE.saturating_sub(took),
            Err(_) => POLL_PAUSE,
        };
        log_change(&server, was_reached, &heard);
        was_reached = heard.is_ok();
        let input = match heard {
            Ok(Heard::Unchanged) => Input::Unchanged {
                server: server.id,
                asked_at,
            },
            Ok(Heard::Report {
                report,
                etag: new_etag,
            }) => {
                etag = new_etag;
                Input::Reported {
                    server: server.id,
                    report,
                }
            }
            Err(_) => {
                // What changed meanwhile is asked for anew, whatever the server thinks of itself.
                etag = None;
                Input::Unreachable { server: server.id }
            }
        };
        server.driver.handle(input);
        tokio::time::sleep(pause).await;
    }
}

/// Carries out orders for a server, each in a task of its own, for as long as there can be any.
pub async fn obey(server: Server, mut orders: mpsc::UnboundedReceiver<Order>) {
    while let Some(order) = orders.recv().await {
        let server = server.clone();
        actix_web::rt::spawn(async move {
            match order {
                Order::Forward(forward) => take(&server, forward).await,
                Order::Release(release) => give_back(&server, release).await,
            }
        });
    }
}

enum Heard {
    Report {
        report: Report,
        etag: Option<String>,
    },
    Unchanged,
}

/// Why a server was not understood.
#[derive(Debug, thiserror::Error)]
enum NotHeard {
    #[error("{0}")]
    Http(#[from] HttpError),
    #[error("answered {0}")]
    Status(StatusCode),
}

async fn ask(server: &Server, etag: Option<&str>, asked_at: Timestamp) -> Result<Heard, NotHeard> {
    let url = server.base_url.join("dashboard.json");
    let mut call = Request::new(Method::GET, &url);
    call.timeout = WATCH_HOLD + WATCH_GRACE;
    call.body_max = DASHBOARD_BYTES_MAX;
    call.retry = Retry::Once;
    if let Some(etag) = etag {
        call = call
            .header("if-none-match", etag)
            .header("prefer", format!("wait={}", WATCH_HOLD.as_secs()));
    }
    let answer = server.client.send(call).await?;
    match answer.status {
        StatusCode::OK => {
            let dashboard: MonitorDashboard = answer.json()?;
            let etag = answer.header("etag").map(str::to_owned);
            Ok(Heard::Report {
                report: Report::of(dashboard, asked_at),
                etag,
            })
        }
        StatusCode::NOT_MODIFIED if etag.is_some() => Ok(Heard::Unchanged),
        status => Err(NotHeard::Status(status)),
    }
}

fn log_change(server: &Server, was_reached: bool, heard: &Result<Heard, NotHeard>) {
    match heard {
        Err(error) if was_reached => log::warn!("{} is not answering: {error}", server.base_url),
        Ok(_) if !was_reached => log::info!("{} answers again", server.base_url),
        _ => {}
    }
}

async fn take(server: &Server, forward: Forward) {
    let outcome = match ask_for_runners(server, &forward).await {
        Ok(answer) => outcome_of(server, &forward, &answer),
        Err(error) => {
            log::warn!(
                "failed to take a runner for {} at {}: {error}",
                forward.request.spec.unique_id,
                server.base_url
            );
            if error.is_ambiguous() {
                ForwardOutcome::Ambiguous
            } else {
                server
                    .driver
                    .handle(Input::Unreachable { server: server.id });
                ForwardOutcome::Refused
            }
        }
    };
    server.driver.handle(Input::Forwarded {
        server: server.id,
        unique_id: forward.request.spec.unique_id,
        attempt: forward.attempt,
        outcome,
    });
}

async fn ask_for_runners(server: &Server, forward: &Forward) -> Result<Response, HttpError> {
    let job = &forward.request.spec;
    let count = if forward.request.is_array {
        format!("/{}", forward.count)
    } else {
        String::new()
    };
    // Nothing in here needs escaping: the form of each value allows only what may stand in a URL.
    let url = server.base_url.join(&format!(
        "profile/{}/take{count}?unique_id={}&qualified_repo={}&run_id={}&attempt={}&enqueued_at={}",
        job.profile_key,
        job.unique_id,
        job.qualified_repo,
        job.run_id,
        server.attempt(forward.attempt),
        forward.enqueued_at.as_micros(),
    ));
    let mut call = Request::new(Method::POST, &url).header("accept", "application/json");
    call.bearer = Some(&server.api_token);
    call.timeout = forward.deadline_at.since(server.driver.now());
    call.body_max = TAKE_BYTES_MAX;
    server.client.send(call).await
}

fn outcome_of(server: &Server, forward: &Forward, answer: &Response) -> ForwardOutcome {
    let what = format_args!("{} for {}", server.base_url, forward.request.spec.unique_id);
    if answer.status == StatusCode::OK {
        return match answer.json::<TakeAnswer>().map(TakeAnswer::into_runners) {
            Ok(runners) if runners.is_empty() => ForwardOutcome::Refused,
            Ok(runners) => ForwardOutcome::Granted(complete(server, forward, runners)),
            Err(error) => {
                log::warn!("failed to understand the answer of {what}: {error}");
                ForwardOutcome::Ambiguous
            }
        };
    }
    if is_certain(answer) {
        log::info!("{what}: refused with {}", answer.status);
        if answer.status == StatusCode::CONFLICT {
            ForwardOutcome::RefusedThisJob
        } else {
            ForwardOutcome::Refused
        }
    } else {
        log::warn!("{what}: failed with {}", answer.status);
        ForwardOutcome::Ambiguous
    }
}

/// Adds what clients are told and monitors do not say: where each runner is and, for those of
/// older monitors, the label that such a monitor gives what it has reserved.
fn complete(server: &Server, forward: &Forward, runners: Vec<TakenRunner>) -> Vec<TakenRunner> {
    let reserved_for = || format!("reserved-for:{}", forward.request.spec.unique_id);
    let completed = |runner: TakenRunner| TakenRunner {
        server: Some(server.base_url.as_str().to_owned()),
        label: runner.label.or_else(|| Some(reserved_for())),
        ..runner
    };
    runners.into_iter().map(completed).collect()
}

/// Whether a refusal says for sure that nothing was reserved: a 4xx, or a 503 with the monitor's
/// own word that there is nothing. Any other 503 may be that of a monitor about to end, or of
/// something in front of it.
fn is_certain(answer: &Response) -> bool {
    #[derive(Deserialize)]
    struct Body {
        code: String,
    }
    let code = answer
        .json::<Body>()
        .map(|body| body.code)
        .unwrap_or_default();
    code == "no_capacity"
        || (answer.status.is_client_error()
            && !matches!(
                answer.status,
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
            ))
}

async fn give_back(server: &Server, release: Release) {
    let destroy = if release.is_delivered {
        "&destroy=true"
    } else {
        ""
    };
    let path = format!(
        "reservation/{}?attempt={}{destroy}",
        release.unique_id,
        server.attempt(release.attempt)
    );
    let url = server.base_url.join(&path);
    let mut call = Request::new(Method::DELETE, &url);
    call.bearer = Some(&server.api_token);
    call.timeout = RELEASE_TIMEOUT;
    call.retry = Retry::Once;
    let is_settled = match server.client.send(call).await {
        // An older monitor knows no releases: its reservations end by their deadline.
        Ok(answer) => {
            answer.status.is_success()
                || matches!(
                    answer.status,
                    StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
                )
        }
        Err(error) => {
            log::warn!(
                "failed to release {} at {}: {error}",
                release.unique_id,
                server.base_url
            );
            false
        }
    };
    server.driver.handle(Input::Released {
        server: server.id,
        unique_id: release.unique_id,
        attempt: release.attempt,
        is_settled,
    });
}
