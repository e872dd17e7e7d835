//! Which polls are due, and what a failed poll changes.

use std::time::Duration;

use shared::{clock::Timestamp, wire::RunnerStatus};

use crate::{
    Monitor, RunnerId,
    state::{
        poll_schedule::PollSchedule,
        runner::InFlight,
        runner_event::{GuestEnd, RunnerStep},
    },
};

/// Maximum age of what is known of the host. It changes rarely: memory or hugepages are added to the
/// host, or reserved for something else.
const HOST_INTERVAL: Duration = Duration::from_secs(600);

/// A request for information from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// The guests that exist, according to the hypervisor, and the ages of the images.
    Guests,
    /// The registrations that exist, according to GitHub.
    Registrations,
    /// What the host has for guests.
    Host,
}

impl Monitor {
    /// The polls that are due now. The caller sends them and passes each result to
    /// [`handle_guests`](Self::handle_guests),
    /// [`handle_registrations`](Self::handle_registrations),
    /// [`handle_host`](Self::handle_host) or
    /// [`handle_poll_failed`](Self::handle_poll_failed).
    pub fn start_polls(&mut self, now: Timestamp) -> Vec<Poll> {
        self.now = self.now.max(now);
        let mut polls = Vec::new();
        for (poll, due_at) in self.scheduled_polls() {
            if due_at <= now {
                self.schedule(poll).start(now);
                polls.push(poll);
            }
        }
        polls
    }

    /// When the next poll is due; none while all are in flight.
    pub fn next_poll_at(&self) -> Option<Timestamp> {
        self.scheduled_polls().map(|(_, due_at)| due_at).min()
    }

    fn scheduled_polls(&self) -> impl Iterator<Item = (Poll, Timestamp)> + use<> {
        let guests = self.guest_schedule.due_at(self.policy.poll_interval);
        let registrations = self
            .registration_schedule
            .due_at(self.registration_interval());
        let host = self.host_schedule.due_at(HOST_INTERVAL);
        let host = host.filter(|_| self.policy.makes_virtual_machines());
        [
            guests.map(|due_at| (Poll::Guests, due_at)),
            registrations.map(|due_at| (Poll::Registrations, due_at)),
            host.map(|due_at| (Poll::Host, due_at)),
        ]
        .into_iter()
        .flatten()
    }

    fn schedule(&mut self, poll: Poll) -> &mut PollSchedule {
        match poll {
            Poll::Guests => &mut self.guest_schedule,
            Poll::Registrations => &mut self.registration_schedule,
            Poll::Host => &mut self.host_schedule,
        }
    }

    /// While something is about to change at GitHub, its list is polled as often as the guests. A
    /// runner cannot come online before its guest has fetched its JIT configuration.
    fn registration_interval(&self) -> Duration {
        let is_change_expected = self.statuses().into_iter().any(|(id, status)| {
            let record = &self.durable.runners[&id];
            record.in_flight.is_none()
                && record.unregistered.is_none()
                && !record.is_stuck()
                && ((status == RunnerStatus::Starting && self.credentials.may_be_fetched(id))
                    || record.registration_id.is_none()
                    || record.found_busy_at.is_some()
                    || record.may_be_assigned
                    || self.observed.is_unconfirmed(record))
        });
        match is_change_expected {
            true => self.policy.poll_interval,
            false => self.policy.cache_timeout.max(self.policy.poll_interval),
        }
    }

    /// The hypervisor reports that a guest has ended, so its next list differs. GitHub's list need
    /// not be polled: deleting the registration shows what GitHub knows of the runner.
    pub fn handle_guest_ended(&mut self, guest_name: &str, end: GuestEnd) {
        if let Some((profile_key, id)) = self.policy.parse_guest_name(guest_name)
            && let Some(record) = self.durable.runners.get_mut(&id)
            && record.profile_key == profile_key
        {
            record.guest_has_ended = true;
            self.note_guest_end(id, end);
        }
        self.guest_schedule.request_now();
    }

    /// Records once that the lists lack the guest of a runner, unless the runner is being destroyed.
    pub(super) fn note_guest_missing(&mut self, id: RunnerId) {
        let Some(record) = self.durable.runners.get_mut(&id) else {
            return;
        };
        let is_expected = record.guest_end.is_some() || record.in_flight.is_some();
        if !is_expected && !std::mem::replace(&mut record.is_guest_missing, true) {
            self.record_step(id, RunnerStep::GuestMissing);
        }
    }

    /// Records once how the guest of a runner ended, unless the runner is being destroyed.
    fn note_guest_end(&mut self, id: RunnerId, end: GuestEnd) {
        let Some(record) = self.durable.runners.get_mut(&id) else {
            return;
        };
        if record.guest_end.is_some() || record.in_flight == Some(InFlight::Destroying) {
            return;
        }
        record.guest_end = Some(end.clone());
        // That the guest of a runner has started is recorded when its creation ends, and its end after that.
        if record.in_flight != Some(InFlight::Creating) {
            self.record_step(id, RunnerStep::Ended { end });
        }
    }

    /// A poll failed; the last result stays in use. `retry_after` is the pause that the other side
    /// asked for.
    pub fn handle_poll_failed(
        &mut self,
        poll: Poll,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) {
        self.schedule(poll).fail(now, retry_after);
        if poll == Poll::Host {
            // If the host cannot be queried, the configured capacity is used.
            self.host.get_or_insert_default();
        }
    }
}

#[cfg(test)]
mod tests;
