//! What GitHub knows of a workflow run, for the rules of a scheduling policy.
//!
//! Responsible for what can be believed: a stranger can start a run by a pull request from a fork, whose branch
//! and workflows it names and changes as it likes. Of such a run only the event is known.

use serde::Deserialize;

use super::{Github, GithubError, client::body, priority::Priority};
use http_client::{Method, StatusCode};
use shared::{
    policy::{Fact, RunFacts},
    values::{QualifiedRepo, RunId},
};

/// The operation that errors name.
const OPERATION: &str = "read a workflow run";
/// Events whose runs GitHub may show with the branch of another run or of a fork.
const WITH_ANOTHER_BRANCH: [&str; 2] = ["pull_request_target", "workflow_run"];

/// A run as GitHub describes it.
#[derive(Deserialize)]
struct Run {
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    head_branch: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    repository: Option<Repository>,
    /// Null if the fork was deleted.
    #[serde(default)]
    head_repository: Option<Repository>,
}

#[derive(PartialEq, Eq, Deserialize)]
struct Repository {
    id: u64,
}

impl Run {
    fn facts(self) -> RunFacts {
        let fact = |text: Option<String>| text?.parse::<Fact>().ok();
        let is_own = self.repository.is_some() && self.repository == self.head_repository;
        let event = fact(self.event);
        let shows_branch = event
            .as_ref()
            .is_some_and(|event| !WITH_ANOTHER_BRANCH.contains(&event.as_str()));
        RunFacts {
            branch: fact(self.head_branch).filter(|_| is_own && shows_branch),
            workflow: fact(self.path)
                .filter(|_| is_own)
                .map(|path| path.file_name()),
            event,
        }
    }
}

impl Github {
    /// What is known of a run.
    ///
    /// # Errors
    /// When GitHub is unavailable, or knows no such run.
    pub async fn run_facts(
        &self,
        repo: &QualifiedRepo,
        run_id: RunId,
    ) -> Result<RunFacts, GithubError> {
        self.admit(OPERATION, Priority::Authentication)?;
        let url = self.api_url(&format!("/repos/{repo}/actions/runs/{run_id}"));
        let request = self.request(Method::GET, &url);
        let response = self
            .send_with_retries(OPERATION, request, &[StatusCode::OK])
            .await?;
        let run: Run = body(OPERATION, &response)?;
        Ok(run.facts())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_the_run_of_a_fork_only_the_event_is_known() {
        let facts = |change: serde_json::Value| {
            let mut run = json!({
                "event": "push", "head_branch": "main", "path": ".github/workflows/ci.yml@main",
                "repository": {"id": 1}, "head_repository": {"id": 1},
            });
            let (run, change) = (run.as_object_mut().unwrap(), change.as_object().unwrap());
            run.extend(change.clone());
            let run = serde_json::Value::Object(run.clone());
            let facts = serde_json::from_value::<Run>(run).unwrap().facts();
            let text =
                |fact: Option<Fact>| fact.map_or("-".to_owned(), |it| it.as_str().to_owned());
            [facts.branch, facts.event, facts.workflow]
                .map(text)
                .join(" ")
        };
        for (change, expected) in [
            (json!({}), "main push ci.yml"),
            (json!({"head_repository": {"id": 2}}), "- push -"),
            (json!({"head_repository": null}), "- push -"),
            (
                json!({"repository": null, "head_repository": null}),
                "- push -",
            ),
            (json!({"event": "workflow_run"}), "- workflow_run ci.yml"),
            (
                json!({"event": "pull_request_target"}),
                "- pull_request_target ci.yml",
            ),
            (json!({"event": null}), "- - ci.yml"),
            (json!({"head_branch": null, "path": null}), "- push -"),
            (json!({"head_branch": "a\nb"}), "- push ci.yml"),
        ] {
            assert_eq!(facts(change.clone()), expected, "{change}");
        }
    }
}
