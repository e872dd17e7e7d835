//! The state of an emulated GitHub: model, faults, request log and clock.
//!
//! Not responsible for HTTP, see `api` and `server`.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use shared::{
    clock::{Clock, Timestamp},
    secret::Secret,
};
use tokio::sync::watch;

use crate::{
    apps::{App, Apps, InvalidJwt},
    faults::Faults,
    model::{Model, ModelSettings},
    notify::Notifier,
    requests::RequestLog,
};

/// The settings of an emulated GitHub.
#[derive(Clone, Debug)]
pub struct EmulatorSettings {
    /// The tokens it accepts. Each has its own hourly rate limit.
    pub tokens: Vec<Secret>,
    /// The GitHub Apps it knows. Each has one installation with its own hourly rate limit.
    pub apps: Vec<App>,
    /// The base URL in responses, without a slash at the end. By default the address that the
    /// emulator listens on, which runners in virtual machines cannot reach.
    pub public_url: Option<String>,
    pub model: ModelSettings,
}

impl EmulatorSettings {
    /// One token, and GitHub's own limits.
    pub fn new(token: Secret) -> Self {
        Self {
            tokens: vec![token],
            apps: Vec::new(),
            public_url: None,
            model: ModelSettings::default(),
        }
    }
}

/// An emulated GitHub. Cheap to clone; all clones share one state.
#[derive(Clone, Debug)]
pub struct Emulator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tokens: Vec<Secret>,
    apps: Apps,
    base_url: OnceLock<String>,
    /// Part of the URLs that artifacts are downloaded from, so that they cannot be guessed.
    blob_key: Secret,
    clock: Clock,
    /// How far the clock was advanced, in microseconds.
    clock_offset: AtomicU64,
    model: Mutex<Model>,
    faults: Faults,
    requests: RequestLog,
    notifier: Notifier,
}

impl Emulator {
    /// An empty GitHub that does not listen yet.
    pub fn new(settings: EmulatorSettings) -> Self {
        let clock = Clock::start();
        let notifier = Notifier::new();
        let base_url = OnceLock::new();
        if let Some(url) = settings.public_url {
            base_url.get_or_init(|| url);
        }
        Self(Arc::new(Inner {
            tokens: settings.tokens,
            apps: Apps::new(settings.apps),
            base_url,
            blob_key: random_secret(),
            clock,
            clock_offset: AtomicU64::new(0),
            model: Mutex::new(Model::new(settings.model, clock.now())),
            faults: Faults::new(notifier.clone()),
            requests: RequestLog::new(notifier.clone()),
            notifier,
        }))
    }

    /// Reads or changes the model, at the current time.
    ///
    /// The model's lock is held meanwhile: `work` must not block, and must not call this again.
    pub fn model<R>(&self, work: impl FnOnce(&mut Model, Timestamp) -> R) -> R {
        let mut model = self.0.model.lock();
        let before = model.change_count();
        // Read under the lock, so that the model never sees time run backwards.
        let result = work(&mut model, self.now());
        let is_changed = model.change_count() != before;
        drop(model);
        if is_changed {
            self.0.notifier.notify();
        }
        result
    }

    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// The requests so far.
    pub fn requests(&self) -> &RequestLog {
        &self.0.requests
    }

    /// The current time of the emulated GitHub.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now() + Duration::from_micros(self.0.clock_offset.load(Ordering::Relaxed))
    }

    /// Advances the clock, and applies all timeouts that are due by then. Runners that listen are
    /// offline for a moment if the step is longer than the silence timeout.
    pub fn advance_clock(&self, step: Duration) {
        let micros = u64::try_from(step.as_micros()).unwrap_or(u64::MAX);
        let moved = |offset: u64| Some(offset.saturating_add(micros));
        let _ = self
            .0
            .clock_offset
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved);
        self.model(|model, now| model.advance(now));
        self.0.notifier.notify();
    }

    /// Waits until `is_met` returns true. It is called again after every change of the model, every
    /// request and every injected fault. Has no timeout.
    pub async fn until(&self, mut is_met: impl FnMut(&Self) -> bool) {
        let mut changes = self.changes();
        loop {
            changes.borrow_and_update();
            if is_met(self) {
                return;
            }
            // This emulator owns the sender, so that this cannot fail.
            let _ = changes.changed().await;
        }
    }

    /// The base URL in responses, without a slash at the end; empty until the emulator is served.
    pub fn base_url(&self) -> &str {
        self.0.base_url.get().map_or("", String::as_str)
    }

    pub(crate) fn set_base_url(&self, url: String) {
        self.0.base_url.get_or_init(|| url);
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.notifier.subscribe()
    }

    /// The number of the rate limit that requests with the token `candidate` count against: the
    /// token's own, or that of the App installation it was issued to. None for an invalid token.
    pub(crate) fn caller(&self, candidate: &str) -> Option<usize> {
        let tokens = &self.0.tokens;
        let token = tokens.iter().position(|token| token.matches(candidate));
        let installation = || {
            let app = self.0.apps.owner(candidate, self.now())?;
            Some(tokens.len() + app)
        };
        token.or_else(installation)
    }

    /// Issues a token of an installation for a JWT of its App; returns it with its expiry.
    pub(crate) fn installation_token(
        &self,
        installation_id: u64,
        jwt: &str,
    ) -> Result<(Secret, Timestamp), InvalidJwt> {
        let now = self.now();
        let apps = &self.0.apps;
        let app = apps.check(installation_id, jwt, self.faults().with_clock_skew(now))?;
        let token = Secret::new(format!("ghs_{}", random_secret().expose()));
        let expires_at = apps.issue(app, token.clone(), now);
        Ok((token, expires_at))
    }

    pub(crate) fn blob_key(&self) -> &Secret {
        &self.0.blob_key
    }
}

/// 32 random bytes in URL-safe base64.
pub(crate) fn random_secret() -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}
