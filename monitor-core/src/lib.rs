//! What the monitor knows and decides: pure, synchronous, deterministic.
//!
//! Time comes in as an argument, random values come in with the input, effects go out as tasks.
//! Nothing in here does I/O, asks a clock or reads the environment.
//!
//! Read in this order: `policy` (what the settings want), `state` (what is remembered and what was
//! seen; `state::monitor` holds all of it), then what happens to it, in the order of a turn of the
//! control loop: `observation` (polls and their answers), `planning` (what to do and why),
//! `execution` (effects and their outcomes). Requests come in through `reservations`, `targets` and
//! `guest_auth`; `view` is what is shown.

mod execution;
mod guest_auth;
mod observation;
mod planning;
mod policy;
mod reservations;
mod state;
mod targets;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod view;

pub use execution::effect::{Creation, Destruction, Effect, Entropy};
pub use guest_auth::{GuestAuth, GuestIdentity};
pub use observation::poll::Poll;
pub use planning::plan::{Action, Plan, Shortfall, Step};
pub use planning::reason::{Obstacle, Reason};
pub use policy::{LabelPolicy, Policy, ProfilePolicy};
pub use reservations::take::{Take, TakeOutcome, TakeRefusal};
pub use state::action_log::ActionLog;
use state::back_off::BackOff;
pub use state::credentials::{CredentialHandover, Credentials};
use state::durable_state::DurableState;
pub use state::durable_state::SnapshotError;
pub use state::host::HostCapacity;
use state::images::Images;
pub use state::images::{ImageView, Rebuild};
pub use state::monitor::Monitor;
pub use state::observed::ObservedGuest;
use state::reservation::Reservation;
pub use state::resources::Resources;
pub use state::runner::MustDestroy;
pub use state::runner::RunnerId;
use state::runner::RunnerRecord;
use state::software::Software;
pub use state::software::SoftwareView;
use targets::Override;
pub use targets::OverrideRefusal;
pub use view::View;
