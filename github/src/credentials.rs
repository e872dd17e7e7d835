//! GitHub credentials: a personal access token, or a GitHub App with hourly installation tokens.
//!
//! Responsible for when an installation token is renewed. Not responsible for the App's key and
//! JWTs (`app_key`).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::Deserialize;

use super::{AppKey, AppKeyError, Github, GithubError, client::body};
use http_client::{Method, Request, Retry, StatusCode, timestamp};
use shared::{
    backoff::{Backoff, Failures},
    clock::Timestamp,
    secret::Secret,
    settings::{Secrets, Settings, SettingsError},
};

/// How long before its expiry an installation token is replaced; GitHub's are valid for an hour.
const RENEWED_BEFORE: Duration = Duration::from_secs(10 * 60);
/// How long an installation token is valid at most.
const LIFETIME_MAX: Duration = Duration::from_secs(3600);
/// The pause between tries to get a token. Requests that need one meanwhile use the current token,
/// or fail with the error of the last try.
const RENEWAL_BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(10),
    max: Duration::from_secs(30),
    jitter_percent: 50,
};

/// What requests to GitHub are authenticated with.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A personal access token, or any other that is not renewed by us.
    Token(Secret),
    /// The same from a file, which is read again when GitHub rejects the token.
    TokenFile(Arc<TokenFile>),
    /// A GitHub App and its installation.
    App(Arc<AppKey>),
}

/// A token that comes from a file. `Debug` does not show it.
#[derive(Debug)]
pub struct TokenFile {
    secrets: Secrets,
    current: Mutex<Secret>,
}

impl TokenFile {
    fn current(&self) -> Secret {
        self.current.lock().clone()
    }

    /// Reads the file again. Returns whether it contains another token than `rejected`.
    fn replace(&self, rejected: &Secret) -> bool {
        let current = self.current();
        if !current.matches(rejected.expose()) {
            return true;
        }
        match self.secrets.reread_github_token() {
            Some(token) if !token.matches(rejected.expose()) => {
                log::info!("read a new GITHUB_TOKEN from .env, because GitHub rejects the old one");
                *self.current.lock() = token;
                true
            }
            _ => false,
        }
    }
}

/// Why there are no usable credentials. The text is a fragment that follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The App's key cannot be used.
    #[error("{0}")]
    Key(#[from] AppKeyError),
    /// The settings contain neither an App nor a token.
    #[error("read the settings: {0}")]
    Settings(#[from] SettingsError),
}

impl Credentials {
    /// The credentials of the settings: the App if there is one, otherwise the token, if any.
    ///
    /// # Errors
    /// When there is an App and its key cannot be used; the token does not replace it silently.
    pub fn of(settings: &Settings) -> Result<Option<Self>, CredentialsError> {
        if let Some(app) = &settings.github.github_app {
            let key = AppKey::load(app.id, app.installation_id, &app.key_file)?;
            return Ok(Some(Self::App(Arc::new(key))));
        }
        Ok(settings.secrets.github_token.as_ref().map(|token| {
            if settings.secrets.is_github_token_from_file() {
                Self::TokenFile(Arc::new(TokenFile {
                    secrets: settings.secrets.clone(),
                    current: Mutex::new(token.clone()),
                }))
            } else {
                Self::Token(token.clone())
            }
        }))
    }

    /// The credentials of the settings, for a daemon that requires them.
    ///
    /// # Errors
    /// Like [`of`](Self::of), and when the settings contain neither.
    pub fn required(settings: &Settings) -> Result<Self, CredentialsError> {
        match Self::of(settings)? {
            Some(credentials) => Ok(credentials),
            // Names the missing variable.
            None => Ok(settings.secrets.require_github_token()?.clone().into()),
        }
    }
}

impl From<Secret> for Credentials {
    fn from(token: Secret) -> Self {
        Self::Token(token)
    }
}

/// The installation token, and how the last try to get one ended.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    current: Option<InstallationToken>,
    /// Failed tries since the last token; their times are by our clock.
    pub(super) failures: Failures,
    /// Why the last try failed, if it did.
    last_error: Option<GithubError>,
}

impl Renewals {
    /// The token to use, or the error of the last try; `None` if a token has to be fetched first. `now`
    /// is by GitHub's clock, `our_now` by ours.
    fn available(&self, now: Timestamp, our_now: Timestamp) -> Option<Result<Secret, GithubError>> {
        let is_pause = our_now < self.failures.retry_at();
        match (&self.current, &self.last_error) {
            // Until the token expires, a failed renewal does no harm: there is time to try again.
            (Some(current), _)
                if now < current.renew_at || (is_pause && now < current.expires_at) =>
            {
                Some(Ok(current.token.clone()))
            }
            (_, Some(error)) if is_pause => Some(Err(error.clone())),
            _ => None,
        }
    }
}

