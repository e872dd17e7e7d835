//! What must hold at the end of a run, when all faults have ended: every client has its runners, and
//! every pool is full and idle, but for runners that are reported as kept without evidence.

use shared::{
    problem::Problem,
    wire::{ReservationState, RunnerStatus},
};

use crate::actors::{client::Client, monitor::MonitorNode};

/// Something that still has to happen, with the number of the invariant that requires it.
pub struct Pending {
    pub invariant: u8,
    pub description: String,
}

/// The first thing that still has to happen; none if the run can end.
///
/// `targets` has the number of runners of each profile, for each monitor.
pub fn first_pending(
    clients: &[Client],
    monitors: &[MonitorNode],
    targets: &[Vec<usize>],
) -> Option<Pending> {
    let client = clients.iter().find_map(Client::pending);
    client
        .map(|description| Pending {
            invariant: 4,
            description,
        })
        .or_else(|| {
            let mut servers = monitors.iter().zip(targets);
            servers.find_map(|(monitor, targets)| pending_on(monitor, targets.iter().sum()))
        })
}

/// What still has to happen on a server that keeps `target` runners.
fn pending_on(monitor: &MonitorNode, target: usize) -> Option<Pending> {
    let index = monitor.index;
    let Some(view) = monitor.core.as_ref().and_then(|core| core.view()) else {
        return Some(Pending {
            invariant: 4,
            description: format!("server {index} has not listed its guests and registrations"),
        });
    };
    let dashboard = view.dashboard;
    let mut reservations = dashboard.reservations.iter().flatten();
    if let Some((unique_id, _)) = reservations.find(|(_, it)| it.state == ReservationState::Held) {
        return Some(Pending {
            invariant: 2,
            description: format!("server {index} still holds runners for {unique_id}"),
        });
    }
    let runners = &dashboard.runners;
    let is_idle = |status| status == Some(RunnerStatus::Idle);
    let idle = runners.iter().filter(|it| is_idle(it.status)).count();
    // Without evidence that its job has ended, a guest is kept until an operator removes it, and is
    // reported.
    let is_kept = |problem: &&Problem| problem.code == "runner_kept_without_evidence";
    let kept = dashboard.problems.iter().filter(is_kept).count();
    let description = format!(
        "server {index} has {idle} idle runners of {} instead of {target}, and keeps {kept}",
        runners.len()
    );
    ((idle + kept, runners.len()) != (target, target)).then_some(Pending {
        invariant: 2,
        description,
    })
}
