//! Requesting runners for a job.

use shared::{
    clock::Timestamp,
    values::{Count, UniqueId},
};

use crate::{
    effect::{Effect, Forward},
    event::JobStep,
    state::{
        State,
        fleet::ServerId,
        job::{ForwardPart, JobState},
        timers::Timer,
    },
};

/// Asks servers for the runners of a waiting job, which keeps its position.
pub fn begin_forward(
    state: &mut State,
    now: Timestamp,
    unique_id: &UniqueId,
    servers: Vec<(ServerId, Count)>,
) {
    let Some(job) = state.jobs.get_mut(unique_id) else {
        return;
    };
    let token = state.fencing.next();
    let deadline_at = now + state.config.limits.forward_timeout;
    let parts = servers.iter().map(|&(server, count)| ForwardPart {
        server,
        count,
        grant: None,
    });
    job.state = JobState::Forwarding {
        token,
        parts: parts.collect(),
    };
    job.passed_over = None;
    state.profile_queues.set_forwarding(&job.ticket);
    let ticket = job.ticket.clone();
    let (request, enqueued_at) = (job.request().clone(), job.newest_enqueued_at());
    for (server, count) in servers {
        state.timers.set(
            deadline_at,
            Timer::Forward(server, unique_id.clone(), token),
        );
        // The later token makes the server ignore the release.
        state.pending_releases.cancel(server, unique_id);
        let key = &request.spec.profile_key;
        state
            .fleet
            .begin_forward(server, unique_id.clone(), token, key, count);
        state.record(now, &ticket, JobStep::Forwarded { server, count });
        state.effects.push_back(Effect::Forward(Forward {
            server,
            request: request.clone(),
            enqueued_at,
            count,
            token,
            deadline_at,
        }));
    }
}
