//! What is wrong with the servers, derived from the state: for dashboards, metrics and the log.

use shared::{clock::Timestamp, problem::Problem};

use crate::state::{
    State,
    fleet::{Health, ServerId},
};

/// Everything that is wrong as of `now`, in a fixed order.
pub(crate) fn problems(state: &State, now: Timestamp) -> Vec<Problem> {
    let servers = state.fleet.ids();
    servers
        .filter_map(|server| not_answering(state, server, now))
        .collect()
}

/// A server without a recent report: none of its runners can be assigned.
fn not_answering(state: &State, server: ServerId, now: Timestamp) -> Option<Problem> {
    // During the startup grace period a first report may still be under way.
    let is_silent = state.fleet.health(server, now) != Health::Fresh && state.is_dispatching(now);
    let confirmed_at = state.fleet.confirmed_at(server);
    is_silent.then(|| Problem {
        code: "server_not_answering".into(),
        subject: state.fleet.name(server).to_owned(),
        cause: match confirmed_at {
            Some(_) => "its monitor no longer answers, so none of its runners are assigned".into(),
            None => {
                "its monitor has not answered since the queue started, so none of its runners are \
                     assigned"
                    .into()
            }
        },
        remedy: "check that the monitor runs there and that this URL leads to it".into(),
        since: confirmed_at.unwrap_or(state.started_at()),
    })
}
