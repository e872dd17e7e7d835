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

use shared::{
    clock::Clock,
    daemon::{Start, until_told_to_stop},
    github::{Credential, CredentialError, Github, GithubSettings},
    http::Client,
    proof::{ClosedDesk, ProofDesk, ProofSettings},
    serve::{Background, Drain, ServeError, drain, serve},
    settings::{GuestDriver, ImageSettings, Settings, SettingsError},
    values::ProfileKey,
};

use crate::{
    api::{Desk, routes},
    core::{Monitor, SnapshotError},
    driver,
    executor::Outside,
    hypervisor::{Events, Hypervisor, HypervisorError, HypervisorSettings},
    policy::policy_of,
    pool::Pool,
    store::{Store, StoreError},
};

/// Why the monitor could not be started, or did not go on. Each text is a fragment that follows
/// "failed to".
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// What it needs is not in the settings.
    #[error("read the settings: {0}")]
    Settings(#[from] SettingsError),
    /// There is nothing to ask GitHub with.
    #[error("{0}")]
    Credential(#[from] CredentialError),
    /// A profile wants virtual machines, and it is not said where their definitions are.
    #[error(
        "make guests of profile {0}: virtual machines need LIB_MONITOR_DIR, below which \
         profiles/{0}/guest.xml says what they are like; processes need [profiles.{0}.guest] with \
         driver = \"command\""
    )]
    NoProfiles(ProfileKey),
    /// A profile's image is built from a file, and it is not said where such files are.
    #[error("build the image of profile {0}: its base needs IMAGE_DEPS_DIR, which is not set")]
    NoImageDeps(ProfileKey),
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
    proofs: ClosedDesk,
    credential: Credential,
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
    let credential = Credential::required(&settings)?;

    let clock = Clock::start();
    let (store, snapshot) = Store::open(&settings.data_path)?;
    let core = Monitor::new(policy_of(&settings), snapshot.as_deref(), clock.now());
    let core = core.map_err(|source| AppError::Snapshot {
        source,
        data_path: settings.data_path.clone(),
    })?;
    let (hypervisor, events) = hypervisor(&settings)?;
    let pool = Arc::new(Pool::new(core, clock, store));

    let (drain, draining) = drain();
    let (proof_desk, proofs) = ProofDesk::new();
    let github = Rc::new(github(&settings, credential.clone()));
    let board = github.board().clone();
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

/// What makes the guests, once every profile of virtual machines is known to be usable.
fn hypervisor(settings: &Settings) -> Result<(Hypervisor, Events), AppError> {
    let profiles = settings.profiles.iter();
    let virtual_ones: Vec<_> = profiles
        .filter_map(|(profile_key, profile)| match profile.guest {
            GuestDriver::Libvirt(proof) => Some((profile_key, proof, profile.memory())),
            GuestDriver::Command(_) => None,
        })
        .collect();
    let lib_monitor_dir = settings.lib_monitor_dir.as_ref();
    let needs_deps = |image: &ImageSettings| image.base.is_some();
    let mut built_from = settings.profiles.iter().filter(|(_, profile)| {
        settings.image_deps_dir.is_none() && profile.image.as_ref().is_some_and(needs_deps)
    });
    if let Some((profile_key, _)) = built_from.next() {
        return Err(AppError::NoImageDeps(profile_key.clone()));
    }
    if let (Some((profile_key, ..)), None) = (virtual_ones.first(), lib_monitor_dir) {
        return Err(AppError::NoProfiles((*profile_key).clone()));
    }
    let (hypervisor, events) = Hypervisor::new(HypervisorSettings {
        data_path: settings.data_path.clone(),
        guest_prefix: settings.host.libvirt_runner_guest_prefix.clone(),
        builder_prefix: settings.host.libvirt_rebuild_guest_prefix.clone(),
        libvirt_uri: settings.libvirt_uri.clone(),
        makes_virtual_machines: !virtual_ones.is_empty(),
        profiles_path: lib_monitor_dir
            .cloned()
            .unwrap_or_default()
            .join("profiles"),
    })?;
    for (profile_key, proof, memory_max) in virtual_ones {
        hypervisor.check(profile_key, proof, memory_max)?;
    }
    Ok((hypervisor, events))
}

fn github(settings: &Settings, credential: Credential) -> Github {
    let settings = GithubSettings::of(&settings.github, credential);
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
        let proof_settings = ProofSettings {
            allowed_qualified_repo_prefix: settings.github.allowed_qualified_repo_prefix.clone(),
            artifact_max_age: settings.github.tokenless_select_artifact_max_age,
        };
        let github = github(&settings, credential).with_board(outside.github.board());
        let proofs = proofs.open(github, proof_settings);
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
