//! A client enqueues a job.

use shared::{
    clock::Timestamp, job_spec::JobSpec, policy::RunFacts, values::LaneName, wire::ReservationState,
};

use super::presence;
use crate::{
    effect::{Answer, Refusal},
    estimate,
    event::{EnqueuedBy, JobStep},
    input::CallId,
    state::{
        State,
        job::{JobRequest, TicketContent},
    },
    wait_reason::{why_fewer, why_uncertain},
    worth_waiting::not_worth_it,
};

/// What a client wants to be enqueued.
pub struct Enqueue {
    pub request: JobRequest,
    /// Random value for the ticket.
    pub nonce: u64,
    pub by: EnqueuedBy,
}

pub fn enqueue(
    state: &mut State,
    now: Timestamp,
    call: CallId,
    Enqueue { request, nonce, by }: Enqueue,
    facts: &RunFacts,
) {
    if let Some(job) = state.jobs.get_mut(&request.spec.unique_id) {
        // A repeated enqueue gets the same ticket: the first answer may have been lost.
        if job.request().is_same_job(&request) {
            job.add_request(&request);
            job.last_seen_at = now;
            let ticket = job.ticket.clone();
            return state.answer(call, Answer::Enqueued(ticket));
        }
        return state.refuse(call, Refusal::AlreadyEnqueued);
    }
    if let Err(refusal) = check_request(state, now, &request.spec) {
        return state.refuse(call, refusal);
    }
    let enqueued_at = state.jobs.next_enqueued_at(now);
    let (queued_at, lane) = place(state, &request.spec, facts, enqueued_at);
    let ticket = TicketContent {
        request,
        enqueued_at,
        queued_at,
        lane,
        nonce,
    };
    let unique_id = ticket.request.spec.unique_id.clone();
    let profile_key = ticket.request.spec.profile_key.clone();
    // Its wait follows from its position.
    state.profile_queues.insert(&ticket);
    state.jobs.insert(ticket.clone(), now);
    let waiting = state.waiting_answer(now, &unique_id);
    let prospect = waiting.map(|waiting| waiting.prospect);
    let not_worth_it = prospect
        .as_ref()
        .and_then(|prospect| not_worth_it(state, now, &ticket, prospect));
    if let Some(reason) = not_worth_it {
        state.profile_queues.remove(&ticket);
        state.jobs.remove(&unique_id);
        estimate::forget(state, &profile_key);
        return state.refuse(call, Refusal::WaitTooLong(reason));
    }
    if let Some(job) = state.jobs.get_mut(&unique_id) {
        job.estimated = prospect.and_then(Result::ok);
    }
    begin(state, now, &ticket, JobStep::Enqueued { by });
    state.answer(call, Answer::Enqueued(ticket));
}

/// When a new job counts as enqueued, and its lane if there is a policy.
fn place(
    state: &State,
    spec: &JobSpec,
    facts: &RunFacts,
    enqueued_at: Timestamp,
) -> (Timestamp, Option<LaneName>) {
    let Some(policy) = &state.config.limits.policy else {
        return (enqueued_at, None);
    };
    let repo = &spec.qualified_repo;
    let lane = policy.lane_of(repo, facts);
    let queued_at = state.accounts.queued_at(policy, &lane, repo, enqueued_at);
    (queued_at, Some(lane))
}

/// Adds a job to the table and to its queue. `step` is why.
pub fn insert(state: &mut State, now: Timestamp, ticket: TicketContent, step: JobStep) {
    state.profile_queues.insert(&ticket);
    state.jobs.insert(ticket.clone(), now);
    begin(state, now, &ticket, step);
}

/// Lets a job that was inserted take part.
fn begin(state: &mut State, now: Timestamp, ticket: &TicketContent, step: JobStep) {
    let policy = state.config.limits.policy.as_deref();
    state.accounts.charge(policy, now, ticket);
    state.record(now, ticket, step);
    let spec = &ticket.request.spec;
    state.dirty.mark_profile(spec.profile_key.clone());
    presence::set_silence_timer(state, now, &spec.unique_id);
}

/// Whether a new job may be enqueued.
fn check_request(state: &State, now: Timestamp, spec: &JobSpec) -> Result<(), Refusal> {
    let runs_already = state
        .fleet
        .reservations(&spec.unique_id)
        .iter()
        .any(|(_, reservation)| reservation.state == ReservationState::Used);
    if runs_already {
        return Err(Refusal::AlreadyEnqueued);
    }
    let jobs_max = state.config.limits.jobs_max;
    if state.jobs.len() >= jobs_max {
        return Err(Refusal::TooManyJobs { jobs_max });
    }
    if let Some(jobs_max) = state.config.limits.jobs_per_repo_max
        && state.jobs.count_of_repo(&spec.qualified_repo) >= jobs_max
    {
        return Err(Refusal::TooManyJobsOfRepository { jobs_max });
    }
    check_satisfiable(state, now, spec)
}

/// Whether the servers are set up to have enough runners, as far as is known. If a server does not
/// answer, that may only seem not so.
fn check_satisfiable(state: &State, now: Timestamp, spec: &JobSpec) -> Result<(), Refusal> {
    let JobSpec {
        profile_key, count, ..
    } = spec;
    if state.fleet.has_known_target(profile_key, count.get(), now) {
        Ok(())
    } else if state.fleet.uncertain(now).next().is_none() {
        Err(Refusal::Unsatisfiable {
            profile_key: profile_key.clone(),
            target: state.fleet.known_target(profile_key, now),
            because: why_fewer(state, now, profile_key),
        })
    } else {
        let because = why_uncertain(state, now);
        Err(Refusal::NotReady { because })
    }
}
