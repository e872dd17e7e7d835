//! The daemon that keeps one server's pool of single-use GitHub Actions runners.
//!
//! The crate `monitor-core` knows and decides. `pool` is the one lock around it; `driver` turns it: looks at the
//! world, plans, and lets `executor` do what was planned through the adapters `hypervisor`,
//! `store` and GitHub's client. `api` lets clients in, `app` puts all of it together, and `policy`
//! translates the settings for the core.
//! `profiles` reads what the folders of the profiles say.

mod api;
mod app;
mod driver;
mod executor;
pub mod hypervisor;
mod policy;
mod pool;
mod profiles;
pub mod store;

pub use app::{App, AppError, build, run};
pub use profiles::{ProfileError, check};
