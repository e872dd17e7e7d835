//! Tests of the store with a real directory.

use std::{error::Error as _, fs, os::unix::fs::PermissionsExt, path::Path};

use futures_util::future::join_all;
use tempfile::tempdir;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_saved_snapshot_is_read_after_a_restart() {
    let data = tempdir().unwrap();
    let (store, snapshot) = Store::open(data.path()).unwrap();
    assert_eq!(snapshot, None);
    store.save(b"one".to_vec()).await.unwrap();
    store.save(b"two".to_vec()).await.unwrap();
    drop(store);

    let (_store, snapshot) = Store::open(data.path()).unwrap();
    assert_eq!(snapshot.as_deref(), Some(&b"two"[..]));
}

#[tokio::test]
async fn a_snapshot_is_written_even_if_no_caller_waits_for_it() {
    let data = tempdir().unwrap();
    let (store, _) = Store::open(data.path()).unwrap();
    drop(store.save(b"unwatched".to_vec()));
    drop(store);

    let (_store, snapshot) = Store::open(data.path()).unwrap();
    assert_eq!(snapshot.as_deref(), Some(&b"unwatched"[..]));
}

#[tokio::test]
async fn snapshots_are_ordered_by_the_calls_and_not_by_the_polls() {
    let data = tempdir().unwrap();
    let (store, _) = Store::open(data.path()).unwrap();
    let older = store.save(b"older".to_vec());
    let newer = store.save(b"newer".to_vec());
    newer.await.unwrap();
    older.await.unwrap();
    drop(store);

    let (_store, snapshot) = Store::open(data.path()).unwrap();
    assert_eq!(snapshot.as_deref(), Some(&b"newer"[..]));
}

#[tokio::test(flavor = "current_thread")]
async fn concurrent_saves_all_succeed_and_the_latest_is_kept() {
    let data = tempdir().unwrap();
    let (store, _) = Store::open(data.path()).unwrap();
    let saves: Vec<_> = (0..1_000)
        .map(|number: u32| store.save(number.to_string().into_bytes()))
        .collect();
    for (number, outcome) in join_all(saves).await.into_iter().enumerate() {
        assert!(outcome.is_ok(), "save {number}");
    }
    drop(store);

    let (_store, snapshot) = Store::open(data.path()).unwrap();
    assert_eq!(snapshot.as_deref(), Some(&b"999"[..]));
}

#[tokio::test]
async fn an_interrupted_write_leaves_the_last_complete_snapshot() {
    let data = tempdir().unwrap();
    let (store, _) = Store::open(data.path()).unwrap();
    store.save(b"complete".to_vec()).await.unwrap();
    drop(store);
    fs::write(data.path().join("monitor.state.new"), "tor").unwrap();

    let (store, snapshot) = Store::open(data.path()).unwrap();
    assert_eq!(snapshot.as_deref(), Some(&b"complete"[..]));
    store.save(b"next".to_vec()).await.unwrap();
    assert!(!data.path().join("monitor.state.new").exists());
}

#[tokio::test]
async fn a_directory_in_use_is_refused_and_named() {
    let data = tempdir().unwrap();
    let (store, _) = Store::open(data.path()).unwrap();
    let clone = store.clone();
    drop(store);

    let refusal = Store::open(data.path()).map(drop).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!(
            "lock {}: another monitor is using this data directory",
            data.path().join("monitor.lock").display()
        )
    );
    assert!(!refusal.is_transient());

    drop(clone);
    Store::open(data.path()).unwrap();
}

#[tokio::test]
async fn a_directory_that_another_machine_has_used_is_not_opened() {
    let data = tempdir().unwrap();
    drop(Store::open(data.path()).unwrap());
    fs::write(data.path().join("monitor.host"), "another machine").unwrap();
    // Only a machine that has an id can tell.
    let has_id = host::host_id().is_some();
    let refusal = Store::open(data.path()).map(drop).err();
    assert_eq!(refusal.is_some(), has_id, "{refusal:?}");
    assert!(refusal.is_none_or(|it| matches!(it, StoreError::OtherHost { .. })));
}

