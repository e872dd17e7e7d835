//! Upload, listing, expiry and deletion of artifacts.

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
fn an_uploaded_artifact_is_listed_at_once_with_digest_and_dates() {
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
fn the_artifacts_of_a_run_are_listed_newest_first_and_by_name() {
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
fn an_expired_artifact_is_listed_without_its_content() {
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
        Err(ModelError::ArtifactExpired)
    );
    assert!(model.artifact(end, &repo(), added.id).is_ok());
}

#[test]
fn a_deleted_artifact_is_not_found() {
    let mut model = Model::new(ModelSettings::default(), NOW);
    let id = model.add_artifact(NOW, new(1, "a")).unwrap().id;
    let elsewhere = "acme/other".parse().unwrap();
    assert_eq!(
        model.delete_artifact(NOW, &elsewhere, id),
        Err(ModelError::NotFound)
    );
    assert_eq!(model.delete_artifact(NOW, &repo(), id), Ok(()));
    assert_eq!(
        model.delete_artifact(NOW, &repo(), id),
        Err(ModelError::NotFound)
    );
    assert_eq!(model.artifact_content(NOW, id), Err(ModelError::NotFound));
}

#[test]
fn uploads_are_validated_and_limited() {
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
        assert!(matches!(result, Err(ModelError::Invalid(_))), "{result:?}");
    }
    assert!(model.add_artifact(NOW, big(ARTIFACT_BYTES_MAX)).is_ok());
    let again = model.add_artifact(NOW, new(1, "big"));
    assert_eq!(
        again,
        Err(ModelError::ArtifactExists { name: "big".into() })
    );
    assert!(model.add_artifact(NOW, new(2, "big")).is_ok());
    let full = model.add_artifact(NOW, new(1, "b"));
    assert_eq!(full, Err(ModelError::Full { what: "artifacts" }));
}
