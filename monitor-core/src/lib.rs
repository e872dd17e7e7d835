//! State machine of one server's runner pool: observe, plan, begin, handle. Performs no I/O.
//!
//! Pure, synchronous and deterministic: time is an argument, random values are part of the input,
//! effects are returned as data. [`Monitor`] documents one turn of the control loop.
//!
//! Read in this order:
//!
//! | module | contents |
//! | --- | --- |
//! | `values`, `policy` | amounts of resources and ids of runners; what the settings want |
//! | `state` | what is remembered and what was observed; `state::monitor` is all of it together |
//! | `observation` | when the outside is polled, and what the answers change |
//! | `planning` | which actions are needed now, and why |
//! | `execution` | the actions as effects, and what their outcomes change |
//! | `reservations`, `target_override`, `drain`, `rebuild_order`, `guest_auth` | requests of clients, people and guests |
//! | `problems` | what is wrong, for the operator |
//! | `measurement` | what the steps of runners add to the metrics |
//! | `host_use` | what guests use of the host, for the dashboard |
//! | `view` | the snapshot that pages and metrics are rendered from |
//!
//! Dependencies point one way: `values` ← `policy` ← `state` ← everything else, `planning` ← `execution`.

mod drain;
mod execution;
mod guest_auth;
mod host_use;
mod measurement;
mod observation;
mod planning;
mod policy;
mod problems;
mod rebuild_order;
mod removal;
mod reservations;
mod state;
mod target_override;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod values;
mod view;

pub use execution::effect::{Creation, Destruction, Effect, Entropy, Rebuild};
pub use guest_auth::{Candidate, CandidatePurpose, GuestIdentity};
pub use measurement::{Measurement, StepTimes};
pub use observation::{
    jobs::{JobProgress, JobQuery, WorkflowJobEvent},
    lists::RegistrationLists,
    poll::Poll,
};
pub use planning::{
    plan::{Action, Plan, Shortfall, Step},
    reason::{Obstacle, Reason},
};
pub use policy::{GuestAuth, LabelPolicy, Policy, ProfilePolicy};
pub use rebuild_order::RebuildRefusal;
pub use removal::RemovalRefusal;
pub use reservations::take::{Take, TakeOutcome, TakeRefusal};
pub use state::{
    action_log::ActionLog,
    credentials::{CredentialHandover, Credentials},
    durable_state::SnapshotError,
    host::HostCapacity,
    images::ImageView,
    monitor::Monitor,
    observed::ObservedGuest,
    runner::{MustDestroy, RegistrationRef, WorkflowRun},
    runner_event::{Cause, FailedStep, Failure, GuestEnd, RunnerEvent, RunnerJob, RunnerStep},
    software::{SoftwareView, SupportEnd},
};
pub use target_override::OverrideRefusal;
pub use values::{resources::Resources, runner_id::RunnerId};
pub use view::View;
