//! Registering, deleting and labelling runners at GitHub.
//!
//! Owns what each of GitHub's answers to that means. Never repeats what must not be done twice.

use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde_json::json;

use super::{
    Github, GithubError,
    client::{UNRESERVED, body},
};
use http_client::{Call, Method, Retry, StatusCode};
use shared::{
    registration::{Deletion, Registration},
    secret::Secret,
};

/// A new registration and the secret that starts its runner.
#[derive(Debug)]
pub struct JitRunner {
    /// GitHub's record, offline until the runner connects.
    pub registration: Registration,
    /// The JIT configuration, for the guest of this runner and nobody else.
    pub jit_config: Secret,
}

#[derive(Deserialize)]
struct Registered {
    runner: Registration,
    encoded_jit_config: Secret,
}

impl Github {
    /// Registers a runner that will take one job.
    ///
    /// Never sent twice: after an ambiguous failure the list tells whether it was done, and its
    /// secret is then lost.
    pub async fn generate_jitconfig(
        &self,
        name: &str,
        runner_group_id: u64,
        labels: &[String],
        work_folder: &str,
    ) -> Result<JitRunner, GithubError> {
        let attempt = format!("register runner {name}");
        let url = self.scope_url("/actions/runners/generate-jitconfig");
        let call = Call {
            retry: Retry::Never,
            ..self.call(Method::POST, &url).json(&json!({
                "name": name,
                "runner_group_id": runner_group_id,
                "labels": labels,
                "work_folder": work_folder,
            }))
        };
        let answer = self.ask(&attempt, call, &[StatusCode::CREATED]).await?;
        let registered: Registered = body(&attempt, &answer)?;
        Ok(JitRunner {
            registration: registered.runner,
            jit_config: registered.encoded_jit_config,
        })
    }

    /// Deletes a registration, unless its runner is busy.
    pub async fn delete_runner(&self, id: u64) -> Result<Deletion, GithubError> {
        let url = self.scope_url(&format!("/actions/runners/{id}"));
        let call = self.call(Method::DELETE, &url);
        let expected = [
            StatusCode::NO_CONTENT,
            StatusCode::NOT_FOUND,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        let attempt = format!("delete registration {id}");
        let answer = self.ask(&attempt, call, &expected).await?;
        Ok(match answer.status {
            StatusCode::NO_CONTENT => Deletion::Deleted,
            StatusCode::NOT_FOUND => Deletion::NotThere,
            _ => Deletion::Busy,
        })
    }

    /// Adds labels to those a runner has.
    pub async fn add_labels(&self, id: u64, labels: &[String]) -> Result<(), GithubError> {
        let url = self.scope_url(&format!("/actions/runners/{id}/labels"));
        // Adding a label that is there changes nothing, so this call may be sent twice.
        let call = self.call(Method::POST, &url);
        let call = call.json(&json!({ "labels": labels }));
        let attempt = format!("add labels to registration {id}");
        self.ask_for(&attempt, call, &[StatusCode::OK]).await?;
        Ok(())
    }

    /// Takes a label from a runner; one that is not there is no error.
    pub async fn remove_label(&self, id: u64, name: &str) -> Result<(), GithubError> {
        let in_path = utf8_percent_encode(name, UNRESERVED);
        let url = self.scope_url(&format!("/actions/runners/{id}/labels/{in_path}"));
        let call = self.call(Method::DELETE, &url);
        let attempt = format!("remove label {name} from registration {id}");
        let expected = [StatusCode::OK, StatusCode::NOT_FOUND];
        self.ask_for(&attempt, call, &expected).await?;
        Ok(())
    }
}
