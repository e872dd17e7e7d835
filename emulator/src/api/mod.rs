//! The model over HTTP: GitHub's REST paths, what artifacts are downloaded from, and beside them
//! the control side for scripts (`/_emulator`) and the runners' side (`/_runner`).
//!
//! Owns paths, statuses, headers and JSON. Decides nothing: what happens is up to the model, what
//! goes wrong to the faults.

mod access;
mod apps;
mod artifacts;
mod control;
mod error;
mod gate;
mod github;
mod held;
mod paging;
mod request;
mod runner_side;
mod runners;
mod runs;
mod socket;
mod time;

use actix_web::web::ServiceConfig;

use error::ApiError;
pub(crate) use gate::gate;
pub(crate) use socket::Socket;

/// All paths. The app around them wraps [`gate`] and holds the [`Emulator`](crate::Emulator).
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .configure(github::routes)
        .configure(control::routes)
        .configure(runner_side::routes);
}
