//! Requests for artifacts of workflow runs: find by name, download.
//!
//! Responsible for checking that a download is what GitHub described. Never sends the token to the
//! artifact store, and never downloads without TLS.

use actix_web::web::Bytes;
use percent_encoding::utf8_percent_encode;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{
    Github, GithubError,
    client::{PER_PAGE, UNRESERVED, body},
    priority::Priority,
};
use http_client::{Method, Request, Retry, StatusCode, timestamp};
use shared::{
    clock::Timestamp,
    sha256::Sha256,
    values::{QualifiedRepo, RunId},
};

/// The most pages of artifacts that are read. The request contains a name, so there is more than
/// one page only where GitHub ignores it.
const PAGES_MAX: usize = 10;

/// An artifact as GitHub describes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Artifact {
    /// GitHub's id of the artifact.
    pub id: u64,
    /// The name that the uploader chose.
    pub name: String,
    /// Length of the zip, in bytes.
    pub size_in_bytes: Option<u64>,
    /// Digest of the zip, `sha256:<hex>`. `None` for artifacts of older versions of the upload
    /// action.
    pub digest: Option<String>,
    /// When it was uploaded, by GitHub's clock.
    #[serde(default, deserialize_with = "moment")]
    pub created_at: Option<Timestamp>,
    /// Whether the content has been deleted.
    #[serde(default, deserialize_with = "or_false")]
    pub expired: bool,
}

/// The artifacts of one name in one run. There are several if the job was repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedArtifacts {
    /// The artifacts, in GitHub's order.
    pub artifacts: Vec<Artifact>,
    /// When GitHub listed them, by its clock, to the second.
    pub listed_at: Timestamp,
}

/// The body of a page. Entries are read one by one: one that cannot be read must not hide the others.
#[derive(Deserialize)]
struct ArtifactsPage {
    #[serde(default)]
    total_count: Value,
    artifacts: Vec<Value>,
}

/// Reads a value that may be null.
fn or_false<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<bool>::deserialize(deserializer)?.unwrap_or(false))
}

/// Reads a time such as `2020-01-10T14:59:22Z`. An invalid one becomes `None`: it must not make the
/// other artifacts of the page unreadable.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let time = text.and_then(|text| humantime::parse_rfc3339(&text).ok());
    Ok(time.and_then(timestamp))
}

impl Github {
    /// Finds the artifacts of a run with exactly the name `name`.
    ///
    /// # Errors
    /// With status 404 when there is no such run or repository, or the token has no access to it.
    pub async fn list_run_artifacts(
        &self,
        repo: &QualifiedRepo,
        run_id: RunId,
        name: &str,
    ) -> Result<NamedArtifacts, GithubError> {
        let operation = format!("list artifacts of run {run_id}");
        let unexpected = |what| GithubError::Unexpected {
            operation: operation.clone(),
            what,
        };
        self.admit(&operation, Priority::Authentication)?;
        let in_query = utf8_percent_encode(name, UNRESERVED);
        let mut named = Vec::new();
        let mut read_count = 0;
        for number in 1..=PAGES_MAX {
            let url = self.api_url(&format!(
                "/repos/{repo}/actions/runs/{run_id}/artifacts\
                 ?name={in_query}&per_page={PER_PAGE}&page={number}"
            ));
            let request = self.request(Method::GET, &url);
            let response = self
                .send_with_retries(&operation, request, &[StatusCode::OK])
                .await?;
            let page: ArtifactsPage = body(&operation, &response)?;
            read_count += page.artifacts.len();
            let is_complete = match page.total_count.as_u64() {
                Some(total_count) => read_count as u64 >= total_count,
                None => page.artifacts.len() < PER_PAGE,
            };
            let is_end = page.artifacts.is_empty() || is_complete;
            let page = page.artifacts.into_iter();
            let page = page.filter_map(|entry| serde_json::from_value::<Artifact>(entry).ok());
            named.extend(page.filter(|artifact| artifact.name == name));
            if is_end {
                if response.date().is_none() {
                    return Err(unexpected("the response has no date"));
                }
                return Ok(NamedArtifacts {
                    artifacts: named,
                    // Not the date itself, which may be a single odd one.
                    listed_at: Timestamp::from_seconds(self.now_at_github().as_seconds()),
                });
            }
        }
        Err(unexpected("the list has too many pages"))
    }

