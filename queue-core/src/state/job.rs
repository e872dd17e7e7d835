//! One job: its ticket, its client's presence, and its state.
//!
//! ```text
//!                 enqueue, or a valid ticket that is not known here
//!                                   │
//!                                   ▼
//!   refused, timed out,   ┌──────[Waiting]◀────────────────────┐ a runner died
//!   or another server of  │         │ next in its queue and    │ before delivery
//!   several refused: what │         ▼ runners are idle         │
//!   was granted is        └───[Forwarding]                     │
//!   released                        │ all servers granted      │
//!                                   ▼                          │
//!                              [Reserved]──────────────────────┘
//!                                   │ a take is answered with the runners
//!                                   ▼
//!                             [Delivered]──▶ retired: finished, when its runners are gone
//!                                        └─▶ retired: expired, when they went unused;
//!                                            polled again, it waits at its old position
//!
//!   From every state: withdrawn, or abandoned after 30 s without a request of its client
//!   (not when delivered): retired; what it held is released, and destroyed if delivered.
//! ```

use std::collections::BTreeMap;

use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    values::{Count, FencingToken, LaneName, UniqueId},
    wait_limits::WaitLimits,
    wire::{Estimate, TakenRunner},
};

use super::{fleet::ServerId, profile_queue::QueuePosition};
use crate::event::{Assignment, PassOverReason, ServerRunners, WithdrawnBy};

/// Request for a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRequest {
    pub spec: JobSpec,
    /// Whether the request stated a count: the runners are then sent as an array.
    pub is_array: bool,
    /// Whether the client reads the label of its runners from the response. If not, they need the
    /// label `reserved-for:<unique_id>`, which costs their monitor a request to GitHub.
    pub labels_from_response: bool,
    /// Up to when its client waits. Of two requests for one job the first counts.
    pub limits: WaitLimits,
}

impl JobRequest {
    /// Whether two enqueues are for the same job. How a client finds its runners does not count:
    /// after an update of one of two queues, a repeated enqueue can reach one that drops that
    /// parameter.
    pub fn is_same_job(&self, other: &Self) -> bool {
        (&self.spec, self.is_array) == (&other.spec, other.is_array)
    }
}

/// Content of a ticket: everything that is needed to restore the job at its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketContent {
    pub request: JobRequest,
    /// When the job was enqueued.
    pub enqueued_at: Timestamp,
    /// When it counts as enqueued: determines its position. The same time unless there is a policy.
    pub queued_at: Timestamp,
    /// The lane that a policy has put it into.
    pub lane: Option<LaneName>,
    /// Random value that makes tickets unpredictable.
    pub nonce: u64,
}

impl TicketContent {
    pub fn position(&self) -> QueuePosition {
        QueuePosition {
            queued_at: self.queued_at,
            enqueued_at: self.enqueued_at,
            unique_id: self.request.spec.unique_id.clone(),
        }
    }
}

/// A job that is not retired.
#[derive(Debug)]
pub struct Job {
    /// The oldest ticket of the job that was seen, which determines its position.
    pub(crate) ticket: TicketContent,
    /// Positions of the other tickets that were seen. When the job is retired, so are they.
    newer_positions: Vec<QueuePosition>,
    /// When its client last sent a request.
    pub(crate) last_seen_at: Timestamp,
    /// The wait that was estimated when it was enqueued; `None` also for a job that was restored.
    pub(crate) estimated: Option<Estimate>,
    /// Whether `Timer::Silence` is set for it.
    pub(crate) has_silence_timer: bool,
    /// The servers that refused this job, and until when they are not asked for it again.
    excluded_until: BTreeMap<ServerId, Timestamp>,
    /// Why the last job that was chosen before it was, since it was last chosen itself.
    pub(crate) passed_over: Option<PassOverReason>,
    /// Its runners; `None` while it waits.
    pub(crate) assignment: Option<Box<Assignment>>,
    pub(crate) state: JobState,
}

