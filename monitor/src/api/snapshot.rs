//! The copy of the state that pages and metrics are rendered from, with what was rendered.
//!
//! Not responsible for how they are rendered (`page`, `metrics`).

use std::sync::{Arc, OnceLock};

use actix_web::web::Bytes;
use daemon::repeated;
use github::ApiStatus;
use shared::{clock::Timestamp, problem::Problem, text::printable_lines};

use crate::shared_core::PublishedView;

/// What clients see, at one point in time.
pub struct Snapshot {
    pub now: Timestamp,
    /// None before the first poll has succeeded.
    pub published: Option<Arc<PublishedView>>,
    pub problems: Vec<Problem>,
    /// Why no take can be served.
    pub unready: Option<String>,
    pub github: ApiStatus,
    pub refused: repeated::Totals,
    pub page: Rendered,
    pub live_part: Rendered,
    /// `/dashboard.json` for readers without a token.
    pub public_dashboard: Rendered,
    pub metrics: Rendered,
    /// The body of `/readyz`.
    pub ready: Rendered,
}

/// One form of a snapshot, rendered by the first request for it.
#[derive(Default)]
pub struct Rendered(OnceLock<Bytes>);

impl Rendered {
    /// The rendered form, which is cheap to clone.
    /// Characters in it that deceive are escaped.
    pub fn get_or(&self, render: impl FnOnce() -> String) -> Bytes {
        let render = || printable_lines(&render()).into_owned().into();
        self.0.get_or_init(render).clone()
    }
}
