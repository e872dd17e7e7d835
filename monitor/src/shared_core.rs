//! The one lock around the core, and what has to happen atomically with every change.
//!
//! Responsible for these orders: the published view changes under the same lock as the core, so that
//! it is never older; and a snapshot is handed to the store under the lock under which it was taken,
//! so that an older one never replaces a newer one. Decides nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use daemon::{journal::Journal, problems::ProblemBoard};
use parking_lot::Mutex;
use shared::{
    clock::{Clock, Timestamp},
    problem::{
        self, Problem,
        catalogue::{self, ProblemKind},
    },
    wire::{DelayedRunners, MonitorDashboard},
};
use tokio::sync::{Notify, watch};

use crate::{
    runner_entries::entry_of,
    runner_metrics,
    store::{Store, StoreError},
};
use monitor_core::{Monitor, StepTimes, View};

/// The core, shared by the control loop, its tasks and all HTTP workers.
pub struct SharedCore {
    inner: Mutex<Inner>,
    clock: Clock,
    started_at: Timestamp,
    problem_board: ProblemBoard,
    journal: Journal,
    published: watch::Sender<Option<Arc<PublishedView>>>,
    /// Notified if a change may need a new plan.
    changed: Notify,
    /// Random, in hexadecimal. Part of every ETag, so that none is equal to one of an earlier process,
    /// and shown on the dashboard, so that two URLs of one monitor are recognised.
    instance: String,
    /// Whether the last attempt to save the state failed.
    is_save_failing: AtomicBool,
    /// Shown in place of `instance` to readers without a token: another server that knew that one could
    /// pass for this one.
    public_instance: String,
}

struct Inner {
    core: Monitor,
    last_iteration_at: Timestamp,
    /// For metrics.
    step_times: StepTimes,
    /// None after [`SharedCore::close`].
    store: Option<Store>,
}

/// What clients see of the core.
pub struct PublishedView {
    /// Changes exactly when `/dashboard.json` changes, except for the age of images, which grows by
    /// itself. So it is weak (RFC 9110, section 8.8.1).
    pub etag: String,
    pub view: View,
    /// Number of changes of the dashboard since the start.
    pub revision: u64,
    /// When the dashboard last changed.
    pub changed_at: Timestamp,
}

impl SharedCore {
    pub fn new(core: Monitor, clock: Clock, store: Store, journal: Journal) -> Self {
        let last_iteration_at = clock.now();
        Self {
            inner: Mutex::new(Inner {
                core,
                last_iteration_at,
                step_times: StepTimes::default(),
                store: Some(store),
            }),
            clock,
            started_at: last_iteration_at,
            problem_board: ProblemBoard::new(clock),
            journal,
            published: watch::Sender::new(None),
            changed: Notify::new(),
            instance: uuid::Uuid::new_v4().simple().to_string(),
            is_save_failing: AtomicBool::new(false),
            public_instance: uuid::Uuid::new_v4().simple().to_string(),
        }
    }

    /// Another random value of this process, for readers without a token.
    pub fn public_instance(&self) -> &str {
        &self.public_instance
    }

    /// A random value of this process, in hexadecimal.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// When this process started.
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Reads the core. `work` runs under the lock, so it must be short.
    pub fn read<R>(&self, work: impl FnOnce(&Monitor) -> R) -> R {
        work(&self.inner.lock().core)
    }

    /// Changes the core, publishes the change, and wakes the control loop for a new plan.
    pub fn change<R>(&self, work: impl FnOnce(&mut Monitor, Timestamp) -> R) -> R {
        let result = self.update(work);
        self.changed.notify_one();
        result
    }

    /// One iteration of the control loop: changes the core without waking the loop.
    pub fn iterate<R>(&self, work: impl FnOnce(&mut Monitor, Timestamp) -> R) -> R {
        let result = self.update(work);
        self.inner.lock().last_iteration_at = self.clock.now();
        result
    }

