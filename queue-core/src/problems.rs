//! What is wrong with the servers, derived from the state: for dashboards, metrics and the log.

use std::{collections::BTreeMap, time::Duration};

use shared::{
    clock::Timestamp,
    format,
    problem::{
        Problem,
        catalogue::{self, ProblemKind},
    },
};

use crate::{
    state::{
        State,
        fleet::{Health, Report, ServerFailure, ServerId},
    },
    wait_reason::why_fewer,
};

/// How long requests to a server fail before that is a problem.
const FAILING_MIN: Duration = Duration::from_secs(5);
/// How long after the start servers may take to report before a job counts as one that none can serve.
const REPORTS_WITHIN: Duration = Duration::from_secs(10);
/// How many jobs of each profile are looked at.
const JOBS_REVIEWED_MAX: usize = 200;

/// Everything that is wrong as of `now`, in a fixed order.
pub(crate) fn problems(state: &State, now: Timestamp) -> Vec<Problem> {
    let servers = state.fleet.ids();
    let mut problems: Vec<Problem> = servers
        .flat_map(|server| {
            // Of a server that gives nothing to judge by, only that is a problem.
            let first = refused_token(state, server, now)
                .or_else(|| listed_twice(state, server, now))
                .or_else(|| wrong_url(state, server))
                .or_else(|| not_answering(state, server, now));
            let others = unreadable_entries(state, server).into_iter();
            let others = others.chain(invalid_grants(state, server));
            let others = others.chain(shared_server(state, server));
            let others = others.chain(refusing(state, server, now));
            first
                .into_iter()
                .chain(others.chain(missed_targets(state, server)))
        })
        .collect();
    problems.extend(shared_suffixes(state, now));
    problems.extend(unservable_jobs(state, now));
    problems
}

/// A server that refuses the API token.
fn refused_token(state: &State, server: ServerId, now: Timestamp) -> Option<Problem> {
    let since = state.fleet.token_refused_since(server, now)?;
    let cause =
        "its monitor refuses the token that this queue sends, so none of its runners are assigned";
    let remedy = "set SERVO_CI_MONITOR_API_TOKEN to the same value for both, or SERVO_CI_MONITOR_QUEUE_TOKEN \
                  of the monitor to the server's entry in SERVO_CI_MONITOR_SERVER_TOKENS of the queue; if \
                  there is a proxy between them, let it pass on the header Authorization";
    let name = state.fleet.name(server);
    Some(catalogue::SERVER_REFUSES_TOKEN.problem(name, cause, remedy, since))
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
        ServerFailure::NoResponse(_) | ServerFailure::NotReady(_) | ServerFailure::Status(_) => {
            return None;
        }
    };
    Some(kind.problem(state.fleet.name(server), cause, remedy, since))
}

/// A server without a recent report: none of its runners can be assigned. The monitors in production
/// answer polls with 503 for some seconds after each take, which is no problem.
fn not_answering(state: &State, server: ServerId, now: Timestamp) -> Option<Problem> {
    let confirmed_at = state.fleet.confirmed_at(server);
    let failure = state.fleet.failure(server);
    let seen_at = confirmed_at.unwrap_or(state.started_at());
    let is_silent = state.fleet.health(server, now) != Health::Fresh
        && now.since(seen_at) > state.config.stale_after;
    let is_failing = failure.as_ref().is_some_and(|(failure, since)| {
        !matches!(failure, ServerFailure::Status(503)) && now.since(*since) >= FAILING_MIN
    });
    if !is_silent && !is_failing {
        return None;
    }
    let failure = failure.as_ref().map(|(failure, since)| (failure, *since));
    let problem = if let Some((ServerFailure::NotReady(reason), since)) = failure {
        catalogue::SERVER_NOT_READY.problem(
            state.fleet.name(server),
            format!("none of its runners are assigned, because its monitor is not ready: {reason}"),
            "see the page of this monitor",
            since,
        )
    } else {
        let what = match confirmed_at {
            Some(_) => "its monitor no longer answers polls",
            None => "its monitor has not answered a poll since the queue started",
        };
        let why = match failure {
            Some((ServerFailure::Status(status), _)) => format!(" (it answers {status})"),
            Some((ServerFailure::NoResponse(why), _)) if !why.is_empty() => format!(" ({why})"),
            _ => String::new(),
        };
        catalogue::SERVER_NOT_ANSWERING.problem(
            state.fleet.name(server),
            format!("{what}{why}, so none of its runners are assigned"),
            "check that the monitor runs there and that this URL leads to it; if the server is gone for good, \
             remove it from `servers` in `[queue]`",
            failure.map_or(seen_at, |(_, since)| since),
        )
    };
    Some(problem.with_last_healthy(confirmed_at))
}

