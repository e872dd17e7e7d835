//! A job whose workflow run authenticates itself by an artifact.

use std::net::SocketAddr;

use emulator::{model::NewArtifact, zip_of_lines};
use shared::{sha256::Sha256, values::RunId};

use super::Bed;
use crate::http::{Response, fetch};

/// The repository of all jobs here.
pub const REPO: &str = "delan/servo";
const RUN_ID: u64 = 123;

/// A job, as its client knows it.
pub struct Job {
    pub unique_id: String,
    secret: String,
}

impl Job {
    /// A job that has uploaded its artifact.
    pub fn upload(bed: &Bed, unique_id: &str) -> Self {
        Self::upload_with(bed, unique_id, true)
    }

    /// A job of an older client, whose artifact has no secret.
    pub fn upload_without_secret(bed: &Bed, unique_id: &str) -> Self {
        Self::upload_with(bed, unique_id, false)
    }

    fn upload_with(bed: &Bed, unique_id: &str, has_secret: bool) -> Self {
        let job = Self {
            unique_id: unique_id.to_owned(),
            secret: format!("secret-of-{unique_id}"),
        };
        let hash = Sha256::of(job.secret.as_bytes());
        let mut lines = vec![
            format!("unique_id={unique_id}"),
            format!("qualified_repo={REPO}"),
            format!("run_id={RUN_ID}"),
            "self_hosted_image_name=linux".to_owned(),
        ];
        if has_secret {
            lines.push(format!("secret_sha256={hash}"));
        }
        let artifact = NewArtifact {
            repo: REPO.parse().expect("a valid repository"),
            run_id: RunId(RUN_ID),
            name: format!("servo-ci-runners_{unique_id}"),
            content: zip_of_lines(lines),
        };
        let emulator = &bed.github.emulator;
        emulator
            .model(|model, now| model.add_artifact(now, artifact))
            .expect("the emulator has room");
        job
    }

    /// Enqueues the job with its secret; returns its ticket.
    ///
    /// # Panics
    /// When the queue refuses it.
    pub fn enqueue(&self, bed: &Bed) -> String {
        let response = fetch(
            bed.queue.address,
            "POST",
            &self.path(),
            &self.authorization(),
        );
        assert_eq!(response.status, 200, "{}", response.text());
        response.text()
    }

    /// Requests its ticket with what is public about it.
    pub fn enqueue_as_stranger(&self, queue: SocketAddr) -> Response {
        fetch(queue, "POST", &self.path(), "")
    }

    /// The header with its secret.
    pub fn authorization(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.secret)
    }

    /// The path of its enqueue.
    pub fn path(&self) -> String {
        let unique_id = &self.unique_id;
        format!("/enqueue?unique_id={unique_id}&qualified_repo={REPO}&run_id={RUN_ID}")
    }
}
