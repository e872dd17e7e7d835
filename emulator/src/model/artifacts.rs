//! Files that workflow runs have uploaded.

use std::sync::Arc;

use shared::{
    clock::Timestamp,
    values::{InvalidValue, QualifiedRepo, RunId},
};

use super::{ArtifactId, Model, Page, PageRequest, Refusal};

/// The largest artifact, in bytes.
pub const ARTIFACT_BYTES_MAX: usize = 4 << 20;
/// How much all artifacts together may hold, in bytes.
const TOTAL_BYTES_MAX: usize = 256 << 20;
/// Longest name, in bytes.
const NAME_LENGTH_MAX: usize = 256;

/// An artifact to upload.
#[derive(Clone, Debug)]
pub struct NewArtifact {
    /// The repository of the run.
    pub repo: QualifiedRepo,
    /// The workflow run.
    pub run_id: RunId,
    /// Its name, unique in the run: 1 to 256 bytes without control characters.
    pub name: String,
    /// The zip file, or anything else a test wants to pass off as one.
    pub content: Vec<u8>,
}

/// An uploaded artifact. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its number.
    pub id: ArtifactId,
    /// The repository of the run.
    pub repo: QualifiedRepo,
    /// The workflow run.
    pub run_id: RunId,
    /// Its name.
    pub name: Arc<str>,
    /// Its bytes.
    pub content: Arc<[u8]>,
    /// The SHA-256 of its bytes, as `sha256:<hex>`.
    pub digest: Arc<str>,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// When its bytes can no longer be had.
    pub expires_at: Timestamp,
}

impl Artifact {
    /// Whether its bytes can no longer be had.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}

/// Which end of a list comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Ascending,
    /// Newest first, as GitHub shows artifacts unless asked otherwise.
    #[default]
    Descending,
}

impl Model {
    /// Uploads an artifact. Unlike runners, artifacts are visible at once.
    pub fn add_artifact(&mut self, now: Timestamp, new: NewArtifact) -> Result<Artifact, Refusal> {
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

    fn check_artifact(&self, new: &NewArtifact) -> Result<(), Refusal> {
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
            return Err(Refusal::ArtifactExists { name: name.clone() });
        }
        let held: usize = self
            .artifacts
            .values()
            .map(|artifact| artifact.content.len())
            .sum();
        let is_full = self.artifacts.len() >= self.settings.artifact_count_max
            || held + new.content.len() > TOTAL_BYTES_MAX;
        if is_full {
            Err(Refusal::Full { what: "artifacts" })
        } else {
            Ok(())
        }
    }

