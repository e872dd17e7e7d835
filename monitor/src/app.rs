//! Builds the daemon from its settings, runs it, and shuts it down.
//!
//! Responsible for the start and for the background tasks beside the HTTP server. Guests are left
//! running at the end; the next start finds them.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix_web::web::ServiceConfig;
use daemon::{
    artifact_claims::ArtifactClaims,
    journal::{Journal, JournalConfig},
    problems::{ProblemBoard, log_changes},
    reload::{self, Reloader},
    serve::{Background, Drain, ServeError, ServeSettings, drain, serve},
    startup::{Start, until_signalled, watch_addresses},
};
use github::{
    Credentials, CredentialsError, Github, GithubConfig,
    artifact_auth::{ArtifactVerifier, VerifierSettings, VerifierWorker},
};
use http_client::Client;
use shared::{
    clock::Clock,
    problem::catalogue,
    settings::{Settings, SettingsError},
    values::ProfileKey,
};

use crate::{
    api::{AppState, routes},
    control_loop,
    core_policy::policy_of,
    executor::Adapters,
    github_clients::GithubClients,
    hypervisor::{Events, Hypervisor, HypervisorError, HypervisorSettings},
    mirrors::{self, MainRepo},
    profiles::{Images, ProfileError, profiles_path, read_images},
    programs,
    reload::reloader,
    shared_core::SharedCore,
    store::{Store, StoreError},
};
use monitor_core::{Monitor, SnapshotError};

