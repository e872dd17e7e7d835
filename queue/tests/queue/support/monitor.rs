//! A monitor whose state is the test's to change.
//!
//! Owns that state, what the monitor promises when nothing is wrong with it, and what is to go
//! wrong next. How it is shown over HTTP is in `monitor_http`.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{TcpListener, TcpStream},
    sync::Arc,
};

use parking_lot::{Condvar, Mutex};

use super::{PATIENCE, monitor_http};

/// A monitor that answers until this is dropped.
pub struct Monitor {
    /// Its base URL, with a slash at its end.
    pub url: String,
    pub(super) shared: Arc<Shared>,
}

/// What all threads of a monitor share.
pub struct Shared {
    pub state: Mutex<State>,
    pub changed: Condvar,
}

/// Everything about a monitor.
#[derive(Default)]
pub struct State {
    /// How many runners of each profile there should be.
    pub target: BTreeMap<String, usize>,
    /// The runners that wait for a job.
    pub idle: BTreeMap<String, Vec<u64>>,
    /// What is held for whom.
    pub reservations: BTreeMap<String, Held>,
    /// Up to which attempt takes for a job come too late.
    pub fences: BTreeMap<String, u64>,
    /// How it speaks.
    pub dialect: Dialect,
    /// What happens to the next takes, releases and questions for the dashboard.
    pub take_faults: VecDeque<Fault>,
    pub release_faults: VecDeque<Fault>,
    pub dashboard_faults: VecDeque<Fault>,
    /// Nothing is answered any more.
    pub is_frozen: bool,
    /// Every request, as `<method> <target>`, in order of arrival.
    pub asked: Vec<String>,
    /// The `Prefer` of every question for the dashboard.
    pub preferred: Vec<Option<String>>,
    /// What was destroyed.
    pub destroyed: Vec<u64>,
    pub last_runner: u64,
    pub revision: u64,
    pub is_over: bool,
}

/// A reservation.
#[derive(Clone)]
pub struct Held {
    pub profile_key: String,
    pub runners: Vec<u64>,
    pub attempt: u64,
    pub state: &'static str,
}

/// Why a take gives nothing.
pub enum NotTaken {
    NoCapacity,
    StaleAttempt,
}

/// What a monitor says and does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Everything in the protocol.
    #[default]
    Ours,
    /// Reports neither profiles, states nor reservations, has no `ETag` and knows no releases.
    Older,
    /// The same, and answers a take of one with an array of one.
    OlderWithArrays,
}

/// What goes wrong with one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// These bytes are sent instead of an answer, and the connection is closed.
    Say(String),
    /// The connection is closed, and nothing was done.
    CutBefore,
    /// What was asked for is done, and the connection is closed.
    CutAfter,
    /// What was asked for is done, and the answer ends in the middle.
    CutWithin,
    /// Nothing is answered until the monitor thaws.
    Hang,
}

impl Monitor {
    /// A monitor that is set up for three runners of `linux` and has none.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let state = State {
            target: BTreeMap::from([("linux".to_owned(), 3)]),
            ..State::default()
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { url, shared }
    }

    /// A monitor that speaks so.
    pub fn speaking(dialect: Dialect) -> Self {
        let monitor = Self::start();
        monitor.change(|state| state.dialect = dialect);
        monitor
    }

    /// Two monitors, in the order in which the queue numbers them.
    pub fn two() -> [Self; 2] {
        let mut two = [Self::start(), Self::start()];
        two.sort_by(|one, other| one.url.cmp(&other.url));
        two
    }

    /// Changes the state; whoever waits for a change hears of it.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.shared.state.lock();
        let changed = change(&mut state);
        state.revision += 1;
        self.shared.changed.notify_all();
        changed
    }

    /// Looks at the state.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.shared.state.lock())
    }

    /// As many new runners of `linux` wait for a job.
    pub fn boot(&self, count: u64) {
        self.change(|state| state.boot(count));
    }

    /// The next take goes wrong.
    pub fn fail_take(&self, fault: Fault) {
        self.change(|state| state.take_faults.push_back(fault));
    }

    /// Answers nothing any more, or everything again.
    pub fn freeze(&self, is_frozen: bool) {
        self.change(|state| state.is_frozen = is_frozen);
    }

    /// Waits until the state is so.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&State) -> bool) {
        let mut state = self.shared.state.lock();
        while !is_so(&state) {
            let waited = self.shared.changed.wait_for(&mut state, PATIENCE);
            assert!(
                !waited.timed_out(),
                "{what} never came to pass: {:#?}",
                state.asked
            );
        }
    }

    /// How many requests began so.
    pub fn asked_count(&self, beginning: &str) -> usize {
        self.look(|state| state.asked_count(beginning))
    }

    /// Waits until so many requests have begun so.
    #[track_caller]
    pub fn wait_until_asked(&self, beginning: &str, count: usize) {
        self.wait_until(beginning, |state| state.asked_count(beginning) >= count);
    }
}

impl State {
    /// As many new runners of `linux` wait for a job.
    pub fn boot(&mut self, count: u64) {
        for _ in 0..count {
            self.last_runner += 1;
            self.idle
                .entry("linux".to_owned())
                .or_default()
                .push(self.last_runner);
        }
    }

    /// How many requests began so.
    pub fn asked_count(&self, beginning: &str) -> usize {
        let asked = self.asked.iter();
        asked.filter(|asked| asked.starts_with(beginning)).count()
    }

    /// Reserves runners, or finds those that were.
    pub fn take(
        &mut self,
        profile_key: &str,
        job: &str,
        count: usize,
        attempt: u64,
    ) -> Result<Vec<u64>, NotTaken> {
        let fence = self.fences.get(job);
        if fence.is_some_and(|fence| self.dialect == Dialect::Ours && attempt <= *fence) {
            return Err(NotTaken::StaleAttempt);
        }
        if let Some(held) = self.reservations.get_mut(job) {
            held.attempt = held.attempt.max(attempt);
            return Ok(held.runners.clone());
        }
        let idle = self.idle.entry(profile_key.to_owned()).or_default();
        if idle.len() < count {
            return Err(NotTaken::NoCapacity);
        }
        let runners: Vec<u64> = idle.drain(..count).collect();
        let held = Held {
            profile_key: profile_key.to_owned(),
            runners: runners.clone(),
            attempt,
            state: "held",
        };
        self.reservations.insert(job.to_owned(), held);
        Ok(runners)
    }

    /// Gives a reservation back; a take that was overtaken by this has no effect any more.
    pub fn release(&mut self, job: &str, attempt: u64, destroys: bool) {
        let held = self.reservations.get(job);
        if held.is_some_and(|held| attempt < held.attempt) {
            return;
        }
        self.fences.insert(job.to_owned(), attempt);
        if let Some(held) = self.reservations.remove(job) {
            if destroys {
                self.destroyed.extend(held.runners);
            } else {
                let idle = self.idle.entry(held.profile_key).or_default();
                idle.extend(held.runners);
            }
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.state.lock().is_over {
            return;
        }
        let (stream, shared) = (stream.unwrap(), Arc::clone(shared));
        std::thread::spawn(move || monitor_http::serve(stream, &shared));
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.change(|state| state.is_over = true);
        // So that the thread that accepts sees it.
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        drop(TcpStream::connect(address));
    }
}
