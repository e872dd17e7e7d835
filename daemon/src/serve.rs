//! The HTTP server of both daemons: start, supervision of background tasks, graceful shutdown.
//!
//! Responsible for the limits of the server, for the order of the shutdown, and for ending the daemon
//! when a background task ends. Not responsible for routes.

use std::{
    future::{Future, ready},
    net::TcpListener,
    time::Duration,
};

use actix_http::{HttpService, error::DispatchError};
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::{
    App,
    dev::{AppConfig, Extensions, Server},
    middleware::from_fn,
    rt::net::TcpStream,
    web::{self, ServiceConfig},
};
use futures_util::future::select_all;
use shared::{clock::Clock, settings::NetworkSettings};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    connections::{Connection, ConnectionSettings, Connections, HEAD_TIMEOUT, Limits},
    repeated,
    web::{AllowedHosts, TrustedProxies, apply_common_rules, not_found},
};

/// Threads that serve requests. Two are enough: a request takes microseconds, and a held request
/// occupies no thread.
const WORKERS: usize = 2;
/// The largest request body that is read, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Longer than clients keep idle connections, so that none is reused while the server closes it.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a client may take to send the head of its request.
const REQUEST_HEAD_TIMEOUT: Duration = HEAD_TIMEOUT;
/// How long a client may take to close a connection that is to be closed.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long requests may still take when the daemon ends.
const SHUTDOWN_TIMEOUT_SECONDS: u64 = 3;

/// Notifies held requests that the daemon is about to end, so that they are answered before.
#[derive(Clone, Debug)]
pub struct Draining(watch::Receiver<bool>);

impl Draining {
    /// Resolves when the daemon is about to end.
    pub async fn begins(&self) {
        let mut receiver = self.0.clone();
        // A sender that is gone is a daemon that has ended.
        let _ = receiver.wait_for(|is_draining| *is_draining).await;
    }

    /// Whether the daemon is about to end.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }
}

/// Triggers [`Draining`].
#[derive(Debug)]
pub struct Drain(watch::Sender<bool>);

/// A connected pair of [`Drain`] and [`Draining`].
pub fn drain() -> (Drain, Draining) {
    let (sender, receiver) = watch::channel(false);
    (Drain(sender), Draining(receiver))
}

/// A background task, which runs as long as the daemon.
#[derive(Debug)]
pub struct Background {
    /// Its name in the error when it ends.
    pub name: &'static str,
    /// The task. It must not end by itself.
    pub task: JoinHandle<()>,
}

/// Why a daemon ended without being asked to. The text is a fragment that follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The server failed.
    #[error("serve HTTP: {0}")]
    Server(#[source] std::io::Error),
    /// A background task panicked or ended.
    #[error("continue: {name} ended: {how}")]
    Background {
        /// Name of the task.
        name: &'static str,
        /// How it ended, with the message of a panic.
        how: String,
    },
}

/// Settings of the server that differ between installations.
#[derive(Clone, Debug, Default)]
pub struct ServeSettings {
    /// How many connections there may be.
    pub connections: ConnectionSettings,
    /// The names under which the daemon may be reached.
    pub allowed_hosts: AllowedHosts,
    /// The proxies that state the addresses of clients.
    pub trusted_proxies: TrustedProxies,
}

impl ServeSettings {
    /// Those of the settings of a daemon.
    pub fn of(settings: &NetworkSettings) -> Self {
        Self {
            connections: ConnectionSettings::of(settings),
            allowed_hosts: AllowedHosts::of(settings),
            trusted_proxies: TrustedProxies::new(&settings.trusted_proxies),
        }
    }
}

/// Serves `routes` on `listeners` until `stop` resolves, then triggers `drain`, waits for held
/// requests to be answered, and aborts the `background` tasks.
///
/// # Errors
/// When the server or a background task ends before `stop`.
pub async fn serve(
    listeners: Vec<TcpListener>,
    settings: ServeSettings,
    routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    drain: Drain,
    mut background: Vec<Background>,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let limits = Limits::of_process(&settings.connections);
    let per_worker = limits.per_worker(WORKERS);
    let connections = Connections::new(limits, Clock::start());
    background.push(Background {
        name: "the summaries of refused requests",
        task: actix_web::rt::spawn(repeated::log_summaries()),
    });
    background.push(Background {
        name: "the search for stalled clients",
        task: actix_web::rt::spawn(connections.clone().close_stalled()),
    });
    let server = listen(
        listeners,
        settings.allowed_hosts,
        settings.trusted_proxies,
        routes,
        &connections,
        per_worker,
    )?;
    let handle = server.handle();
    let mut server = std::pin::pin!(server);
    let outcome = tokio::select! {
        () = stop => Ok(()),
        ended = &mut server => ended.map_err(ServeError::Server),
        error = first_to_end(&mut background) => Err(error),
    };
    let _ = drain.0.send(true);
    // `stop` only sends a command; the server has to be polled for it to be processed.
    tokio::select! {
        () = handle.stop(outcome.is_ok()) => {}
        _ = &mut server => {}
    }
    for work in background {
        work.task.abort();
    }
    repeated::log_summary();
    outcome
}