    /// One page of a run's artifacts; only the one named `name` if that is given. A run that nobody
    /// has heard of has none.
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
            .cloned()
            .collect();
        if direction == Direction::Descending {
            wanted.reverse();
        }
        page.cut(wanted.into_iter())
    }

    /// One artifact of a repository.
    pub fn artifact(
        &mut self,
        now: Timestamp,
        repo: &QualifiedRepo,
        id: ArtifactId,
    ) -> Result<Artifact, Refusal> {
        self.advance(now);
        self.artifacts
            .get(&id)
            .filter(|artifact| is_same(&artifact.repo, repo))
            .cloned()
            .ok_or(Refusal::NotFound)
    }

    /// The bytes of an artifact, whoever asks: the address they are at is the permission.
    pub fn artifact_content(
        &mut self,
        now: Timestamp,
        id: ArtifactId,
    ) -> Result<Arc<[u8]>, Refusal> {
        self.advance(now);
        let artifact = self.artifacts.get(&id).ok_or(Refusal::NotFound)?;
        if artifact.is_expired(now) {
            return Err(Refusal::ArtifactExpired);
        }
        Ok(artifact.content.clone())
    }

    /// Removes an artifact.
    pub fn delete_artifact(
        &mut self,
        now: Timestamp,
        repo: &QualifiedRepo,
        id: ArtifactId,
    ) -> Result<(), Refusal> {
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

fn is_same(one: &QualifiedRepo, other: &QualifiedRepo) -> bool {
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
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::ModelSettings;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn repo() -> QualifiedRepo {
        "acme/widgets".parse().unwrap()
    }

    fn new(run_id: u64, name: &str) -> NewArtifact {
        let content = b"abc".to_vec();
        NewArtifact {
            repo: repo(),
            run_id: RunId(run_id),
            name: name.into(),
            content,
        }
    }

    fn names(model: &mut Model, name: Option<&str>, direction: Direction) -> String {
        let page = PageRequest::new(None, None);
        let repo = "Acme/Widgets".parse().unwrap();
        let page = model.artifacts(NOW, &repo, RunId(1), name, direction, page);
        assert_eq!(page.items.len(), page.total_count);
        page.items
            .iter()
            .map(|artifact| artifact.name.to_string())
            .collect()
    }

    #[test]
    fn an_upload_is_visible_at_once_with_size_digest_and_dates() {
        let mut model = Model::new(ModelSettings::default(), NOW);
        let added = model.add_artifact(NOW, new(1, "a")).unwrap();
        // The SHA-256 of "abc", from FIPS 180-2.
        let digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((&*added.digest, &*added.content), (digest, &b"abc"[..]));
        assert_eq!(added.created_at, NOW);
        assert_eq!(added.expires_at, NOW + Duration::from_hours(90 * 24));
        assert_eq!(model.artifact(NOW, &repo(), added.id), Ok(added.clone()));
        assert_eq!(&*model.artifact_content(NOW, added.id).unwrap(), b"abc");
    }

    #[test]
    fn a_run_lists_its_own_newest_first_and_by_name() {
        let mut model = Model::new(ModelSettings::default(), NOW);
        for (run_id, name) in [(1, "a"), (1, "b"), (2, "c"), (1, "d")] {
            model.add_artifact(NOW, new(run_id, name)).unwrap();
        }
        let elsewhere = NewArtifact {
            repo: "acme/other".parse().unwrap(),
            ..new(1, "e")
        };
        model.add_artifact(NOW, elsewhere).unwrap();
        assert_eq!(names(&mut model, None, Direction::Descending), "dba");
        assert_eq!(names(&mut model, None, Direction::Ascending), "abd");
        assert_eq!(names(&mut model, Some("b"), Direction::Descending), "b");
        assert_eq!(names(&mut model, Some("c"), Direction::Descending), "");
    }

    #[test]
    fn an_expired_artifact_is_listed_without_its_bytes() {
        let mut model = Model::new(ModelSettings::default(), NOW);
        let added = model.add_artifact(NOW, new(1, "a")).unwrap();
        let end = added.expires_at;
        assert!(!added.is_expired(end - Duration::from_micros(1)));
        assert!(added.is_expired(end));
        assert!(
            model
                .artifact_content(end - Duration::from_micros(1), added.id)
                .is_ok()
        );
        assert_eq!(
            model.artifact_content(end, added.id),
            Err(Refusal::ArtifactExpired)
        );
        assert!(model.artifact(end, &repo(), added.id).is_ok());
    }

    #[test]
    fn a_deleted_artifact_is_gone() {
        let mut model = Model::new(ModelSettings::default(), NOW);
        let id = model.add_artifact(NOW, new(1, "a")).unwrap().id;
        let elsewhere = "acme/other".parse().unwrap();
        assert_eq!(
            model.delete_artifact(NOW, &elsewhere, id),
            Err(Refusal::NotFound)
        );
        assert_eq!(model.delete_artifact(NOW, &repo(), id), Ok(()));
        assert_eq!(
            model.delete_artifact(NOW, &repo(), id),
            Err(Refusal::NotFound)
        );
        assert_eq!(model.artifact_content(NOW, id), Err(Refusal::NotFound));
    }

    #[test]
    fn uploads_have_limits() {
        let settings = ModelSettings {
            artifact_count_max: 2,
            ..ModelSettings::default()
        };
        let mut model = Model::new(settings, NOW);
        let big = |bytes| NewArtifact {
            content: vec![0; bytes],
            ..new(1, "big")
        };
        for wrong in [
            new(1, ""),
            new(1, "a\n"),
            new(1, &"x".repeat(257)),
            big(ARTIFACT_BYTES_MAX + 1),
        ] {
            let result = model.add_artifact(NOW, wrong);
            assert!(matches!(result, Err(Refusal::Invalid(_))), "{result:?}");
        }
        assert!(model.add_artifact(NOW, big(ARTIFACT_BYTES_MAX)).is_ok());
        let again = model.add_artifact(NOW, new(1, "big"));
        assert_eq!(again, Err(Refusal::ArtifactExists { name: "big".into() }));
        assert!(model.add_artifact(NOW, new(2, "big")).is_ok());
        let full = model.add_artifact(NOW, new(1, "b"));
        assert_eq!(full, Err(Refusal::Full { what: "artifacts" }));
    }
}
