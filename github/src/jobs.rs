//! The jobs of a workflow run, which show whether the one on a runner has completed.
//!
//! Responsible for paging. A job in an unexpected form is left out: it hides no other one.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Github, GithubError,
    client::{PER_PAGE, body},
};
use http_client::{Method, StatusCode};
use shared::values::{QualifiedRepo, RunId};

/// The operation that errors name.
const OPERATION: &str = "list the jobs of a run";
/// The most pages that are read: a run has at most 256 jobs per matrix, and can be repeated.
const PAGES_MAX: usize = 20;

/// A job of a workflow run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WorkflowJob {
    /// Such as `queued`, `in_progress` or `completed`.
    pub status: String,
    /// GitHub's id of the registration of the runner that it is or was on.
    #[serde(default)]
    pub runner_id: Option<u64>,
    /// The name under which that runner is or was registered.
    #[serde(default)]
    pub runner_name: Option<String>,
}

impl WorkflowJob {
    /// Whether it has come to its end, successfully or not.
    pub fn has_completed(&self) -> bool {
        self.status == "completed"
    }

    /// Whether it is or was on a runner: by the id of its registration if both are known, and
    /// otherwise by its name.
    pub fn is_on(&self, registration_id: Option<u64>, runner_name: &str) -> bool {
        // GitHub reports 0 for a job without a runner.
        let own_id = self.runner_id.filter(|id| *id != 0);
        match own_id.zip(registration_id) {
            Some((own, other)) => own == other,
            None => self.runner_name.as_deref() == Some(runner_name),
        }
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    total_count: Value,
    jobs: Vec<Value>,
}

impl Github {
    /// All jobs of a run, those of earlier attempts included.
    pub async fn jobs_of_run(
        &self,
        repo: &QualifiedRepo,
        run_id: RunId,
    ) -> Result<Vec<WorkflowJob>, GithubError> {
        let mut jobs = Vec::new();
        let mut listed_count = 0;
        for number in 1..=PAGES_MAX {
            let url = self.api_url(&format!(
                "/repos/{repo}/actions/runs/{run_id}/jobs?filter=all&per_page={PER_PAGE}&page={number}"
            ));
            let request = self.request(Method::GET, &url);
            let response = self.send(OPERATION, request, &[StatusCode::OK]).await?;
            let page: Page = body(OPERATION, &response)?;
            listed_count += page.jobs.len();
            let is_last = match page.total_count.as_u64() {
                Some(total_count) => page.jobs.is_empty() || listed_count as u64 >= total_count,
                None => page.jobs.len() < PER_PAGE,
            };
            let readable = page.jobs.into_iter();
            jobs.extend(readable.filter_map(|job| serde_json::from_value(job).ok()));
            if is_last {
                break;
            }
        }
        Ok(jobs)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_belongs_to_the_runner_of_its_registration_or_else_of_its_name() {
        for (job, registration_id, is_on) in [
            (
                json!({"status": "a", "runner_id": 7, "runner_name": "r"}),
                Some(7),
                true,
            ),
            (
                json!({"status": "a", "runner_id": 7, "runner_name": "r"}),
                Some(8),
                false,
            ),
            (
                json!({"status": "a", "runner_id": 7, "runner_name": "r"}),
                None,
                true,
            ),
            (
                json!({"status": "a", "runner_id": 0, "runner_name": ""}),
                Some(7),
                false,
            ),
            (
                json!({"status": "a", "runner_id": null, "runner_name": null}),
                Some(7),
                false,
            ),
            (json!({"status": "a"}), Some(7), false),
            (json!({"status": "a", "runner_name": "r"}), Some(7), true),
            (json!({"status": "a", "runner_name": "other"}), None, false),
        ] {
            let job: WorkflowJob = serde_json::from_value(job).unwrap();
            assert_eq!(
                job.is_on(registration_id, "r"),
                is_on,
                "{job:?} {registration_id:?}"
            );
        }
    }
}