    fn update<R>(&self, work: impl FnOnce(&mut Monitor, Timestamp) -> R) -> R {
        let mut inner = self.inner.lock();
        // Read under the lock, so that time never runs backwards for the core.
        let now = self.clock.now();
        let result = work(&mut inner.core, now);
        for event in inner.core.take_events(now) {
            runner_metrics::observe(&mut inner.step_times, &event);
            self.journal.record(entry_of(event));
        }
        self.publish(&inner.core);
        result
    }

    fn publish(&self, core: &Monitor) {
        let Some(mut view) = core.view() else {
            return;
        };
        if self.is_save_failing() {
            // Takes are refused, so there is nothing for the queue to assign.
            for counts in view.dashboard.profile_runner_counts.values_mut() {
                counts.idle = 0;
            }
        }
        let mut reported = self.problem_board.list();
        name_consequences(&mut reported, &mut view.dashboard);
        view.dashboard.problems.extend(reported);
        problem::sort(&mut view.dashboard.problems);
        self.published.send_modify(|last| {
            let next = match last.as_deref() {
                Some(last) if last.view.has_same_dashboard_as(&view) => PublishedView {
                    etag: last.etag.clone(),
                    revision: last.revision,
                    changed_at: last.changed_at,
                    view,
                },
                last => self.published_as(last.map_or(1, |last| last.revision + 1), view),
            };
            *last = Some(Arc::new(next));
        });
    }

    fn published_as(&self, revision: u64, view: View) -> PublishedView {
        PublishedView {
            etag: format!("W/\"{}-{revision}\"", self.instance),
            view,
            revision,
            changed_at: self.clock.now(),
        }
    }

    /// The published view; none before the first poll has succeeded.
    pub fn published(&self) -> Option<Arc<PublishedView>> {
        self.published.borrow().clone()
    }

    /// What happened on this server. The steps of runners are recorded with the changes of the core.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Where adapters report what is wrong. It is published with the next change of the core.
    pub fn problem_board(&self) -> &ProblemBoard {
        &self.problem_board
    }

    /// What is wrong; before the first poll has succeeded that is what adapters report.
    pub fn problems(&self) -> Vec<Problem> {
        match self.published() {
            Some(published) => published.view.dashboard.problems.clone(),
            None => {
                let mut problems = self.problem_board.list();
                problem::sort(&mut problems);
                problems
            }
        }
    }

    /// The published view and its changes. Every change of the core counts as one, even if the view
    /// stays the same.
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<PublishedView>>> {
        self.published.subscribe()
    }

    /// Waits for a change that may need a new plan.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// How long ago the last iteration of the control loop was.
    pub fn since_last_iteration(&self) -> Duration {
        let last_iteration_at = self.inner.lock().last_iteration_at;
        self.clock.now().since(last_iteration_at)
    }

    /// Waits until the durable state is on disk up to `revision`.
    ///
    /// # Errors
    /// If it could not be written. Reservations that are not on disk have been ended then; other changes
    /// stay, and are saved as soon as that is possible.
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
        self.is_save_failing
            .store(outcome.is_err(), Ordering::Relaxed);
        match &outcome {
            Ok(()) => self.update(|core, _| core.handle_saved(contained)),
            Err(error) => {
                runner_metrics::count_write_error();
                log::error!("failed to {error}; reservations that are not on disk are ended");
                self.change(|core, _| core.handle_save_failed());
            }
        }
        outcome
    }

    /// Whether the last attempt to save the state failed.
    pub fn is_save_failing(&self) -> bool {
        self.is_save_failing.load(Ordering::Relaxed)
    }

    /// Saves for the last time and unlocks the data directory for the next monitor, even while there
    /// are other references to this core.
    pub async fn close(&self) {
        // `saved` logs an error; the next start reconciles with the host and GitHub.
        let _ = self.saved(self.read(Monitor::revision)).await;
        let store = self.inner.lock().store.take();
        drop(store);
    }
}

