//! How long GitHub supports a version of the runner software.
//!
//! GitHub wants each new release installed within some weeks, and gives no jobs to runners that are
//! older. Source: GitHub's documentation, "REST API endpoints for self-hosted runners", get the
//! end-of-life schedule of a runner version.

use percent_encoding::utf8_percent_encode;
use serde::Deserialize;

use super::{
    Github, GithubError,
    client::{UNRESERVED, body},
    priority::Priority,
};
use http_client::{Method, StatusCode, timestamp};
use shared::software::Support;

#[derive(Deserialize)]
struct Schedule {
    #[serde(default)]
    runtime_deprecates_at: Option<String>,
    #[serde(default)]
    registration_deprecates_at: Option<String>,
}

impl Github {
    /// How long runners of `version`, such as `2.337.0`, can be registered and get jobs: until the
    /// earlier of the two dates that GitHub reports.
    pub async fn runner_support(&self, version: &str) -> Result<Support, GithubError> {
        let operation = format!("get the support period of runner software {version}");
        self.admit(&operation, Priority::SoftwareSupport)?;
        let in_path = utf8_percent_encode(version, UNRESERVED);
        let url = self.scope_url(&format!("/actions/runners/deprecations/{in_path}"));
        let request = self.request(Method::GET, &url);
        let expected = [StatusCode::OK, StatusCode::NOT_FOUND];
        let response = self.send(&operation, request, &expected).await?;
        if response.status == StatusCode::NOT_FOUND {
            return Ok(Support::Unknown);
        }
        let schedule: Schedule = body(&operation, &response)?;
        let ends = [
            schedule.runtime_deprecates_at,
            schedule.registration_deprecates_at,
        ];
        let mut support = Support::Open;
        for end in ends.into_iter().flatten() {
            let end = humantime::parse_rfc3339(&end).ok().and_then(timestamp);
            let end = end.ok_or_else(|| GithubError::Unexpected {
                operation: operation.clone(),
                what: "the response contains an invalid date",
            })?;
            support = match support {
                Support::Until(earlier) if earlier <= end => support,
                _ => Support::Until(end),
            };
        }
        Ok(support)
    }
}
