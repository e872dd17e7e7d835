//! Whether a job is still worth waiting for, by the limits that its client has stated.
//!
//! A hosted runner is the better choice as soon as the median of the remaining wait exceeds what a
//! self-hosted runner saves: a job that takes `hosted_duration` on a hosted runner, and `slowdown` times less here,
//! saves `hosted_duration × (1 − 1/slowdown)`. Time that was waited already is lost either way and does not count. It
//! counts against `max_wait`, which limits the whole wait.

use std::{fmt, time::Duration};

use shared::{
    clock::Timestamp,
    format,
    wait_limits::{LimitSeconds, Slowdown},
    wire::Estimate,
};

use crate::{
    estimate::Prospect,
    state::{State, job::TicketContent},
};

/// How long a server that no longer answers may be back in a moment, for example after an update.
const RETURNS_WITHIN: Duration = Duration::from_secs(120);

/// Why a job is not worth waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotWorthIt {
    /// It has waited for as long as it may.
    MaxWaitIsOver { max_wait: LimitSeconds },
    /// It will probably have to wait for longer than it may.
    BeyondMaxWait {
        estimate: Estimate,
        max_wait: LimitSeconds,
        left_seconds: u64,
    },
    /// It will probably be done earlier on a hosted runner.
    HostedIsFaster {
        estimate: Estimate,
        hosted_seconds: u64,
        /// Whether that follows from how long such jobs took here.
        is_learnt: bool,
        slowdown: Slowdown,
        saved_seconds: u64,
    },
}

/// Why a job is not worth waiting for; `None` if it is, if its client has stated no limits, or if that is not
/// certain enough.
pub fn not_worth_it(
    state: &State,
    now: Timestamp,
    ticket: &TicketContent,
    prospect: &Prospect,
) -> Option<NotWorthIt> {
    let limits = &ticket.request.limits;
    let waited = now.since(ticket.enqueued_at).as_secs();
    let max_wait = limits
        .max_wait
        .map(|max_wait| (max_wait, max_wait.get().saturating_sub(waited)));
    if let Some((max_wait, 0)) = max_wait {
        return Some(NotWorthIt::MaxWaitIsOver { max_wait });
    }
    let estimate = *prospect.as_ref().ok()?;
    if !is_certain(state, now, ticket) {
        return None;
    }
    if let Some((max_wait, left_seconds)) = max_wait
        && estimate.p50_seconds > left_seconds
    {
        return Some(NotWorthIt::BeyondMaxWait {
            estimate,
            max_wait,
            left_seconds,
        });
    }
    let slowdown = limits.slowdown?;
    let hosted_seconds = match limits.hosted_duration {
        Some(stated) => stated.get(),
        None => {
            let spec = &ticket.request.spec;
            let history = &state.estimates.history;
            let here = history.usual(&spec.profile_key, &spec.qualified_repo)?;
            (here * slowdown.get()).round() as u64
        }
    };
    let saved_seconds = (hosted_seconds as f64 * (1.0 - 1.0 / slowdown.get())).round() as u64;
    (estimate.p50_seconds > saved_seconds).then_some(NotWorthIt::HostedIsFaster {
        estimate,
        hosted_seconds,
        is_learnt: limits.hosted_duration.is_none(),
        slowdown,
        saved_seconds,
    })
}

/// Whether estimates are certain enough for a decision: it is known how long jobs of the profile take, and which
/// runners there are.
fn is_certain(state: &State, now: Timestamp, ticket: &TicketContent) -> bool {
    let may_return = |server| {
        let seen_at = state.fleet.confirmed_at(server);
        let seen_at = seen_at.unwrap_or_else(|| state.started_at());
        now.since(seen_at) <= RETURNS_WITHIN
    };
    state.is_dispatching(now)
        && state
            .estimates
            .history
            .is_sufficient(&ticket.request.spec.profile_key)
        && !state.fleet.uncertain(now).any(may_return)
}

impl fmt::Display for NotWorthIt {
    /// A clause with the arithmetic.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |seconds| format::duration(Duration::from_secs(seconds));
        let wait = |estimate: &Estimate| format::estimate(Some(*estimate), None);
        match self {
            Self::MaxWaitIsOver { max_wait } => write!(
                formatter,
                "this job has waited for its max_wait of {}",
                text(max_wait.get())
            ),
            Self::BeyondMaxWait {
                estimate,
                max_wait,
                left_seconds,
            } => write!(
                formatter,
                "this job must wait {}, and {} of its max_wait of {} are left",
                wait(estimate),
                text(*left_seconds),
                text(max_wait.get())
            ),
            Self::HostedIsFaster {
                estimate,
                hosted_seconds,
                is_learnt,
                slowdown,
                saved_seconds,
            } => {
                let (hosted, saved) = (text(*hosted_seconds), text(*saved_seconds));
                let learnt = if *is_learnt {
                    ", as far as is known from earlier jobs"
                } else {
                    ""
                };
                write!(
                    formatter,
                    "this job must wait {}, and a runner of this queue saves {saved}: {hosted} × (1 − 1/{slowdown}), \
                     where {hosted} is its duration on a hosted runner{learnt}",
                    wait(estimate)
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
