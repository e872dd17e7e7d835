//! Artifact authentication: the zip, and the lines of its file.

#![no_main]

use std::sync::LazyLock;

use github::artifact_auth::{UnverifiedIdentity, check_artifact, check_content};
use libfuzzer_sys::fuzz_target;
use shared::values::RunId;

static IDENTITY: LazyLock<UnverifiedIdentity> = LazyLock::new(|| UnverifiedIdentity {
    unique_id: "job".parse().expect("a valid unique_id"),
    qualified_repo: "a/b".parse().expect("a valid repository"),
    run_id: RunId(1),
});

fuzz_target!(|data: &[u8]| {
    let _ = check_artifact(data, &IDENTITY);
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(verified) = check_content(text, &IDENTITY)
    {
        assert_eq!(verified.job.unique_id, IDENTITY.unique_id);
    }
});
