//! The blows: crashes, hangs, partitions, outages, deaths. When they come, and when they end.

use std::time::Duration;

use crate::{
    network::Node,
    world::{Event, World},
};

/// One blow.
#[derive(Clone, Copy, Debug)]
pub enum Blow {
    /// A queue is killed, and started again after a while.
    QueueCrash,
    /// A monitor is killed, and started again after a while.
    MonitorCrash,
    /// A queue does nothing for a while.
    QueueHang,
    /// A monitor does nothing for a while.
    MonitorHang,
    /// Two nodes do not reach each other for a while.
    Partition,
    /// GitHub answers nothing but errors for a while.
    GithubOutage,
    /// A guest dies.
    GuestDeath,
    /// GitHub forgets an idle runner.
    RegistrationVanishes,
}

const BLOWS: [Blow; 8] = [
    Blow::QueueCrash,
    Blow::MonitorCrash,
    Blow::QueueHang,
    Blow::MonitorHang,
    Blow::Partition,
    Blow::GithubOutage,
    Blow::GuestDeath,
    Blow::RegistrationVanishes,
];

impl World {
    /// Sets the moments of all blows.
    pub fn plan_blows(&mut self) {
        let trouble = self.scenario.trouble.as_millis() as u64;
        for _ in 0..self.scenario.weather.blow_count {
            let at = self.now + self.chance.millis(0, trouble);
            let blow = BLOWS[self.chance.index(BLOWS.len())];
            self.at(at, Event::Blow(blow));
        }
    }

    /// A blow falls.
    pub fn strike(&mut self, blow: Blow) {
        self.tally.faults += 1;
        let a_while = self.chance.millis(100, 40_000);
        let until = self.now + a_while;
        let queue = self.chance.index(self.queues.len());
        let monitor = self.chance.index(self.monitors.len());
        self.tell(format_args!(
            "{blow:?}, queue {queue}, monitor {monitor}, for {a_while:?}"
        ));
        match blow {
            Blow::QueueCrash if self.queues[queue].core.is_some() => {
                self.crash_queue(queue);
                self.later(
                    a_while.min(Duration::from_secs(20)),
                    Event::StartQueue(queue),
                );
            }
            Blow::MonitorCrash if self.monitors[monitor].core.is_some() => {
                self.crash_monitor(monitor);
                self.later(a_while, Event::StartMonitor(monitor));
            }
            Blow::QueueCrash | Blow::MonitorCrash => {}
            Blow::QueueHang => self.queues[queue].frozen_until = until,
            Blow::MonitorHang => self.monitors[monitor].frozen_until = until,
            Blow::Partition => self.partition(Node::Queue(queue), Node::Monitor(monitor), until),
            Blow::GithubOutage => self.github_down_until = until,
            Blow::GuestDeath => {
                let ids: Vec<_> = self.guests.keys().cloned().collect();
                if !ids.is_empty() {
                    let id = ids[self.chance.index(ids.len())].clone();
                    self.guest_ends(&id);
                }
            }
            Blow::RegistrationVanishes => {
                let idle: Vec<String> = self
                    .registrations()
                    .into_iter()
                    .filter(|it| !it.busy)
                    .map(|it| it.name)
                    .collect();
                if !idle.is_empty() {
                    let name = idle[self.chance.index(idle.len())].clone();
                    self.github.vanish(self.now, &name);
                }
            }
        }
    }

    /// All faults end: what was stopped goes on, what was killed is started.
    pub fn make_peace(&mut self) {
        self.scenario.weather = crate::scenario::Weather::default();
        self.partitions.clear();
        self.github_down_until = self.now;
        for index in 0..self.queues.len() {
            self.queues[index].frozen_until = self.now;
            if self.queues[index].core.is_none() {
                self.start_queue(index);
            }
        }
        for index in 0..self.monitors.len() {
            self.monitors[index].frozen_until = self.now;
            if self.monitors[index].core.is_none() {
                self.start_monitor(index);
            }
        }
    }
}