/// Starts the workers, which serve `routes` on `listeners`.
fn listen(
    listeners: Vec<TcpListener>,
    allowed_hosts: AllowedHosts,
    trusted_proxies: TrustedProxies,
    routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    connections: &Connections,
    per_worker: usize,
) -> Result<Server, ServeError> {
    let allowed_hosts = web::Data::new(allowed_hosts);
    let trusted_proxies = web::Data::new(trusted_proxies);
    let app = move || {
        App::new()
            .wrap(from_fn(apply_common_rules))
            .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
            .app_data(allowed_hosts.clone())
            .app_data(trusted_proxies.clone())
            .configure(routes.clone())
            .default_service(web::to(not_found))
    };
    let mut server = Server::build()
        .workers(WORKERS)
        .max_concurrent_connections(per_worker)
        .shutdown_timeout(SHUTDOWN_TIMEOUT_SECONDS)
        .disable_signals();
    let shutdown = server.graceful_shutdown_signal();
    for listener in listeners {
        let (app, connections, shutdown) = (app.clone(), connections.clone(), shutdown.clone());
        let factory = move || {
            let shutdown = shutdown.clone();
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let shutdown = shutdown.clone();
                    async move { shutdown.notified().await }
                })
                .keep_alive(KEEP_ALIVE)
                .client_request_timeout(REQUEST_HEAD_TIMEOUT)
                .client_disconnect_timeout(DISCONNECT_TIMEOUT)
                // Otherwise a disconnected client is noticed only when its held request ends, and
                // runners could be assigned to a client that is gone.
                .h1_allow_half_closed(false)
                .on_connect_ext(|connection: &Connection, data: &mut Extensions| {
                    data.insert(connection.handle());
                })
                .h1(map_config(app(), |()| AppConfig::default()));
            let connections = connections.clone();
            let admit = fn_service(move |stream: TcpStream| {
                let admitted = Connection::admit(&connections, stream);
                ready(admitted.ok_or(DispatchError::InternalError))
            });
            admit.and_then(http)
        };
        server = server
            .listen("http", listener, factory)
            .map_err(ServeError::Server)?;
    }
    Ok(server.run())
}

/// Resolves when a background task ends. There is at least one.
async fn first_to_end(background: &mut [Background]) -> ServeError {
    let (ended, index, _) = select_all(background.iter_mut().map(|work| &mut work.task)).await;
    ServeError::Background {
        name: background[index].name,
        how: how_it_ended(ended),
    }
}

fn how_it_ended(ended: Result<(), tokio::task::JoinError>) -> String {
    let Err(error) = ended else {
        return "it returned".to_owned();
    };
    match error.try_into_panic() {
        Ok(panic) => {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("it panicked: {}", message.unwrap_or("without a message"))
        }
        Err(_) => "it was cancelled".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::HttpResponse;

    use super::*;
    use http_client::{Client, Method, Request, install_tls};

    fn listener() -> (Vec<TcpListener>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/held", listener.local_addr().unwrap());
        (vec![listener], url)
    }

    #[actix_web::test]
    async fn held_requests_are_answered_before_the_daemon_ends() {
        install_tls();
        let (listeners, url) = listener();
        let (drain, draining) = drain();
        let (arrived, mut arrival) = tokio::sync::mpsc::unbounded_channel();
        let routes = move |config: &mut ServiceConfig| {
            let (draining, arrived) = (draining.clone(), arrived.clone());
            let held = move || {
                let (draining, arrived) = (draining.clone(), arrived.clone());
                async move {
                    arrived.send(()).unwrap();
                    draining.begins().await;
                    HttpResponse::Ok().body("answered")
                }
            };
            config.route("/held", web::get().to(held));
        };
        let stop = async move { arrival.recv().await.unwrap() };
        let daemon = actix_web::rt::spawn(serve(
            listeners,
            ServeSettings::default(),
            routes,
            drain,
            Vec::new(),
            stop,
        ));
        let answer = Client::new()
            .send(Request::new(Method::GET, &url))
            .await
            .unwrap();
        assert_eq!(answer.text().unwrap(), "answered");
        assert!(daemon.await.unwrap().is_ok());
    }

    #[actix_web::test]
    async fn a_panic_in_a_background_task_ends_the_daemon() {
        let (listeners, _) = listener();
        let background = vec![
            Background {
                name: "the idle task",
                task: actix_web::rt::spawn(std::future::pending()),
            },
            Background {
                name: "the event loop",
                task: actix_web::rt::spawn(async { panic!("it stopped") }),
            },
        ];
        let ended = serve(
            listeners,
            ServeSettings::default(),
            |_| {},
            drain().0,
            background,
            std::future::pending(),
        )
        .await;
        assert_eq!(
            ended.unwrap_err().to_string(),
            "continue: the event loop ended: it panicked: it stopped"
        );
    }

    #[actix_web::test]
    async fn a_background_task_that_returns_ends_the_daemon() {
        let (listeners, _) = listener();
        let background = vec![Background {
            name: "the event loop",
            task: actix_web::rt::spawn(async {}),
        }];
        let ended = serve(
            listeners,
            ServeSettings::default(),
            |_| {},
            drain().0,
            background,
            std::future::pending(),
        )
        .await;
        assert_eq!(
            ended.unwrap_err().to_string(),
            "continue: the event loop ended: it returned"
        );
    }
}
