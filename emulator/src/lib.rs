//! An emulated GitHub in memory, for the demo and the tests: the parts of GitHub's REST API that
//! the monitor uses, and the runner software.
//!
//! [`model`] is GitHub's state, a state machine without I/O. `api` serves it over GitHub's REST
//! paths, and has paths of its own for scripts and for runner agents. [`faults`] injects failures
//! into requests. [`agent`] emulates GitHub's runner software. [`Emulator`] holds all of them, and
//! [`serve`] and [`spawn`] listen on a port.
//!
//! ```no_run
//! use emulator::{EmulatorSettings, faults::{Fault, FaultRule, PathMatch}};
//! use shared::secret::Secret;
//!
//! let github = emulator::spawn(EmulatorSettings::new(Secret::new("token")))?;
//! let list = PathMatch::Exact("/orgs/acme/actions/runners".into());
//! let rule = FaultRule::on("GET", list, Fault::status(502)).next(1);
//! github.emulator.faults().add(rule).expect("a valid rule");
//! println!("listening on {}", github.base_url);
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod agent;
mod agent_protocol;
mod api;
mod apps;
mod artifact_zip;
mod emulator;
pub mod faults;
pub mod jit;
pub mod model;
mod notify;
mod requests;
mod server;
mod thread;

pub use apps::{App, InvalidJwt};
pub use artifact_zip::zip_of_lines;
pub use emulator::{Emulator, EmulatorSettings};
pub use requests::{RequestEntry, RequestLog};
pub use server::{Running, serve};
pub use thread::{EmulatorThread, spawn};
