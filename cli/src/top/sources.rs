//! Where the events of `ci-runners top` come from: polls of the queue and of the servers, and the stream of
//! events of the queue.
//!
//! The queue is asked once a second, and sooner after an event, but at most four times a second. What fails is
//! repeated for ever.

use std::{sync::Arc, time::Duration};

use actix_web::rt::{self, task::JoinHandle};
use futures_util::future::join_all;
use http_client::Client;
use shared::{
    backoff::Backoff, clock::Clock, secret::Secret, settings::BaseUrl, wire::MonitorDashboard,
};
use tokio::{
    sync::{Notify, mpsc::Sender, watch},
    time::{sleep, timeout},
};

use super::state::Event;
use crate::{
    addresses::Daemon,
    client::{EventStream, Part, QueueDashboard, RequestError, dashboard},
};

/// The pause between two polls of the queue, and between two ticks of the clock.
const QUEUE_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest pause between two polls of the queue.
const QUEUE_PAUSE_MIN: Duration = Duration::from_millis(250);
/// The pause between two polls of the servers.
const SERVER_INTERVAL: Duration = Duration::from_secs(2);
/// How long a server may take to answer. Others do not wait for it longer.
const SERVER_TIMEOUT: Duration = Duration::from_secs(3);
/// The most servers that are polled.
const SERVERS_MAX: usize = 64;
/// The pauses before the stream of events is opened again.
const RECONNECT: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_secs(30),
    jitter_percent: 50,
};

/// The names of the servers that are polled, which are their URLs.
pub type ServerNames = Arc<watch::Sender<Vec<String>>>;

/// The sources that run.
pub struct Sources {
    /// The servers to poll.
    pub server_names: ServerNames,
    tasks: Vec<JoinHandle<()>>,
}

impl Sources {
    /// Ends them.
    pub fn stop(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Starts all sources. They end when nothing receives their events any more.
pub fn start(daemon: &Daemon, token: Option<Secret>, sender: &Sender<Event>) -> Sources {
    let server_names = Arc::new(watch::Sender::new(Vec::new()));
    let (client, url) = (&daemon.client, &daemon.url);
    let changed = Arc::new(Notify::new());
    let tasks = vec![
        rt::spawn(tick(sender.clone())),
        rt::spawn(poll_queue(
            client.clone(),
            url.clone(),
            Arc::clone(&changed),
            sender.clone(),
        )),
        rt::spawn(poll_servers(
            client.clone(),
            server_names.subscribe(),
            sender.clone(),
        )),
        rt::spawn(read_events(
            client.clone(),
            url.clone(),
            token,
            changed,
            sender.clone(),
        )),
    ];
    Sources {
        server_names,
        tasks,
    }
}

async fn tick(sender: Sender<Event>) {
    let clock = Clock::start();
    while sender.send(Event::Tick(clock.now())).await.is_ok() {
        sleep(QUEUE_INTERVAL).await;
    }
}

async fn poll_queue(client: Client, url: BaseUrl, changed: Arc<Notify>, sender: Sender<Event>) {
    let clock = Clock::start();
    loop {
        let result = queue_dashboard(&client, &url).await;
        let result = result.map(Box::new).map_err(|error| error.to_string());
        let event = Event::Dashboard(clock.now(), result);
        if sender.send(event).await.is_err() {
            return;
        }
        sleep(QUEUE_PAUSE_MIN).await;
        // Whether it is over because of an event or of the time does not matter.
        let _ = timeout(QUEUE_INTERVAL - QUEUE_PAUSE_MIN, changed.notified()).await;
    }
}

async fn queue_dashboard(client: &Client, url: &BaseUrl) -> Result<QueueDashboard, RequestError> {
    Ok(dashboard(client, url).await?.json()?)
}

async fn poll_servers(
    client: Client,
    mut names: watch::Receiver<Vec<String>>,
    sender: Sender<Event>,
) {
    let clock = Clock::start();
    loop {
        let current = names.borrow_and_update().clone();
        let polls = current.into_iter().take(SERVERS_MAX).map(|name| {
            let client = &client;
            async move {
                let poll = timeout(SERVER_TIMEOUT, report(client, &name)).await;
                let report = poll.unwrap_or_else(|_| Err("get an answer in time".to_owned()));
                (name, report)
            }
        });
        for (name, report) in join_all(polls).await {
            let event = Event::Server(name, clock.now(), report.map(Box::new));
            if sender.send(event).await.is_err() {
                return;
            }
        }
        // The first names are used at once.
        let is_empty = names.borrow().is_empty();
        match is_empty {
            true if names.changed().await.is_err() => return,
            true => {}
            false => sleep(SERVER_INTERVAL).await,
        }
    }
}

/// What a server says without a token: neither labels nor reservations are needed here.
async fn report(client: &Client, name: &str) -> Result<MonitorDashboard, String> {
    let url: BaseUrl = name
        .parse()
        .map_err(|error| format!("reach {name}: {error}"))?;
    let ask = async { Ok::<_, RequestError>(dashboard(client, &url).await?.json()?) };
    ask.await.map_err(|error| error.to_string())
}

/// Reads events for ever: first those that the queue remembers, then those that happen.
async fn read_events(
    client: Client,
    url: BaseUrl,
    mut token: Option<Secret>,
    changed: Arc<Notify>,
    sender: Sender<Event>,
) {
    let mut after = 0;
    let clock = Clock::start();
    let mut failures = 0;
    loop {
        let opened = EventStream::open(&client, &url, token.as_ref(), Some(after)).await;
        match opened {
            Ok(mut stream) => {
                if sender.send(Event::Live(true)).await.is_err() {
                    return;
                }
                while let Ok(Some(part)) = stream.next().await {
                    failures = 0;
                    let Part::Event(event) = part else { continue };
                    after = event
                        .get("id")
                        .and_then(serde_json::Value::as_u64)
                        .unwrap_or(after);
                    changed.notify_one();
                    if sender.send(Event::Journal(event)).await.is_err() {
                        return;
                    }
                }
            }
            // Without a token, less is shown.
            Err(RequestError::Refused(error))
                if token.is_some() && matches!(error.status.as_u16(), 401 | 403) =>
            {
                token = None;
                continue;
            }
            Err(_) => {}
        }
        if sender.send(Event::Live(false)).await.is_err() {
            return;
        }
        failures += 1;
        let entropy = clock.now().as_micros();
        sleep(RECONNECT.pause(failures, Duration::ZERO, entropy)).await;
    }
}
