//! What the monitor knows and decides: pure, synchronous, deterministic.
//!
//! Time comes in as an argument, random values come in with the input, effects go out as tasks.
//! Nothing in here does I/O, asks a clock or reads the environment.
//!
//! Read in this order: `policy` (what is wanted), `runner`, `reservation` and `intent` (what is
//! remembered), `observed` (what is seen, and what a runner is doing), `monitor` (all of it
//! together), `plan` and `task` (what to do), then the transitions: `look`, `lifecycle`, `take`,
//! `release`, `labels`, `target_override`; last `host` (what there is to share), `images` and
//! `room` (the disks that guests begin with, and where they are rebuilt), `software` (what runs in
//! them), `asker` and `credentials` (what guests are told).

mod asker;
mod back_off;
mod capacity;
mod credentials;
mod host;
mod images;
mod intent;
mod labels;
mod lifecycle;
mod look;
mod monitor;
mod observed;
mod plan;
mod policy;
mod reason;
mod recent;
mod release;
mod reservation;
mod rhythm;
mod room;
mod runner;
mod software;
mod take;
mod target_override;
mod task;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod view;

pub use asker::{Asker, Proof};
use back_off::BackOff;
pub use capacity::Resources;
pub use credentials::{Credentials, Handing};
pub use host::Host;
use images::Images;
pub use images::{ImageView, Rebuild};
use intent::Intent;
pub use intent::SnapshotError;
pub use look::Look;
pub use monitor::Monitor;
pub use observed::SeenGuest;
pub use plan::{Action, Plan, Refusal, Step};
pub use policy::{LabelPolicy, Policy, ProfilePolicy};
pub use reason::{Obstacle, Reason};
pub use recent::Recent;
use reservation::Reservation;
pub use runner::Condemned;
pub use runner::RunnerId;
use runner::RunnerRecord;
use software::Software;
pub use software::SoftwareView;
pub use take::{Take, TakeRefusal, Taken};
use target_override::Override;
pub use target_override::OverrideRefusal;
pub use task::{Creation, Destruction, Fresh, Task};
pub use view::View;
