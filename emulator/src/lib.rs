//! A GitHub in memory, for the demo and for every test: what the monitor asks of it, and what the
//! runners of the demo do.
//!
//! Where to go: [`model`] is GitHub's state, a plain state machine without HTTP; `api` shows it
//! over GitHub's REST paths and, beside them, lets scripts and runners in; [`faults`] makes it fail
//! on purpose; [`agent`] plays GitHub's runner software. [`Emulator`] holds it all together,
//! [`serve`] and [`spawn`] put it on a port.
//!
//! ```no_run
//! use emulator::{EmulatorSettings, faults::{Fault, FaultRule, PathMatch}};
//! use shared::secret::Secret;
//!
//! let github = emulator::spawn(EmulatorSettings::new(Secret::new("token")))?;
//! let list = PathMatch::Exact("/orgs/acme/actions/runners".into());
//! let rule = FaultRule::on("GET", list, Fault::status(502)).next(1);
//! github.emulator.faults().add(rule).expect("a rule of the right form");
//! println!("ask {}", github.base_url);
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod agent;
mod api;
mod apps;
mod bell;
pub mod faults;
mod handle;
pub mod jit;
pub mod model;
mod requests;
mod runner_wire;
mod server;
mod thread;
mod zipped;

pub use apps::{App, BadTicket};
pub use handle::{Emulator, EmulatorSettings};
pub use requests::{RequestEntry, RequestLog};
pub use server::{Running, serve};
pub use thread::{EmulatorThread, spawn};
pub use zipped::zip_of_lines;
