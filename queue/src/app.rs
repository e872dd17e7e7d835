//! The queue as a whole: built from its settings, run until it is told to stop.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use daemon::{
    auth::ApiToken,
    serve::{Background, Drain, ServeError, drain, serve},
};
use github::{
    ApiStatusCell, Credentials, CredentialsError, Github, GithubConfig,
    artifact_auth::{ArtifactVerifier, VerifierSettings},
};
use http_client::Client;
use shared::{
    clock::Clock,
    settings::{Settings, SettingsError},
};
use tokio::sync::mpsc;

use crate::{
    api::{Desk, routes},
    driver::Driver,
    servers::{Server, obey, watch},
    ticket::{KeyError, TicketKey},
};
use queue_core::queue::{Queue, Rules};

/// Why the queue could not be started, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// What it needs is not in the settings.
    #[error("read the settings: {0}")]
    Settings(#[from] SettingsError),
    /// The key of the GitHub App cannot be used.
    #[error("{0}")]
    Credentials(#[from] CredentialsError),
    /// There is no key for tickets.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// A listener was not one.
    #[error("learn the address it listens on: {0}")]
    Address(#[source] std::io::Error),
    /// It ended without having been asked to.
    #[error("{0}")]
    Serve(#[from] ServeError),
}

/// A queue that listens, and does not answer yet.
pub struct App {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    desk: Desk,
    drain: Drain,
    background: Vec<Background>,
}

/// Builds the queue. Must be called on the thread that will run it: the servers' tasks start here.
///
/// # Errors
/// When the settings lack what a queue needs, or its key can be neither read nor made.
pub fn build(settings: &Settings, listeners: Vec<TcpListener>) -> Result<App, AppError> {
    let queue_settings = settings.require_queue()?;
    let ticket_key = match &queue_settings.ticket_key {
        Some(secret) => TicketKey::from_secret(secret),
        None => TicketKey::load_or_make(&settings.data_path.join("queue"))?,
    };
    let addresses = listeners
        .iter()
        .map(TcpListener::local_addr)
        .collect::<Result<_, _>>();
    let addresses = addresses.map_err(AppError::Address)?;

    let clock = Clock::start();
    let mut base_urls = queue_settings.servers.clone();
    base_urls.sort();
    let names: Vec<String> = base_urls
        .iter()
        .map(|url| url.as_str().to_owned())
        .collect();
    let queue = Queue::new(rules(queue_settings), &names, clock.now());
    let (senders, receivers): (Vec<_>, Vec<_>) =
        names.iter().map(|_| mpsc::unbounded_channel()).unzip();
    let driver = Driver::new(queue, clock, senders);

    let client = Client::new();
    let mut background = vec![Background {
        name: "the core's clock",
        task: actix_web::rt::spawn(driver.clone().run()),
    }];
    let identity = rand::random();
    for (id, (base_url, orders)) in base_urls.into_iter().zip(receivers).enumerate() {
        let api_token = settings.secrets.api_token.clone();
        let server = Server {
            id,
            base_url,
            queue: identity,
            api_token,
            client: client.clone(),
            driver: driver.clone(),
        };
        let watching = actix_web::rt::spawn(watch(server.clone()));
        background.push(Background {
            name: "the watch on a server",
            task: watching,
        });
        background.push(Background {
            name: "the orders for a server",
            task: actix_web::rt::spawn(obey(server, orders)),
        });
    }
    let (drain, draining) = drain();
    let (proofs, github) = open_proof_desk(settings, client, &mut background)?.unzip();
    let desk = Desk {
        driver,
        ticket_key: Arc::new(ticket_key),
        ticket_lifetime: queue_settings.ticket_lifetime,
        api_token: ApiToken(settings.secrets.api_token.clone()),
        proofs,
        github,
        draining,
    };
    Ok(App {
        listeners,
        addresses,
        desk,
        drain,
        background,
    })
}

impl App {
    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Answers until `stop` resolves; held requests are answered before it returns.
    ///
    /// # Errors
    /// When it ends without having been asked to.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), AppError> {
        for address in &self.addresses {
            log::info!("the queue listens on http://{address}/");
        }
        serve(
            self.listeners,
            routes(self.desk),
            self.drain,
            self.background,
            stop,
        )
        .await?;
        Ok(())
    }
}

fn rules(settings: &shared::settings::QueueSettings) -> Rules {
    Rules {
        settle: settings.settle,
        abandon_after: settings.abandon_after,
        forward_timeout: settings.forward_timeout,
        stale_after: settings.stale_after,
        ticket_lifetime: settings.ticket_lifetime,
        jobs_max: settings.jobs_max,
        jobs_per_repo_max: settings.jobs_per_repo_max,
        held_max: settings.held_requests_max,
    }
}

fn open_proof_desk(
    settings: &Settings,
    client: Client,
    background: &mut Vec<Background>,
) -> Result<Option<(ArtifactVerifier, ApiStatusCell)>, CredentialsError> {
    let Some(credential) = Credentials::of(settings)? else {
        return Ok(None);
    };
    let (proofs, desk) = ArtifactVerifier::new();
    let github = Github::new(client, GithubConfig::of(&settings.github, credential));
    let board = github.api_status().clone();
    let proof_settings = VerifierSettings {
        allowed_qualified_repo_prefix: settings.github.allowed_qualified_repo_prefix.clone(),
        artifact_max_age: settings.github.tokenless_select_artifact_max_age,
    };
    let task = actix_web::rt::spawn(desk.run(github, proof_settings));
    background.push(Background {
        name: "the check of artifacts",
        task,
    });
    Ok(Some((proofs, board)))
}
