//! Builds the daemon from its settings and runs it until it is asked to stop.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use actix_web::web::ServiceConfig;
use daemon::{
    artifact_claims::ArtifactClaims,
    auth::ApiToken,
    journal::{Journal, JournalConfig, StreamPlaces},
    problems::{ProblemBoard, log_changes},
    reload::{self, Reloader},
    serve::{Background, Drain, ServeError, ServeSettings, drain, serve},
    startup::watch_addresses,
};
use github::{
    ApiStatusCell, Credentials, CredentialsError, Github, GithubConfig,
    artifact_auth::{ArtifactVerifier, VerifierSettings},
};
use http_client::Client;
use shared::{
    clock::{Clock, Timestamp},
    problem::{self, catalogue},
    settings::{BaseUrl, QueueSettings, Settings, SettingsError},
};
use tokio::sync::mpsc;

use queue_core::{Config, Queue};

use crate::{
    api::{AppState, routes},
    commands::execute_commands,
    event_loop::{Command, EventLoop},
    grant_proofs::GrantProofs,
    last_run::LastRun,
    monitor_client::MonitorClient,
    pauses::PausesFile,
    poll::poll_forever,
    recorder::Recorder,
    reload::{limits, reloader},
    ticket::{KeyError, TicketKey},
};

/// 2025-01-01. There was no queue before, so an earlier time is that of a clock that was not set.
const BELIEVABLE_FROM: Timestamp = Timestamp::from_seconds(1_735_689_600);

