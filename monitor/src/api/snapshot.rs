//! The copy of the state that pages and metrics are rendered from, with what was rendered.
//!
//! Not responsible for how they are rendered (`page`, `metrics`).

use std::{
    fs,
    sync::{Arc, OnceLock},
};

use actix_web::web::Bytes;
use daemon::repeated;
use github::ApiStatus;
use shared::{clock::Timestamp, problem::Problem, settings::Settings, text::printable_lines};

use crate::shared_core::PublishedView;

/// Where Linux tells the name of the host, of 64 bytes at most.
const HOST_NAME_PATH: &str = "/proc/sys/kernel/hostname";

/// What pages name and link to, beside the state. Does not change.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// The name of this host; empty if it has none.
    pub host_name: String,
    /// The base URL of the queue, if the settings have it.
    pub queue_url: Option<String>,
    /// The base URL of GitHub's pages.
    pub github_web_url: String,
}

impl Links {
    /// Those of this host with these settings.
    pub fn of(settings: &Settings) -> Self {
        let queue_url = settings.pool.queue_url.as_ref();
        Self {
            host_name: host_name(),
            queue_url: queue_url.map(|url| url.as_str().to_owned()),
            github_web_url: settings.github.web_url(),
        }
    }
}

fn host_name() -> String {
    let name = fs::read_to_string(HOST_NAME_PATH).unwrap_or_default();
    name.trim().to_owned()
}

/// What clients see, at one point in time.
pub struct Snapshot {
    pub now: Timestamp,
    /// None before the first poll has succeeded.
    pub published: Option<Arc<PublishedView>>,
    pub problems: Vec<Problem>,
    /// Why no take can be served.
    pub unready: Option<String>,
    pub github: ApiStatus,
    pub links: Arc<Links>,
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