/// A token that acts for an installation of the App. Its times are by GitHub's clock.
#[derive(Clone, Debug)]
pub(super) struct InstallationToken {
    token: Secret,
    expires_at: Timestamp,
    renew_at: Timestamp,
}

/// The body of GitHub's response.
#[derive(Deserialize)]
struct CreatedToken {
    token: Secret,
    expires_at: String,
    #[serde(default)]
    permissions: BTreeMap<String, String>,
}

impl Github {
    /// The current token. If one has to be fetched, that takes at most `timeout`.
    pub(super) async fn token(&self, timeout: Duration) -> Result<Secret, GithubError> {
        let key = match &self.config.credentials {
            Credentials::Token(token) => return Ok(token.clone()),
            Credentials::TokenFile(file) => return Ok(file.current()),
            Credentials::App(key) => key,
        };
        // The lock is held meanwhile, so that a burst of requests fetches one token.
        let mut renewals = self.renewals.lock().await;
        if let Some(available) = renewals.available(self.now_at_github(), self.now()) {
            return available;
        }
        let fetched = self.installation_token(key, timeout).await;
        let now = self.now_at_github();
        match fetched {
            Ok(renewed) => {
                renewals.failures.reset();
                renewals.last_error = None;
                Ok(renewals.current.insert(renewed).token.clone())
            }
            Err(error) => {
                let at_least = error.retry_after().unwrap_or_default();
                renewals
                    .failures
                    .record(self.now(), RENEWAL_BACKOFF, at_least);
                renewals.last_error = Some(error.clone());
                let current = renewals.current.as_ref();
                let current = current.filter(|current| now < current.expires_at);
                let current = current.ok_or_else(|| error.clone())?;
                log::warn!("failed to {error}; using the current token until it expires");
                Ok(current.token.clone())
            }
        }
    }

    /// Forgets `token`, which GitHub rejected. Returns whether another one can be fetched.
    pub(super) async fn discard(&self, token: &Secret) -> bool {
        match &self.config.credentials {
            Credentials::Token(_) => return false,
            Credentials::TokenFile(file) => return file.replace(token),
            Credentials::App(_) => {}
        }
        let mut renewals = self.renewals.lock().await;
        let current = renewals.current.as_ref();
        if current.is_some_and(|current| token.matches(current.token.expose())) {
            *renewals = Renewals::default();
        }
        true
    }

    async fn installation_token(
        &self,
        key: &AppKey,
        timeout: Duration,
    ) -> Result<InstallationToken, GithubError> {
        let operation = format!("get a token for GitHub App {}", key.app_id());
        let path = format!("/app/installations/{}/access_tokens", key.installation_id());
        let url = self.api_url(&path);
        let mut has_learned_time = false;
        // Once an hour, and with each try to get a token.
        if let Err(error) = key.reload() {
            log::warn!("failed to {error}; using the key that was read before");
        }
        loop {
            let jwt = key.sign(self.now_at_github());
            let request = Request {
                bearer: Some(&jwt),
                // Idempotent enough: a second token does no harm.
                retry: Retry::Once,
                timeout,
                ..self.request(Method::POST, &url)
            };
            let expected = [StatusCode::CREATED];
            let response = self.send_as_is(&operation, request, &expected).await?;
            if response.status == StatusCode::CREATED {
                let created: CreatedToken = body(&operation, &response)?;
                let expires_at = humantime::parse_rfc3339(&created.expires_at);
                let expires_at = expires_at.ok().and_then(timestamp);
                let expires_at = expires_at.ok_or(GithubError::Unexpected {
                    operation,
                    what: "the response does not contain when the token expires",
                })?;
                self.api_status
                    .record_installation(created.permissions, expires_at);
                let now = self.now_at_github();
                // GitHub's tokens are valid for an hour, whatever the dates say.
                let expires_at = expires_at.min(now + LIFETIME_MAX);
                return Ok(InstallationToken {
                    token: created.token,
                    expires_at,
                    // The minimum keeps a token with an unexpectedly short life from being
                    // replaced with every request.
                    renew_at: (expires_at - RENEWED_BEFORE).max(now + RENEWAL_BACKOFF.first),
                });
            }
            // GitHub rejects a JWT that its clock puts in the future or the past. The response has
            // told GitHub's time.
            if response.status != StatusCode::UNAUTHORIZED || has_learned_time {
                let error = self.refused(&operation, &response, &jwt);
                self.api_status.record_no_token(&error, self.now());
                return Err(error);
            }
            has_learned_time = true;
        }
    }
}
