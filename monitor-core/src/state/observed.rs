//! The last lists of guests and registrations, and the status of a runner that follows from them.
//!
//! Responsible for looking up a runner in both lists by its id. A list proves nothing about what
//! happened after it was requested.

use std::{collections::BTreeMap, net::Ipv4Addr};

use shared::{
    clock::Timestamp,
    registration::{Registration, RegistrationStatus},
    wire::RunnerStatus,
};

use super::runner::{InFlight, RunnerRecord};
use crate::RunnerId;

/// A guest as the hypervisor lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedGuest {
    pub name: String,
    /// None until it has one.
    pub ipv4_address: Option<Ipv4Addr>,
}

/// A list, by runner, and when it was requested.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    /// The moment before the request was sent.
    pub asked_at: Timestamp,
    pub seen: BTreeMap<RunnerId, T>,
}

/// What a list tells about one runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence<T> {
    /// Nothing: there is no list yet, or it is older than the runner.
    Unknown,
    Absent,
    Present(T),
}

/// The last list of each kind.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The hypervisor's list.
    pub guests: Option<Listing<ObservedGuest>>,
    /// GitHub's list.
    pub registrations: Option<Listing<Registration>>,
}

impl Observed {
    /// Whether there has been a list of each kind.
    pub fn is_complete(&self) -> bool {
        self.guests.is_some() && self.registrations.is_some()
    }

    /// What is known about the guest of a runner.
    pub fn guest(&self, id: RunnerId, record: &RunnerRecord) -> Presence<&ObservedGuest> {
        presence(self.guests.as_ref(), id, record)
    }

    /// What is known about the registration of a runner.
    pub fn registration(&self, id: RunnerId, record: &RunnerRecord) -> Presence<&Registration> {
        presence(self.registrations.as_ref(), id, record)
    }

    /// Whether the registration of a runner is in the list, or the list shows that there is none.
    pub fn knows_registration(&self, id: RunnerId, record: &RunnerRecord) -> bool {
        record.registration_id.is_some() || self.registration(id, record) != Presence::Unknown
    }

    /// Whether GitHub shows that this runner has a job: in its list, or, later than that, by
    /// refusing to delete the registration.
    fn is_busy(&self, id: RunnerId, record: &RunnerRecord) -> bool {
        let listing = self.registrations.as_ref();
        let is_refusal_newer = record.found_busy_at.is_some_and(|found_busy_at| {
            listing.is_none_or(|listing| listing.asked_at <= found_busy_at)
        });
        is_refusal_newer
            || matches!(self.registration(id, record), Presence::Present(it) if it.busy)
    }

    /// The status of a runner.
    ///
    /// | guest | registration | and | status |
    /// | --- | --- | --- | --- |
    /// | none | any | | invalid |
    /// | up | busy | | busy |
    /// | up | none | | done |
    /// | up | any | must be destroyed | done |
    /// | up | any | reserved | reserved |
    /// | up | online | | idle |
    /// | up | offline | | starting |
    ///
    /// What is unknown counts as present, but not as online; so does a registration that was in no
    /// list yet. A runner that still has labels of an earlier reservation counts as starting.
    pub fn status(&self, id: RunnerId, record: &RunnerRecord, is_reserved: bool) -> RunnerStatus {
        match record.in_flight {
            Some(InFlight::Creating) => return RunnerStatus::Starting,
            Some(InFlight::Destroying) => return RunnerStatus::Done,
            Some(InFlight::Labelling) | None => {}
        }
        let registration = self.registration(id, record);
        let is_unlisted = registration == Presence::Absent && record.was_listed;
        if self.guest(id, record) == Presence::Absent {
            RunnerStatus::Invalid
        } else if record.unregistered.is_some() {
            RunnerStatus::Done
        } else if self.is_busy(id, record) {
            RunnerStatus::Busy
        } else if is_unlisted || record.must_destroy.is_some() {
            RunnerStatus::Done
        } else if is_reserved {
            RunnerStatus::Reserved
        } else if record.labels_to_remove.is_empty() && is_online(registration) {
            RunnerStatus::Idle
        } else {
            RunnerStatus::Starting
        }
    }
}

fn presence<'a, T>(
    listing: Option<&'a Listing<T>>,
    id: RunnerId,
    record: &RunnerRecord,
) -> Presence<&'a T> {
    match listing {
        Some(listing) if listing.asked_at > record.creation_ended_at => {
            match listing.seen.get(&id) {
                Some(seen) => Presence::Present(seen),
                None => Presence::Absent,
            }
        }
        _ => Presence::Unknown,
    }
}

fn is_online(registration: Presence<&Registration>) -> bool {
    matches!(registration, Presence::Present(it) if it.status == RegistrationStatus::Online)
}
