//! What is wrong with the servers, derived from the state: for dashboards, metrics and the log.

use std::collections::BTreeMap;

use shared::{
    clock::Timestamp,
    problem::{
        Problem,
        catalogue::{self, ProblemKind},
    },
};

use crate::state::{
    State,
    fleet::{Health, Report, ServerFailure, ServerId},
};

/// Everything that is wrong as of `now`, in a fixed order.
pub(crate) fn problems(state: &State, now: Timestamp) -> Vec<Problem> {
    let servers = state.fleet.ids();
    let mut problems: Vec<Problem> = servers
        .flat_map(|server| {
            // Of a server that gives nothing to judge by, only that is a problem.
            let first = refused_token(state, server)
                .or_else(|| listed_twice(state, server, now))
                .or_else(|| wrong_url(state, server))
                .or_else(|| not_answering(state, server, now));
            let others = unreadable_entries(state, server).into_iter();
            let others = others.chain(invalid_grants(state, server));
            first
                .into_iter()
                .chain(others.chain(missed_targets(state, server)))
        })
        .collect();
    problems.extend(shared_suffixes(state, now));
    problems
}

/// A server that refuses the API token.
fn refused_token(state: &State, server: ServerId) -> Option<Problem> {
    let since = state.fleet.token_refused_since(server)?;
    Some(catalogue::SERVER_REFUSES_TOKEN.problem(
state.fleet.name(server),
        "its monitor refuses the token that this queue sends, so none of its runners are assigned",
        "set SERVO_CI_MONITOR_API_TOKEN to the same value for both, or SERVO_CI_MONITOR_QUEUE_TOKEN of \
         the monitor to the server's entry in SERVO_CI_MONITOR_SERVER_TOKENS of the queue; if there is a \
         proxy between them, let it pass on the header Authorization",
        since,
    ))
}

/// A URL of a server that is used by another URL.
fn listed_twice(state: &State, server: ServerId, now: Timestamp) -> Option<Problem> {
    let other = state.fleet.duplicate_of(server, now)?;
    let name = state.fleet.name(other);
    Some(catalogue::SERVER_LISTED_TWICE.problem(
        state.fleet.name(server),
        format!("it is the same server as {name}, which is used instead"),
        "remove one of the two from `servers` in `[queue]`",
        state.fleet.same_since(other, server).unwrap_or(now),
    ))
}

/// A URL that leads to something else than a monitor.
fn wrong_url(state: &State, server: ServerId) -> Option<Problem> {
    let (failure, since) = state.fleet.failure(server)?;
    let (kind, cause, remedy): (&ProblemKind, _, _) = match failure {
        ServerFailure::IsQueue => (
            &catalogue::SERVER_IS_QUEUE,
            "this URL leads to a queue, not to a monitor",
            "list the URLs of the monitors in `servers` of `[queue]`; their port is 8000",
        ),
        ServerFailure::Redirect => (
            &catalogue::SERVER_REDIRECTS,
            "it answers with a redirect to another URL, which the queue does not follow",
            "list the URL that it redirects to in `servers` of `[queue]`",
        ),
        ServerFailure::NoDashboard => (
            &catalogue::SERVER_IS_NO_MONITOR,
            "what it answers is not the dashboard of a monitor",
            "check that this URL leads to a monitor, and not to another service or to a page of a proxy",
        ),
        ServerFailure::Status(404) => (
            &catalogue::SERVER_IS_NO_MONITOR,
            "it has no dashboard: it answers 404",
            "check that this URL leads to a monitor, and whether a proxy in front of it adds or removes \
             a part of the path",
        ),
        ServerFailure::NoResponse | ServerFailure::Status(_) => return None,
    };
    Some(kind.problem(state.fleet.name(server), cause, remedy, since))
}

/// A server without a recent report: none of its runners can be assigned. The monitors in production
/// answer no poll for some seconds after each take, which is no problem.
fn not_answering(state: &State, server: ServerId, now: Timestamp) -> Option<Problem> {
    let confirmed_at = state.fleet.confirmed_at(server);
    let is_silent = state.fleet.health(server, now) != Health::Fresh
        && now.since(confirmed_at.unwrap_or(state.started_at())) > state.config.stale_after;
    let status = match state.fleet.failure(server) {
        Some((ServerFailure::Status(status), _)) => format!(" (it answers {status})"),
        _ => String::new(),
    };
    let since_start = if confirmed_at.is_some() {
        "its monitor no longer answers polls"
    } else {
        "its monitor has not answered a poll since the queue started"
    };
    is_silent.then(|| {
        catalogue::SERVER_NOT_ANSWERING.problem(
state.fleet.name(server),
            format!("{since_start}{status}, so none of its runners are assigned"),
            "check that the monitor runs there and that this URL leads to it; if the server is gone for \
             good, remove it from `servers` in `[queue]`",
            confirmed_at.unwrap_or(state.started_at()),
        )
    })
}

/// Parts of a dashboard that are left out.
fn unreadable_entries(state: &State, server: ServerId) -> Option<Problem> {
    let (count, since) = state.fleet.unreadable(server)?;
    let entries = match count {
        1 => "1 entry".to_owned(),
        count => format!("{count} entries"),
    };
    Some(catalogue::DASHBOARD_ENTRIES_UNREADABLE.problem(
state.fleet.name(server),
        format!(
            "{entries} of its dashboard cannot be read, or exceed what a server can have; they are left out"
        ),
        "look for unusual values in its dashboard.json, and run the same release on queue and monitors",
        since,
    ))
}

/// A server that grants runners which no client may be given.
fn invalid_grants(state: &State, server: ServerId) -> Option<Problem> {
    let since = state.fleet.invalid_grants_since(server)?;
    Some(catalogue::SERVER_GRANTS_INVALID_LABELS.problem(
state.fleet.name(server),
        "it granted a runner whose label is not 1 to 256 printable characters without a comma, or is the \
         label of another runner or job; such runners are released and given to no client",
        "check which software answers takes at this URL, and whether its owner can be trusted",
        since,
    ))
}

/// Targets that a server does not reach.
fn missed_targets(state: &State, server: ServerId) -> impl Iterator<Item = Problem> {
    let name = state.fleet.name(server);
    state.fleet.missed_targets(server).map(move |(key, target, most, since)| {
        catalogue::TARGET_NOT_REACHED.problem(
format!("profile {key} of {name}"),
            format!("its target is {target}, and it has had at most {most} of them at once of late; jobs for more do not wait for them"),
            "see the page of this monitor for the reason; if the host has not enough memory, lower the target",
            since,
        )
    })
}

/// Servers that register their runners under the same suffix, so that their names cannot be told apart.
fn shared_suffixes(state: &State, now: Timestamp) -> Vec<Problem> {
    let mut first_with: BTreeMap<&str, ServerId> = BTreeMap::new();
    let mut problems = Vec::new();
    for server in state.fleet.ids() {
        let suffix = state.fleet.report(server).and_then(Report::suffix);
        let Some(suffix) = suffix.filter(|_| state.fleet.duplicate_of(server, now).is_none())
        else {
            continue;
        };
        let first = *first_with.entry(suffix).or_insert(server);
        if first != server {
            let other = state.fleet.name(first);
            problems.push(catalogue::SUFFIX_SHARED.problem(
state.fleet.name(server),
                format!("its runners are registered with the suffix {suffix}, like those of {other}, so that their names cannot be told apart"),
                "set another github_api_suffix on one of the two",
                state.fleet.seen_since(first).max(state.fleet.seen_since(server)),
            ));
        }
    }
    problems
}
