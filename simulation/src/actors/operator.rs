//! The operator: looks at the dashboards of all monitors now and then, and removes the runners that are
//! reported as kept without evidence, once their guests do nothing any more.

use std::time::Duration;

use monitor_core::RunnerId;

use super::{
    guest::{Guests, Phase},
    monitor::MonitorNode,
};
use crate::environment::Environment;

/// The time between two looks at the dashboards.
pub const INTERVAL: Duration = Duration::from_secs(120);

/// Looks at the dashboard of a monitor, and sends what the problems there ask for.
pub fn act(environment: &mut Environment, guests: &Guests, monitor: &mut MonitorNode) {
    if monitor.frozen_until > environment.context.now {
        return;
    }
    for id in kept_runners(monitor) {
        if !is_working(environment, guests, monitor, id) {
            monitor.remove_runner(environment, id);
        }
    }
}

/// The runners that are reported as kept without evidence.
fn kept_runners(monitor: &MonitorNode) -> Vec<RunnerId> {
    let Some(view) = monitor.core.as_ref().and_then(|core| core.view()) else {
        return Vec::new();
    };
    let problems = view.dashboard.problems.iter();
    let kept = problems.filter(|problem| problem.code == "runner_kept_without_evidence");
    // The subject is "runner linux.7".
    let ids = kept.filter_map(|problem| problem.subject.rsplit('.').next()?.parse().ok());
    ids.map(RunnerId).collect()
}

/// Whether the guest of a runner still has a job.
fn is_working(
    environment: &mut Environment,
    guests: &Guests,
    monitor: &MonitorNode,
    id: RunnerId,
) -> bool {
    let now = environment.context.now;
    let guests = guests.on_server(monitor.index).map(|(_, guest)| guest);
    let mut of_runner = guests.filter(|guest| {
        let name = monitor.names().parse(&guest.runner_name);
        name.is_some_and(|name| name.id == id.0)
    });
    of_runner.any(|guest| match guest.phase {
        Phase::Running(_, _, job, _) => environment.github.is_running(now, job),
        Phase::Booting | Phase::Listening(..) | Phase::Lingering => false,
    })
}
