//! The scheduled faults: when they occur, what they do, and how they end.

use std::time::Duration;

use super::World;
use crate::{
    events::{Event, Fault},
    messages::Node,
    scenario::FaultRates,
};

/// A queue is started again after at most this time, so that its clients stay within their
/// retries.
const QUEUE_RESTART_MAX: Duration = Duration::from_secs(20);

impl World {
    pub(super) fn schedule_faults(&mut self) {
        let context = &mut self.environment.context;
        let fault_period = context.scenario.fault_period.as_millis() as u64;
        for _ in 0..context.scenario.fault_rates.scheduled_fault_count {
            let at = context.now + context.rng.millis((0, fault_period));
            let fault = Fault::ALL[context.rng.index(Fault::ALL.len())];
            context.schedule_at(at, Event::FaultStrikes(fault));
        }
        if context.scenario.network.tokens_are_refused {
            for part in 1..4 {
                let at = context.now + context.scenario.fault_period * part / 4;
                context.schedule_at(at, Event::FaultStrikes(Fault::TokenRefusal));
            }
        }
    }

    /// Applies a fault to random processes. One that meets no process to apply to has no effect.
    pub(super) fn strike(&mut self, fault: Fault) {
        let context = &mut self.environment.context;
        context.statistics.faults += 1;
        let duration = context.rng.millis((100, 40_000));
        let until = context.now + duration;
        let queue = context.rng.index(self.queues.len());
        let monitor = context.rng.index(self.monitors.len());
        context.trace(format_args!(
            "{fault:?}: queue {queue}, monitor {monitor}, for {duration:?}"
        ));
        match fault {
            Fault::QueueCrash => self.crash_queue(queue, duration.min(QUEUE_RESTART_MAX)),
            Fault::MonitorCrash => self.crash_monitor(monitor, duration),
            Fault::QueueHang => self.queues[queue].frozen_until = until,
            Fault::MonitorHang => self.monitors[monitor].frozen_until = until,
            Fault::Partition => {
                let (queue, monitor) = (Node::Queue(queue), Node::Monitor(monitor));
                self.environment.network.partition(queue, monitor, until);
            }
            Fault::GithubOutage => self.environment.github.down_until = until,
            Fault::GuestDeath => self.kill_random_guest(),
            Fault::RegistrationLoss => self.lose_random_registration(),
            Fault::DiskFull => self.monitors[monitor].disk_full_until = until,
            Fault::ClockChange => self.change_clock(monitor, duration),
            Fault::TokenRefusal => self.monitors[monitor].refuses_token_until = until,
        }
    }

    /// Ends all faults: continues what hangs, and starts what was killed.
    pub(super) fn end_faults(&mut self) {
        let environment = &mut self.environment;
        let now = environment.context.now;
        environment.context.scenario.fault_rates = FaultRates::default();
        environment.network.end_partitions();
        environment.github.down_until = now;
        for queue in &mut self.queues {
            queue.frozen_until = now;
            if queue.core.is_none() {
                queue.start(environment);
            }
            for profile in 0..environment.context.scenario.profile_count() {
                queue.resume(environment, profile);
            }
        }
        for monitor in &mut self.monitors {
            monitor.frozen_until = now;
            monitor.disk_full_until = now;
            monitor.refuses_token_until = now;
            if monitor.core.is_none() {
                monitor.start(environment);
            }
        }
    }

    fn crash_queue(&mut self, index: usize, restart_after: Duration) {
        let queue = &mut self.queues[index];
        if queue.core.is_some() {
            queue.crash(&mut self.environment);
            let context = &mut self.environment.context;
            context.schedule_after(restart_after, Event::QueueStarts(index));
        }
    }

    fn crash_monitor(&mut self, index: usize, restart_after: Duration) {
        let monitor = &mut self.monitors[index];
        if monitor.core.is_some() {
            monitor.crash(&mut self.environment);
            let context = &mut self.environment.context;
            context.schedule_after(restart_after, Event::MonitorStarts(index));
        }
    }

    /// Kills a monitor whose machine then has another time: a wrong one, that of a machine which has not
    /// learned it yet, or the right one again.
    fn change_clock(&mut self, index: usize, restart_after: Duration) {
        self.crash_monitor(index, restart_after);
        let context = &mut self.environment.context;
        let offset = context.rng.number(0, 7200) as i64 - 3600;
        let since_1970 = context.now.as_seconds() as i64;
        self.monitors[index].clock_offset = [0, offset, 60 - since_1970][context.rng.index(3)];
    }

    fn kill_random_guest(&mut self) {
        let ids: Vec<_> = self.guests.ids().cloned().collect();
        if !ids.is_empty() {
            let index = self.environment.context.rng.index(ids.len());
            self.end_guest(&ids[index]);
        }
    }

    fn lose_random_registration(&mut self) {
        let context = &mut self.environment.context;
        let github = &mut self.environment.github;
        let mut idle = github.registrations(context.now);
        idle.retain(|registration| !registration.busy);
        if !idle.is_empty() {
            let name = &idle[context.rng.index(idle.len())].name;
            github.model.vanish(context.now, name);
        }
    }
}
