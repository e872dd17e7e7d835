//! What operators set at a monitor: its drain, and its temporary targets.

use std::{collections::BTreeMap, time::Duration};

use http_client::{Client, Method, Request, Retry};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use shared::{operator::Intervention, secret::Secret, settings::BaseUrl};

use super::{RequestError, error::expect_ok};

/// A change is answered once it is on disk.
const TIMEOUT: Duration = Duration::from_secs(30);
const DRAIN: &str = "policy/drain";
const OVERRIDE: &str = "policy/override";

/// Temporary targets by profile. A monitor may report keys that are no valid names any more.
pub type Targets = BTreeMap<String, u64>;

/// One monitor, with the credentials for changes. Not `Send`.
pub struct MonitorPolicy<'a> {
    client: &'a Client,
    base_url: &'a BaseUrl,
}

impl<'a> MonitorPolicy<'a> {
    /// The policy of the monitor at `base_url`.
    pub fn new(client: &'a Client, base_url: &'a BaseUrl) -> Self {
        Self { client, base_url }
    }

    /// The drain in force, if there is one. Needs no token.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn drain_in_force(&self) -> Result<Option<Intervention>, RequestError> {
        self.send(Method::GET, DRAIN, None, "get the drain").await
    }

    /// Begins a drain, or replaces the note of the one in force. Idempotent.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn drain(&self, note: &str, token: &Secret) -> Result<Intervention, RequestError> {
        let note = utf8_percent_encode(note, NON_ALPHANUMERIC);
        let path = format!("{DRAIN}?note={note}");
        self.send(Method::POST, &path, Some(token), "drain the server")
            .await
    }

    /// Ends the drain; returns the one that ended. Idempotent.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn undrain(&self, token: &Secret) -> Result<Option<Intervention>, RequestError> {
        self.send(Method::DELETE, DRAIN, Some(token), "end the drain")
            .await
    }

    /// The temporary targets, if there are any. Needs no token.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn targets(&self) -> Result<Option<Targets>, RequestError> {
        self.send(Method::GET, OVERRIDE, None, "get the temporary targets")
            .await
    }

    /// Replaces the temporary targets. Idempotent.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn set_targets(
        &self,
        targets: &Targets,
        token: &Secret,
    ) -> Result<Targets, RequestError> {
        // Keys are made of characters that need no escapes.
        let query: Vec<String> = targets
            .iter()
            .map(|(key, count)| format!("{key}={count}"))
            .collect();
        let path = format!("{OVERRIDE}?{}", query.join("&"));
        self.send(Method::POST, &path, Some(token), "set temporary targets")
            .await
    }

    /// Cancels the temporary targets; returns those that it cancelled. Idempotent.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn cancel_targets(&self, token: &Secret) -> Result<Option<Targets>, RequestError> {
        let purpose = "cancel the temporary targets";
        self.send(Method::DELETE, OVERRIDE, Some(token), purpose)
            .await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&Secret>,
        purpose: &'static str,
    ) -> Result<T, RequestError> {
        let url = self.base_url.join(path);
        let mut request = Request::new(method, &url).header("accept", "application/json");
        request.bearer = bearer;
        request.timeout = TIMEOUT;
        request.retry = Retry::Once;
        let response = self.client.send(request).await?;
        Ok(expect_ok(purpose, response)?.json()?)
    }
}