/// How long the end of the daemon waits for its last events to be written.
const JOURNAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the queue could not be started, or stopped unexpectedly.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The settings lack what a queue needs.
    #[error("read the settings: {0}")]
    Settings(#[from] SettingsError),
    /// The key of the GitHub App cannot be used.
    #[error("{0}")]
    Credentials(#[from] CredentialsError),
    /// The key that signs tickets can be neither read nor created.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// A socket has no local address.
    #[error("read the address of a listening socket: {0}")]
    Address(#[source] std::io::Error),
    /// The server or a background task ended.
    #[error("{0}")]
    Serve(#[from] ServeError),
}

/// A queue that listens but does not answer yet.
pub struct App {
    listeners: Vec<TcpListener>,
    serve_settings: ServeSettings,
    addresses: Vec<SocketAddr>,
    state: AppState,
    reloader: Reloader,
    drain: Drain,
    background: Vec<Background>,
}

/// Builds the queue. Must be called on the thread that will run it: background tasks start here.
///
/// # Errors
/// When the settings lack what a queue needs, or its key can be neither read nor created.
pub fn build(settings: &Settings, listeners: Vec<TcpListener>) -> Result<App, AppError> {
    let queue_settings = settings.require_queue()?;
    let folder = settings.data_path.join("queue");
    let clock = Clock::start();
    // Before the key is created, which would make a first start look like a later one.
    let artifact_claims = load_artifact_claims(settings, &folder, clock);
    let ticket_key = ticket_key(queue_settings, &folder)?;
    let addresses = addresses_of(&listeners)?;

    let mut base_urls = queue_settings.servers.clone();
    base_urls.sort();
    let names = names_of(&base_urls);
    // A restarted queue must not pass for its predecessor, whose messages may still be under way.
    let queue_instance = rand::random();
    let last_run = LastRun::new(&folder, clock, queue_settings.ticket_lifetime);
    let config = Config {
        down_for: last_run.down_for(),
        ..config(queue_settings)
    };
    let problem_board = ProblemBoard::new(clock);
    let (pauses_file, pauses) = PausesFile::load(&folder, problem_board.clone());
    let mut queue = Queue::new(config, &names, queue_instance, clock.now()).with_pauses(pauses);
    let (senders, receivers): (Vec<_>, Vec<_>) =
        names.iter().map(|_| mpsc::unbounded_channel()).unzip();
    let journal = Journal::open(JournalConfig::of(settings, "queue"), clock);
    let recorder = Recorder::new(journal.clone(), names.clone());
    queue.restore(recorder.take_past_runs());
    let waits = recorder.waits();
    let event_loop = EventLoop::new(queue, clock, senders, recorder);

    let client = Client::with_proxies(settings.proxies.but_not_for_loopback());
    report_clock(clock.now(), &problem_board);
    let mut background =
        start_background(last_run, &event_loop, &journal, &problem_board, &addresses);
    background.push(keep_pauses(&pauses_file, &event_loop));
    start_monitor_clients(
        base_urls,
        &Arc::new(GrantProofs::new(ticket_key.grant_key(), names)),
        receivers,
        settings,
        &client,
        &event_loop,
        &mut background,
    );
    let reloader = reloader(settings, &problem_board, &journal, clock, &event_loop);
    let (drain, draining) = drain();
    let (artifact_verifier, github_status) =
        start_artifact_verifier(settings, &problem_board, &mut background)?.unzip();
    let state = AppState {
        event_loop,
        ticket_key: Arc::new(ticket_key),
        ticket_lifetime: queue_settings.ticket_lifetime,
        api_token: ApiToken::of(&settings.secrets),
        artifact_verifier,
        artifact_claims,
        github_status,
        problem_board,
        pauses_file,
        journal,
        waits,
        stream_places: StreamPlaces::default(),
        github_web_url: settings.github.web_url().into(),
        draining,
    };
    Ok(App {
        listeners,
        reloader,
        serve_settings: ServeSettings::of(&settings.network),
        addresses,
        state,
        drain,
        background,
    })
}

/// Starts the task that saves pauses which could not be saved at once.
fn keep_pauses(pauses_file: &PausesFile, event_loop: &EventLoop) -> Background {
    Background {
        name: "the file of paused profiles",
        task: actix_web::rt::spawn(pauses_file.clone().retry(event_loop.clone())),
    }
}

/// Starts the tasks that every queue has, but for those of its servers.
fn start_background(
    last_run: LastRun,
    event_loop: &EventLoop,
    journal: &Journal,
    problem_board: &ProblemBoard,
    addresses: &[SocketAddr],
) -> Vec<Background> {
    vec![
        Background {
            name: "the search for addresses",
            task: actix_web::rt::spawn(watch_addresses(addresses.to_vec(), problem_board.clone())),
        },
        Background {
            name: "the time of the last run",
            task: actix_web::rt::spawn(last_run.keep(problem_board.clone())),
        },
        Background {
            name: "the state of the journal",
            task: actix_web::rt::spawn(journal.clone().report_problems(problem_board.clone())),
        },
        Background {
            name: "the timers of the core",
            task: actix_web::rt::spawn(event_loop.clone().run_timers()),
        },
        Background {
            name: "the log of problems",
            task: actix_web::rt::spawn(log_problems(
                journal.clone(),
                event_loop.clone(),
                problem_board.clone(),
            )),
        },
    ]
}

fn load_artifact_claims(settings: &Settings, folder: &Path, clock: Clock) -> ArtifactClaims {
    let has_run_before = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    let max_age = settings.github.tokenless_select_artifact_max_age;
    ArtifactClaims::load(folder, has_run_before, clock, max_age)
}

fn ticket_key(settings: &QueueSettings, folder: &Path) -> Result<TicketKey, KeyError> {
    match &settings.ticket_key {
        Some(secret) => Ok(TicketKey::from_secret(secret)),
        None => TicketKey::load_or_create(folder),
    }
}

fn names_of(base_urls: &[BaseUrl]) -> Vec<String> {
    let names = base_urls.iter().map(|url| url.as_str().to_owned());
    names.collect()
}

impl App {
    /// The addresses it listens on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves until `stop` resolves; held requests are answered before it returns.
    ///
    /// # Errors
    /// When the server or a background task ends before `stop` resolves.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), AppError> {
        for address in &self.addresses {
            log::info!("listening on http://{address}/");
        }
        let journal = self.state.journal.clone();
        let (routes, reloader) = (routes(self.state), self.reloader);
        let mut background = self.background;
        background.push(Background {
            name: "the reload of the settings",
            task: actix_web::rt::spawn(reloader.clone().run()),
        });
        let routes = move |config: &mut ServiceConfig| {
            routes(config);
            reload::configure(config, reloader.clone());
        };
        let served = serve(
            self.listeners,
            self.serve_settings,
            routes,
            self.drain,
            background,
            stop,
        )
        .await;
        journal.flush(JOURNAL_TIMEOUT);
        Ok(served?)
    }
}

/// Logs what is wrong, of the core and of the adapters.
async fn log_problems(journal: Journal, event_loop: EventLoop, problem_board: ProblemBoard) {
    log_changes(journal, || {
        let mut problems = event_loop.read(|queue, now| queue.problems(now));
        problems.extend(problem_board.list());
        problem::sort(&mut problems);
        problems
    })
    .await;
}

fn config(settings: &QueueSettings) -> Config {
    Config {
        startup_grace: settings.settle,
        stale_after: settings.stale_after,
        ticket_lifetime: settings.ticket_lifetime,
        believable_from: BELIEVABLE_FROM,
        down_for: Duration::ZERO,
        limits: limits(settings),
    }
}

fn addresses_of(listeners: &[TcpListener]) -> Result<Vec<SocketAddr>, AppError> {
    let addresses = listeners.iter().map(TcpListener::local_addr);
    addresses
        .collect::<Result<_, _>>()
        .map_err(AppError::Address)
}

/// Reports a clock that was not set when the queue was started.
fn report_clock(now: Timestamp, problem_board: &ProblemBoard) {
    if now < BELIEVABLE_FROM {
        problem_board.report(
            &catalogue::CLOCK_NOT_SET,
            "clock of this host",
            format!("it showed {} when the queue was started", now.date()),
            "set the clock, then restart the queue; tickets stay valid",
        );
    }
}

/// Starts two tasks for each monitor: its polls, and the commands for it.
fn start_monitor_clients(
    base_urls: Vec<BaseUrl>,
    proofs: &Arc<GrantProofs>,
    receivers: Vec<mpsc::UnboundedReceiver<Command>>,
    settings: &Settings,
    client: &Client,
    event_loop: &EventLoop,
    background: &mut Vec<Background>,
) {
    for (server, (base_url, commands)) in base_urls.into_iter().zip(receivers).enumerate() {
        let monitor = MonitorClient {
            server,
            token: settings.secrets.token_for(&base_url).clone(),
            base_url,
            client: client.clone(),
            proofs: Arc::clone(proofs),
        };
        background.push(Background {
            name: "the polls of a monitor",
            task: actix_web::rt::spawn(poll_forever(monitor.clone(), event_loop.clone())),
        });
        background.push(Background {
            name: "the commands for a monitor",
            task: actix_web::rt::spawn(execute_commands(monitor, event_loop.clone(), commands)),
        });
    }
}

fn start_artifact_verifier(
    settings: &Settings,
    problem_board: &ProblemBoard,
    background: &mut Vec<Background>,
) -> Result<Option<(ArtifactVerifier, ApiStatusCell)>, CredentialsError> {
    let Some(credential) = Credentials::of(settings)? else {
        return Ok(None);
    };
    let (verifier, worker) = ArtifactVerifier::new(&settings.github.allowed_qualified_repo_prefix);
    let client = Client::with_proxies(settings.proxies.clone());
    let github = Github::new(client, GithubConfig::of(&settings.github, credential));
    let api_status = github.api_status().clone();
    problem_board.watch_github(api_status.clone());
    let verifier_settings = VerifierSettings {
        allowed_qualified_repo_prefix: settings.github.allowed_qualified_repo_prefix.clone(),
        artifact_max_age: settings.github.tokenless_select_artifact_max_age,
    };
    let task = actix_web::rt::spawn(worker.run(github, verifier_settings));
    background.push(Background {
        name: "the artifact verifier",
        task,
    });
    Ok(Some((verifier, api_status)))
}
