//! What the world looked like when we last asked, and what follows from that for one runner.
//!
//! Owns the two lists, the hypervisor's and GitHub's, and how a runner is looked up in them by id.
//! A list says nothing about what happened after it was asked for.

use std::{collections::BTreeMap, net::Ipv4Addr};

use shared::{
    clock::Timestamp,
    registration::{Registration, RegistrationStatus},
    wire::RunnerStatus,
};

use crate::{
    RunnerId,
    state::runner::{InFlight, RunnerRecord},
};

/// A guest as the hypervisor shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedGuest {
    /// Its name.
    pub name: String,
    /// Its address, once it has one.
    pub ipv4_address: Option<Ipv4Addr>,
}

/// A list, and when it was asked for.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    /// The moment before the question went out.
    pub asked_at: Timestamp,
    /// What there was, by runner.
    pub seen: BTreeMap<RunnerId, T>,
}

/// What a list says about one thing of a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting<T> {
    /// Nothing: there is no list yet, or it is older than the runner.
    Unknown,
    /// It is not there.
    Absent,
    /// It is there.
    Present(T),
}

/// The last listing of each kind.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The hypervisor's.
    pub guests: Option<Listing<ObservedGuest>>,
    /// GitHub's.
    pub registrations: Option<Listing<Registration>>,
}

impl Observed {
    /// Whether both lists have been seen once.
    pub fn is_complete(&self) -> bool {
        self.guests.is_some() && self.registrations.is_some()
    }

    /// What is known about the guest of a runner.
    pub fn guest(&self, id: RunnerId, record: &RunnerRecord) -> Sighting<&ObservedGuest> {
        sight(self.guests.as_ref(), id, record)
    }

    /// What is known about the registration of a runner.
    pub fn registration(&self, id: RunnerId, record: &RunnerRecord) -> Sighting<&Registration> {
        sight(self.registrations.as_ref(), id, record)
    }

    /// Whether GitHub says that this runner has a job: in its list, or, later than that, in its
    /// refusal to delete the registration.
    fn is_busy(&self, id: RunnerId, record: &RunnerRecord) -> bool {
        let listing = self.registrations.as_ref();
        let is_refusal_newer = record.found_busy_at.is_some_and(|found_busy_at| {
            listing.is_none_or(|listing| listing.asked_at <= found_busy_at)
        });
        is_refusal_newer
            || matches!(self.registration(id, record), Sighting::Present(it) if it.busy)
    }

    /// What a runner is doing.
    ///
    /// | guest | registration | and | status |
    /// | --- | --- | --- | --- |
    /// | none | any | | invalid |
    /// | up | busy | | busy |
    /// | up | none | | done |
    /// | up | any | condemned | done |
    /// | up | any | reserved | reserved |
    /// | up | online | | idle |
    /// | up | offline | | starting |
    ///
    /// What is not known counts as being there, but not yet online; so does a registration that
    /// was in no list yet. A runner with labels of an earlier reservation on it counts as starting.
    pub fn status(&self, id: RunnerId, record: &RunnerRecord, is_reserved: bool) -> RunnerStatus {
        match record.flight {
            Some(InFlight::Creating) => return RunnerStatus::Starting,
            Some(InFlight::Destroying) => return RunnerStatus::Done,
            Some(InFlight::Labelling) | None => {}
        }
        let registration = self.registration(id, record);
        let is_unlisted = registration == Sighting::Absent && record.was_listed;
        if self.guest(id, record) == Sighting::Absent {
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

fn sight<'a, T>(
    listing: Option<&'a Listing<T>>,
    id: RunnerId,
    record: &RunnerRecord,
) -> Sighting<&'a T> {
    match listing {
        Some(listing) if listing.asked_at > record.settled_at => match listing.seen.get(&id) {
            Some(seen) => Sighting::Present(seen),
            None => Sighting::Absent,
        },
        _ => Sighting::Unknown,
    }
}

fn is_online(registration: Sighting<&Registration>) -> bool {
    matches!(registration, Sighting::Present(it) if it.status == RegistrationStatus::Online)
}
