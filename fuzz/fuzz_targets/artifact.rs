//! The artifact that proves a right to a runner: the zip, and the lines in it.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use github::artifact_auth::{check_artifact, check_content, UnverifiedIdentity};
use shared::values::RunId;

static CLAIM: LazyLock<UnverifiedIdentity> = LazyLock::new(|| UnverifiedIdentity {
    unique_id: "job".parse().expect("this is a unique_id"),
    qualified_repo: "a/b".parse().expect("this is a repository"),
    run_id: RunId(1),
});

fuzz_target!(|data: &[u8]| {
    let _ = check_artifact(data, &CLAIM);
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(proof) = check_content(text, &CLAIM)
    {
        assert_eq!(proof.unique_id, CLAIM.unique_id);
    }
});
