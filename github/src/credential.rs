//! As whom GitHub is asked: with a token, or as a GitHub App that gets itself tokens of an hour.
//!
//! Owns when an installation token is renewed, and what is known of GitHub's clock meanwhile.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Deserialize;

use super::{AppKey, AppKeyError, Github, GithubError, client::body};
use http_client::{Call, Method, Retry, StatusCode, timestamp};
use shared::{
    backoff::{Backoff, Failures},
    clock::Timestamp,
    secret::Secret,
    settings::{Settings, SettingsError},
};

/// How long before its expiry an installation token is replaced; GitHub's are valid for an hour.
const RENEWED_BEFORE: Duration = Duration::from_secs(10 * 60);
/// The pause between tries to get a token. Requests that need one meanwhile use the current token,
/// or fail with the error of the last try.
const RENEWAL_BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(10),
    max: Duration::from_secs(30),
    jitter_percent: 50,
};

/// As whom GitHub is asked.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A personal access token, or any other that does not change.
    Token(Secret),
    /// An installation of a GitHub App.
    App(Arc<AppKey>),
}

/// Why there is nothing to ask GitHub with. The text follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The App's key cannot be used.
    #[error("{0}")]
    Key(#[from] AppKeyError),
    /// There is neither an App nor a token in the settings.
    #[error("read the settings: {0}")]
    Settings(#[from] SettingsError),
}

impl Credential {
    /// What the settings say: the App before the token; none if they have neither.
    ///
    /// # Errors
    /// When there is an App, and its key cannot be used.
    pub fn of(settings: &Settings) -> Result<Option<Self>, CredentialError> {
        if let Some(app) = &settings.github.github_app {
            let key = AppKey::load(app.id, app.installation_id, &app.key_file)?;
            return Ok(Some(Self::App(Arc::new(key))));
        }
        Ok(settings.secrets.github_token.clone().map(Self::Token))
    }

    /// The same, for a daemon that cannot do without.
    ///
    /// # Errors
    /// As [`of`](Self::of), and when the settings have neither.
    pub fn required(settings: &Settings) -> Result<Self, CredentialError> {
        match Self::of(settings)? {
            Some(credential) => Ok(credential),
            None => Ok(settings.secrets.require_github_token()?.clone().into()),
        }
    }
}

impl From<Secret> for Credential {
    fn from(token: Secret) -> Self {
        Self::Token(token)
    }
}

/// The tokens of an installation: the last one, and how the last try to get one ended.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    current: Option<InstallationToken>,
    /// Failed tries since the last token; their times are by GitHub's clock.
    pub(super) failures: Failures,
    /// Why the last try failed, if it did.
    last_error: Option<GithubError>,
}

impl Renewals {
    /// The token to use, or the error of the last try; `None` if a token has to be fetched first.
    fn available(&self, now: Timestamp) -> Option<Result<Secret, GithubError>> {
        let is_pause = now < self.failures.retry_at();
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

/// An installation token. Its times are by GitHub's clock.
#[derive(Clone, Debug)]
pub(super) struct InstallationToken {
    token: Secret,
    expires_at: Timestamp,
    renew_at: Timestamp,
}

#[derive(Deserialize)]
struct Created {
    token: Secret,
    expires_at: String,
    #[serde(default)]
    permissions: BTreeMap<String, String>,
}

impl Github {
    /// The token of this moment. Fetching one may take as long as `timeout`.
    pub(super) async fn token(&self, timeout: Duration) -> Result<Secret, GithubError> {
        let key = match &self.settings.credential {
            Credential::Token(token) => return Ok(token.clone()),
            Credential::App(key) => key,
        };
        // Held while one is fetched, so that a burst of questions fetches it once.
        let mut renewals = self.renewals.lock().await;
        if let Some(available) = renewals.available(self.now_at_github()) {
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
                renewals.failures.record(now, RENEWAL_BACKOFF, at_least);
                renewals.last_error = Some(error.clone());
                let current = renewals.current.as_ref();
                let current = current.filter(|current| now < current.expires_at);
                let current = current.ok_or_else(|| error.clone())?;
                log::warn!("failed to {error}; the last token is used until it expires");
                Ok(current.token.clone())
            }
        }
    }

    /// GitHub does not take `token`. Whether there may be another one to try.
    pub(super) async fn discard(&self, token: &Secret) -> bool {
        if let Credential::Token(_) = self.settings.credential {
            return false;
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
        let attempt = format!("get a token for GitHub App {}", key.app_id());
        let path = format!("/app/installations/{}/access_tokens", key.installation_id());
        let url = self.api_url(&path);
        let mut has_learnt_the_time = false;
        loop {
            let ticket = key.sign(self.now_at_github());
            let call = Call {
                bearer: Some(&ticket),
                // Done twice, there are two tokens, and no harm.
                retry: Retry::Once,
                timeout,
                ..self.call(Method::POST, &url)
            };
            let answer = self.send(&attempt, call).await?;
            if answer.status == StatusCode::CREATED {
                let created: Created = body(&attempt, &answer)?;
                let expires_at = humantime::parse_rfc3339(&created.expires_at);
                let expires_at = expires_at.ok().and_then(timestamp);
                let expires_at = expires_at.ok_or(GithubError::Unexpected {
                    attempt,
                    what: "the answer does not say when the token expires",
                })?;
                self.board
                    .note_installation(created.permissions, expires_at);
                let now = self.now_at_github();
                return Ok(InstallationToken {
                    token: created.token,
                    expires_at,
                    // The minimum keeps a token with an unexpectedly short life from being
                    // replaced with every request.
                    renew_at: (expires_at - RENEWED_BEFORE).max(now + RENEWAL_BACKOFF.first),
                });
            }
            // A ticket from the future or the past is refused. By now its Date is known.
            if answer.status != StatusCode::UNAUTHORIZED || has_learnt_the_time {
                return Err(self.refused(&attempt, &answer, &ticket));
            }
            has_learnt_the_time = true;
        }
    }
}
