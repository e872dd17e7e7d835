//! A state for tests of handlers that need no server around them.

use std::{sync::Arc, time::Duration};

use actix_web::test::TestRequest;
use daemon::{
    artifact_claims::ArtifactClaims,
    auth::ApiToken,
    error::{ApiError, Code},
    journal::StreamPlaces,
    serve::{Drain, Draining, drain},
};
use github::{ApiStatusCell, artifact_auth::ArtifactVerifier};
use serde::de::DeserializeOwned;
use shared::{clock::Clock, secret::Secret};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::{
    AppState,
    state::{HELD_MAX, PUBLIC_HELD_MAX},
};
use crate::{
    hypervisor::{Hypervisor, HypervisorSettings},
    mirrors::Repositories,
    shared_core::{SharedCore, tests::journal_in},
    store::Store,
};
use monitor_core::testing::TestPool;

/// The state of a monitor with one idle runner.
pub struct Fixture {
    pub state: AppState,
    /// Held requests are answered when this is dropped.
    _drain: Option<Drain>,
    _data: TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        let (drain, draining) = drain();
        let mut fixture = Self::draining(draining);
        fixture._drain = Some(drain);
        fixture
    }

    /// With a `draining` whose other end the test has.
    pub fn draining(draining: Draining) -> Self {
        let data = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(data.path()).unwrap();
        let core = TestPool::with_idle(&[("linux", 1)]).monitor;
        let core = SharedCore::new(core, Clock::start(), store, journal_in(data.path()));
        core.change(|_, _| ());
        let (hypervisor, _) = Hypervisor::new(HypervisorSettings {
            data_path: data.path().to_owned(),
            guest_prefix: "ci-runner".to_owned(),
            builder_prefix: "ci-rebuild".to_owned(),
            libvirt_uri: "test:///default".to_owned(),
            makes_virtual_machines: false,
            profiles_path: data.path().to_owned(),
        })
        .unwrap();
        let state = AppState {
            core: Arc::new(core),
            snapshots: Arc::default(),
            links: Arc::default(),
            api_token: ApiToken::new(Secret::new("token")),
            artifact_verifier: ArtifactVerifier::new("").0,
            artifact_claims: ArtifactClaims::load(
                data.path(),
                false,
                Clock::start(),
                Duration::from_secs(300),
            ),
            draining,
            hold_permits: Arc::new(Semaphore::new(HELD_MAX)),
            public_hold_permits: Arc::new(Semaphore::new(PUBLIC_HELD_MAX)),
            is_queue_member: false,
            iteration_gap_max: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(30),
            lib_monitor_dir: None,
            stream_places: StreamPlaces::default(),
            webhook_key: None,
            webhook_bodies: Default::default(),
            github: ApiStatusCell::new(&Secret::new("token").into()),
            image_deps_dir: Some(data.path().join("deps")),
            repositories: Repositories::default(),
            hypervisor,
        };
        Self {
            state,
            _drain: None,
            _data: data,
        }
    }
}

/// The query parameters in a query string.
pub fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let request = TestRequest::with_uri(&format!("/?{query}")).to_http_request();
    daemon::web::query(&request)
}

/// The outcome must be a 400 that names `parameter`.
pub fn expect_bad_request<T>(outcome: Result<T, ApiError>, parameter: &str) {
    let Err(error) = outcome else {
        panic!("accepted a wrong {parameter}");
    };
    assert_eq!(error.code(), Code::BadRequest, "{error}");
    assert!(error.to_string().contains(parameter), "{error}");
}
