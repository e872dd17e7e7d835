//! Artifacts of workflow runs: finding one by its name, and fetching it.
//!
//! Owns the check that what was fetched is what GitHub described. Never sends the token to the
//! place where artifacts are stored, and never fetches one over an open line.

use actix_web::web::Bytes;
use percent_encoding::utf8_percent_encode;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Deserializer};

use super::{
    Github, GithubError,
    budget::Purpose,
    client::{PER_PAGE, UNRESERVED, body},
};
use http_client::{Call, Method, Retry, StatusCode, timestamp};
use shared::{
    clock::Timestamp,
    values::{QualifiedRepo, RunId},
};

/// The most pages of artifacts that are read. GitHub is asked for one name only, so there is
/// more than one page only where it does not go by that.
const PAGES_MAX: usize = 10;

/// An artifact as GitHub describes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Artifact {
    /// GitHub's id of it.
    pub id: u64,
    /// The name its uploader chose.
    pub name: String,
    /// Length of the zip, in bytes.
    pub size_in_bytes: Option<u64>,
    /// Digest of the zip, `sha256:<hex>`. Not known for artifacts uploaded in the older way.
    pub digest: Option<String>,
    /// When it was uploaded, by GitHub's clock.
    #[serde(default, deserialize_with = "moment")]
    pub created_at: Option<Timestamp>,
    /// Whether its content is gone.
    #[serde(default)]
    pub expired: bool,
}

/// The artifacts of one name in one run. There are several if its job ran several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedArtifacts {
    /// The artifacts, in GitHub's order.
    pub artifacts: Vec<Artifact>,
    /// When GitHub said so, by GitHub's clock, to the second.
    pub listed_at: Timestamp,
}

#[derive(Deserialize)]
struct ArtifactsPage {
    total_count: usize,
    artifacts: Vec<Artifact>,
}

/// A moment such as `2020-01-10T14:59:22Z`. One that cannot be read is not known: it must not
/// make the other artifacts of the page unreadable.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let time = text.and_then(|text| humantime::parse_rfc3339(&text).ok());
    Ok(time.and_then(timestamp))
}

impl Github {
    /// Finds the artifacts of a run that are named exactly `name`. A run or repository that is
    /// not there, or that the token may not see, is an error of status 404.
    pub async fn list_run_artifacts(
        &self,
        repo: &QualifiedRepo,
        run_id: RunId,
        name: &str,
    ) -> Result<NamedArtifacts, GithubError> {
        let attempt = format!("list artifacts of run {run_id}");
        let unexpected = |what| GithubError::Unexpected {
            attempt: attempt.clone(),
            what,
        };
        self.afford(&attempt, Purpose::Proof)?;
        let in_query = utf8_percent_encode(name, UNRESERVED);
        let mut named = Vec::new();
        let mut read_count = 0;
        for number in 1..=PAGES_MAX {
            let url = self.api_url(&format!(
                "/repos/{repo}/actions/runs/{run_id}/artifacts\
                 ?name={in_query}&per_page={PER_PAGE}&page={number}"
            ));
            let call = self.call(Method::GET, &url);
            let answer = self.ask_for(&attempt, call, &[StatusCode::OK]).await?;
            let page: ArtifactsPage = body(&attempt, &answer)?;
            read_count += page.artifacts.len();
            let is_end = page.artifacts.is_empty() || read_count >= page.total_count;
            let page = page.artifacts.into_iter();
            named.extend(page.filter(|artifact| artifact.name == name));
            if is_end {
                let listed_at = answer.date();
                return Ok(NamedArtifacts {
                    artifacts: named,
                    listed_at: listed_at.ok_or_else(|| unexpected("the answer has no date"))?,
                });
            }
        }
        Err(unexpected("the list does not end"))
    }

    /// Fetches the zip of an artifact, of `bytes_max` bytes at most.
    pub async fn download_artifact(
        &self,
        repo: &QualifiedRepo,
        artifact: &Artifact,
        bytes_max: usize,
    ) -> Result<Bytes, GithubError> {
        let attempt = format!("download artifact {}", artifact.id);
        let unexpected = |what| GithubError::Unexpected {
            attempt: attempt.clone(),
            what,
        };
        if artifact.size_in_bytes > Some(bytes_max as u64) {
            return Err(GithubError::TooLarge { attempt, bytes_max });
        }
        let id = artifact.id;
        let url = self.api_url(&format!("/repos/{repo}/actions/artifacts/{id}/zip"));
        let call = self.call(Method::GET, &url);
        let answer = self.ask_for(&attempt, call, &[StatusCode::FOUND]).await?;
        let location = answer.header("location");
        let location = location.ok_or_else(|| unexpected("the answer does not say where"))?;
        if !self.may_fetch_from(location) {
            return Err(unexpected("it is stored where the line is open"));
        }
        let zip = self.fetch(&attempt, location, bytes_max).await?;
        check(artifact, &zip).map_err(unexpected)?;
        Ok(zip)
    }

    /// Plain HTTP is for tests and demos, in which GitHub itself is reached by it.
    fn may_fetch_from(&self, location: &str) -> bool {
        let is_https = |url: &str| {
            let scheme = url.as_bytes().get(.."https://".len());
            scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https://"))
        };
        is_https(location) || !is_https(&self.api_url(""))
    }

    /// Fetches from the store: another host, which gets neither our token nor GitHub's headers.
    async fn fetch(
        &self,
        attempt: &str,
        location: &str,
        bytes_max: usize,
    ) -> Result<Bytes, GithubError> {
        let call = Call {
            body_max: bytes_max,
            retry: Retry::Once,
            ..Call::new(Method::GET, location)
        };
        let fetched = self.client.call(call).await;
        let answer = fetched.map_err(|cause| GithubError::of_call(attempt, cause))?;
        if answer.status == StatusCode::OK {
            Ok(answer.body)
        } else {
            // It was not shown our token, so it cannot repeat it.
            Err(GithubError::of_answer(attempt, &answer, None))
        }
    }
}

/// Whether `zip` is the artifact, as far as GitHub described it.
fn check(artifact: &Artifact, zip: &[u8]) -> Result<(), &'static str> {
    if artifact
        .size_in_bytes
        .is_some_and(|size| size != zip.len() as u64)
    {
        return Err("its length is not what github said");
    }
    let Some(expected) = artifact.digest.as_deref() else {
        return Ok(());
    };
    let hex: String = digest(&SHA256, zip)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    match expected.strip_prefix("sha256:") {
        Some(expected) if expected.eq_ignore_ascii_case(&hex) => Ok(()),
        Some(_) => Err("its digest is not what github said"),
        // A digest of another kind cannot be checked; the length was.
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::GithubSettings, *};
    use http_client::Client;
    use shared::secret::Secret;

    #[test]
    fn an_open_line_is_used_only_where_github_itself_is_reached_by_one() {
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
            let settings = GithubSettings {
                api_url: api_url.into(),
                scope_path: String::new(),
                credential: Secret::new("").into(),
                patience: std::time::Duration::ZERO,
            };
            let github = Github::new(Client::new(), settings);
            let said = github.may_fetch_from(location);
            assert_eq!(said, expected, "{api_url} {location}");
        }
    }
}
