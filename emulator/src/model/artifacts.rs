//! Artifacts: files that workflow runs have uploaded.

use std::{sync::Arc, time::Duration};

use shared::{
    clock::Timestamp,
    values::{InvalidValue, QualifiedRepo, RunId},
};

use super::{ArtifactId, Model, ModelError, Page, PageRequest};

/// Maximum size of an artifact, in bytes.
pub const ARTIFACT_BYTES_MAX: usize = 4 << 20;
/// Maximum size of all artifacts together, in bytes.
const TOTAL_BYTES_MAX: usize = 256 << 20;
/// Maximum length of a name, in bytes.
const NAME_LENGTH_MAX: usize = 256;

/// An artifact to upload.
#[derive(Clone, Debug)]
pub struct NewArtifact {
    pub repo: QualifiedRepo,
    pub run_id: RunId,
    /// Unique in the run: 1 to 256 bytes without control characters.
    pub name: String,
    /// A zip file, or in some tests something else.
    pub content: Vec<u8>,
}

/// An uploaded artifact. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    pub id: ArtifactId,
    pub repo: QualifiedRepo,
    pub run_id: RunId,
    pub name: Arc<str>,
    pub content: Arc<[u8]>,
    /// The SHA-256 of the content, as `sha256:<hex>`.
    pub digest: Arc<str>,
    pub created_at: Timestamp,
    /// When its content is deleted.
    pub expires_at: Timestamp,
}

impl Artifact {
    /// Whether its content has been deleted.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Ascending,
    /// Newest first, which is GitHub's default for artifacts.
    #[default]
    Descending,
}

impl Model {
    /// From now on, lists contain artifacts only `lag` after their upload. Other requests are not
    /// affected.
    pub fn set_artifact_lag(&mut self, now: Timestamp, lag: Duration) {
        self.advance(now);
        self.artifact_lag = lag;
        self.changed();
    }

    /// Uploads an artifact, which is listed at once, unless there is a lag.
    pub fn add_artifact(
        &mut self,
        now: Timestamp,
        new: NewArtifact,
    ) -> Result<Artifact, ModelError> {
        self.advance(now);
        self.check_artifact(&new)?;
        let id = ArtifactId(self.next_id());
        let artifact = Artifact {
            id,
            repo: new.repo,
            run_id: new.run_id,
            name: new.name.into(),
            digest: sha256(&new.content).into(),
            content: new.content.into(),
            created_at: now,
            expires_at: now + self.settings.artifact_timeout,
        };
        self.artifacts.insert(id, artifact.clone());
        self.changed();
        Ok(artifact)
    }

    fn check_artifact(&self, new: &NewArtifact) -> Result<(), ModelError> {
        let name = &new.name;
        if !(1..=NAME_LENGTH_MAX).contains(&name.len()) || name.contains(|c: char| c.is_control()) {
            let allowed = "1 to 256 bytes without control characters";
            return Err(InvalidValue {
                field: "name",
                allowed,
            }
            .into());
        }
        if new.content.len() > ARTIFACT_BYTES_MAX {
            return Err(InvalidValue {
                field: "zip",
                allowed: "at most 4 MiB",
            }
            .into());
        }
        let mut of_run = self.artifacts_of(&new.repo, new.run_id);
        if of_run.any(|artifact| *artifact.name == *new.name) {
            return Err(ModelError::ArtifactExists { name: name.clone() });
        }
        let held: usize = self
            .artifacts
            .values()
            .map(|artifact| artifact.content.len())
            .sum();
        let is_full = self.artifacts.len() >= self.settings.artifact_count_max
            || held + new.content.len() > TOTAL_BYTES_MAX;
        if is_full {
            Err(ModelError::Full { what: "artifacts" })
        } else {
            Ok(())
        }
    }

    /// One page of a run's artifacts, optionally only the one with that name. An unknown run has none.
    pub fn artifacts(
        &mut self,
        now: Timestamp,
        repo: &QualifiedRepo,
        run_id: RunId,
        name: Option<&str>,
        direction: Direction,
        page: PageRequest,
    ) -> Page<Artifact> {
        self.advance(now);
        let mut wanted: Vec<Artifact> = self
            .artifacts_of(repo, run_id)
            .filter(|artifact| name.is_none_or(|name| *artifact.name == *name))
            .filter(|artifact| artifact.created_at + self.artifact_lag <= now)
            .cloned()
            .collect();
        if direction == Direction::Descending {
            wanted.reverse();
        }
        page.cut(wanted.into_iter())
    }

    pub fn artifact(
        &mut self,
        now: Timestamp,
        repo: &QualifiedRepo,
        id: ArtifactId,
    ) -> Result<Artifact, ModelError> {
        self.advance(now);
        self.artifacts
            .get(&id)
            .filter(|artifact| is_same(&artifact.repo, repo))
            .cloned()
            .ok_or(ModelError::NotFound)
    }

    /// The content of an artifact. The permission is in the URL and is checked there.
    pub fn artifact_content(
        &mut self,
        now: Timestamp,
        id: ArtifactId,
    ) -> Result<Arc<[u8]>, ModelError> {
        self.advance(now);
        let artifact = self.artifacts.get(&id).ok_or(ModelError::NotFound)?;
        if artifact.is_expired(now) {
            return Err(ModelError::ArtifactExpired);
        }
        Ok(artifact.content.clone())
    }

    pub fn delete_artifact(
        &mut self,
        now: Timestamp,
        repo: &QualifiedRepo,
        id: ArtifactId,
    ) -> Result<(), ModelError> {
        self.artifact(now, repo, id)?;
        self.artifacts.remove(&id);
        self.changed();
        Ok(())
    }

    fn artifacts_of<'a>(
        &'a self,
        repo: &'a QualifiedRepo,
        run_id: RunId,
    ) -> impl Iterator<Item = &'a Artifact> {
        self.artifacts
            .values()
            .filter(move |artifact| artifact.run_id == run_id && is_same(&artifact.repo, repo))
    }
}

pub(super) fn is_same(one: &QualifiedRepo, other: &QualifiedRepo) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}

/// The SHA-256 of `content`, as GitHub writes it: `sha256:<hex>`.
fn sha256(content: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    let hex: String = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests;
