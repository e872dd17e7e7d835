//! A monitor without guests, whose state a test changes.
//!
//! Responsible for that state, for what a working monitor promises about it, and for the faults
//! that a test orders. `http` serves it. The tests and the benchmark of this crate share it.

mod http;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use serde_json::Value;

/// The API token that the monitor accepts.
pub const API_TOKEN: &str = "hunter2-opens-the-api";
/// How long a state that a test waits for may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A monitor that answers until this is dropped.
pub struct FakeMonitor {
    /// Its base URL, with a slash at its end.
    pub url: String,
    shared: Arc<Shared>,
}

/// What all threads of a monitor share.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Everything about a monitor.
#[derive(Default)]
pub struct State {
    /// How many runners each profile is configured for.
    pub target: BTreeMap<String, usize>,
    /// The idle runners, by profile.
    pub idle: BTreeMap<String, Vec<u64>>,
    /// Reservations, by `unique_id`.
    pub reservations: BTreeMap<String, Reservation>,
    pub dialect: Dialect,
    /// What the labels of its runners begin with, if not `runner`: those of two monitors differ.
    pub label_prefix: Option<&'static str>,
    /// What its dashboard shows as `instance`.
    pub instance: Option<String>,
    /// Another API token that it accepts instead of [`API_TOKEN`].
    pub other_token: Option<String>,
    /// Whether it refuses polls with a wrong token.
    pub checks_polls: bool,
    /// How many polls it answers with 503 after each take, as monitors in production do.
    pub polls_failing_after_take: usize,
    /// How many polls it will answer with 503.
    pub failing_polls: usize,
    /// Changes its dashboard before it is sent.
    pub edit_dashboard: Option<fn(&mut Value)>,
    /// Faults of the next takes, releases and dashboard requests.
    pub take_faults: VecDeque<Fault>,
    pub release_faults: VecDeque<Fault>,
    pub dashboard_faults: VecDeque<Fault>,
    /// While set, no request is answered.
    pub is_frozen: bool,
    /// Every request, as `<method> <target>`, in order of arrival.
    pub requests: Vec<String>,
    /// Every `Authorization` header that a request had.
    pub authorizations: BTreeSet<Option<String>>,
    /// The `Prefer` header of every dashboard request.
    pub preferred: Vec<Option<String>>,
    /// Runners that a release destroyed.
    pub destroyed: Vec<u64>,
    /// The sequence of the last release of each job: takes up to it are rejected.
    fences: BTreeMap<String, u64>,
    last_runner: u64,
    revision: u64,
    is_stopped: bool,
}

/// Runners held for a job.
#[derive(Clone)]
pub struct Reservation {
    pub profile_key: String,
    pub runners: Vec<u64>,
    /// The highest sequence of the takes that it was granted to.
    pub sequence: u64,
    /// What it reports of the last take: when the job was enqueued, and its proof.
    pub enqueued_at: Option<u64>,
    pub proof: Option<String>,
    /// `held`, `used` or `served`, as the monitor reports it.
    pub state: &'static str,
}

/// Why a take is refused.
enum TakeRefusal {
    NoCapacity,
    StaleAttempt,
}

/// Which generation of monitor it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Supports the whole protocol.
    #[default]
    Current,
    /// Reports neither profiles, states nor reservations, has no `ETag` and no releases.
    Older,
    /// Like `Older`, and answers a take of one runner with an array of one.
    OlderWithArrays,
}

/// What goes wrong with one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// These bytes are sent instead of a response, then the connection is closed.
    Respond(String),
    /// The connection is closed before the request takes effect.
    CutBefore,
    /// The request takes effect, then the connection is closed.
    CutAfter,
    /// The request takes effect, and the response ends in the middle.
    CutWithin,
    /// The request is never answered.
    Hang,
}

impl Fault {
    /// A response with this status (`503 Service Unavailable`) and body.
    pub fn respond(status: &str, body: &str) -> Self {
        let length = body.len();
        Self::Respond(format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    }

    /// A response that is not HTTP.
    pub fn respond_garbage() -> Self {
        Self::Respond("garbage\r\n\r\n".to_owned())
    }
}

impl FakeMonitor {
    /// A monitor that is configured for three runners of `linux` and has none.
    pub fn start() -> Self {
        Self::with_dialect(Dialect::Current)
    }

    /// The same, of another generation.
    pub fn with_dialect(dialect: Dialect) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let state = State {
            target: BTreeMap::from([("linux".to_owned(), 3)]),
            dialect,
            ..State::default()
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self {
            url: format!("http://{address}/"),
            shared,
        }
    }

    /// Several monitors, in the order in which the queue numbers them.
    pub fn start_several<const N: usize>() -> [Self; N] {
        let mut monitors = [(); N].map(|()| Self::start());
        monitors.sort_by(|one, other| one.url.cmp(&other.url));
        monitors
    }