/// The problems that mean that GitHub cannot be used at all.
static WITHOUT_GITHUB: [&ProblemKind; 4] = [
    &catalogue::GITHUB_UNREACHABLE,
    &catalogue::GITHUB_CREDENTIALS_REJECTED,
    &catalogue::GITHUB_NOT_FOUND,
    &catalogue::GITHUB_RATE_LIMIT_REACHED,
];

/// Says in a problem of access to GitHub what does not work because of it, and in the report to queues which
/// runners it delays: those that start cannot come online, and no others can be registered.
fn name_consequences(reported: &mut [Problem], dashboard: &mut MonitorDashboard) {
    let is_without_github =
        |problem: &&mut Problem| WITHOUT_GITHUB.iter().any(|kind| kind.code == problem.code);
    let mut reason = None;
    for problem in reported.iter_mut().filter(is_without_github) {
        reason.get_or_insert_with(|| {
            format!(
                "it cannot use GitHub: {}: {}",
                problem.subject, problem.cause
            )
        });
        problem.cause +=
            "; idle runners are still assigned, and none are created or destroyed meanwhile";
    }
    let Some(reason) = reason else {
        return;
    };
    for (profile_key, counts) in &dashboard.profile_runner_counts {
        let count = counts.started_or_crashed + counts.wanted;
        if count > 0 {
            let reason = reason.clone();
            let delayed = DelayedRunners { count, reason };
            dashboard.delayed.insert(profile_key.clone(), delayed);
        }
    }
}

