//! The daemon put together: settings in, addresses out, and an orderly end.
//!
//! Owns the start and what runs beside the HTTP server. Guests are left alone at the end; the next
//! start finds them.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
};

use daemon::{
    serve::{Background, Drain, ServeError, drain, serve},
    startup::{Start, until_told_to_stop},
};
use github::{
    Credentials, CredentialsError, Github, GithubConfig,
    artifact_auth::{ArtifactVerifier, VerifierSettings, VerifierWorker},
};
use http_client::Client;
use shared::{
    clock::Clock,
    settings::{Settings, SettingsError},
};

use crate::{
    api::{Desk, routes},
    driver,
    executor::Outside,
    hypervisor::{Events, Hypervisor, HypervisorError, HypervisorSettings},
    policy::policy_of,
    pool::Pool,
    profiles::{Images, ProfileError, profiles_path, read_images},
    store::{Store, StoreError},
};
use monitor_core::{Monitor, SnapshotError};

/// Why the monitor could not be started, or did not go on. Each text is a fragment that follows
/// "failed to".
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// What it needs is not in the settings.
    #[error("read the settings: {0}")]
    Settings(#[from] SettingsError),
    /// There is nothing to ask GitHub with.
    #[error("{0}")]
    Credentials(#[from] CredentialsError),
    /// A profile cannot be carried out.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The data directory cannot be used.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// What is in the data directory cannot be used. It is not put aside by itself: without it,
    /// ids that were given out could be given out again.
    #[error("{source} in {}; to start with an empty pool, move it away", .data_path.display())]
    Snapshot {
        /// What is wrong with it.
        source: SnapshotError,
        /// The data directory.
        data_path: PathBuf,
    },
    /// Guests cannot be made.
    #[error("{0}")]
    Hypervisor(#[from] HypervisorError),
    /// A listener was not one.
    #[error("learn the address it listens on: {0}")]
    Address(#[source] io::Error),
    /// It ended without having been asked to.
    #[error("{0}")]
    Serve(#[from] ServeError),
}

/// A monitor that listens, and neither answers nor does anything yet.
pub struct App {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    desk: Desk,
    drain: Drain,
    outside: Outside,
    events: Events,
    proofs: VerifierWorker,
    credential: Credentials,
}

/// Runs a monitor until the process is asked to end.
///
/// # Errors
/// When it cannot start, or ends without having been asked to.
pub async fn run(start: Start) -> Result<(), AppError> {
    let app = build(start.settings, start.listeners).await?;
    app.run_until(until_told_to_stop()).await
}

/// Opens the data directory and gets everything ready. Must be called on the thread that will run
/// the app, on an actix runtime.
///
/// # Errors
/// When the settings cannot be carried out, or the data directory cannot be used.
pub async fn build(settings: Settings, listeners: Vec<TcpListener>) -> Result<App, AppError> {
    let addresses = listeners.iter().map(TcpListener::local_addr);
    let addresses = addresses
        .collect::<Result<_, _>>()
        .map_err(AppError::Address)?;
    let credential = Credentials::required(&settings)?;

    let clock = Clock::start();
    let (store, snapshot) = Store::open(&settings.data_path)?;
    let images = read_images(&settings)?;
    let core = Monitor::new(
        policy_of(&settings, &images),
        snapshot.as_deref(),
        clock.now(),
    );
    let core = core.map_err(|source| AppError::Snapshot {
        source,
        data_path: settings.data_path.clone(),
    })?;
    let (hypervisor, events) = hypervisor(&settings, &images)?;
    let pool = Arc::new(Pool::new(core, clock, store));

    let (drain, draining) = drain();
    let (proof_desk, proofs) = ArtifactVerifier::new();
    let github = Rc::new(github(&settings, credential.clone()));
    let board = github.api_status().clone();
    let desk = Desk::new(
        pool.clone(),
        hypervisor.clone(),
        &settings,
        proof_desk,
        draining,
        board,
    );
    let outside = Outside {
        pool,
        hypervisor,
        github,
        settings: Rc::new(settings),
        images: Rc::new(images),
    };
    Ok(App {
        listeners,
        addresses,
        desk,
        drain,
        outside,
        events,
        proofs,
        credential,
    })
}

/// What makes the guests.
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

fn github(settings: &Settings, credential: Credentials) -> Github {
    let settings = GithubConfig::of(&settings.github, credential);
    Github::new(Client::new(), settings)
}

impl App {
    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Keeps the pool and answers until `stop` resolves; held requests are answered before it
    /// returns.
    ///
    /// # Errors
    /// When it ends without having been asked to.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), AppError> {
        for address in &self.addresses {
            log::info!("the monitor listens on http://{address}/");
        }
        let Self {
            listeners,
            desk,
            drain,
            outside,
            events,
            proofs,
            credential,
            ..
        } = self;
        let (pool, settings) = (outside.pool.clone(), outside.settings.clone());
        let proof_settings = VerifierSettings {
            allowed_qualified_repo_prefix: settings.github.allowed_qualified_repo_prefix.clone(),
            artifact_max_age: settings.github.tokenless_select_artifact_max_age,
        };
        let github = github(&settings, credential).with_api_status(outside.github.api_status());
        let proofs = proofs.run(github, proof_settings);
        let background = vec![
            Background {
                name: "the loop that keeps the pool",
                task: actix_web::rt::spawn(driver::drive(outside, events)),
            },
            Background {
                name: "the desk that checks claims",
                task: actix_web::rt::spawn(proofs),
            },
        ];
        let served = serve(listeners, routes(desk), drain, background, stop).await;
        pool.close().await;
        Ok(served?)
    }
}
