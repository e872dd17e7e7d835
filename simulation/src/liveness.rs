//! What must hold at the end of a run, when all faults have ended: every client has its runners, every
//! pool is full and idle, what only an operator can mend is shown as a problem, and nothing else is.

use monitor_core::RunnerId;
use shared::{
    clock::Timestamp,
    wire::{ReservationState, RunnerStatus},
};

use crate::{
    actors::{client::Client, monitor::MonitorNode, queue::QueueNode},
    scenario::Scenario,
};

/// Something that still has to happen, with the number of the invariant that requires it.
pub struct Pending {
    pub invariant: u8,
    pub description: String,
}

/// The first thing that still has to happen; none if the run can end.
pub fn first_pending(
    clients: &[Client],
    monitors: &[MonitorNode],
    queues: &[QueueNode],
    scenario: &Scenario,
    now: Timestamp,
) -> Option<Pending> {
    let client = clients.iter().find_map(Client::pending);
    client
        .map(|description| Pending {
            invariant: 4,
            description,
        })
        .or_else(|| {
            let mut servers = monitors.iter().zip(&scenario.targets);
            servers.find_map(|(monitor, targets)| pending_on(monitor, targets.iter().sum()))
        })
        .or_else(|| unshown_suffix(monitors, queues, scenario, now))
        .or_else(|| unfounded_problem(monitors, queues, scenario, now))
}

/// A problem that is still shown although its cause has ended with the faults.
fn unfounded_problem(
    monitors: &[MonitorNode],
    queues: &[QueueNode],
    scenario: &Scenario,
    now: Timestamp,
) -> Option<Pending> {
    let shares_suffix = scenario.servers_with_shared_suffix().next().is_some();
    let has_cause = |code: &str| match code {
        "suffix_shared" => shares_suffix,
        "server_listed_twice" => scenario.network.is_listed_twice,
        // Two queues run at once in some scenarios.
        "server_used_by_another_queue" => queues.len() > 1,
        _ => false,
    };
    let of_servers = monitors.iter().flat_map(|monitor| {
        let name = format!("server {}", monitor.index);
        let problems = monitor.problems().into_iter();
        problems.map(move |problem| (name.clone(), problem))
    });
    let of_queues = queues.iter().enumerate().flat_map(|(index, queue)| {
        let problems = queue.problems(now).into_iter();
        problems.map(move |problem| (format!("queue {index}"), problem))
    });
    let mut all = of_servers.chain(of_queues);
    let (process, problem) = all.find(|(_, problem)| !has_cause(&problem.code))?;
    Some(Pending {
        invariant: 9,
        description: format!("{process} still shows a problem: {problem}"),
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
    let existing = runners.iter().map(|runner| RunnerId(runner.id)).collect();
    if let Some(id) = monitor.stories.difference(&existing) {
        return Some(Pending {
            invariant: 9,
            description: format!(
                "the history of runner {id} on server {index} is not that of the runner"
            ),
        });
    }
    let is_idle = |status| status == Some(RunnerStatus::Idle);
    let idle = runners.iter().filter(|it| is_idle(it.status)).count();
    let description = format!(
        "server {index} has {idle} idle runners of {} instead of {target}",
        runners.len()
    );
    ((idle, runners.len()) != (target, target)).then_some(Pending {
        invariant: 2,
        description,
    })
}

/// A process that does not show that two servers have one suffix.
fn unshown_suffix(
    monitors: &[MonitorNode],
    queues: &[QueueNode],
    scenario: &Scenario,
    now: Timestamp,
) -> Option<Pending> {
    const CODE: &str = "suffix_shared";
    let mut sharing = scenario.servers_with_shared_suffix().peekable();
    sharing.peek()?;
    let server = sharing.find(|&index| !monitors[index].has_problem(CODE));
    let server = server.map(|index| format!("server {index}"));
    let queue = queues
        .iter()
        .position(|queue| !queue.has_problem(CODE, now));
    let process = server.or_else(|| Some(format!("queue {}", queue?)))?;
    Some(Pending {
        invariant: 1,
        description: format!("{process} does not show that two servers have one suffix"),
    })
}