/// State of a job; see the diagram above.
#[derive(Debug)]
pub enum JobState {
    /// In its profile queue.
    Waiting,
    /// In its profile queue, while servers are asked for runners.
    Forwarding {
        token: FencingToken,
        parts: Vec<ForwardPart>,
    },
    /// It has its runners, and its client does not know them yet.
    Reserved(Vec<Grant>),
    /// A take was answered with its runners.
    Delivered {
        grants: Vec<Grant>,
        /// How many takes were answered with them.
        answer_count: usize,
    },
}

/// What one server was asked for.
#[derive(Debug)]
pub struct ForwardPart {
    pub server: ServerId,
    pub count: Count,
    /// `None` until it has answered.
    pub grant: Option<Grant>,
}

/// What one server granted.
#[derive(Clone, Debug)]
pub struct Grant {
    pub server: ServerId,
    pub token: FencingToken,
    pub granted_at: Timestamp,
    pub runners: Vec<TakenRunner>,
    /// `None` while its server reports it, or may not know of it yet.
    pub end: Option<GrantEnd>,
}

/// How a grant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantEnd {
    /// A job ran on the runners.
    Finished,
    /// The runners are gone, and no job ran on them.
    Expired,
}

/// Why a job is retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retirement {
    /// It had its runners.
    Ended(GrantEnd),
    /// Its client or an operator withdrew it.
    Withdrawn(WithdrawnBy),
    /// Its client sent no request for too long.
    Abandoned { silent_since: Timestamp },
}

impl Retirement {
    /// The outcome of the job in snake case, for metrics.
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Ended(GrantEnd::Finished) => "finished",
            Self::Ended(GrantEnd::Expired) => "expired",
            Self::Withdrawn(_) => "withdrawn",
            Self::Abandoned { .. } => "abandoned",
        }
    }
}

impl Grant {
    fn server_runners(&self) -> ServerRunners {
        ServerRunners {
            server: self.server,
            runners: self.runners.iter().map(|runner| runner.id).collect(),
        }
    }
}

impl Job {
    /// A job that waits.
    pub(crate) fn new(ticket: TicketContent, now: Timestamp) -> Self {
        Self {
            ticket,
            newer_positions: Vec::new(),
            last_seen_at: now,
            estimated: None,
            has_silence_timer: false,
            excluded_until: BTreeMap::new(),
            passed_over: None,
            assignment: None,
            state: JobState::Waiting,
        }
    }

    pub fn ticket(&self) -> &TicketContent {
        &self.ticket
    }

    pub fn request(&self) -> &JobRequest {
        &self.ticket.request
    }

    pub fn unique_id(&self) -> &UniqueId {
        &self.request().spec.unique_id
    }

