//! Connections of clients: how many there may be, of all and of one address, and which are closed when
//! there are too many or when a client stalls.
//!
//! Responsible for these limits, so that idle or slow clients leave room for others. Not responsible for
//! HTTP, which actix speaks over a `Connection`.
//!
//! ```text
//!   accepted ──▶ Idle ──bytes──▶ Receiving ──head complete──▶ Serving ──handler returns──▶ Responding
//!                 ▲                                                                            │
//!                 └──────────────────────── everything is written ◀── Flushing ◀── body ends ──┘
//! ```

mod heads;
mod limits;
mod stream;
mod table;

pub use limits::ConnectionSettings;
pub(crate) use limits::{HEAD_TIMEOUT, Limits, raise_descriptor_limit};
pub(crate) use stream::Connection;
pub(crate) use table::Connections;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use futures_util::task::AtomicWaker;
use heads::HeadMemory;
use shared::clock::{Clock, Timestamp};

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Phase {
    /// No request is under way.
    Idle,
    /// A part of the head of a request has arrived.
    Receiving,
    /// The handler of a request runs, or holds it.
    Serving,
    /// The body of a response is being sent.
    Responding,
    /// The body has ended; its last bytes are being written.
    Flushing,
}

impl Phase {
    fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Idle,
            1 => Self::Receiving,
            2 => Self::Serving,
            3 => Self::Responding,
            _ => Self::Flushing,
        }
    }
}

/// One connection, as its stream, its requests and the table know it. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionHandle(Arc<Entry>);

#[derive(Debug)]
struct Entry {
    id: u64,
    /// The address that the connection counts for, if any.
    source: Option<limits::Source>,
    clock: Clock,
    phase: AtomicU8,
    /// Since when it has been in that phase, in microseconds.
    since: AtomicU64,
    /// Whether a request has been answered on it.
    has_served: AtomicBool,
    /// Whether a request has been handled since the task of the connection was last scheduled.
    has_had_turn: AtomicBool,
    /// Whether the handler of the request that is being served reads its body.
    reads_body: AtomicBool,
    /// The head that is being received.
    head: heads::Head,
    /// Bytes that have arrived during a request whose body is not read: of a body, or further requests.
    unread: AtomicUsize,
    /// Bytes written so far, and since when they are too slow, if they are.
    written: AtomicU64,
    blocked: parking_lot::Mutex<Option<Blocked>>,
    is_closed: AtomicBool,
    waker: AtomicWaker,
}

/// Writing has to wait for the client to read.
#[derive(Clone, Copy, Debug)]
struct Blocked {
    since: Timestamp,
    written: u64,
}

impl ConnectionHandle {
    fn new(id: u64, source: Option<limits::Source>, clock: Clock, heads: HeadMemory) -> Self {
        Self(Arc::new(Entry {
            head: heads::Head::new(heads),
            id,
            source,
            phase: AtomicU8::new(Phase::Idle as u8),
            since: AtomicU64::new(clock.now().as_micros()),
            clock,
            has_served: AtomicBool::new(false),
            has_had_turn: AtomicBool::new(false),
            reads_body: AtomicBool::new(false),
            unread: AtomicUsize::new(0),
            written: AtomicU64::new(0),
            blocked: parking_lot::Mutex::new(None),
            is_closed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }))
    }

    fn phase(&self) -> Phase {
        Phase::from_number(self.0.phase.load(Relaxed))
    }

    fn enter(&self, phase: Phase) {
        self.0.phase.store(phase as u8, Relaxed);
        self.0.since.store(self.0.clock.now().as_micros(), Relaxed);
    }

    fn since(&self) -> Timestamp {
        Timestamp::from_micros(self.0.since.load(Relaxed))
    }

    /// Waits for the next turn if a request of this connection has been handled in this one already. So a
    /// client that sends many requests at once gets one response at a time, like all others.
    pub(crate) async fn turn(&self) {
        if self.0.has_had_turn.swap(true, Relaxed) {
            tokio::task::yield_now().await;
            self.0.has_had_turn.store(true, Relaxed);
        }
    }

    /// The head of a request is complete.
    pub(crate) fn serve(&self) {
        self.0.reads_body.store(false, Relaxed);
        self.0.unread.store(0, Relaxed);
        self.0.head.end();
        self.enter(Phase::Serving);
    }

    /// The handler of the request reads its body from now on.
    pub(crate) fn read_body(&self) {
        self.0.reads_body.store(true, Relaxed);
        self.0.waker.wake();
    }

    /// The handler has returned a response with or without a body.
    pub(crate) fn respond(&self, has_body: bool) {
        self.enter(if has_body {
            Phase::Responding
        } else {
            Phase::Flushing
        });
    }

    /// The body of the response has ended.
    pub(crate) fn flush(&self) {
        if self.phase() == Phase::Responding {
            self.enter(Phase::Flushing);
        }
    }

    /// Ends the connection as soon as its task runs, which is soon.
    fn close(&self) {
        self.0.is_closed.store(true, Relaxed);
        self.0.waker.wake();
    }

    /// Whether its client has stalled: a head that does not end, or a response that is not read.
    fn has_stalled(&self, now: Timestamp) -> bool {
        if self.phase() == Phase::Receiving && now.since(self.since()) >= limits::HEAD_TIMEOUT {
            return true;
        }
        let mut blocked = self.0.blocked.lock();
        let Some(Blocked { since, written }) = *blocked else {
            return false;
        };
        let waited = now.since(since);
        if waited < limits::WRITE_WINDOW {
            return false;
        }
        let written_now = self.0.written.load(Relaxed);
        if written_now - written < limits::WRITTEN_MIN {
            return true;
        }
        *blocked = Some(Blocked {
            since: now,
            written: written_now,
        });
        false
    }
}
