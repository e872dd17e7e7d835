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

pub use execution::effect::{Creation, Destruction, Fresh, Task};
pub use guest_auth::{Asker, Proof};
pub use observation::poll::Look;
pub use planning::plan::{Action, Plan, Refusal, Step};
pub use planning::reason::{Obstacle, Reason};
pub use policy::{LabelPolicy, Policy, ProfilePolicy};
pub use reservations::take::{Take, TakeRefusal, Taken};
pub use state::action_log::Recent;
use state::back_off::BackOff;
pub use state::credentials::{Credentials, Handing};
use state::durable_state::Intent;
pub use state::durable_state::SnapshotError;
pub use state::host::Host;
use state::images::Images;
pub use state::images::{ImageView, Rebuild};
pub use state::monitor::Monitor;
pub use state::observed::SeenGuest;
use state::reservation::Reservation;
pub use state::resources::Resources;
pub use state::runner::Condemned;
pub use state::runner::RunnerId;
use state::runner::RunnerRecord;
use state::software::Software;
pub use state::software::SoftwareView;
use targets::Override;
pub use targets::OverrideRefusal;
pub use view::View;
