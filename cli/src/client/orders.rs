//! What operators order: the drain and the temporary targets of a monitor, rebuilds of its images, the end of a
//! runner, and the pauses of a queue.

use std::{collections::BTreeMap, time::Duration};

use http_client::{Client, Method, Request, Response, Retry};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shared::{
    operator::{AUTHOR_HEADER, Author, Intervention},
    secret::Secret,
    settings::BaseUrl,
    values::ProfileKey,
};

use super::{ErrorResponse, RequestError, error::expect_ok};

/// A change is answered once it is on disk.
const TIMEOUT: Duration = Duration::from_secs(30);
const DRAIN: &str = "policy/drain";
const OVERRIDE: &str = "policy/override";

/// Temporary targets by profile. A monitor may report keys that are no valid names any more.
pub type Targets = BTreeMap<String, u64>;

/// What a reload of the settings has done: names of settings, such as `profiles.linux.target_count`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Those that have changed and are in force now.
    pub applied: Vec<String>,
    /// Those that differ from what the daemon was started with, and need a restart.
    pub needs_restart: Vec<String>,
}

/// What operators order at one queue or monitor. Each order is idempotent. Not `Send`.
pub struct Orders<'a> {
    client: &'a Client,
    base_url: &'a BaseUrl,
    author: &'a Author,
}

impl<'a> Orders<'a> {
    /// The orders at the daemon with this URL, under this name.
    pub fn new(client: &'a Client, base_url: &'a BaseUrl, author: &'a Author) -> Self {
        Self {
            client,
            base_url,
            author,
        }
    }

    /// The drain of a monitor that is in force, if there is one. Needs no token.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn drain_in_force(&self) -> Result<Option<Intervention>, RequestError> {
        self.send(Method::GET, DRAIN, None, "get the drain").await
    }

    /// Begins a drain, or replaces the note of the one in force.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn drain(&self, note: &str, token: &Secret) -> Result<Intervention, RequestError> {
        let path = with_note(DRAIN, note);
        self.send(Method::POST, &path, Some(token), "drain the server")
            .await
    }

    /// Ends the drain; returns the one that ended.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn undrain(&self, token: &Secret) -> Result<Option<Intervention>, RequestError> {
        self.send(Method::DELETE, DRAIN, Some(token), "end the drain")
            .await
    }

    /// Pauses a profile at a queue, or replaces the note of the pause in force.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn pause(
        &self,
        profile: &ProfileKey,
        note: &str,
        token: &Secret,
    ) -> Result<Intervention, RequestError> {
        let path = with_note(&format!("profile/{profile}/pause"), note);
        self.send(Method::POST, &path, Some(token), "pause the profile")
            .await
    }

    /// Ends the pause of a profile; returns the one that ended.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn resume(
        &self,
        profile: &ProfileKey,
        token: &Secret,
    ) -> Result<Option<Intervention>, RequestError> {
        let path = format!("profile/{profile}/pause");
        self.send(Method::DELETE, &path, Some(token), "resume the profile")
            .await
    }

    /// Orders the rebuild of an image, or replaces the note of the order in force.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn rebuild(
        &self,
        profile: &ProfileKey,
        note: &str,
        token: &Secret,
    ) -> Result<Intervention, RequestError> {
        let path = with_note(&format!("image/{profile}/rebuild"), note);
        self.send(Method::POST, &path, Some(token), "rebuild the image")
            .await
    }

    /// Cancels the order for a rebuild; returns the one that it cancelled.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn cancel_rebuild(
        &self,
        profile: &ProfileKey,
        token: &Secret,
    ) -> Result<Option<Intervention>, RequestError> {
        let path = format!("image/{profile}/rebuild");
        self.send(Method::DELETE, &path, Some(token), "cancel the rebuild")
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

    /// Replaces the temporary targets.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn set_targets(
        &self,
        targets: &Targets,
        note: &str,
        token: &Secret,
    ) -> Result<Targets, RequestError> {
        // Keys are made of characters that need no escapes.
        let mut query: Vec<String> = targets
            .iter()
            .map(|(key, count)| format!("{key}={count}"))
            .collect();
        // Earlier monitors do not know it.
        if !note.is_empty() {
            query.push(format!(
                "note={}",
                utf8_percent_encode(note, NON_ALPHANUMERIC)
            ));
        }
        let path = format!("{OVERRIDE}?{}", query.join("&"));
        self.send(Method::POST, &path, Some(token), "set temporary targets")
            .await
    }

    /// Cancels the temporary targets; returns those that it cancelled.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn cancel_targets(&self, token: &Secret) -> Result<Option<Targets>, RequestError> {
        let purpose = "cancel the temporary targets";
        self.send(Method::DELETE, OVERRIDE, Some(token), purpose)
            .await
    }

    /// Asks a monitor to destroy a runner; by force even while GitHub shows that it runs a job. Succeeds once the
    /// monitor has decided it, which is before the runner is gone.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn destroy_runner(
        &self,
        id: u64,
        is_forced: bool,
        token: &Secret,
    ) -> Result<(), RequestError> {
        let force = if is_forced { "?force=true" } else { "" };
        let path = format!("runner/{id}{force}");
        let purpose = "destroy the runner";
        let response = self.ask(Method::DELETE, &path, Some(token)).await?;
        match response.status.is_success() {
            true => Ok(()),
            false => Err(RequestError::Refused(ErrorResponse::parse(
                purpose, &response,
            ))),
        }
    }

    /// Lets the daemon read its settings again.
    ///
    /// # Errors
    /// See [`RequestError`]; among them a mistake in the settings.
    pub async fn reload(&self, token: &Secret) -> Result<Reloaded, RequestError> {
        self.send(Method::POST, "reload", Some(token), "reload the settings")
            .await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&Secret>,
        purpose: &'static str,
    ) -> Result<T, RequestError> {
        let response = self.ask(method, path, bearer).await?;
        Ok(expect_ok(purpose, response)?.json()?)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&Secret>,
    ) -> Result<Response, RequestError> {
        let url = self.base_url.join(path);
        let mut request = Request::new(method, &url).header("accept", "application/json");
        request.bearer = bearer;
        request.timeout = TIMEOUT;
        request.retry = Retry::Once;
        Ok(self.client.send(with_author(request, self.author)).await?)
    }
}

/// The request with the name of its author, if there is one.
pub(super) fn with_author<'a>(request: Request<'a>, author: &Author) -> Request<'a> {
    // Other characters than those of ASCII are always escaped.
    const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');
    match author.as_str() {
        "" => request,
        author => {
            let author = utf8_percent_encode(author, ESCAPED).to_string();
            request.header(AUTHOR_HEADER, author)
        }
    }
}

fn with_note(path: &str, note: &str) -> String {
    format!(
        "{path}?note={}",
        utf8_percent_encode(note, NON_ALPHANUMERIC)
    )
}
