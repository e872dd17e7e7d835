//! The emulator as a whole: the model behind its lock, the faults, the log, and the time in it.
//!
//! Owns the lock and the clock. Never answers a request itself.

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
    apps::{App, Apps, BadTicket},
    bell::Bell,
    faults::Faults,
    model::{Model, ModelSettings},
    requests::RequestLog,
};

/// What an emulator is made with.
#[derive(Clone, Debug)]
pub struct EmulatorSettings {
    /// The tokens it accepts, each with an hourly limit of its own.
    pub tokens: Vec<Secret>,
    /// The Apps it knows, each installed once and with an hourly limit of its own.
    pub apps: Vec<App>,
    /// The base address that its answers name, without a slash at the end; the one it listens on
    /// if none is given. Runners in virtual machines need another.
    pub public_url: Option<String>,
    /// The limits and waits of the model.
    pub model: ModelSettings,
}

impl EmulatorSettings {
    /// GitHub's limits, and one token.
    pub fn new(token: Secret) -> Self {
        Self {
            tokens: vec![token],
            apps: Vec::new(),
            public_url: None,
            model: ModelSettings::default(),
        }
    }
}

/// An emulated GitHub. Cheap to clone; all clones are the same one.
#[derive(Clone, Debug)]
pub struct Emulator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tokens: Vec<Secret>,
    apps: Apps,
    base_url: OnceLock<String>,
    /// Part of the addresses that artifacts are downloaded from, so that nobody can guess them.
    blob_key: Secret,
    clock: Clock,
    /// How far the clock was moved ahead, in microseconds.
    ahead: AtomicU64,
    model: Mutex<Model>,
    faults: Faults,
    requests: RequestLog,
    bell: Bell,
}

impl Emulator {
    /// An empty GitHub that nobody can reach yet.
    pub fn new(settings: EmulatorSettings) -> Self {
        let clock = Clock::start();
        let bell = Bell::new();
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
            ahead: AtomicU64::new(0),
            model: Mutex::new(Model::new(settings.model, clock.now())),
            faults: Faults::new(bell.clone()),
            requests: RequestLog::new(bell.clone()),
            bell,
        }))
    }

    /// Looks at the model or changes it, at this moment and in one go.
    ///
    /// The lock is held meanwhile: `work` must not wait, nor ask for the model again.
    pub fn model<R>(&self, work: impl FnOnce(&mut Model, Timestamp) -> R) -> R {
        let mut model = self.0.model.lock();
        let before = model.change_count();
        // Read under the lock, so that the model never sees time run backwards.
        let result = work(&mut model, self.now());
        let is_changed = model.change_count() != before;
        drop(model);
        if is_changed {
            self.0.bell.ring();
        }
        result
    }

    /// What goes wrong on purpose.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// Who asked GitHub for what.
    pub fn requests(&self) -> &RequestLog {
        &self.0.requests
    }

    /// The current moment here.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now() + Duration::from_micros(self.0.ahead.load(Ordering::Relaxed))
    }

    /// Moves the clock ahead. What was due until then happens at once; runners that listen are
    /// offline for a moment if the step is longer than they may be silent.
    pub fn advance_clock(&self, step: Duration) {
        let micros = u64::try_from(step.as_micros()).unwrap_or(u64::MAX);
        let moved = |ahead: u64| Some(ahead.saturating_add(micros));
        let _ = self
            .0
            .ahead
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved);
        self.model(|model, now| model.advance(now));
        self.0.bell.ring();
    }

    /// Waits until `is_met`, which is asked again after every change of the model, every request
    /// and every fault that struck. Has no deadline of its own.
    pub async fn until(&self, mut is_met: impl FnMut(&Self) -> bool) {
        let mut changes = self.changes();
        loop {
            changes.borrow_and_update();
            if is_met(self) {
                return;
            }
            // The bell is part of this emulator, so it cannot go away while we wait.
            let _ = changes.changed().await;
        }
    }

    /// The base address that answers name, without a slash at the end; empty before it is served.
    pub fn base_url(&self) -> &str {
        self.0.base_url.get().map_or("", String::as_str)
    }

    pub(crate) fn set_base_url(&self, url: String) {
        self.0.base_url.get_or_init(|| url);
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.bell.listen()
    }

    /// The number of the hourly limit that `candidate` counts against: a token's own, or that of
    /// the installation it was given to.
    pub(crate) fn caller(&self, candidate: &str) -> Option<usize> {
        let tokens = &self.0.tokens;
        let token = tokens.iter().position(|token| token.matches(candidate));
        let installation = || {
            let app = self.0.apps.holder(candidate, self.now())?;
            Some(tokens.len() + app)
        };
        token.or_else(installation)
    }

    /// Gives a token of an installation to whoever has a ticket of its App, and says when it ends.
    pub(crate) fn installation_token(
        &self,
        installation_id: u64,
        ticket: &str,
    ) -> Result<(Secret, Timestamp), BadTicket> {
        let now = self.now();
        let apps = &self.0.apps;
        let app = apps.check(installation_id, ticket, self.faults().shown(now))?;
        let token = Secret::new(format!("ghs_{}", random_secret().expose()));
        let expires_at = apps.grant(app, token.clone(), now);
        Ok((token, expires_at))
    }

    pub(crate) fn blob_key(&self) -> &Secret {
        &self.0.blob_key
    }
}

/// 32 random bytes, as text that can stand anywhere.
pub(crate) fn random_secret() -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}
