//! What servers say, and what follows from it for jobs that hold, or may hold, runners there.

use shared::{
    clock::Timestamp,
    values::{Count, ProfileKey, UniqueId},
    wire::ReservationState,
};

use super::{
    fleet::{Health, ServerId, is_of_job},
    job::{Grant, GrantEnd, Retirement, State},
    queue::Queue,
    report::Report,
    timers::Timer,
};

impl Queue {
    pub(super) fn reported(&mut self, now: Timestamp, server: ServerId, report: Report) {
        let was_fresh = self.fleet.health(server, now) == Health::Fresh;
        let mentioned: Vec<UniqueId> = report
            .reservations
            .iter()
            .flat_map(|held| held.keys().cloned())
            .collect();
        let mut profiles = self.fleet.profiles(server);
        if !self.fleet.reported(server, report) {
            return;
        }
        profiles.extend(self.fleet.profiles(server));
        self.watch_for_staleness(server);
        self.review_grants(now, server);
        for unique_id in mentioned {
            let profile_key = self
                .jobs
                .get(&unique_id)
                .map(|job| job.request().spec.profile_key.clone());
            if self.learn_reservation(now, &unique_id) {
                // It may have stopped others, whether or not this server has that profile.
                profiles.extend(profile_key);
            }
        }
        self.answers_again(now, server, was_fresh);
        profiles.sort();
        profiles.dedup();
        for key in profiles {
            self.dispatch(now, &key);
        }
    }

    pub(super) fn unchanged(&mut self, now: Timestamp, server: ServerId, asked_at: Timestamp) {
        let was_fresh = self.fleet.health(server, now) == Health::Fresh;
        self.fleet.unchanged(server, asked_at);
        self.watch_for_staleness(server);
        self.review_grants(now, server);
        self.answers_again(now, server, was_fresh);
        if !was_fresh {
            // What it holds for jobs that came back meanwhile could not be asked for before.
            let report = self.fleet.report(server);
            let held = report.and_then(|report| report.reservations.as_ref());
            let mentioned: Vec<UniqueId> = held
                .into_iter()
                .flat_map(|held| held.keys().cloned())
                .collect();
            for unique_id in mentioned {
                self.learn_reservation(now, &unique_id);
            }
            self.dispatch_profiles(now, server);
        }
    }

    pub(super) fn unreachable(&mut self, now: Timestamp, server: ServerId) {
        self.fleet.failed(server, now);
        // A job that waited for runners of this server no longer stops those behind it.
        self.dispatch_profiles(now, server);
    }

    pub(super) fn check_stale(&mut self, now: Timestamp, server: ServerId) {
        self.fleet.set_watched(server, false);
        if self.fleet.health(server, now) == Health::Fresh {
            self.watch_for_staleness(server);
        } else {
            self.dispatch_profiles(now, server);
        }
    }

    /// Takes up what servers hold for a waiting job, if that is all it needs, by asking them
    /// again under its name: only what this queue was granted itself is ever handed out.
    pub(super) fn take_up_reservations(&mut self, now: Timestamp, unique_id: &UniqueId) -> bool {
        let Some(job) = self.jobs.get(unique_id) else {
            return false;
        };
        if !matches!(job.state, State::Waiting) {
            return false;
        }
        let mut missing = job.request().spec.count.get();
        // What more than enough servers hold, because several queues asked for it, is not all
        // taken: the rest is left to its deadline.
        let fits = |&(_, count): &(ServerId, Count)| {
            let is_wanted = count.get() <= missing;
            missing -= if is_wanted { count.get() } else { 0 };
            is_wanted
        };
        let held: Vec<(ServerId, Count)> = self
            .fleet
            .reservations(unique_id)
            .into_iter()
            .filter(|(server, reservation)| {
                let is_there = reservation.state != ReservationState::Served;
                is_there
                    && is_of_job(reservation, job.claims.enqueued_at)
                    && self.fleet.health(*server, now) == Health::Fresh
                    && !job.is_shut_out(*server, now)
            })
            .filter_map(|(server, reservation)| {
                Some((server, Count::new(reservation.runners.len() as u64).ok()?))
            })
            .filter(fits)
            .collect();
        if missing > 0 {
            return false;
        }
        self.begin_forward(now, unique_id, held);
        true
    }

    /// What servers hold for a waiting job, or have held, decides before its place in line does.
    /// `true` if it waits no longer.
    pub(super) fn learn_reservation(&mut self, now: Timestamp, unique_id: &UniqueId) -> bool {
        let Some(job) = self.jobs.get(unique_id) else {
            return false;
        };
        if !matches!(job.state, State::Waiting) {
            return false;
        }
        if self.fleet.has_served(unique_id, job.claims.enqueued_at) {
            self.retire(unique_id, Retirement::Served);
            return true;
        }
        self.take_up_reservations(now, unique_id)
    }