    /// Downloads the zip of an artifact, of at most `bytes_max` bytes.
    pub async fn download_artifact(
        &self,
        repo: &QualifiedRepo,
        artifact: &Artifact,
        bytes_max: usize,
    ) -> Result<Bytes, GithubError> {
        let operation = format!("download artifact {}", artifact.id);
        let unexpected = |what| GithubError::Unexpected {
            operation: operation.clone(),
            what,
        };
        if artifact.size_in_bytes > Some(bytes_max as u64) {
            return Err(GithubError::TooLarge {
                operation,
                bytes_max,
            });
        }
        let id = artifact.id;
        let url = self.api_url(&format!("/repos/{repo}/actions/artifacts/{id}/zip"));
        let request = self.request(Method::GET, &url);
        let response = self
            .send_with_retries(&operation, request, &[StatusCode::FOUND])
            .await?;
        let location = response.header("location");
        let location = location.ok_or_else(|| unexpected("the response contains no location"))?;
        if !self.may_download_from(location) {
            return Err(unexpected("its location is not an https URL"));
        }
        let zip = self.download(&operation, location, bytes_max).await?;
        check(artifact, &zip).map_err(unexpected)?;
        Ok(zip)
    }

    /// Without TLS only if the API itself is used without it: in tests and demos.
    fn may_download_from(&self, location: &str) -> bool {
        let is_https = |url: &str| {
            let scheme = url.as_bytes().get(.."https://".len());
            scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https://"))
        };
        is_https(location) || !is_https(&self.api_url(""))
    }

    /// Downloads from the artifact store: another host, which gets neither our token nor GitHub's
    /// headers.
    async fn download(
        &self,
        operation: &str,
        location: &str,
        bytes_max: usize,
    ) -> Result<Bytes, GithubError> {
        let request = Request {
            body_max: bytes_max,
            retry: Retry::Once,
            ..Request::new(Method::GET, location)
        };
        let fetched = self.client.send(request).await;
        let response = fetched.map_err(|cause| GithubError::of_request(operation, cause))?;
        if response.status == StatusCode::OK {
            Ok(response.body)
        } else {
            Err(GithubError::of_store(operation, &response))
        }
    }
}

/// Compares the length and digest of `zip` with those that GitHub reported.
fn check(artifact: &Artifact, zip: &[u8]) -> Result<(), &'static str> {
    if artifact
        .size_in_bytes
        .is_some_and(|size| size != zip.len() as u64)
    {
        return Err("its length differs from the one that GitHub reported");
    }
    let Some(expected) = artifact.digest.as_deref() else {
        return Ok(());
    };
    let hex = Sha256::of(zip).to_string();
    match expected.strip_prefix("sha256:") {
        Some(expected) if expected.eq_ignore_ascii_case(&hex) => Ok(()),
        Some(_) => Err("its digest differs from the one that GitHub reported"),
        // An unknown kind of digest cannot be checked; the length has been.
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::GithubConfig, *};
    use http_client::Client;
    use shared::secret::Secret;

    #[test]
    fn artifacts_are_downloaded_without_tls_only_if_the_api_is_used_without_it() {
        let secure = "https://store/blob";
        for (api_url, location, expected) in [
            ("https://api.github.com", secure, true),
            ("https://api.github.com", "HTTPS://store/blob", true),
            ("https://api.github.com", "http://store/blob", false),
            ("https://api.github.com", "/blob", false),
            ("https://api.github.com", "", false),
            ("HTTPS://api.github.com", "http://store/blob", false),
            ("http://127.0.0.1:1", "http://store/blob", true),
            ("http://127.0.0.1:1", secure, true),
        ] {
            let config = GithubConfig {
                api_url: api_url.into(),
                scope_path: String::new(),
                credentials: Secret::new("").into(),
                retry_timeout: std::time::Duration::ZERO,
            };
            let github = Github::new(Client::new(), config);
            let allowed = github.may_download_from(location);
            assert_eq!(allowed, expected, "{api_url} {location}");
        }
    }
}
