//! Which artifacts are answered how often, also after a restart and after the loss of the record.

use std::fs;

use shared::{secret::Secret, sha256::Sha256};
use tempfile::TempDir;

use super::*;

const MAX_AGE: Duration = Duration::from_secs(300);

/// A daemon that was started at `started_at` by GitHub's clock and ours.
struct Fixture {
    folder: TempDir,
    claims: ArtifactClaims,
    started_at: u64,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::start();
        let claims = ArtifactClaims::load(folder.path(), false, clock, MAX_AGE);
        let started_at = claims.0.started_at.as_seconds();
        Self {
            folder,
            claims,
            started_at,
        }
    }

    fn restart(&mut self) {
        self.claims = ArtifactClaims::load(self.folder.path(), true, Clock::start(), MAX_AGE);
        self.started_at = self.claims.0.started_at.as_seconds();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    /// An artifact that was created so many seconds after the start, and is listed at the start, or when
    /// it is created if that is later.
    fn artifact(&self, id: u64, after_start: i64) -> VerifiedArtifact {
        let created_at =
            Timestamp::from_seconds(self.started_at.saturating_add_signed(after_start));
        VerifiedArtifact {
            id,
            created_at,
            listed_at: created_at.max(Timestamp::from_seconds(self.started_at)),
            secret_sha256: None,
        }
    }

    fn begin(&self, artifact: &VerifiedArtifact) -> Result<Claim, ApiError> {
        self.claims.begin(artifact, &Bearer::Missing)
    }

    async fn answer(&self, artifact: &VerifiedArtifact) {
        let claim = self.begin(artifact).unwrap();
        claim.complete().await.unwrap();
    }

    fn expect_code(&self, artifact: &VerifiedArtifact, code: Code) {
        let error = self.begin(artifact).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[actix_web::test]
async fn an_artifact_with_a_secret_is_answered_only_with_it_and_each_time() {
    let fixture = Fixture::new();
    let artifact = VerifiedArtifact {
        secret_sha256: Some(Sha256::of(b"hunter2")),
        // Older than the record: with a secret that does not matter.
        ..fixture.artifact(7, -100)
    };
    let token = |secret: &str| Bearer::Token(Secret::new(secret));
    for wrong in [
        Bearer::Missing,
        Bearer::Garbled,
        token("hunter"),
        token("hunter22"),
        token(&Sha256::of(b"hunter2").to_string()),
    ] {
        let error = fixture.claims.begin(&artifact, &wrong).unwrap_err();
        assert_eq!(error.code(), Code::NotAuthorised, "{wrong:?}");
        assert!(error.to_string().contains("secret"), "{error}");
    }
    for _ in 0..3 {
        let claim = fixture.claims.begin(&artifact, &token("hunter2")).unwrap();
        claim.complete().await.unwrap();
    }
}

#[actix_web::test]
async fn an_artifact_without_a_secret_is_answered_once() {
    let mut fixture = Fixture::new();
    let first = fixture.artifact(7, 1);
    fixture.answer(&first).await;
    for _ in 0..2 {
        fixture.expect_code(&first, Code::AlreadyClaimed);
        // Also by later processes.
        fixture.restart();
    }
    let message = fixture.begin(&first).unwrap_err().to_string();
    for remedy in ["secret_sha256", "API token", "hosted runners"] {
        assert!(message.contains(remedy), "{message}");
    }
    // Another artifact of the same name, from a repeated job.
    fixture.answer(&fixture.artifact(8, 2)).await;
}

#[actix_web::test]
async fn a_request_that_fails_may_be_repeated() {
    let fixture = Fixture::new();
    let artifact = fixture.artifact(7, 1);
    let claim = fixture.begin(&artifact).unwrap();
    fixture.expect_code(&artifact, Code::NotReady);
    drop(claim);
    // The disk fails.
    fs::create_dir(fixture.file().with_extension("new")).unwrap();
    let claim = fixture.begin(&artifact).unwrap();
    let error = claim.complete().await.unwrap_err();
    assert_eq!(error.code(), Code::NotReady);
    fs::remove_dir(fixture.file().with_extension("new")).unwrap();
    fixture.answer(&artifact).await;
    fixture.expect_code(&artifact, Code::AlreadyClaimed);
}

#[actix_web::test]
async fn after_the_loss_of_the_record_older_artifacts_are_refused() {
    for lose in [
        (|file| fs::remove_file(file)) as fn(&Path) -> std::io::Result<()>,
        |file| fs::write(file, "not a record"),
        |file| fs::write(file, ""),
    ] {
        let mut fixture = Fixture::new();
        let answered = fixture.artifact(7, 1);
        fixture.answer(&answered).await;
        lose(&fixture.file()).unwrap();
        fixture.restart();
        fixture.expect_code(&answered, Code::AlreadyClaimed);
        // GitHub's clocks differ by a minute at most, and the process may have run for a second here.
        fixture.expect_code(&fixture.artifact(8, 59), Code::AlreadyClaimed);
        fixture.answer(&fixture.artifact(9, 63)).await;
        // The time of the loss is remembered.
        fixture.restart();
        fixture.expect_code(&answered, Code::AlreadyClaimed);
        fixture.expect_code(&fixture.artifact(9, 63), Code::AlreadyClaimed);
    }
}

#[actix_web::test]
async fn a_new_daemon_answers_what_was_created_since_its_start() {
    let fixture = Fixture::new();
    fixture.expect_code(&fixture.artifact(7, -2), Code::AlreadyClaimed);
    fixture.answer(&fixture.artifact(8, 0)).await;

    // Nothing was lost, although nothing was answered before the restart.
    let mut fixture = Fixture::new();
    fixture.restart();
    fixture.answer(&fixture.artifact(7, 0)).await;
}

#[actix_web::test]
async fn artifacts_are_remembered_for_as_long_as_they_are_accepted() {
    let fixture = Fixture::new();
    let artifact = fixture.artifact(7, 1);
    fixture.answer(&artifact).await;
    let later = |seconds| VerifiedArtifact {
        listed_at: artifact.created_at + Duration::from_secs(seconds),
        ..fixture.artifact(9, 1000)
    };
    drop(fixture.begin(&later(360)).unwrap());
    assert_eq!(fixture.claims.0.state.lock().record.answered.len(), 1);
    drop(fixture.begin(&later(361)).unwrap());
    assert_eq!(fixture.claims.0.state.lock().record.answered.len(), 0);
}

#[actix_web::test]
async fn the_number_of_remembered_artifacts_is_limited() {
    let fixture = Fixture::new();
    let claims: Vec<_> = (0..ANSWERED_MAX as u64)
        .map(|id| fixture.begin(&fixture.artifact(id, 1)).unwrap())
        .collect();
    fixture.expect_code(&fixture.artifact(u64::MAX, 1), Code::TooManyJobs);
    drop(claims);
    drop(fixture.begin(&fixture.artifact(u64::MAX, 1)).unwrap());
}
