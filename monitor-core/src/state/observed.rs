//! The last lists of guests and registrations, and the status of a runner that follows from them.
//!
//! Responsible for looking up a runner in both lists by its id. A list proves nothing about what
//! happened after it was requested.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use shared::{
    clock::Timestamp,
    registration::{Registration, RegistrationStatus},
    values::ProfileKey,
    wire::RunnerStatus,
};

use super::runner::{InFlight, MustDestroy, RunnerRecord};
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
    /// The list of the guests of all drivers that could be listed, apart from `machines`.
    pub guests: Option<Listing<ObservedGuest>>,
    /// The last list of virtual machines, if it was requested apart from the others.
    pub machines: Option<Listing<ObservedGuest>>,
    /// Whether virtual machines could not be listed lately: what is known of them may have changed.
    pub are_machines_unlisted: bool,
    /// GitHub's lists of all scopes in which there are runners.
    pub registrations: Option<Listing<Registration>>,
    /// Scopes, in lower case, that could not be listed. Nothing is known of their runners.
    pub unlisted_scopes: BTreeSet<String>,
    /// Registrations with names of this server's runners, without a record.
    pub unclaimed: BTreeMap<RunnerId, Unclaimed>,
}

/// A registration whose name is that of a runner of this server, but of which there is neither record
/// nor guest here: a leftover, or the runner of another server with the same suffix.
#[derive(Clone, Debug)]
pub struct Unclaimed {
    pub profile_key: ProfileKey,
    pub registration: Registration,
    /// When it was first listed.
    pub first_seen_at: Timestamp,
    /// When it was last listed as online or busy; at first, when it was first listed.
    pub last_alive_at: Timestamp,
    /// Since when lists have shown it as online or busy, if any did.
    pub alive_since: Option<Timestamp>,
}

impl Observed {
    /// Whether there has been a list of each kind.
    pub fn is_complete(&self) -> bool {
        self.guests.is_some() && self.registrations.is_some()
    }

    /// What is known about the guest of a runner. It is absent if two lists in a row lack it, or one
    /// list and the hypervisor has reported its end.
    pub fn guest(&self, id: RunnerId, record: &RunnerRecord) -> Presence<&ObservedGuest> {
        match self.listed_guest(id, record) {
            Presence::Absent if !self.is_guest_gone(id, record) => Presence::Unknown,
            presence => presence,
        }
    }

    /// What the last lists show of the guest of a runner. A guest of unknown kind is absent if both lists
    /// lack it.
    fn listed_guest(&self, id: RunnerId, record: &RunnerRecord) -> Presence<&ObservedGuest> {
        let process = presence(self.guests.as_ref(), id, record);
        let machine = presence(self.machines.as_ref(), id, record);
        match (process, machine, record.is_virtual) {
            (Presence::Present(_), _, _) => process,
            (_, Presence::Present(_), _) => machine,
            (Presence::Absent, Presence::Absent, _)
            | (Presence::Absent, _, Some(false))
            | (_, Presence::Absent, Some(true)) => Presence::Absent,
            _ => Presence::Unknown,
        }
    }

    /// Every guest of the last lists.
    pub fn all_guests(&self) -> impl Iterator<Item = &ObservedGuest> {
        let listings = self.guests.iter().chain(&self.machines);
        listings.flat_map(|listing| listing.seen.values())
    }

    /// Whether the lists of the hypervisor suffice to consider a guest as gone that the last one lacks.
    pub fn is_guest_gone(&self, id: RunnerId, record: &RunnerRecord) -> bool {
        let is_listed = matches!(self.registration(id, record), Presence::Present(_));
        record.is_guest_gone(is_listed)
    }

    /// What is known about the registration of a runner.
    pub fn registration(&self, id: RunnerId, record: &RunnerRecord) -> Presence<&Registration> {
        let scope = record.registrar.as_ref().map(|it| &it.scope);
        match scope {
            Some(scope) if self.unlisted_scopes.contains(&scope.to_ascii_lowercase()) => {
                Presence::Unknown
            }
            _ => presence(self.registrations.as_ref(), id, record),
        }
    }

    /// When the last lists of registrations were requested.
    pub fn registrations_asked_at(&self) -> Timestamp {
        let listing = self.registrations.as_ref();
        listing.map(|it| it.asked_at).unwrap_or_default()
    }

    /// Whether lists have lacked the registration of a runner for long enough.
    pub fn is_gone_from_lists(&self, record: &RunnerRecord) -> bool {
        RunnerRecord::is_confirmed(record.unlisted_since, self.registrations_asked_at())
    }