    /// Whether it waits and is not being forwarded.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, JobState::Waiting)
    }

    /// Whether it is in its profile queue: it waits or is being forwarded.
    pub fn is_queued(&self) -> bool {
        matches!(self.state, JobState::Waiting | JobState::Forwarding { .. })
    }

    /// Whether a take was answered with its runners.
    pub(crate) fn is_delivered(&self) -> bool {
        matches!(self.state, JobState::Delivered { .. })
    }

    /// Records that all its runners were granted, and returns them.
    pub(crate) fn assign(&mut self, now: Timestamp, grants: Vec<Grant>) -> Vec<ServerRunners> {
        let runners: Vec<ServerRunners> = grants.iter().map(Grant::server_runners).collect();
        self.state = JobState::Reserved(grants);
        self.assignment = Some(Box::new(Assignment {
            assigned_at: Some(now),
            started_at: None,
            runners: runners.clone(),
        }));
        runners
    }

    /// Records that a workflow job runs on one of its runners: `true` the first time.
    pub(crate) fn start(&mut self, now: Timestamp) -> bool {
        match &mut self.assignment {
            Some(assignment) if assignment.started_at.is_none() => {
                assignment.started_at = Some(now);
                true
            }
            _ => false,
        }
    }

    /// Records that its runners are sent in so many answers, and returns what it was granted;
    /// `None` if it has no runners yet or there is no answer.
    pub(crate) fn deliver(&mut self, answers: usize) -> Option<&[Grant]> {
        if answers == 0 {
            return None;
        }
        if let JobState::Reserved(grants) = &mut self.state {
            self.state = JobState::Delivered {
                grants: std::mem::take(grants),
                answer_count: 0,
            };
        }
        match &mut self.state {
            JobState::Delivered {
                grants,
                answer_count,
            } => {
                *answer_count += answers;
                Some(grants)
            }
            JobState::Waiting | JobState::Forwarding { .. } | JobState::Reserved(_) => None,
        }
    }

    /// Records that one answer with its runners was not sent. If there was no other, its client does
    /// not know the runners: `true`.
    pub(crate) fn undo_delivery(&mut self) -> bool {
        let JobState::Delivered {
            grants,
            answer_count,
        } = &mut self.state
        else {
            return false;
        };
        *answer_count -= 1;
        if *answer_count > 0 {
            return false;
        }
        self.state = JobState::Reserved(std::mem::take(grants));
        true
    }

    /// What it holds, as far as this queue knows.
    pub(crate) fn grants(&self) -> impl Iterator<Item = &Grant> {
        let (parts, grants) = match &self.state {
            JobState::Waiting => (&[][..], &[][..]),
            JobState::Forwarding { parts, .. } => (&parts[..], &[][..]),
            JobState::Reserved(grants) | JobState::Delivered { grants, .. } => {
                (&[][..], &grants[..])
            }
        };
        parts
            .iter()
            .filter_map(|part| part.grant.as_ref())
            .chain(grants)
    }

    /// What `server` was asked for with this token, if it has not answered yet.
    pub(crate) fn open_part(&self, server: ServerId, token: FencingToken) -> Option<&ForwardPart> {
        match &self.state {
            JobState::Forwarding {
                token: current,
                parts,
            } if *current == token => parts
                .iter()
                .find(|part| part.server == server && part.grant.is_none()),
            _ => None,
        }
    }

    /// Records how another request for this job finds its runners: they get the label
    /// `reserved-for:<unique_id>` unless every request states that it does not need it.
    pub(crate) fn add_request(&mut self, request: &JobRequest) {
        self.ticket.request.labels_from_response &= request.labels_from_response;
    }

    /// Records another ticket of this job, with another time of enqueueing, and takes its position if it
    /// is older. Returns the ticket that determined the position before, if that changed.
    pub(crate) fn add_ticket(&mut self, ticket: &TicketContent) -> Option<TicketContent> {
        let former = if ticket.enqueued_at < self.ticket.enqueued_at {
            Some(std::mem::replace(&mut self.ticket, ticket.clone()))
        } else {
            None
        };
        let newer = former.as_ref().unwrap_or(ticket);
        let (newer_request, newer_position) = (newer.request.clone(), newer.position());
        self.add_request(&newer_request);
        if !self.newer_positions.contains(&newer_position) {
            self.newer_positions.push(newer_position);
        }
        former
    }

    /// Positions by all its tickets.
    pub(crate) fn positions(&self) -> impl Iterator<Item = QueuePosition> {
        let newer = self.newer_positions.iter().cloned();
        newer.chain([self.ticket.position()])
    }

    /// The time of enqueueing in its newest ticket.
    pub(crate) fn newest_enqueued_at(&self) -> Timestamp {
        let newer = self.newer_positions.iter();
        newer
            .map(|position| position.enqueued_at)
            .fold(self.ticket.enqueued_at, Timestamp::max)
    }

    /// Keeps `server` from being asked for this job until then.
    pub(crate) fn exclude(&mut self, server: ServerId, until: Timestamp) {
        self.excluded_until.insert(server, until);
    }

    /// Whether `server` refused this job and is not asked for it again yet.
    pub(crate) fn is_excluded(&self, server: ServerId, now: Timestamp) -> bool {
        let until = self.excluded_until.get(&server);
        until.is_some_and(|until| now < *until)
    }

    /// Name of its state in the HTTP API.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            JobState::Waiting => "waiting",
            JobState::Forwarding { .. } => "forwarding",
            JobState::Reserved(_) => "reserved",
            JobState::Delivered { .. } => "delivered",
        }
    }
}
