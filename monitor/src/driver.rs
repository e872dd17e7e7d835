//! The loop that keeps the pool: look, plan, do, wait until there is something new.
//!
//! Owns the pace, and that whatever is under way is watched: a panic in any of it ends the daemon
//! rather than leaving a runner in a state that nobody works on. Decides nothing about runners.

use std::{panic::resume_unwind, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use shared::secret::Secret;
use tokio::task::JoinSet;

use crate::{
    executor::{self, Outside},
    hypervisor::Events,
    pool::Pool,
};
use monitor_core::{Effect, Entropy, Monitor, Poll};

/// The longest between two turns. Timeouts are noticed that late at most.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The shortest between two turns that only time asks for.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// How long to wait after the intent could not be saved, before it is tried again by itself.
const SAVE_PAUSE: Duration = Duration::from_secs(1);

/// What a turn has found to do.
struct Turn {
    looks: Vec<Poll>,
    tasks: Vec<Effect>,
    /// The versions of the runner software that GitHub is asked about.
    versions: Vec<String>,
    pause: Duration,
}

/// Keeps the pool. Never returns; panics when anything that is under way does.
pub async fn drive(outside: Outside, mut events: Events) {
    let mut under_way = JoinSet::new();
    under_way.spawn_local(keep_saved(outside.clone()));
    loop {
        let Turn {
            looks,
            tasks,
            versions,
            pause,
        } = turn(&outside.pool);
        for look in looks {
            under_way.spawn_local(executor::look(outside.clone(), look));
        }
        for task in tasks {
            under_way.spawn_local(executor::perform(outside.clone(), task));
        }
        for version in versions {
            under_way.spawn_local(executor::ask_about_software(outside.clone(), version));
        }
        tokio::select! {
            () = outside.pool.woken() => {}
            Some(guest) = events.recv() => {
                log::info!("guest {guest} has ended");
                outside.pool.turn(|core, _| core.handle_guest_ended());
            }
            Some(ended) = under_way.join_next() => if let Err(error) = ended {
                resume_unwind(error.into_panic());
            },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn turn(pool: &Pool) -> Turn {
    pool.turn(|core, now| {
        let looks = core.start_polls(now);
        let plan = core.plan(now);
        for step in &plan.steps {
            log::info!("{step}");
        }
        let tasks = core.begin(plan, now, fresh);
        let until_look = core
            .next_poll_at()
            .map(|next_poll_at| next_poll_at.since(now));
        let pause = until_look.unwrap_or(PAUSE_MAX).clamp(PAUSE_MIN, PAUSE_MAX);
        Turn {
            looks,
            tasks,
            versions: core.start_software_queries(now),
            pause,
        }
    })
}

/// Random values for a new runner.
fn fresh() -> Entropy {
    Entropy {
        uuid: uuid::Uuid::new_v4().to_string(),
        guest_secret: Secret::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())),
    }
}

/// Saves whatever nobody waits for, soon after it has changed.
async fn keep_saved(outside: Outside) {
    let mut changes = outside.pool.listen();
    loop {
        let revision = outside.pool.read(Monitor::revision);
        if outside.pool.saved(revision).await.is_err() {
            tokio::time::sleep(SAVE_PAUSE).await;
        }
        changes.borrow_and_update();
        let is_saved = outside
            .pool
            .read(|core| core.saved_revision() >= core.revision());
        if is_saved && changes.changed().await.is_err() {
            return;
        }
    }
}
