//! The copy of the state that pages and metrics are rendered from, with what was rendered.

use std::sync::{Arc, OnceLock};

use actix_web::web::Bytes;
use github::ApiStatus;
use shared::clock::Timestamp;

use super::{metrics, page};
use crate::shared_core::PublishedView;

/// What clients see, at one point in time. Each form is rendered once, by the first request for it.
pub struct Snapshot {
    pub now: Timestamp,
    /// None before the first poll has succeeded.
    pub published: Option<Arc<PublishedView>>,
    pub github: ApiStatus,
    pub rendered: Rendered,
}

#[derive(Default)]
pub struct Rendered {
    page: OnceLock<Bytes>,
    live_part: OnceLock<Bytes>,
    metrics: OnceLock<Bytes>,
}

impl Snapshot {
    /// The page for people.
    pub fn page(&self) -> Bytes {
        render_once(&self.rendered.page, || page::render_page(self).into())
    }

    /// The part of the page that its script reloads.
    pub fn live_part(&self) -> Bytes {
        render_once(&self.rendered.live_part, || {
            page::render_live_part(self).into()
        })
    }

    pub fn metrics(&self) -> Bytes {
        render_once(&self.rendered.metrics, || metrics::render(self))
    }
}

/// The bytes are cheap to clone.
fn render_once(rendered: &OnceLock<Bytes>, render: impl FnOnce() -> String) -> Bytes {
    rendered.get_or_init(|| render().into()).clone()
}