    /// Looks at every job that this server granted runners to: do the grants still stand?
    fn review_grants(&mut self, now: Timestamp, server: ServerId) {
        for unique_id in self.granted_by.get(&server).cloned().unwrap_or_default() {
            self.review_grant(now, server, &unique_id);
        }
    }

    fn forget_granted(&mut self, server: ServerId, unique_id: &UniqueId) {
        if let Some(granted) = self.granted_by.get_mut(&server) {
            granted.remove(unique_id);
        }
    }

    pub(super) fn review_grant(&mut self, now: Timestamp, server: ServerId, unique_id: &UniqueId) {
        let Some(report) = self.fleet.report(server) else {
            return;
        };
        let job = self.jobs.get_mut(unique_id);
        if let Some(State::Forwarding { .. }) = job.as_ref().map(|job| &job.state) {
            // Looked at when all its servers have answered.
            return;
        }
        let Some((grants, enqueued_at, is_delivered)) = job.and_then(|job| match &mut job.state {
            State::Reserved(grants) => Some((grants, job.claims.enqueued_at, false)),
            State::Delivered { grants, .. } => Some((grants, job.claims.enqueued_at, true)),
            State::Waiting | State::Forwarding { .. } => None,
        }) else {
            self.forget_granted(server, unique_id);
            return;
        };
        let Some(grant) = grants.iter_mut().find(|grant| grant.server == server) else {
            self.forget_granted(server, unique_id);
            return;
        };
        grant.end = end_of(grant, unique_id, enqueued_at, report);
        let ends: Vec<Option<GrantEnd>> = grants.iter().map(|grant| grant.end).collect();
        if ends.iter().all(Option::is_none) {
            return;
        }
        if is_delivered {
            // Its client has its answer, which stands for as long as any part of it does.
            if ends.iter().all(Option::is_some) {
                let is_served = ends.contains(&Some(GrantEnd::Served));
                self.retire(
                    unique_id,
                    if is_served {
                        Retirement::Served
                    } else {
                        Retirement::Lapsed
                    },
                );
            }
        } else if ends.contains(&Some(GrantEnd::Served)) {
            // Another queue had handed it out.
            self.retire(unique_id, Retirement::Served);
        } else {
            self.return_to_line(now, unique_id);
        }
    }

    /// Runners of a job died before it was told of them: it waits again, at its old place.
    fn return_to_line(&mut self, now: Timestamp, unique_id: &UniqueId) {
        let Some(job) = self.jobs.get_mut(unique_id) else {
            return;
        };
        let (place, request) = (job.claims.place(), job.request().clone());
        let State::Reserved(grants) = std::mem::replace(&mut job.state, State::Waiting) else {
            return;
        };
        self.lines
            .entry(request.spec.profile_key.clone())
            .or_default()
            .join(place, request.spec.count);
        self.give_back_grants(now, unique_id, grants, false);
        self.dispatch(now, &request.spec.profile_key);
    }

    fn answers_again(&mut self, now: Timestamp, server: ServerId, was_fresh: bool) {
        if !was_fresh && self.fleet.health(server, now) == Health::Fresh {
            self.retry_releases(now, server);
        }
    }

    pub(super) fn dispatch_profiles(&mut self, now: Timestamp, server: ServerId) {
        let profiles: Vec<ProfileKey> = self.fleet.profiles(server);
        for key in profiles {
            self.dispatch(now, &key);
        }
    }

    fn watch_for_staleness(&mut self, server: ServerId) {
        if let Some(stale_at) = self.fleet.stale_at(server)
            && !self.fleet.set_watched(server, true)
        {
            self.timers.set(stale_at, Timer::Stale(server));
        }
    }
}

/// Whether a grant has ended, according to its server's report.
fn end_of(
    grant: &Grant,
    unique_id: &UniqueId,
    enqueued_at: Timestamp,
    report: &Report,
) -> Option<GrantEnd> {
    // What was granted after the question was asked may be missing in the answer.
    let is_missing_for_sure = report.asked_at > grant.granted_at;
    match &report.reservations {
        Some(reservations) => {
            let reservation = reservations
                .get(unique_id)
                .filter(|reservation| is_of_job(reservation, enqueued_at));
            match reservation.map(|reservation| reservation.state) {
                Some(ReservationState::Served) => Some(GrantEnd::Served),
                Some(ReservationState::Held | ReservationState::Used) => None,
                None => is_missing_for_sure.then_some(GrantEnd::Lapsed),
            }
        }
        // An older monitor does not say how it ended. Served is the safe guess: it gives nobody
        // a second set.
        None => {
            let is_there = grant
                .runners
                .iter()
                .any(|runner| report.runners.contains(&runner.id));
            (is_missing_for_sure && !is_there).then_some(GrantEnd::Served)
        }
    }
}
