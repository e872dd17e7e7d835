//! The model over HTTP: GitHub's REST API, and paths of the emulator's own for scripts
//! (`/_emulator`) and for runner agents (`/_runner`).
//!
//! Responsible for paths, status codes, headers and JSON. Not responsible for the effects of a
//! request, see [`model`](crate::model), nor for which fault is injected, see
//! [`faults`](crate::faults).

mod agents;
mod control;
mod error;
mod extract;
mod fault_middleware;
mod github;
mod long_poll;
mod time;

use actix_web::{
    dev::ServiceRequest,
    web::{Data, PathConfig, ServiceConfig},
};

use crate::Emulator;
use error::ApiError;
pub(crate) use fault_middleware::{Socket, fault_middleware};

/// All routes. The app around them wraps [`fault_middleware()`] and holds the [`Emulator`].
pub(crate) fn routes(config: &mut ServiceConfig) {
    // What has the wrong form in a path, such as an id, does not exist.
    let path_config = PathConfig::default().error_handler(|_, _| ApiError::NOT_FOUND.into());
    config
        .app_data(path_config)
        .configure(github::routes)
        .configure(control::routes)
        .configure(agents::routes);
}

fn emulator_of(request: &ServiceRequest) -> Data<Emulator> {
    let emulator = request.app_data::<Data<Emulator>>();
    emulator.expect("the app holds the emulator").clone()
}
