//! A desk for the tests of handlers that need no server around them.

use std::{sync::Arc, time::Duration};

use daemon::{auth::ApiToken, serve::Draining};
use github::{ApiStatusCell, artifact_auth::ArtifactVerifier};
use shared::{clock::Clock, secret::Secret};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::{Desk, HELD_MAX};
use crate::{
    hypervisor::{Hypervisor, HypervisorSettings},
    pool::Pool,
    store::Store,
};
use monitor_core::testing::TestPool;

/// A desk in front of a pool with one idle runner, and the folder of its data.
pub fn desk(draining: Draining) -> (Desk, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path()).unwrap();
    let core = TestPool::with_idle(&[("linux", 1)]).monitor;
    let pool = Pool::new(core, Clock::start(), store);
    pool.change(|_, _| ());
    let (hypervisor, _) = Hypervisor::new(HypervisorSettings {
        data_path: folder.path().to_owned(),
        guest_prefix: "ci-runner".to_owned(),
        builder_prefix: "ci-rebuild".to_owned(),
        libvirt_uri: "test:///default".to_owned(),
        makes_virtual_machines: false,
        profiles_path: folder.path().to_owned(),
    })
    .unwrap();
    let desk = Desk {
        pool: Arc::new(pool),
        api_token: ApiToken(Secret::new("token")),
        proofs: ArtifactVerifier::new().0,
        draining,
        places: Arc::new(Semaphore::new(HELD_MAX)),
        is_queue_member: false,
        silence_max: Duration::from_secs(30),
        answer_timeout: Duration::from_secs(30),
        trusted_proxies: Arc::new([]),
        lib_monitor_dir: None,
        webhook_key: None,
        github: ApiStatusCell::new(&Secret::new("token").into()),
        image_deps_dir: Some(folder.path().join("deps")),
        hypervisor,
    };
    (desk, folder)
}
