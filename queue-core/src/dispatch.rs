//! Who is served next, and by whom: the strict order of a line, applied to what is idle.
//!
//! Owns the one exception to that order: a job that wants more runners than the servers that
//! answer could ever have does not stop those behind it, because keeping runners idle would not
//! help it. And a job is passed for which all that is idle stands at servers that cannot be asked
//! on its behalf at the moment.

use shared::{
    clock::Timestamp,
    values::{Count, ProfileKey, UniqueId},
};

use super::{
    assign::assign,
    events::{Forward, Output},
    fleet::ServerId,
    job::{Ask, State},
    line::Place,
    queue::Queue,
    timers::Timer,
};

/// How many jobs are passed over in one go because of what servers hold or owe: bounds the work
/// of one event.
const PASSED_MAX: usize = 64;

impl Queue {
    pub(super) fn dispatch_all(&mut self, now: Timestamp) {
        let keys: Vec<ProfileKey> = self.lines.keys().cloned().collect();
        for key in keys {
            self.dispatch(now, &key);
        }
    }

    /// Forwards as many jobs of this line as can be served now.
    pub(super) fn dispatch(&mut self, now: Timestamp, profile_key: &ProfileKey) {
        if !self.is_settled(now) {
            return;
        }
        let mut behind: Option<Place> = None;
        let mut passed = 0;
        loop {
            let offers = self.fleet.offers(profile_key, now);
            let idle: usize = offers.iter().map(|(_, idle)| idle).sum();
            let Some(line) = self.lines.get(profile_key).filter(|_| idle > 0) else {
                return;
            };
            let reach = self.fleet.reach(profile_key, now);
            let Some((place, count)) = line.next_waiting(behind.as_ref(), reach) else {
                return;
            };
            let unique_id = place.unique_id.clone();
            if self.learn_reservation(now, &unique_id) {
                continue;
            }
            if count.get() > idle {
                // It gathers: those behind it wait, so that it is not starved.
                return;
            }
            let open: Vec<_> = offers
                .into_iter()
                .filter(|&(server, _)| self.can_ask(now, server, &unique_id))
                .collect();
            match assign(count, &open) {
                Some(servers) => self.begin_forward(now, &unique_id, servers),
                None if passed < PASSED_MAX => {
                    passed += 1;
                    behind = Some(place);
                }
                None => return,
            }
        }
    }

    /// Whether a server can be asked on a job's behalf: not while it owes the confirmation of a
    /// release, because nobody knows what it holds; not while it holds a part of what the job
    /// needs for another queue, because that part cannot be made larger; and not for a while
    /// after it would not have the job.
    pub fn can_ask(&self, now: Timestamp, server: ServerId, unique_id: &UniqueId) -> bool {
        let Some(job) = self.jobs.get(unique_id) else {
            return false;
        };
        !self
            .fleet
            .is_held(server, unique_id, job.claims.enqueued_at)
            && !self.owed.contains(server, unique_id)
            && !job.is_shut_out(server, now)
    }

    /// Asks servers on a job's behalf; the job keeps its place.
    pub(super) fn begin_forward(
        &mut self,
        now: Timestamp,
        unique_id: &UniqueId,
        servers: Vec<(ServerId, Count)>,
    ) {
        let Some(job) = self.jobs.get(unique_id) else {
            return;
        };
        let attempt = self.next_attempt(now, job.claims.enqueued_at);
        let deadline_at = now + self.rules.forward_timeout;
        let Some(job) = self.jobs.get_mut(unique_id) else {
            return;
        };
        let request = job.request().clone();
        let place = job.claims.place();
        let asks = servers
            .iter()
            .map(|&(server, count)| Ask {
                server,
                count,
                grant: None,
            })
            .collect();
        job.state = State::Forwarding { attempt, asks };
        if let Some(line) = self.lines.get_mut(&request.spec.profile_key) {
            line.set_forwarding(&place, request.spec.count);
        }
        for (server, count) in servers {
            self.timers.set(
                deadline_at,
                Timer::Forward(server, unique_id.clone(), attempt),
            );
            self.drop_release(server, unique_id);
            self.fleet.begin_forward(
                server,
                (unique_id.clone(), attempt),
                &request.spec.profile_key,
                count,
            );
            self.emit(Output::Forward(Forward {
                server,
                request: request.clone(),
                enqueued_at: place.enqueued_at,
                count,
                attempt,
                deadline_at,
            }));
        }
    }

    /// A number above all attempts before it, of this queue and of those before it, and above
    /// the moment the job was enqueued.
    pub(super) fn next_attempt(&mut self, now: Timestamp, enqueued_at: Timestamp) -> u64 {
        self.last_attempt = (self.last_attempt + 1)
            .max(now.as_micros())
            .max(enqueued_at.as_micros() + 1);
        self.last_attempt
    }
}
