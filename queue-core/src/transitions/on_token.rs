//! A server refused the API token, or accepted it again.

use shared::clock::Timestamp;

use super::on_report::mark_reserved_jobs;
use crate::state::{State, fleet::ServerId, timers::Timer};

/// A server refused the token: its runners are not assigned until it accepts it. A monitor that checks
/// the token in polls shows that itself; any other one is asked for runners again after a pause.
pub fn refused(state: &mut State, now: Timestamp, server: ServerId, by_poll: bool) {
    let retry_at = state.fleet.record_token_refusal(server, by_poll, now);
    state.timers.set(retry_at, Timer::TokenRetry(server));
    // Jobs that need this server no longer block those behind them.
    state.mark_profiles_of(server);
}

/// A server answered a request that needs the token.
pub fn accepted(state: &mut State, server: ServerId) {
    if state.fleet.record_token_acceptance(server) {
        mark_server(state, server);
    }
}

/// Marks everything that a server can be used for.
pub fn mark_server(state: &mut State, server: ServerId) {
    state.mark_profiles_of(server);
    mark_reserved_jobs(state, server);
}
