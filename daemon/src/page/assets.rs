//! The style and the script of pages, as files with an address of their own.

use std::sync::LazyLock;

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    web::ServiceConfig,
};
use shared::sha256::Sha256;

use crate::web::route;

/// The style of all pages.
pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let media_type = "text/css; charset=utf-8";
    Asset::new("page.css", media_type, include_str!("page.css"))
});
/// The script of all pages.
pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let media_type = "text/javascript; charset=utf-8";
    Asset::new("page.js", media_type, include_str!("page.js"))
});

/// A file that is part of the program.
pub(super) struct Asset {
    media_type: &'static str,
    pub(super) content: &'static str,
    /// Its address, relative to the root of the daemon; another one for each version.
    pub(super) href: String,
}

impl Asset {
    fn new(name: &str, media_type: &'static str, content: &'static str) -> Self {
        let version = Sha256::of(content.as_bytes()).beginning();
        Self {
            media_type,
            content,
            href: format!("assets/{name}?v={version:016x}"),
        }
    }

    /// The response with it. Browsers keep it: its address changes with its content.
    fn response(&self) -> HttpResponse {
        HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, self.media_type))
            .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
            .body(self.content)
    }
}

/// Adds the routes of the files that pages need.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(route("/assets/page.css").get(|| async { STYLE.response() }))
        .service(route("/assets/page.js").get(|| async { SCRIPT.response() }));
}
