//! One job: what was asked for, who is asking, and how far it has come.
//!
//! ```text
//!                 enqueue, or a valid ticket that is not known here
//!                                   │
//!                                   ▼
//!   refused, timed out,   ┌──────[Waiting]◀────────────────────┐ a runner died
//!   a gang's other half   │         │ next in line, runners    │ before it was
//!   failed: what was      │         ▼ idle: ask the servers    │ handed over
//!   granted is released   └───[Forwarding]                     │
//!                                   │ all servers granted      │
//!                                   ▼                          │
//!                              [Reserved]──────────────────────┘
//!                                   │ a take is answered with the runners
//!                                   ▼
//!                             [Delivered]──▶ retired: served, when the runners are gone
//!                                        └─▶ retired: lapsed, when they went unused;
//!                                            asked again, it waits at its old place
//!
//!   From every state: withdrawn by its client, or abandoned after 30 s of silence
//!   (not when delivered): retired; what it held is released, destroyed if delivered.
//! ```
//!
//! Owns the data and its small questions. The transitions are in the other rooms of the core.

use std::collections::BTreeMap;

use shared::{clock::Timestamp, job_spec::JobSpec, values::Count, wire::TakenRunner};

use super::{events::CallId, fleet::ServerId, line::Place};

/// What a client asked for. Two enqueues with the same request are the same job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRequest {
    /// Which job, and what it needs.
    pub spec: JobSpec,
    /// Whether the count was asked for by name: the answer is then an array.
    pub is_array: bool,
}

/// What a ticket says: enough to put the job back where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// What was asked for.
    pub request: JobRequest,
    /// When; this is the job's place in line.
    pub enqueued_at: Timestamp,
    /// A random value, so that no two tickets are alike.
    pub nonce: u64,
}

impl Claims {
    /// The job's place in its line.
    pub fn place(&self) -> Place {
        Place {
            enqueued_at: self.enqueued_at,
            unique_id: self.request.spec.unique_id.clone(),
        }
    }
}

/// A job that has not been retired.
#[derive(Debug)]
pub struct Job {
    /// What its ticket says.
    pub claims: Claims,
    /// The places that newer tickets for it give it. It does not stand there, but when it is over
    /// they are over too.
    pub newer_places: Vec<Place>,
    /// When its client was last heard of.
    pub heard_at: Timestamp,
    /// When its client's silence will next be looked at; `None` while no timer is set.
    pub silence_checked_at: Option<Timestamp>,
    /// The takes of this job that are being held.
    pub calls: Vec<CallId>,
    /// The servers that would not have this job, and when each may be asked again.
    pub shut_out_until: BTreeMap<ServerId, Timestamp>,
    /// How far it has come.
    pub state: State,
}

/// How far a job has come; see the picture above.
#[derive(Debug)]
pub enum State {
    /// In line.
    Waiting,
    /// In line, while servers are asked on its behalf.
    Forwarding {
        /// The attempt under which they are asked.
        attempt: u64,
        /// Who is asked for what.
        asks: Vec<Ask>,
    },
    /// It has its runners; its client does not know yet.
    Reserved(Vec<Grant>),
    /// A take was answered with its runners.
    Delivered {
        /// What it was given.
        grants: Vec<Grant>,
        /// How many takes were answered with it.
        answers: usize,
    },
}

/// One server being asked.
#[derive(Debug)]
pub struct Ask {
    /// Who is asked.
    pub server: ServerId,
    /// For how many runners.
    pub count: Count,
    /// What it granted; `None` while it has not answered.
    pub grant: Option<Grant>,
}

/// What one server granted.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Who granted it.
    pub server: ServerId,
    /// The attempt under which it was asked.
    pub attempt: u64,
    /// When the answer came.
    pub granted_at: Timestamp,
    /// The runners.
    pub runners: Vec<TakenRunner>,
    /// How it ended, once its server no longer reports it as standing.
    pub end: Option<GrantEnd>,
}

/// How a grant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantEnd {
    /// A job ran on its runners.
    Served,
    /// Its runners went away unused.
    Lapsed,
}

/// Why a job is no longer here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retirement {
    /// It got its runners and they are gone.
    Served,
    /// It got its runners, and they went away before a job started on them.
    Lapsed,
    /// Its client, or an operator, withdrew it.
    Withdrawn,
    /// Its client fell silent.
    Abandoned,
}

impl Job {
    /// A job that has just joined, or come back to, its line.
    pub fn new(claims: Claims, now: Timestamp) -> Self {
        Self {
            claims,
            newer_places: Vec::new(),
            heard_at: now,
            silence_checked_at: None,
            calls: Vec::new(),
            shut_out_until: BTreeMap::new(),
            state: State::Waiting,
        }
    }

    /// What it asked for.
    pub fn request(&self) -> &JobRequest {
        &self.claims.request
    }

    /// What it holds, as far as this queue knows.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        let (asks, grants) = match &self.state {
            State::Waiting => (&[][..], &[][..]),
            State::Forwarding { asks, .. } => (&asks[..], &[][..]),
            State::Reserved(grants) | State::Delivered { grants, .. } => (&[][..], &grants[..]),
        };
        asks.iter()
            .filter_map(|ask| ask.grant.as_ref())
            .chain(grants)
    }

    /// Whether `server` would not have it, and is not asked again yet.
    pub fn is_shut_out(&self, server: ServerId, now: Timestamp) -> bool {
        let until = self.shut_out_until.get(&server);
        until.is_some_and(|until| now < *until)
    }

    /// Whether it still stands in its line.
    pub fn is_in_line(&self) -> bool {
        matches!(self.state, State::Waiting | State::Forwarding { .. })
    }

    /// The state's name on the wire.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::Waiting => "waiting",
            State::Forwarding { .. } => "forwarding",
            State::Reserved(_) => "reserved",
            State::Delivered { .. } => "delivered",
        }
    }
}
