//! The control loop: poll, plan, start the planned effects, wait for the next change.
//!
//! Responsible for the pace, and for every task that is in progress: if one panics, the daemon ends,
//! because otherwise a runner would stay in a state that no task works on. Not responsible for any
//! decision about runners.

use std::{panic::resume_unwind, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use daemon::problems::ProblemBoard;
use shared::{format::with_causes, problem::catalogue, secret::Secret};
use tokio::task::JoinSet;

use crate::{
    executor::{self, Adapters},
    hypervisor::{EndedGuest, Events},
    shared_core::SharedCore,
    store::StoreError,
};
use monitor_core::{Action, Effect, Entropy, GuestEnd, JobQuery, Monitor, Poll};

/// Maximum time between two iterations. Timeouts are noticed at most this late.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Minimum time between two iterations that only the clock causes.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// Pause after the state could not be saved.
const SAVE_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The work that one iteration starts.
struct Iteration {
    polls: Vec<Poll>,
    effects: Vec<Effect>,
    /// Versions of the runner software whose support is queried from GitHub.
    versions: Vec<String>,
    /// Runners whose job is queried from GitHub.
    job_queries: Vec<JobQuery>,
    /// Time until the next iteration, unless something changes before.
    pause: Duration,
}

/// Keeps the pool. Never returns; panics if a task panics.
pub async fn run(adapters: Adapters, mut events: Events) {
    let mut tasks = JoinSet::new();
    tasks.spawn_local(save_changes(adapters.clone()));
    loop {
        let Iteration {
            polls,
            effects,
            versions,
            job_queries,
            pause,
        } = iterate(&adapters.core);
        for poll in polls {
            tasks.spawn_local(executor::poll(adapters.clone(), poll));
        }
        for effect in effects {
            tasks.spawn_local(executor::perform(adapters.clone(), effect));
        }
        for version in versions {
            tasks.spawn_local(executor::query_software_support(adapters.clone(), version));
        }
        for query in job_queries {
            tasks.spawn_local(executor::query_job(adapters.clone(), query));
        }
        tokio::select! {
            () = adapters.core.changed() => {}
            Some(EndedGuest { name, exit_status, output }) = events.recv() => {
                let end = GuestEnd { exit_status, output };
                adapters.core.iterate(|core, _| core.handle_guest_ended(&name, end));
            }
            Some(ended) = tasks.join_next() => if let Err(error) = ended {
                resume_unwind(error.into_panic());
            },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn iterate(core: &SharedCore) -> Iteration {
    core.iterate(|core, now| {
        let polls = core.start_polls(now);
        core.review_targets(now);
        let plan = core.plan(now);
        // Creations and destructions are logged by their events.
        let logged = plan
            .steps
            .iter()
            .filter(|step| !matches!(step.action, Action::Create(..) | Action::Destroy(..)));
        for step in logged {
            log::info!("{step}");
        }
        let effects = core.begin(plan, now, entropy);
        let until_poll = core
            .next_poll_at()
            .map(|next_poll_at| next_poll_at.since(now));
        let pause = until_poll.unwrap_or(PAUSE_MAX).clamp(PAUSE_MIN, PAUSE_MAX);
        Iteration {
            polls,
            effects,
            versions: core.start_software_queries(now),
            job_queries: core.start_job_queries(now),
            pause,
        }
    })
}

/// Random values for a new runner.
fn entropy() -> Entropy {
    Entropy {
        uuid: uuid::Uuid::new_v4().to_string(),
        guest_secret: Secret::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())),
    }
}

/// Shows that the state cannot be saved, until it can.
fn report_saved(board: &ProblemBoard, error: Option<&StoreError>) {
    let (kind, subject) = (&catalogue::STATE_NOT_SAVED, "state");
    let Some(error) = error else {
        return board.resolve(kind, subject);
    };
    let cause = format!(
        "no runner is given out, because the monitor failed to {}",
        with_causes(error)
    );
    let remedy = "free some space in the data folder, or make it writable";
    board.report(kind, subject, cause, remedy);
}

/// Saves changes that no request waits for.
async fn save_changes(adapters: Adapters) {
    let core = &adapters.core;
    let mut changes = core.subscribe();
    loop {
        let revision = core.read(Monitor::revision);
        let saved = core.saved(revision).await;
        report_saved(core.problem_board(), saved.as_ref().err());
        if saved.is_err() {
            tokio::time::sleep(SAVE_RETRY_PAUSE).await;
        }
        changes.borrow_and_update();
        let is_saved = core.read(|core| core.saved_revision() >= core.revision());
        if is_saved && changes.changed().await.is_err() {
            return;
        }
    }
}
