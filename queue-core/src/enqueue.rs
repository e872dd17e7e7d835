//! Joining the queue, coming back to it, and leaving it for good.

use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    values::{ProfileKey, UniqueId},
    wire::ReservationState,
};

use super::{
    events::{Answer, CallId, Refusal},
    job::{Claims, Job, JobRequest, Retirement, State},
    queue::Queue,
};

impl Queue {
    pub(super) fn enqueue(
        &mut self,
        now: Timestamp,
        call: CallId,
        request: JobRequest,
        nonce: u64,
    ) {
        if let Some(job) = self.jobs.get_mut(&request.spec.unique_id) {
            // The same enqueue again: its first answer may have been lost.
            if *job.request() == request {
                job.heard_at = now;
                let claims = job.claims.clone();
                return self.answer(call, Answer::Enqueued(claims));
            }
            return self.refuse(call, Refusal::AlreadyEnqueued);
        }
        if let Err(refusal) = self.may_join(now, &request) {
            return self.refuse(call, refusal);
        }
        // No two jobs share a moment, and none is before one that is known to be older: also not
        // when the clock was set back while this queue was down.
        let enqueued_at = now.max(Timestamp::from_micros(
            self.last_enqueued_at.as_micros() + 1,
        ));
        let claims = Claims {
            request,
            enqueued_at,
            nonce,
        };
        let profile_key = claims.request.spec.profile_key.clone();
        self.join(now, claims.clone());
        self.answer(call, Answer::Enqueued(claims));
        self.dispatch(now, &profile_key);
    }

    /// Puts the job of a valid ticket back in line, and gives it what it can have, unless it is
    /// over.
    pub(super) fn readopt(&mut self, now: Timestamp, claims: &Claims) -> Result<(), Refusal> {
        self.rejoin(now, claims)?;
        self.take_up_reservations(now, &claims.request.spec.unique_id);
        self.dispatch(now, &claims.request.spec.profile_key);
        Ok(())
    }

    /// Puts the job of a valid ticket back in line, unless it is over.
    pub(super) fn rejoin(&mut self, now: Timestamp, claims: &Claims) -> Result<(), Refusal> {
        let place = claims.place();
        let expires_at = claims.enqueued_at + self.rules.ticket_lifetime;
        if now >= expires_at {
            return Err(Refusal::UnknownJob);
        }
        match self.retired.get(&place) {
            // Its runners went away unused while its client still asks: it never got them.
            Some(Retirement::Lapsed) => self.retired.remove(&place, expires_at),
            Some(_) => return Err(Refusal::UnknownJob),
            None => {}
        }
        if self.jobs.contains_key(&place.unique_id) {
            // A later job has taken the name.
            return Err(Refusal::UnknownJob);
        }
        if self.fleet.has_served(&place.unique_id, claims.enqueued_at) {
            self.retired.insert(place, Retirement::Served, expires_at);
            return Err(Refusal::UnknownJob);
        }
        self.join(now, claims.clone());
        Ok(())
    }

    /// A ticket may be older than the one that this queue knows its job by: when the queue was
    /// restarted, and an enqueue that was long under way arrived before the ticket did. From then
    /// on the job's place is that of the older ticket, whatever state the job is in: one that is
    /// being forwarded can return to the queue.
    pub(super) fn take_older_place(&mut self, now: Timestamp, claims: &Claims) {
        let Some(job) = self.jobs.get_mut(&claims.request.spec.unique_id) else {
            return;
        };
        if job.claims.enqueued_at <= claims.enqueued_at {
            return;
        }
        let newer = std::mem::replace(&mut job.claims, claims.clone());
        job.newer_places.push(newer.place());
        let JobSpec {
            profile_key, count, ..
        } = &claims.request.spec;
        if job.is_in_line()
            && let Some(line) = self.lines.get_mut(profile_key)
        {
            let is_forwarding = matches!(job.state, State::Forwarding { .. });
            line.leave(&newer.place(), *count);
            line.join(claims.place(), *count);
            if is_forwarding {
                line.set_forwarding(&claims.place(), *count);
            }
        }
        self.dispatch(now, profile_key);
    }

    /// Takes a job out for good.
    pub(super) fn retire(&mut self, unique_id: &UniqueId, retirement: Retirement) {
        let Some(job) = self.jobs.remove(unique_id) else {
            return;
        };
        let request = job.request();
        if let Some(line) = self.lines.get_mut(&request.spec.profile_key) {
            line.leave(&job.claims.place(), request.spec.count);
            if line.is_empty() {
                self.lines.remove(&request.spec.profile_key);
            }
        }
        if let Some(count) = self.jobs_per_repo.get_mut(&request.spec.qualified_repo) {
            *count -= 1;
            if *count == 0 {
                self.jobs_per_repo.remove(&request.spec.qualified_repo);
            }
        }
        let places = job.newer_places.iter().cloned();
        for place in places.chain([job.claims.place()]) {
            let expires_at = place.enqueued_at + self.rules.ticket_lifetime;
            self.retired.insert(place, retirement, expires_at);
        }
        for call in job.calls {
            self.held_count -= 1;
            self.refuse(call, Refusal::UnknownJob);
        }
    }

    fn join(&mut self, now: Timestamp, claims: Claims) {
        self.last_enqueued_at = self.last_enqueued_at.max(claims.enqueued_at);
        let request = &claims.request;
        self.lines
            .entry(request.spec.profile_key.clone())
            .or_default()
            .join(claims.place(), request.spec.count);
        *self
            .jobs_per_repo
            .entry(request.spec.qualified_repo.clone())
            .or_default() += 1;
        let unique_id = request.spec.unique_id.clone();
        self.jobs.insert(unique_id.clone(), Job::new(claims, now));
        self.watch_for_silence(now, &unique_id);
    }

    fn may_join(&self, now: Timestamp, request: &JobRequest) -> Result<(), Refusal> {
        let is_name_in_use = self
            .fleet
            .reservations(&request.spec.unique_id)
            .iter()
            .any(|(_, reservation)| reservation.state == ReservationState::Used);
        if is_name_in_use {
            return Err(Refusal::AlreadyEnqueued);
        }
        let jobs_max = self.rules.jobs_max;
        if self.jobs.len() >= jobs_max {
            return Err(Refusal::TooManyJobs { jobs_max });
        }
        let jobs_of_repo = self
            .jobs_per_repo
            .get(&request.spec.qualified_repo)
            .copied()
            .unwrap_or_default();
        if let Some(jobs_max) = self.rules.jobs_per_repo_max
            && jobs_of_repo >= jobs_max
        {
            return Err(Refusal::TooManyJobsOfRepository { jobs_max });
        }
        self.is_satisfiable(now, &request.spec.profile_key, request.spec.count.get())
    }

    fn is_satisfiable(
        &self,
        now: Timestamp,
        profile_key: &ProfileKey,
        wanted: usize,
    ) -> Result<(), Refusal> {
        if self.fleet.can_have(profile_key, wanted, now) {
            Ok(())
        } else if self.fleet.is_all_fresh(now) {
            let target = self.fleet.target(profile_key, now);
            Err(Refusal::Unsatisfiable {
                profile_key: profile_key.clone(),
                target,
            })
        } else {
            Err(Refusal::NotReady)
        }
    }
}