    /// Changes the state and answers the long polls that wait for a change.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.shared.state.lock();
        let changed = change(&mut state);
        state.revision += 1;
        self.shared.changed.notify_all();
        changed
    }

    /// Reads the state.
    pub fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.shared.state.lock())
    }

    /// Adds so many idle runners of `linux`.
    pub fn boot(&self, count: u64) {
        self.change(|state| state.boot(count));
    }

    /// Orders a fault for the next take.
    pub fn fail_take(&self, fault: Fault) {
        self.change(|state| state.take_faults.push_back(fault));
    }

    /// Orders a fault for the next dashboard request, and ends the long poll that is under way.
    pub fn fail_dashboard(&self, fault: Fault) {
        self.change(|state| state.dashboard_faults.push_back(fault));
    }

    /// Reports the reservation of a job as `held`, `used` or `served`.
    pub fn set_reservation_state(&self, job: &str, reservation_state: &'static str) {
        self.change(|state| {
            let reservation = state.reservations.get_mut(job);
            reservation.expect("the job has a reservation").state = reservation_state;
        });
    }

    /// Stops answering, or answers everything again.
    pub fn freeze(&self, is_frozen: bool) {
        self.change(|state| state.is_frozen = is_frozen);
    }

    /// Waits until the state is so.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&State) -> bool) {
        let mut state = self.shared.state.lock();
        while !is_so(&state) {
            let waited = self.shared.changed.wait_for(&mut state, TIMEOUT);
            assert!(
                !waited.timed_out(),
                "waited {TIMEOUT:?} for {what}; requests: {:#?}",
                state.requests
            );
        }
    }

    /// How many requests begin with this (`<method> <target>`).
    pub fn request_count(&self, prefix: &str) -> usize {
        self.read(|state| state.request_count(prefix))
    }

    /// Waits until so many requests have begun with this.
    #[track_caller]
    pub fn wait_for_requests(&self, prefix: &str, count: usize) {
        self.wait_until(prefix, |state| state.request_count(prefix) >= count);
    }
}

impl State {
    /// Adds so many idle runners of `linux`.
    pub fn boot(&mut self, count: u64) {
        for _ in 0..count {
            self.last_runner += 1;
            self.idle
                .entry("linux".to_owned())
                .or_default()
                .push(self.last_runner);
        }
    }

    fn request_count(&self, prefix: &str) -> usize {
        let requests = self.requests.iter();
        requests
            .filter(|request| request.starts_with(prefix))
            .count()
    }

    /// Reserves runners, or finds those that the job holds.
    fn take(
        &mut self,
        profile_key: &str,
        job: &str,
        count: usize,
        sequence: u64,
    ) -> Result<Vec<u64>, TakeRefusal> {
        let fence = self.fences.get(job);
        let has_fences = self.dialect == Dialect::Current;
        if has_fences && fence.is_some_and(|fence| sequence <= *fence) {
            return Err(TakeRefusal::StaleAttempt);
        }
        if let Some(reservation) = self.reservations.get_mut(job) {
            reservation.sequence = reservation.sequence.max(sequence);
            return Ok(reservation.runners.clone());
        }
        let idle = self.idle.entry(profile_key.to_owned()).or_default();
        if idle.len() < count {
            return Err(TakeRefusal::NoCapacity);
        }
        let runners: Vec<u64> = idle.drain(..count).collect();
        let reservation = Reservation {
            profile_key: profile_key.to_owned(),
            runners: runners.clone(),
            sequence,
            enqueued_at: None,
            proof: None,
            state: "held",
        };
        self.reservations.insert(job.to_owned(), reservation);
        Ok(runners)
    }

    /// Releases a reservation, unless a later take repeated it; rejects earlier takes from now on.
    fn release(&mut self, job: &str, sequence: u64, destroys: bool) {
        let reservation = self.reservations.get(job);
        if reservation.is_some_and(|reservation| sequence < reservation.sequence) {
            return;
        }
        self.fences.insert(job.to_owned(), sequence);
        if let Some(reservation) = self.reservations.remove(job) {
            if destroys {
                self.destroyed.extend(reservation.runners);
            } else {
                let idle = self.idle.entry(reservation.profile_key).or_default();
                idle.extend(reservation.runners);
            }
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.state.lock().is_stopped {
            return;
        }
        let (stream, shared) = (
            stream.expect("a connection can be accepted"),
            Arc::clone(shared),
        );
        std::thread::spawn(move || http::serve(stream, &shared));
    }
}

impl Drop for FakeMonitor {
    fn drop(&mut self) {
        self.change(|state| state.is_stopped = true);
        // Wakes the thread that accepts.
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        drop(TcpStream::connect(address));
    }
}