#[tokio::test]
async fn a_damaged_state_file_stops_the_start_and_stays_as_it_is() {
    let data = tempdir().unwrap();
    let path = data.path().join("monitor.state");
    let (store, _) = Store::open(data.path()).unwrap();
    store.save(br#"{"version":1}"#.to_vec()).await.unwrap();
    drop(store);
    let written = fs::read(&path).unwrap();
    for damaged in [
        written[..written.len() - 1].to_vec(),
        String::from_utf8(written.clone())
            .unwrap()
            .replace(":1}", ":2}")
            .into_bytes(),
    ] {
        fs::write(&path, &damaged).unwrap();
        let refusal = Store::open(data.path()).map(drop).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            format!(
                "read {}: its checksum does not fit its content, so it was damaged or edited; restore it \
                 from a backup or, to start with an empty pool, move it away",
                path.display()
            )
        );
        assert!(!refusal.is_transient());
        assert_eq!(fs::read(&path).unwrap(), damaged);
    }
    // Earlier releases wrote no checksum.
    fs::write(&path, r#"{"version":1}"#).unwrap();
    let (_store, snapshot) = Store::open(data.path()).unwrap();
    assert_eq!(snapshot.as_deref(), Some(&br#"{"version":1}"#[..]));
}

#[tokio::test]
async fn a_disk_failure_is_an_error_for_all_waiting_calls_until_the_disk_works_again() {
    let data = tempdir().unwrap();
    let path = data.path().join("data");
    let (store, _) = Store::open(&path).unwrap();
    fs::remove_dir_all(&path).unwrap();

    let saves: Vec<_> = (0..100).map(|_| store.save(b"lost".to_vec())).collect();
    for outcome in join_all(saves).await {
        let failure = outcome.unwrap_err();
        assert_eq!(
            failure.to_string(),
            format!("write {}", path.join("monitor.state.new").display())
        );
        assert!(failure.is_transient());
        assert!(failure.source().is_some(), "the error of the system");
    }

    fs::create_dir(&path).unwrap();
    store.save(b"kept".to_vec()).await.unwrap();
    assert_eq!(fs::read(path.join("monitor.state")).unwrap(), b"kept");
}

#[tokio::test]
async fn a_state_file_that_cannot_be_replaced_is_an_error() {
    let data = tempdir().unwrap();
    let (store, _) = Store::open(data.path()).unwrap();
    fs::create_dir_all(data.path().join("monitor.state/in-the-way")).unwrap();
    let failure = store.save(b"lost".to_vec()).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        format!("replace {}", data.path().join("monitor.state").display())
    );
}

#[tokio::test]
async fn only_the_owner_can_read_the_state() {
    let data = tempdir().unwrap();
    let path = data.path().join("new/data");
    let (store, _) = Store::open(&path).unwrap();
    store.save(b"private".to_vec()).await.unwrap();
    assert_eq!(mode(&path), 0o711);
    assert_eq!(mode(&path.join("monitor.state")), 0o600);
    assert_eq!(mode(&path.join("monitor.lock")), 0o600);
}

#[test]
fn a_data_directory_that_is_a_file_stops_the_start() {
    let data = tempdir().unwrap();
    let path = data.path().join("file");
    fs::write(&path, "").unwrap();
    let failure = Store::open(&path).map(drop).unwrap_err();
    assert_eq!(
        failure.to_string(),
        format!("create the data directory {}", path.display())
    );
}

#[test]
fn a_snapshot_above_the_size_limit_stops_the_start() {
    let data = tempdir().unwrap();
    let file = fs::File::create(data.path().join("monitor.state")).unwrap();
    file.set_len(SNAPSHOT_SIZE_MAX + 129).unwrap();
    let failure = Store::open(data.path()).map(drop).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "save a snapshot of 67108993 bytes: at most 67108864 are allowed"
    );
}