#[cfg(test)]
pub mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use daemon::journal::{JournalConfig, Subject};
    use shared::{
        settings::{JournalSettings, LogFormat},
        wire::RunnerStatus,
    };
    use tempfile::TempDir;

    use super::*;
    use monitor_core::testing::{TestPool, take_of_one, unique_id};

    /// A journal in a folder of a test.
    pub fn journal_in(data: &Path) -> Journal {
        let config = JournalConfig {
            folder: data.join("journal"),
            limits: JournalSettings::default(),
            log_format: LogFormat::Text,
        };
        Journal::open(config, Clock::start())
    }

    /// A core with two idle runners, and its data directory.
    struct Fixture {
        core: SharedCore,
        data: TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let data = tempfile::tempdir().unwrap();
            let core = TestPool::with_idle(&[("linux", 2)]).monitor;
            let (store, _) = Store::open(data.path()).unwrap();
            let core = SharedCore::new(core, Clock::start(), store, journal_in(data.path()));
            core.change(|_, _| ());
            Self { core, data }
        }

        fn etag(&self) -> String {
            self.core.published().unwrap().etag.clone()
        }

        /// Takes a runner, and returns the revision that has the reservation.
        fn take(&self, unique_id: &str) -> u64 {
            let take = take_of_one(unique_id);
            self.core.change(|core, now| core.take(take, now)).unwrap()
        }

        fn state_path(&self) -> PathBuf {
            self.data.path().join("monitor.state")
        }
    }

    #[test]
    fn a_problem_of_access_to_github_names_its_consequences_and_delays_what_starts() {
        let monitor = TestPool::with_idle(&[("linux", 2)]).monitor;
        let mut dashboard = monitor.view().unwrap().dashboard;
        for counts in dashboard.profile_runner_counts.values_mut() {
            (counts.started_or_crashed, counts.wanted) = (3, 1);
        }
        let problem =
            |kind: &ProblemKind| kind.problem("GitHub", "it is down", "wait", Timestamp::default());
        let mut other = [problem(&catalogue::GITHUB_PERMISSION_MISSING)];
        name_consequences(&mut other, &mut dashboard);
        assert_eq!(other[0].cause, "it is down");
        assert!(dashboard.delayed.is_empty());
        let mut reported = [problem(&catalogue::GITHUB_UNREACHABLE)];
        name_consequences(&mut reported, &mut dashboard);
        let expected = "it is down; idle runners are still assigned, and none are created or destroyed meanwhile";
        assert_eq!(reported[0].cause, expected);
        let delayed = &dashboard.delayed["linux"];
        let expected = "it cannot use GitHub: GitHub: it is down";
        assert_eq!((delayed.count, &*delayed.reason), (4, expected));
    }

    #[tokio::test]
    async fn the_etag_changes_exactly_when_the_dashboard_does() {
        let fixture = Fixture::new();
        let before = fixture.etag();
        let unknown = unique_id("unknown");
        fixture
            .core
            .change(|core, now| core.release(&unknown, None, false, now));
        assert_eq!(fixture.etag(), before);
        fixture.take("job");
        assert_ne!(fixture.etag(), before);
        let published = fixture.core.published().unwrap();
        let dashboard = published.view.dashboard_at(fixture.core.now());
        assert_eq!(dashboard.runners[0].status, Some(RunnerStatus::Reserved));
    }

    #[tokio::test]
    async fn the_etag_depends_on_the_build_time_of_an_image_and_not_on_its_age() {
        let fixture = Fixture::new();
        let observe = |built_at: u64| {
            let images = [("linux".parse().unwrap(), Timestamp::from_seconds(built_at))];
            fixture
                .core
                .change(|core, _| core.handle_images(images.into()));
            fixture.etag()
        };
        let none = fixture.etag();
        let first = observe(100);
        assert_ne!(first, none);
        assert_eq!(observe(100), first);
        assert_ne!(observe(200), first);
    }

    #[tokio::test]
    async fn steps_of_runners_are_recorded_with_the_change_that_makes_them() {
        let fixture = Fixture::new();
        fixture.take("job");
        let subject = Subject::Runner(0);
        let journal = fixture.core.journal();
        let story = journal.story(&subject, "runner_created", true).await;
        let events: Vec<_> = story.unwrap().entries.into_iter().collect();
        let names: Vec<_> = events.iter().map(|entry| &*entry.event).collect();
        let expected = [
            "runner_created",
            "runner_guest_started",
            "runner_online",
            "runner_reserved",
        ];
        assert_eq!(names, expected);
    }

    #[tokio::test]
    async fn a_saved_revision_is_on_disk_and_not_written_again() {
        let fixture = Fixture::new();
        let revision = fixture.take("job");
        fixture.core.saved(revision).await.unwrap();
        let state = fs::read_to_string(fixture.state_path()).unwrap();
        assert!(state.contains("\"job\""));
        fs::remove_file(fixture.state_path()).unwrap();
        fixture.core.saved(revision).await.unwrap();
        assert!(!fixture.state_path().exists());
    }

    #[tokio::test]
    async fn a_closed_core_is_saved_and_the_next_monitor_can_start() {
        let fixture = Fixture::new();
        fixture.take("job");
        fixture.core.close().await;
        let (_store, snapshot) = Store::open(fixture.data.path()).unwrap();
        let snapshot = String::from_utf8(snapshot.unwrap()).unwrap();
        assert!(snapshot.contains("\"job\""));
        let revision = fixture.take("late");
        assert!(fixture.core.saved(revision).await.is_err());
    }

    #[tokio::test]
    async fn a_reservation_that_cannot_be_saved_is_ended() {
        let fixture = Fixture::new();
        fs::create_dir(fixture.data.path().join("monitor.state.new")).unwrap();
        let before = fixture.etag();
        let revision = fixture.take("job");
        assert!(fixture.core.saved(revision).await.is_err());
        assert_ne!(fixture.etag(), before, "it was published for a moment");
        let published = fixture.core.published().unwrap();
        let reservations = published.view.dashboard.reservations.as_ref();
        assert_eq!(reservations.map(|it| it.len()), Some(0));
        assert!(fixture.core.is_save_failing());
        fs::remove_dir(fixture.data.path().join("monitor.state.new")).unwrap();
        let revision = fixture.take("later");
        fixture.core.saved(revision).await.unwrap();
        assert!(!fixture.core.is_save_failing());
    }
}
