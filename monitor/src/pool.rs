//! The one lock around the core, and what has to happen together with every change under it.
//!
//! Owns the order of things: what is shown is what is so, because both change under the same lock;
//! and a snapshot gets its place in the line for the disk under the lock that it was made under.
//! Decides nothing.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use shared::clock::{Clock, Timestamp};
use tokio::sync::{Notify, watch};

use crate::store::{Store, StoreError};
use monitor_core::{Monitor, View};

/// The core, shared by the driver, its tasks and all HTTP workers.
pub struct Pool {
    inner: Mutex<Inner>,
    clock: Clock,
    published: watch::Sender<Option<Arc<Published>>>,
    wake: Notify,
    /// Different at each start, so that no revision is taken for one of an earlier run.
    boot_id: String,
}

struct Inner {
    core: Monitor,
    turned_at: Timestamp,
    /// None once the daemon has ended.
    store: Option<Store>,
}

/// What is shown, at one moment.
pub struct Published {
    /// Changes exactly when what `/dashboard.json` tells does, but for the age of images, which
    /// grows by itself. So it is a weak one (RFC 9110, section 8.8.1).
    pub etag: String,
    /// What it tells, and more for the page.
    pub view: View,
    revision: u64,
}

impl Pool {
    /// Wraps a core.
    pub fn new(core: Monitor, clock: Clock, store: Store) -> Self {
        let turned_at = clock.now();
        Self {
            inner: Mutex::new(Inner {
                core,
                turned_at,
                store: Some(store),
            }),
            clock,
            published: watch::Sender::new(None),
            wake: Notify::new(),
            boot_id: uuid::Uuid::new_v4().simple().to_string(),
        }
    }

    /// The current moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Looks at the core.
    pub fn read<R>(&self, work: impl FnOnce(&Monitor) -> R) -> R {
        work(&self.inner.lock().core)
    }

    /// Changes the core, shows the change, and has the driver plan anew.
    pub fn change<R>(&self, work: impl FnOnce(&mut Monitor, Timestamp) -> R) -> R {
        let result = self.change_quietly(work);
        self.wake.notify_one();
        result
    }

    /// Changes the core as the driver does, who plans anyway.
    pub fn turn<R>(&self, work: impl FnOnce(&mut Monitor, Timestamp) -> R) -> R {
        let result = self.change_quietly(work);
        self.inner.lock().turned_at = self.clock.now();
        result
    }

    fn change_quietly<R>(&self, work: impl FnOnce(&mut Monitor, Timestamp) -> R) -> R {
        let mut inner = self.inner.lock();
        // Asked under the lock, so that the core never sees time run backwards.
        let now = self.clock.now();
        let result = work(&mut inner.core, now);
        self.publish(&inner.core);
        result
    }

    fn publish(&self, core: &Monitor) {
        let Some(view) = core.view() else {
            return;
        };
        self.published.send_modify(|last| {
            let next = match last.as_deref() {
                Some(last) if last.view.has_same_dashboard_as(&view) => Published {
                    etag: last.etag.clone(),
                    revision: last.revision,
                    view,
                },
                last => self.published_as(last.map_or(1, |last| last.revision + 1), view),
            };
            *last = Some(Arc::new(next));
        });
    }

    fn published_as(&self, revision: u64, view: View) -> Published {
        Published {
            etag: format!("W/\"{}-{revision}\"", self.boot_id),
            view,
            revision,
        }
    }

    /// What is shown; none before the first look at the world. Whoever listens is told of every
    /// change of the core, also of one that changes nothing that is shown.
    pub fn listen(&self) -> watch::Receiver<Option<Arc<Published>>> {
        self.published.subscribe()
    }

    /// Waits until something has changed that may need a new plan.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// How long ago the driver last turned.
    pub fn since_last_turn(&self) -> Duration {
        let turned_at = self.inner.lock().turned_at;
        self.clock.now().since(turned_at)
    }

