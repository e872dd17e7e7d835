//! The settings of the queue that may change while it runs.

use std::sync::Arc;

use daemon::{
    journal::Journal,
    problems::ProblemBoard,
    reload::{Reloadable, Reloader},
};
use shared::{
    clock::Clock,
    settings::{QueueSettings, Settings, User},
};

use queue_core::{Input, Limits};

use crate::event_loop::EventLoop;

const RELOADABLE: Reloadable = Reloadable {
    applied: &[
        "queue.abandon_after",
        "queue.forward_timeout",
        "queue.jobs_max",
        "queue.jobs_per_repo_max",
        "queue.held_requests_max",
        "queue.policy.ageing",
        "queue.policy.runners_per_repo_max",
        "queue.policy.rules",
        "queue.policy.fair_share.*",
        "queue.policy.lanes.*.*",
    ],
    daemon: User::Queue,
};

/// Reads the settings again for this queue.
pub fn reloader(
    settings: &Settings,
    problem_board: &ProblemBoard,
    journal: &Journal,
    clock: Clock,
    event_loop: &EventLoop,
) -> Reloader {
    let event_loop = event_loop.clone();
    let apply = move |settings: &Settings| {
        if let Some(queue) = &settings.queue {
            event_loop.handle(Input::SetLimits(limits(queue)));
        }
    };
    let (board, journal) = (problem_board.clone(), journal.clone());
    Reloader::new(settings, RELOADABLE, board, journal, clock, apply)
}

/// The settings that [`Input::SetLimits`] changes.
pub fn limits(settings: &QueueSettings) -> Limits {
    Limits {
        abandon_after: settings.abandon_after,
        forward_timeout: settings.forward_timeout,
        jobs_max: settings.jobs_max,
        jobs_per_repo_max: settings.jobs_per_repo_max,
        held_max: settings.held_requests_max,
        policy: settings.policy.clone().map(Arc::new),
    }
}
