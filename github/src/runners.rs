//! Requests that register, delete and label runners.
//!
//! Responsible for the meaning of GitHub's responses. Never repeats a request that is not
//! idempotent.

use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Github, GithubError,
    client::{UNRESERVED, body},
    runner_list::PartialRegistration,
};
use http_client::{Method, Request, Retry, StatusCode};
use shared::{
    registration::{Deletion, Registration},
    secret::Secret,
};

/// A new registration, and the secret with which its runner starts.
#[derive(Debug)]
pub struct JitRunner {
    /// GitHub's record, offline until the runner connects.
    pub registration: Registration,
    /// The JIT configuration. Only the guest of this runner may receive it.
    pub jit_config: Secret,
}

#[derive(Deserialize)]
struct Registered {
    runner: Value,
    encoded_jit_config: Secret,
}

impl Github {
    /// Registers a runner that will run one job.
    ///
    /// Never sent twice. After an ambiguous failure, the list of runners shows whether there is a
    /// registration; its secret is lost.
    pub async fn generate_jitconfig(
        &self,
        name: &str,
        runner_group_id: u64,
        labels: &[String],
        work_folder: &str,
    ) -> Result<JitRunner, GithubError> {
        let operation = format!("register runner {name}");
        let url = self.scope_url("/actions/runners/generate-jitconfig");
        let request = Request {
            retry: Retry::Never,
            ..self.request(Method::POST, &url).json(&json!({
                "name": name,
                "runner_group_id": runner_group_id,
                "labels": labels,
                "work_folder": work_folder,
            }))
        };
        let response = self
            .send(&operation, request, &[StatusCode::CREATED])
            .await?;
        let registered: Registered = body(&operation, &response)?;
        let named = |mut runner: PartialRegistration| {
            runner.name.get_or_insert_with(|| name.to_owned());
            runner.complete(None)
        };
        let registration = PartialRegistration::read(&registered.runner).and_then(named);
        Ok(JitRunner {
            registration: registration.ok_or(GithubError::Unexpected {
                operation,
                what: "the response contains no registration",
            })?,
            jit_config: registered.encoded_jit_config,
        })
    }

    /// Deletes a registration; GitHub refuses that while its runner is busy.
    pub async fn delete_runner(&self, id: u64) -> Result<Deletion, GithubError> {
        let url = self.scope_url(&format!("/actions/runners/{id}"));
        let request = self.request(Method::DELETE, &url);
        let expected = [
            StatusCode::NO_CONTENT,
            StatusCode::NOT_FOUND,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        let operation = format!("delete registration {id}");
        let response = self.send(&operation, request, &expected).await?;
        Ok(match response.status {
            StatusCode::NO_CONTENT => Deletion::Deleted,
            StatusCode::NOT_FOUND => Deletion::NotThere,
            _ => Deletion::Busy,
        })
    }

    /// Adds labels to a runner. Labels that it has already are no error.
    pub async fn add_labels(&self, id: u64, labels: &[String]) -> Result<(), GithubError> {
        let url = self.scope_url(&format!("/actions/runners/{id}/labels"));
        // Adding a label twice changes nothing, so the request is idempotent.
        let request = self.request(Method::POST, &url);
        let request = request.json(&json!({ "labels": labels }));
        let operation = format!("add labels to registration {id}");
        self.send_with_retries(&operation, request, &[StatusCode::OK])
            .await?;
        Ok(())
    }

    /// Removes a label from a runner. A label that it does not have is no error.
    pub async fn remove_label(&self, id: u64, name: &str) -> Result<(), GithubError> {
        let in_path = utf8_percent_encode(name, UNRESERVED);
        let url = self.scope_url(&format!("/actions/runners/{id}/labels/{in_path}"));
        let request = self.request(Method::DELETE, &url);
        let operation = format!("remove label {name} from registration {id}");
        let expected = [StatusCode::OK, StatusCode::NOT_FOUND];
        self.send_with_retries(&operation, request, &expected)
            .await?;
        Ok(())
    }
}