/// A server that refuses runners which it reports as idle.
fn refusing(state: &State, server: ServerId, now: Timestamp) -> impl Iterator<Item = Problem> {
    let is_fresh = state.fleet.health(server, now) == Health::Fresh;
    let name = state.fleet.name(server);
    let refusing = is_fresh.then(|| state.fleet.refusing(server, now));
    refusing.into_iter().flatten().map(move |refusing| {
        let reason = match refusing.reason {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        catalogue::SERVER_REFUSES_RUNNERS.problem(
            format!("profile {} of {name}", refusing.profile_key),
            format!(
                "it has refused runners that it reports as idle, {} times in a row{reason}; it is asked again \
                 after growing pauses",
                refusing.count
            ),
            "see the page and the log of this monitor; if another queue or a client uses it directly, stop \
             that",
            refusing.since,
        )
    })
}

/// A server that another queue uses as well.
fn shared_server(state: &State, server: ServerId) -> Option<Problem> {
    let since = state.fleet.shared_since(server)?;
    let count = state.fleet.report(server)?.foreign_count();
    let reservations = format::count(count, "reservation", "reservations");
    let cause = format!(
        "it has {reservations} that a queue with another ticket key made, or for another URL of this \
         server; each queue assigns in an order of its own"
    );
    let remedy = "let one queue use each server; if two queues are to replace each other, give them the same \
                  ticket_key and the same list of servers";
    let name = state.fleet.name(server);
    Some(catalogue::SERVER_USED_BY_ANOTHER_QUEUE.problem(name, cause, remedy, since))
}

/// Jobs that no server that answers can ever serve, by profile. Only the first jobs of each profile are
/// looked at: one that cannot be served is soon among them.
fn unservable_jobs(state: &State, now: Timestamp) -> Vec<Problem> {
    let is_known = state.fleet.uncertain(now).next().is_none()
        || now.since(state.started_at()) > REPORTS_WITHIN;
    if !state.is_dispatching(now) || !is_known {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for (key, queue) in state.profile_queues.iter() {
        let reach = state.fleet.reach_on_demand(key, now);
        let positions = queue.iter().take(JOBS_REVIEWED_MAX);
        let jobs = positions.filter_map(|position| state.jobs.get(&position.unique_id));
        let jobs: Vec<_> = jobs
            .filter(|job| job.request().spec.count.get() > reach)
            .collect();
        let Some(first) = jobs.first() else {
            continue;
        };
        let needed = first.request().spec.count.get();
        let jobs_wait = format::count(jobs.len(), "job waits", "jobs wait");
        let mut cause = match reach {
            0 => format!("{jobs_wait}, but no server that answers offers runners of this profile"),
            _ => format!(
                "{jobs_wait} for more runners than the servers that answer can have at once ({needed} for the \
                 first of them, but they can have {reach})"
            ),
        };
        let because = why_fewer(state, now, key);
        if !because.is_empty() {
            cause = format!("{cause}: {because}");
        }
        let remedy = "bring the servers with this profile back, raise its target_count on one of them, or \
                      withdraw the jobs";
        let since = jobs.iter().map(|job| job.ticket.enqueued_at).min();
        let (subject, since) = (format!("profile {key}"), since.unwrap_or(now));
        problems.push(catalogue::JOB_NOT_SERVABLE.problem(subject, cause, remedy, since));
    }
    problems
}

/// Parts of a dashboard that are left out.
fn unreadable_entries(state: &State, server: ServerId) -> Option<Problem> {
    let (count, since) = state.fleet.unreadable(server)?;
    let entries = format::count(count, "entry", "entries");
    let cause = format!(
        "{entries} of its dashboard cannot be read, or exceed what a server can have; they are left out"
    );
    let remedy = "look for unusual values in its dashboard.json, and run the same release on queue and monitors";
    let name = state.fleet.name(server);
    Some(catalogue::DASHBOARD_ENTRIES_UNREADABLE.problem(name, cause, remedy, since))
}

/// A server that grants runners which no client may be given.
fn invalid_grants(state: &State, server: ServerId) -> Option<Problem> {
    let since = state.fleet.invalid_grants_since(server)?;
    let cause = "it granted a runner whose label is not 1 to 256 printable characters without a comma, or is \
                 the label of another runner or job; such runners are released and given to no client";
    let remedy =
        "check which software answers takes at this URL, and whether its owner can be trusted";
    let name = state.fleet.name(server);
    Some(catalogue::SERVER_GRANTS_INVALID_LABELS.problem(name, cause, remedy, since))
}

/// Targets that a server does not reach.
fn missed_targets(state: &State, server: ServerId) -> impl Iterator<Item = Problem> {
    let name = state.fleet.name(server);
    let missed = state.fleet.missed_targets(server);
    missed.map(move |(key, target, most, since)| {
        let cause = format!(
            "its target is {target}, and it has had at most {most} of them at once of late; jobs for more do \
             not wait for them"
        );
        let remedy = "see the page of this monitor for the reason; if the host has not enough memory, lower \
                      the target";
        let subject = format!("profile {key} of {name}");
        catalogue::TARGET_NOT_REACHED.problem(subject, cause, remedy, since)
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
            let cause = format!(
                "its runners are registered with the suffix {suffix}, like those of {other}, so that their \
                 names cannot be told apart"
            );
            let remedy = "set another github_api_suffix on one of the two";
            let [since, other_since] = [first, server].map(|it| state.fleet.seen_since(it));
            let name = state.fleet.name(server);
            let since = since.max(other_since);
            problems.push(catalogue::SUFFIX_SHARED.problem(name, cause, remedy, since));
        }
    }
    problems
}