    /// Whether a runner that was busy is to be considered as busy still: neither is there evidence of
    /// the end of its job, nor have lists shown it as not busy for long enough.
    fn is_still_busy(&self, id: RunnerId, record: &RunnerRecord) -> bool {
        let has_not_busy_lists =
            RunnerRecord::is_confirmed(record.not_busy_since, self.registrations_asked_at());
        let is_listed = matches!(self.registration(id, record), Presence::Present(_));
        record.was_busy && !(is_listed && has_not_busy_lists)
    }

    /// Whether the last list is one odd reading so far: the next ones decide.
    pub fn is_unconfirmed(&self, record: &RunnerRecord) -> bool {
        let asked_at = self.registrations_asked_at();
        [record.unlisted_since, record.not_busy_since]
            .into_iter()
            .any(|since| since.is_some() && !RunnerRecord::is_confirmed(since, asked_at))
    }

    /// Whether the registration of a runner is known, or it is certain that there is none: there never
    /// was one, or lists have lacked it for long enough.
    pub fn knows_registration(&self, record: &RunnerRecord) -> bool {
        record.registration_id.is_some()
            || record.unregistered.is_some()
            || self.is_gone_from_lists(record)
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
    /// | up | any | its job has completed, or removed by force | done |
    /// | up | busy | | busy |
    /// | up | any | was busy, without evidence of the end of its job | busy |
    /// | up | none | | done |
    /// | up | any | must be destroyed | done |
    /// | up | any | reserved | reserved |
    /// | up | online | | idle |
    /// | up | offline | | starting |
    ///
    /// What is unknown counts as present, but not as online; so does a registration that was in no
    /// list yet, or has not been missing for long enough. A runner that still has labels of an earlier
    /// reservation, or had them a moment ago, counts as starting.
    pub fn status(&self, id: RunnerId, record: &RunnerRecord, is_reserved: bool) -> RunnerStatus {
        match record.in_flight {
            Some(InFlight::Creating) => return RunnerStatus::Starting,
            Some(InFlight::Destroying) => return RunnerStatus::Done,
            Some(InFlight::Labelling) | None => {}
        }
        let registration = self.registration(id, record);
        let is_unlisted = registration == Presence::Absent
            && record.was_listed
            && self.is_gone_from_lists(record);
        let guest = self.guest(id, record);
        let is_over =
            record.job_completed || record.must_destroy == Some(MustDestroy::RemovedByForce);
        if guest == Presence::Absent {
            RunnerStatus::Invalid
        } else if record.unregistered.is_some() || is_over {
            RunnerStatus::Done
        } else if self.is_busy(id, record)
            || (self.is_still_busy(id, record) && !record.has_evidence())
        {
            RunnerStatus::Busy
        } else if is_unlisted || record.was_busy || record.must_be_destroyed(is_reserved) {
            RunnerStatus::Done
        } else if is_reserved {
            RunnerStatus::Reserved
        } else if record.labels_to_remove.is_empty()
            && !record.may_be_assigned
            && matches!(guest, Presence::Present(_))
            && is_online(registration)
        {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::TestPool;

    /// Invariant: a list proves nothing about changes made after it was requested.
    #[test]
    fn a_list_counts_for_a_runner_if_it_was_requested_after_its_creation_ended() {
        let pool = TestPool::with_idle_linux(1);
        let mut record = pool.monitor.durable.runners[&RunnerId(0)].clone();
        record.creation_ended_at = Timestamp::from_seconds(1000);
        let moment = Duration::from_micros(1);
        let presence_in = |asked_at: Timestamp, seen: &[RunnerId]| {
            let seen = seen.iter().map(|id| (*id, ())).collect();
            let listing = Listing { asked_at, seen };
            match presence(Some(&listing), RunnerId(0), &record) {
                Presence::Present(()) => "present",
                Presence::Absent => "absent",
                Presence::Unknown => "unknown",
            }
        };
        let ended_at = record.creation_ended_at;
        for (asked_at, if_seen, if_not_seen) in [
            (ended_at - moment, "unknown", "unknown"),
            (ended_at, "unknown", "unknown"),
            (ended_at + moment, "present", "absent"),
        ] {
            assert_eq!(presence_in(asked_at, &[RunnerId(0)]), if_seen);
            assert_eq!(presence_in(asked_at, &[RunnerId(1)]), if_not_seen);
        }
    }
}
