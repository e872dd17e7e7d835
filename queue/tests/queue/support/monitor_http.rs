//! A monitor's state over HTTP, in its dialect, and its faults.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use parking_lot::MutexGuard;
use serde_json::{Value, json};

use super::{
    API_TOKEN,
    monitor::{Dialect, Fault, NotTaken, Shared, State},
};

/// A request, as far as a monitor looks at it.
struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
}

/// Answers one connection to its end.
pub fn serve(stream: TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(request) = read(&mut reader) {
        let bytes = answer(&request, shared);
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
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
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

    /// The number of the queue's attempt.
    fn attempt(&self) -> u64 {
        let attempt = self
            .parameter("attempt")
            .and_then(|attempt| attempt.rsplit('-').next());
        attempt
            .and_then(|number| number.parse().ok())
            .unwrap_or_default()
    }
}

/// The bytes of an answer, and whether the connection goes on after them; nothing if it is cut.
fn answer(request: &Request, shared: &Shared) -> Option<(String, bool)> {
    let mut state = shared.state.lock();
    state
        .asked
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
        Some(Fault::Say(bytes)) => return Some((bytes.clone(), false)),
        Some(Fault::CutBefore) => return None,
        Some(Fault::Hang) => {
            while !state.is_over {
                shared.changed.wait(&mut state);
            }
            return None;
        }
        _ => {}
    }
    while state.is_frozen && !state.is_over {
        shared.changed.wait(&mut state);
    }
    let whole = reply(request, shared, &mut state);
    match fault {
        Some(Fault::CutAfter) => None,
        Some(Fault::CutWithin) => Some((whole[..whole.len() - 3].to_owned(), false)),
        _ => Some((whole, true)),
    }
}

fn reply(request: &Request, shared: &Shared, state: &mut MutexGuard<'_, State>) -> String {
    let is_authorised = request.header("authorization") == Some(&format!("Bearer {API_TOKEN}"));
    let is_older = state.dialect != Dialect::Ours;
    match (request.method.as_str(), &request.path()[..]) {
        ("GET", ["dashboard.json"]) => dashboard(request, shared, state),
        (_, ["dashboard.json"]) => response(405, "", &Value::Null),
        _ if !is_authorised => response(403, "", &json!({"code": "wrong_token"})),
        ("POST", ["profile", profile_key, "take"]) => {
            take(request, shared, state, profile_key, None)
        }
        ("POST", ["profile", profile_key, "take", count]) => {
            let count = count.parse().unwrap();
            take(request, shared, state, profile_key, Some(count))
        }
        ("DELETE", ["reservation", job]) if !is_older => {
            let destroys = request.parameter("destroy") == Some("true");
            state.release(job, request.attempt(), destroys);
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
    let job = request.parameter("unique_id").unwrap().to_owned();
    let taken = state.take(profile_key, &job, count.unwrap_or(1), request.attempt());
    state.revision += 1;
    shared.changed.notify_all();
    let is_ours = state.dialect == Dialect::Ours;
    let runners = match taken {
        Ok(runners) => runners,
        Err(_) if !is_ours => return response(200, "", &Value::Null),
        Err(NotTaken::NoCapacity) => {
            let body = json!({"code": "no_capacity", "message": "none is idle"});
            return response(503, "retry-after: 5\r\n", &body);
        }
        Err(NotTaken::StaleAttempt) => {
            let body = json!({"code": "stale_attempt", "message": "it comes too late"});
            return response(409, "", &body);
        }
    };
    let mut runners = runners.iter().map(|id| {
        let mut runner = json!({"id": id, "runner": runner(*id, profile_key)});
        if is_ours {
            runner["label"] = json!(format!("runner:{id}"));
        }
        runner
    });
    let is_array = count.is_some() || state.dialect == Dialect::OlderWithArrays;
    let body = if is_array {
        runners.collect()
    } else {
        runners.next().unwrap()
    };
    response(200, "", &body)
}

fn dashboard(request: &Request, shared: &Shared, state: &mut MutexGuard<'_, State>) -> String {
    if state.dialect != Dialect::Ours {
        return response(200, "", &dashboard_of(state));
    }
    let etag = |state: &State| format!("\"{}\"", state.revision);
    let known = request.header("if-none-match");
    let wait = request
        .header("prefer")
        .and_then(|prefer| prefer.strip_prefix("wait="));
    if let (Some(known), Some(wait)) = (known, wait) {
        let wait = Duration::from_secs(wait.parse().unwrap());
        while known == etag(state) && !state.is_over {
            if shared.changed.wait_for(state, wait).timed_out() {
                return "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned();
            }
        }
    }
    let header = format!("etag: {}\r\n", etag(state));
    response(200, &header, &dashboard_of(state))
}

fn dashboard_of(state: &State) -> Value {
    let is_ours = state.dialect == Dialect::Ours;
    let counts = state.target.iter().map(|(key, target)| {
        let idle = state.idle.get(key).map_or(0, Vec::len);
        let counts = json!({"target": target, "healthy": idle, "started_or_crashed": 0, "idle": idle,
            "reserved": 0, "busy": 0, "excess_healthy": 0, "wanted": 0, "image_age": null});
        (key.clone(), counts)
    });
    let shown = |id: u64, key: &str, status: &str| {
        let mut shown = json!({"id": id, "screenshot_url": null, "runner": runner(id, key)});
        if is_ours {
            shown["status"] = json!(status);
            shown["profile_key"] = json!(key);
        } else if status == "reserved" {
            shown["runner"]["registration"]["labels"] = json!([{"name": "reserved-for:somebody"}]);
        }
        shown
    };
    let idle = state.idle.iter();
    let idle = idle.flat_map(|(key, ids)| ids.iter().map(|id| shown(*id, key, "idle")));
    let present = state
        .reservations
        .values()
        .filter(|held| held.state != "served");
    let reserved = present.flat_map(|held| {
        held.runners
            .iter()
            .map(|id| shown(*id, &held.profile_key, "reserved"))
    });
    let runners: Vec<Value> = idle.chain(reserved).collect();
    let mut dashboard = json!({
        "profile_runner_counts": counts.collect::<serde_json::Map<_, _>>(),
        "runners": runners,
    });
    if is_ours {
        let reservations = state.reservations.iter().map(|(job, held)| {
            let report =
                json!({"runners": held.runners, "state": held.state, "attempt": held.attempt});
            (job.clone(), report)
        });
        dashboard["reservations"] = reservations.collect::<serde_json::Map<_, _>>().into();
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
pub fn response(status: u16, headers: &str, body: &Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         {headers}\r\n{body}"
    )
}