    /// Waits until the intent is on disk up to `revision`.
    ///
    /// # Errors
    /// When it could not be written. Reservations that are not on disk are ended by then.
    pub async fn saved(&self, revision: u64) -> Result<(), StoreError> {
        let (contained, write) = {
            let inner = self.inner.lock();
            if inner.core.saved_revision() >= revision {
                return Ok(());
            }
            let store = inner.store.as_ref().ok_or(StoreError::WriterEnded)?;
            (inner.core.revision(), store.save(inner.core.snapshot()))
        };
        let outcome = write.await;
        match &outcome {
            Ok(()) => self.change_quietly(|core, _| core.handle_saved(contained)),
            Err(error) => {
                log::error!("failed to {error}");
                self.change(|core, _| core.handle_save_failed());
            }
        }
        outcome
    }

    /// Saves for the last time and lets go of the data directory, so that the next monitor can
    /// have it, even while somebody still holds this pool.
    pub async fn close(&self) {
        // An error is in the log; the next start finds out by looking.
        let _ = self.saved(self.read(Monitor::revision)).await;
        let store = self.inner.lock().store.take();
        drop(store);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use shared::wire::RunnerStatus;

    use super::*;
    use monitor_core::testing::{TestPool, take_of_one, unique_id};

    /// A pool with two idle runners whose data directory is in `folder`.
    fn pool(folder: &std::path::Path) -> Pool {
        let core = TestPool::with_idle(&[("linux", 2)]).monitor;
        let (store, _) = Store::open(folder).unwrap();
        let pool = Pool::new(core, Clock::start(), store);
        pool.change(|_, _| ());
        pool
    }

    fn etag(pool: &Pool) -> String {
        pool.listen().borrow().as_ref().unwrap().etag.clone()
    }

    #[tokio::test]
    async fn the_etag_changes_exactly_when_what_is_shown_does() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(folder.path());
        let before = etag(&pool);
        pool.change(|core, now| core.release(&unique_id("nobody"), None, false, now));
        assert_eq!(etag(&pool), before);
        pool.change(|core, now| core.take(take_of_one("job"), now))
            .unwrap();
        let after = etag(&pool);
        assert_ne!(after, before);
        let shown = pool.listen().borrow().clone().unwrap();
        let status = shown.view.dashboard_at(pool.now()).runners[0].status;
        assert_eq!(status, Some(RunnerStatus::Reserved));
    }

    #[tokio::test]
    async fn the_etag_knows_an_image_by_when_it_was_built_not_by_its_age() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(folder.path());
        let see = |built_at: u64| {
            let images = [("linux".parse().unwrap(), Timestamp::from_seconds(built_at))];
            pool.change(|core, _| core.handle_images(images.into()));
            etag(&pool)
        };
        let none = etag(&pool);
        let first = see(100);
        assert_ne!(first, none);
        assert_eq!(see(100), first);
        assert_ne!(see(200), first);
    }

    #[tokio::test]
    async fn what_is_saved_is_on_disk_and_not_saved_twice() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(folder.path());
        let revision = pool
            .change(|core, now| core.take(take_of_one("job"), now))
            .unwrap();
        pool.saved(revision).await.unwrap();
        let file = folder.path().join("monitor.state");
        assert!(fs::read_to_string(&file).unwrap().contains("\"job\""));
        fs::remove_file(&file).unwrap();
        pool.saved(revision).await.unwrap();
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn a_pool_that_is_closed_is_saved_and_lets_another_in() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(folder.path());
        pool.change(|core, now| core.take(take_of_one("job"), now))
            .unwrap();
        pool.close().await;
        let (_store, snapshot) = Store::open(folder.path()).unwrap();
        let snapshot = String::from_utf8(snapshot.unwrap()).unwrap();
        assert!(snapshot.contains("\"job\""));
        let revision = pool.change(|core, now| core.take(take_of_one("late"), now));
        assert!(pool.saved(revision.unwrap()).await.is_err());
    }

    #[tokio::test]
    async fn a_reservation_that_cannot_be_saved_is_undone() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(folder.path());
        fs::create_dir(folder.path().join("monitor.state.new")).unwrap();
        let before = etag(&pool);
        let revision = pool
            .change(|core, now| core.take(take_of_one("job"), now))
            .unwrap();
        assert!(pool.saved(revision).await.is_err());
        assert_ne!(etag(&pool), before, "it was shown for a moment");
        let shown = pool.listen().borrow().clone().unwrap();
        assert_eq!(
            shown
                .view
                .dashboard
                .reservations
                .as_ref()
                .map(|it| it.len()),
            Some(0)
        );
    }
}
