//! Serves the state of a [`FakeMonitor`](super::FakeMonitor) over HTTP, in its dialect and with its
//! faults. Written by hand on a socket, so that every byte can be wrong.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use parking_lot::MutexGuard;
use serde_json::{Value, json};
use shared::clock::Clock;

use super::{API_TOKEN, Dialect, Fault, Shared, State, TakeRefusal};

/// The parts of a request that a monitor reads.
struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
}

/// Serves one connection until it ends.
pub(super) fn serve(stream: TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket can be cloned"));
    let mut stream = stream;
    while let Some(request) = read(&mut reader) {
        let bytes = response_or_fault(&request, shared);
        let is_whole = bytes.as_ref().is_some_and(|(_, is_whole)| *is_whole);
        let written = bytes.map(|(bytes, _)| stream.write_all(bytes.as_bytes()));
        if !is_whole || !matches!(written, Some(Ok(()))) {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut parts = line.split_whitespace();
    let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    Some(Request {
        method,
        target,
        headers,
    })
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }

    fn path(&self) -> Vec<&str> {
        let path = self.target.split('?').next().unwrap_or_default();
        path.trim_start_matches('/').split('/').collect()
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// The sequence of the fencing token, which is `<queue instance>-<sequence>`.
    fn sequence(&self) -> u64 {
        let sequence = self
            .parameter("attempt")
            .and_then(|token| token.rsplit('-').next());
        sequence
            .and_then(|sequence| sequence.parse().ok())
            .unwrap_or_default()
    }
}

/// The bytes of a response, and whether the connection stays open after them; `None` if it is cut.
fn response_or_fault(request: &Request, shared: &Shared) -> Option<(String, bool)> {
    let mut state = shared.state.lock();
    state
        .requests
        .push(format!("{} {}", request.method, request.target));
    shared.changed.notify_all();
    let faults = match request.path()[..] {
        ["dashboard.json"] => {
            state
                .preferred
                .push(request.header("prefer").map(str::to_owned));
            &mut state.dashboard_faults
        }
        ["reservation", _] => &mut state.release_faults,
        _ => &mut state.take_faults,
    };
    let fault = faults.pop_front();
    match &fault {
        Some(Fault::Respond(bytes)) => return Some((bytes.clone(), false)),
        Some(Fault::CutBefore) => return None,
        Some(Fault::Hang) => {
            while !state.is_stopped {
                shared.changed.wait(&mut state);
            }
            return None;
        }
        _ => {}
    }
    while state.is_frozen && !state.is_stopped {
        shared.changed.wait(&mut state);
    }
    let whole = respond(request, shared, &mut state);
    match fault {
        Some(Fault::CutAfter) => None,
        Some(Fault::CutWithin) => Some((whole[..whole.len() - 3].to_owned(), false)),
        _ => Some((whole, true)),
    }
}

fn respond(request: &Request, shared: &Shared, state: &mut MutexGuard<'_, State>) -> String {
    let authorization = request.header("authorization").map(str::to_owned);
    state.authorizations.insert(authorization);
    let token = state.other_token.as_deref().unwrap_or(API_TOKEN);
    let bearer = request.header("authorization");
    let is_authorised = bearer == Some(&format!("Bearer {token}"));
    if request.path() == ["dashboard.json"] {
        if state.checks_polls && bearer.is_some() && !is_authorised {
            return response(403, "", &json!({"code": "wrong_token"}));
        }
        if state.failing_polls > 0 {
            state.failing_polls -= 1;
            return response(503, "", &Value::Null);
        }
    }
    let is_older = state.dialect != Dialect::Current;
    match (request.method.as_str(), &request.path()[..]) {
        ("GET", ["dashboard.json"]) => dashboard(request, shared, state),
        (_, ["dashboard.json"]) => response(405, "", &Value::Null),
        _ if !is_authorised => response(403, "", &json!({"code": "wrong_token"})),
        ("POST", ["profile", profile_key, "take"]) => {
            take(request, shared, state, profile_key, None)
        }
        ("POST", ["profile", profile_key, "take", count]) => {
            let count = count.parse().expect("a count is a number");
            take(request, shared, state, profile_key, Some(count))
        }
        ("DELETE", ["reservation", job]) if !is_older => {
            let destroys = request.parameter("destroy") == Some("true");
            state.release(job, request.sequence(), destroys);
            state.revision += 1;
            shared.changed.notify_all();
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
        }
        _ => response(404, "", &json!({"code": "not_found"})),
    }
}

fn take(
    request: &Request,
    shared: &Shared,
    state: &mut State,
    profile_key: &str,
    count: Option<usize>,
) -> String {
    let job = request
        .parameter("unique_id")
        .expect("a take names its job");
    let job = job.to_owned();
    let taken = state.take(profile_key, &job, count.unwrap_or(1), request.sequence());
    state.failing_polls = state.polls_failing_after_take;
    state.revision += 1;
    shared.changed.notify_all();
    let is_current = state.dialect == Dialect::Current;
    if let Some(reservation) = state.reservations.get_mut(&job).filter(|_| taken.is_ok()) {
        let enqueued_at = request.parameter("enqueued_at");
        reservation.enqueued_at = enqueued_at.and_then(|it| it.parse().ok());
        reservation.proof = request.parameter("proof").map(str::to_owned);
    }
    let runners = match taken {
        Ok(runners) => runners,
        Err(_) if !is_current => return response(200, "", &Value::Null),
        Err(TakeRefusal::NoCapacity) => {
            let body = json!({"code": "no_capacity", "message": "none is idle"});
            return response(503, "retry-after: 5\r\n", &body);
        }
        Err(TakeRefusal::StaleAttempt) => {
            let body = json!({"code": "stale_attempt", "message": "a later release has cancelled this take"});
            return response(409, "", &body);
        }
    };
    let mut runners = runners.iter().map(|id| {
        let mut runner = json!({"id": id, "runner": runner(*id, profile_key)});
        if is_current {
            let prefix = state.label_prefix.unwrap_or("runner");
            runner["label"] = json!(format!("{prefix}:{id}"));
        }
        runner
    });
    let is_array = count.is_some() || state.dialect == Dialect::OlderWithArrays;
    let body = if is_array {
        runners.collect()
    } else {
        runners.next().unwrap_or(Value::Null)
    };
    response(200, "", &body)
}

fn dashboard(request: &Request, shared: &Shared, state: &mut MutexGuard<'_, State>) -> String {
    if state.dialect != Dialect::Current {
        return response(200, "", &dashboard_of(state));
    }
    let etag = |state: &State| format!("\"{}\"", state.revision);
    let known = request.header("if-none-match");
    let wait = request
        .header("prefer")
        .and_then(|prefer| prefer.strip_prefix("wait="));
    if let (Some(known), Some(wait)) = (known, wait) {
        let wait = Duration::from_secs(wait.parse().expect("a wait is in seconds"));
        let clock = Clock::start();
        let until = clock.now() + wait;
        while known == etag(state) && !state.is_stopped {
            // Every request wakes this thread, so the time that is left is computed again.
            let left = until.since(clock.now());
            if left.is_zero() {
                return "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned();
            }
            shared.changed.wait_for(state, left);
        }
    }
    let header = format!("etag: {}\r\n", etag(state));
    response(200, &header, &dashboard_of(state))
}

fn dashboard_of(state: &State) -> Value {
    let is_current = state.dialect == Dialect::Current;
    let counts = state.target.iter().map(|(key, target)| {
        let idle = state.idle.get(key).map_or(0, Vec::len);
        let counts = json!({"target": target, "healthy": idle, "started_or_crashed": 0, "idle": idle,
            "reserved": 0, "busy": 0, "excess_healthy": 0, "wanted": 0, "image_age": null});
        (key.clone(), counts)
    });
    let shown = |id: u64, key: &str, status: &str| {
        let mut shown = json!({"id": id, "screenshot_url": null, "runner": runner(id, key)});
        if is_current {
            shown["status"] = json!(status);
            shown["profile_key"] = json!(key);
        } else if status == "reserved" {
            shown["runner"]["registration"]["labels"] = json!([{"name": "reserved-for:job"}]);
        }
        shown
    };
    let idle = state.idle.iter();
    let idle = idle.flat_map(|(key, ids)| ids.iter().map(|id| shown(*id, key, "idle")));
    let present = state
        .reservations
        .values()
        .filter(|reservation| reservation.state != "served");
    let reserved = present.flat_map(|reservation| {
        reservation
            .runners
            .iter()
            .map(|id| shown(*id, &reservation.profile_key, "reserved"))
    });
    let runners: Vec<Value> = idle.chain(reserved).collect();
    let mut dashboard = json!({
        "profile_runner_counts": counts.collect::<serde_json::Map<_, _>>(),
        "runners": runners,
    });
    if is_current {
        let reservations = state.reservations.iter().map(|(job, reservation)| {
            let mut report =
                json!({"runners": reservation.runners, "state": reservation.state, "attempt": reservation.sequence});
            if let Some(enqueued_at) = reservation.enqueued_at {
                report["enqueued_at"] = json!(enqueued_at);
            }
            if let Some(proof) = &reservation.proof {
                report["proof"] = json!(proof);
            }
            (job.clone(), report)
        });
        dashboard["reservations"] = reservations.collect::<serde_json::Map<_, _>>().into();
    }
    if let Some(instance) = &state.instance {
        dashboard["instance"] = json!(instance);
    }
    if let Some(edit) = state.edit_dashboard {
        edit(&mut dashboard);
    }
    dashboard
}

fn runner(id: u64, profile_key: &str) -> Value {
    let name = format!("ci-runner-{profile_key}.{id}");
    json!({
        "id": id, "created_time": {"secs_since_epoch": 1, "nanos_since_epoch": 0},
        "registration": {"id": id, "name": format!("{name}@test"), "status": "online", "busy": false,
            "labels": [{"name": "self-hosted"}]},
        "guest_name": name, "ipv4_address": null,
    })
}

/// A response with a JSON body.
fn response(status: u16, headers: &str, body: &Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         {headers}\r\n{body}"
    )
}
