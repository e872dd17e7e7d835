//! Everything that can happen in a run, and when.

use std::collections::BTreeMap;

use emulator::model::RunnerId as RegistrationId;
use monitor_core::{
    Creation, Destruction, JobProgress, JobQuery, ObservedGuest, Poll, RegistrationRef, RunnerId,
    WorkflowJobEvent,
};
use shared::{
    clock::Timestamp,
    registration::{Deletion, Registration},
    secret::Secret,
    values::UniqueId,
};

use crate::messages::{ExchangeId, Reply};

/// Counts how often a process was started or ended, so that events of an earlier process are
/// recognised.
pub type Incarnation = u64;

/// A guest by its server and name. A name is never used twice.
pub type GuestId = (usize, String);

/// Something that happens at a moment. Queues, monitors and clients are given by their index.
#[derive(Debug)]
pub enum Event {
    RequestArrives(ExchangeId),
    ReplyArrives(ExchangeId, Box<Reply>),
    /// A connection breaks, or its sender stops waiting.
    ConnectionEnds(ExchangeId),
    /// An event for one process of a queue. It is dropped if that process has been killed.
    Queue(usize, Incarnation, QueueEvent),
    /// An event for one process of a monitor. It is dropped if that process has been killed.
    Monitor(usize, Incarnation, MonitorEvent),
    QueueStarts(usize),
    MonitorStarts(usize),
    /// An operation of a monitor has its effect, whether the process still runs or not.
    OperationRuns(usize, Incarnation, Box<Operation>),
    /// GitHub informs a monitor that a job began or ended on a runner.
    WebhookArrives(usize, WorkflowJobEvent),
    GuestActs(GuestId),
    ClientActs(usize),
    /// A client's workflow queues a job at GitHub that requires this label.
    WorkflowJobQueued(usize, String),
    /// The operator looks at all dashboards.
    OperatorActs,
    /// The operator pauses a profile, given by its index, at a queue.
    OperatorPauses(usize, usize),
    /// The operator resumes a profile at a queue.
    OperatorResumes(usize, usize),
    FaultStrikes(Fault),
}

#[derive(Debug)]
pub enum QueueEvent {
    /// The timer that was set for this time.
    Timer(Timestamp),
    /// The queue polls the monitor with that index.
    PollStarts(usize),
    /// The queue notices that a client has disconnected.
    DisconnectNoticed(ExchangeId),
}

#[derive(Debug)]
pub enum MonitorEvent {
    /// The timer that was set for this time.
    Timer(Timestamp),
    /// The monitor acts on what has changed.
    Acts,
    /// The monitor has held a poll for as long as it was asked to.
    PollHoldEnds(ExchangeId),
    OperationEnds(Box<OperationResult>),
}

/// A fault that occurs at a scheduled moment.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// A queue is killed, and started again later.
    QueueCrash,
    /// A monitor is killed, and started again later.
    MonitorCrash,
    /// A queue does nothing for a while.
    QueueHang,
    /// A monitor does nothing for a while.
    MonitorHang,
    /// A queue and a monitor do not reach each other for a while.
    Partition,
    /// GitHub rejects every request for a while.
    GithubOutage,
    /// A guest dies.
    GuestDeath,
    /// GitHub loses the registration of an idle runner.
    RegistrationLoss,
    /// The disk of a monitor is full for a while.
    DiskFull,
    /// A monitor is killed, and when it is started again its machine has another time.
    ClockChange,
    /// A monitor refuses the API token for a while. Not in `ALL`: only some installations have it.
    TokenRefusal,
}

impl Fault {
    pub const ALL: [Self; 10] = [
        Self::QueueCrash,
        Self::MonitorCrash,
        Self::QueueHang,
        Self::MonitorHang,
        Self::Partition,
        Self::GithubOutage,
        Self::GuestDeath,
        Self::RegistrationLoss,
        Self::DiskFull,
        Self::ClockChange,
    ];
}

/// Something that a monitor's process has begun and that ends outside of it.
#[derive(Clone, Debug)]
pub enum Operation {
    /// List guests or registrations; with the time at which it was begun.
    List(Poll, Timestamp),
    Register(Creation),
    CreateGuest(Creation),
    Unregister(Destruction),
    DestroyGuest(Destruction),
    /// Add labels to the runners of a reservation: for which job, to which runners, and which labels.
    AddLabels(UniqueId, Vec<RunnerId>, Vec<RegistrationRef>, Vec<String>),
    RemoveLabels(RunnerId, Option<RegistrationRef>, Vec<String>),
    QueryJob(JobQuery),
    /// Write the snapshot of this revision to disk.
    Save(u64, Vec<u8>),
}

/// How an operation ended.
#[derive(Debug)]
pub enum OperationResult {
    /// The guests, as of the given time.
    Guests(Vec<ObservedGuest>, Timestamp),
    /// The registrations, as of the given time.
    Registrations(Vec<Registration>, Timestamp),
    /// What the host has: enough.
    Host,
    ListFailed(Poll),
    /// A runner was registered: its id at GitHub and its JIT configuration.
    Registered(Creation, RegistrationId, Secret),
    Created(RunnerId),
    /// A runner was certainly not registered.
    NotRegistered(RunnerId),
    CreationFailed(RunnerId),
    Unregistered(Destruction, Deletion),
    Destroyed(RunnerId),
    DestructionFailed(RunnerId),
    /// Whether the labels were added.
    LabelsAdded(UniqueId, Vec<RunnerId>, bool),
    /// Whether the labels were removed.
    LabelsRemoved(RunnerId, bool),
    /// None if the query failed.
    JobProgress(RunnerId, Option<JobProgress>),
    /// A snapshot of this revision was saved, or could not be.
    Saved(u64, bool),
}

/// The events to come, in the order of their time, then of their scheduling.
#[derive(Default)]
pub struct Schedule {
    events: BTreeMap<(Timestamp, u64), Event>,
    last_number: u64,
}

impl Schedule {
    pub fn insert(&mut self, at: Timestamp, event: Event) {
        self.last_number += 1;
        self.events.insert((at, self.last_number), event);
    }

    /// Removes the next event, if it is due by `until`.
    pub fn pop(&mut self, until: Timestamp) -> Option<(Timestamp, Event)> {
        let entry = self.events.first_entry()?;
        if entry.key().0 > until {
            return None;
        }
        let ((at, _), event) = entry.remove_entry();
        Some((at, event))
    }
}
