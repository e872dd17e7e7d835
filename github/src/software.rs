//! Until when GitHub supports a version of the runner software.
//!
//! Owns the reading of that answer. GitHub wants each new release installed within some weeks, and
//! gives no jobs to runners that are older. Source: GitHub's documentation, "REST API endpoints for
//! self-hosted runners", get the end-of-life schedule of a runner version.

use percent_encoding::utf8_percent_encode;
use serde::Deserialize;

use super::{
    Github, GithubError,
    budget::Purpose,
    client::{UNRESERVED, body},
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
    /// Asks until when runners of that version, such as `2.337.0`, can be registered and get jobs.
    pub async fn runner_support(&self, version: &str) -> Result<Support, GithubError> {
        let attempt = format!("learn until when runner software {version} is supported");
        self.afford(&attempt, Purpose::Support)?;
        let in_path = utf8_percent_encode(version, UNRESERVED);
        let url = self.scope_url(&format!("/actions/runners/deprecations/{in_path}"));
        let call = self.call(Method::GET, &url);
        let expected = [StatusCode::OK, StatusCode::NOT_FOUND];
        let answer = self.ask(&attempt, call, &expected).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(Support::Unknown);
        }
        let schedule: Schedule = body(&attempt, &answer)?;
        let ends = [
            schedule.runtime_deprecates_at,
            schedule.registration_deprecates_at,
        ];
        let mut support = Support::Open;
        for end in ends.into_iter().flatten() {
            let end = humantime::parse_rfc3339(&end).ok().and_then(timestamp);
            let end = end.ok_or_else(|| GithubError::Unexpected {
                attempt: attempt.clone(),
                what: "the answer has a date that cannot be read",
            })?;
            support = match support {
                Support::Until(earlier) if earlier <= end => support,
                _ => Support::Until(end),
            };
        }
        Ok(support)
    }
}