/// How long the end of the process waits until its last events are written.
const JOURNAL_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the monitor could not start, or ended. Each text is a fragment that follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("read the settings: {0}")]
    Settings(#[from] SettingsError),
    #[error("{0}")]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The saved state is unusable. It is not moved away automatically: without it, ids could be assigned
    /// a second time.
    #[error("{source} in {}; to start with an empty pool, move it away", .data_path.display())]
    Snapshot {
        source: SnapshotError,
        data_path: PathBuf,
    },
    #[error("{0}")]
    Hypervisor(#[from] HypervisorError),
    #[error("read the address of a listener: {0}")]
    Address(#[source] io::Error),
    #[error("{0}")]
    Serve(#[from] ServeError),
}

/// A monitor that listens, but neither serves requests nor does anything else yet.
pub struct App {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    state: AppState,
    reloader: Reloader,
    drain: Drain,
    adapters: Adapters,
    events: Events,
    verifier_worker: VerifierWorker,
    credentials: Credentials,
}

/// Runs a monitor until the process receives a signal to end.
///
/// # Errors
/// If it cannot start, or ends without a signal.
pub async fn run(start: Start) -> Result<(), AppError> {
    let app = build(start.settings, start.listeners).await?;
    app.run_until(until_signalled()).await
}

/// Opens the data directory and builds the app. Must be called on the thread that will run the app, on
/// an actix runtime.
///
/// # Errors
/// If the settings or the data directory are unusable.
pub async fn build(mut settings: Settings, listeners: Vec<TcpListener>) -> Result<App, AppError> {
    let addresses = listeners.iter().map(TcpListener::local_addr);
    let addresses = addresses
        .collect::<Result<_, _>>()
        .map_err(AppError::Address)?;
    let credentials = Credentials::required(&settings)?;

    let clock = Clock::start();
    let (store, snapshot) = Store::open(&settings.data_path)?;
    let (images, unusable) = read_images(&settings);
    if !unusable.is_empty() && unusable.len() == settings.profiles.len() {
        let mut errors = unusable.into_values();
        return Err(errors.next().expect("it is not empty").into());
    }
    for profile_key in unusable.keys() {
        // Its guests that are busy stay; the others are destroyed.
        if let Some(profile) = settings.profiles.get_mut(profile_key) {
            (profile.target_count, profile.min_count, profile.max_count) = (0, 0, 0);
        }
    }
    let core = Monitor::new(
        policy_of(&settings, &images),
        snapshot.as_deref(),
        clock.now(),
    );
    let data_path = settings.data_path.clone();
    let core = core.map_err(|source| AppError::Snapshot { source, data_path })?;
    let (hypervisor, events) = hypervisor(&settings, &images)?;
    let journal = Journal::open(JournalConfig::of(&settings, "monitor"), clock);
    let core = Arc::new(SharedCore::new(core, clock, store, journal));
    report_unusable_profiles(core.problem_board(), &unusable, &settings);

    let unusable = unusable.into_keys().collect();
    let reloader = reloader(&settings, &images, unusable, &core, clock);
    let (drain, draining) = drain();
    let repo_prefix = &settings.github.allowed_qualified_repo_prefix;
    let (artifact_verifier, verifier_worker) = ArtifactVerifier::new(repo_prefix);
    let max_age = settings.github.tokenless_select_artifact_max_age;
    let has_run_before = snapshot.is_some();
    let artifact_claims = ArtifactClaims::load(&settings.data_path, has_run_before, clock, max_age);
    let github = GithubClients::new(&settings, credentials.clone());
    let api_status = github.current().api_status().clone();
    core.problem_board().watch_github(api_status.clone());
    let state = AppState::new(
        core.clone(),
        hypervisor.clone(),
        &settings,
        artifact_verifier,
        artifact_claims,
        draining,
        api_status,
    );
    let main_repo = MainRepo::of(&settings, core.problem_board().clone(), clock);
    let adapters = Adapters {
        core,
        hypervisor,
        github,
        main_repo: Rc::new(main_repo),
        settings: Rc::new(settings),
        images: Rc::new(images),
    };
    Ok(App {
        listeners,
        reloader,
        addresses,
        state,
        drain,
        adapters,
        events,
        verifier_worker,
        credentials,
    })
}

/// Reports the profiles without usable files, and those whose settings are invalid.
fn report_unusable_profiles(
    board: &ProblemBoard,
    unusable: &BTreeMap<ProfileKey, ProfileError>,
    settings: &Settings,
) {
    for (profile_key, error) in unusable {
        let cause = format!("it has no runners, because the monitor failed to {error}");
        report_unusable(board, profile_key.as_str(), cause);
    }
    for (key, sentence) in &settings.unusable_profiles {
        let cause = format!("it is left out, because its settings are invalid: {sentence}");
        report_unusable(board, key, cause);
    }
}

fn report_unusable(board: &ProblemBoard, profile_key: &str, cause: String) {
    let remedy = "mend it until `monitor --check` reports nothing, and restart the monitor";
    board.report(
        &catalogue::PROFILE_UNUSABLE,
        &format!("profile {profile_key}"),
        cause,
        remedy,
    );
}

fn hypervisor(
    settings: &Settings,
    images: &Images,
) -> Result<(Hypervisor, Events), HypervisorError> {
    Hypervisor::new(HypervisorSettings {
        data_path: settings.data_path.clone(),
        guest_prefix: settings.host.libvirt_runner_guest_prefix.clone(),
        builder_prefix: settings.host.libvirt_rebuild_guest_prefix.clone(),
        libvirt_uri: settings.libvirt_uri.clone(),
        makes_virtual_machines: !images.is_empty(),
        profiles_path: profiles_path(settings).unwrap_or_default(),
    })
}

fn github(settings: &Settings, credentials: Credentials) -> Github {
    let client = Client::with_proxies(settings.proxies.clone());
    Github::new(client, GithubConfig::of(&settings.github, credentials))
}

fn background(name: &'static str, work: impl Future<Output = ()> + 'static) -> Background {
    let task = actix_web::rt::spawn(work);
    Background { name, task }
}

impl App {
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Keeps the pool and serves requests until `stop` resolves. Held requests are answered before this
    /// returns.
    ///
    /// # Errors
    /// If it ends before `stop` resolves.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), AppError> {
        for address in &self.addresses {
            log::info!("monitor listens on http://{address}/");
        }
        let Self {
            addresses,
            listeners,
            state,
            reloader,
            drain,
            adapters,
            events,
            verifier_worker,
            credentials,
            ..
        } = self;
        let (core, settings) = (adapters.core.clone(), adapters.settings.clone());
        let serve_settings = ServeSettings::of(&settings.network);
        let verifier_settings = VerifierSettings {
            allowed_qualified_repo_prefix: settings.github.allowed_qualified_repo_prefix.clone(),
            artifact_max_age: settings.github.tokenless_select_artifact_max_age,
        };
        let github =
            github(&settings, credentials).with_api_status(adapters.github.current().api_status());
        let verifier_worker = verifier_worker.run(github, verifier_settings);
        let logged_core = core.clone();
        let board = core.problem_board().clone();
        let journal = core.journal().clone();
        let journal_problems = journal.clone().report_problems(board.clone());
        let programs = programs::needed(&settings, &adapters.images);
        let programs = programs::watch(programs, board.clone());
        let mirrors = async move { mirrors::run(&settings, board).await };
        let addresses = watch_addresses(addresses, core.problem_board().clone());
        let reload = reloader.clone().run();
        let background = vec![
            background("the reload of the settings", reload),
            background("the search for addresses", addresses),
            background(
                "the log of problems",
                log_changes(journal.clone(), move || logged_core.problems()),
            ),
            background("the problems of the journal", journal_problems),
            background("the control loop", control_loop::run(adapters, events)),
            background("the search for programs", programs),
            background("the updates of mirrors", mirrors),
            background("the artifact verifier", verifier_worker),
        ];
        let routes = routes(state);
        let routes = move |config: &mut ServiceConfig| {
            routes(config);
            reload::configure(config, reloader.clone());
        };
        let served = serve(listeners, serve_settings, routes, drain, background, stop).await;
        core.close().await;
        journal.flush(JOURNAL_FLUSH_TIMEOUT);
        Ok(served?)
    }
}
