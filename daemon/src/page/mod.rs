//! The frame of the pages of both daemons: head, problems, landmarks, style and script.
//!
//! Responsible for how pages look, for what a browser may do with them, and for keeping them current. Not
//! responsible for what they show. Pages are complete without the script.

mod actions;
mod assets;
mod capacity;

use std::time::Duration;

use actix_web::{
    HttpResponse,
    body::MessageBody,
    http::header::{CONTENT_SECURITY_POLICY, ContentType},
};
use maud::{DOCTYPE, Markup, html};
use shared::{clock::Timestamp, format, operator::Intervention, problem::Problem};

use crate::{
    error::{ApiError, Code},
    problems,
    web::pace::PAGES,
};

pub use actions::{Actions, Button};
pub use assets::configure;
pub use capacity::{Capacity, Part, bar, bar_of_parts};

/// Content security policy of all pages: their style and script are files of the same server, which they
/// may also ask for data and send forms to. Nothing in the text of a page is a script or a style.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                              base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What differs between pages.
pub struct Frame<'a> {
    /// The relative path from the page to the root of the daemon: empty, or `../` for each folder.
    pub root: &'static str,
    /// The name of the page, its heading.
    pub name: &'a str,
    /// What stands before the name in the title of the tab; may be empty.
    pub title: &'a str,
    /// The name of the host that it is about, which is also in the title; if it is empty, the script shows the
    /// one in the address.
    pub host: &'a str,
    /// What the page shows, in a line.
    pub summary: Markup,
    /// Forms in the head.
    pub tools: Markup,
    /// What is wrong; shown first.
    pub problems: &'a [Problem],
    /// The sections.
    pub content: Markup,
    /// Other forms of the page, and links.
    pub footer: Markup,
    /// When the state was read.
    pub now: Timestamp,
}

impl Frame<'_> {
    /// The whole page.
    pub fn render(&self) -> Markup {
        let title = [self.title, self.host, self.name];
        let title = title
            .map(str::trim)
            .into_iter()
            .filter(|part| !part.is_empty());
        let title = title.collect::<Vec<_>>().join(" · ");
        let root = self.root;
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (problems::title(self.problems, &title)) }
                    link rel="stylesheet" href={ (root) (assets::STYLE.href) };
                    script type="module" src={ (root) (assets::SCRIPT.href) } {}
                }
                body data-events={ (root) "events" } data-now=(self.now.as_micros() / 1000) {
                    a class="skip" href="#main" { "Skip to the content" }
                    header {
                        h1 {
                            (self.name)
                            @if self.host.is_empty() { small data-host {} } @else { small { (self.host) } }
                        }
                        p id="connection" { "state of " (at(self.now)) }
                        p class="summary" { (self.summary) }
                        (self.tools)
                    }
                    main id="main" {
                        (problems::render(self.problems, self.now))
                        (self.content)
                    }
                    footer { (self.footer) }
                    (capacity::patterns())
                    div id="news" class="unseen" aria-live="polite" data-keep {}
                }
            }
        }
    }
}

/// A table with a caption, whose rows become cards on narrow screens: the cells of `rows` have `data-label`.
pub fn table(caption: &Markup, titles: &[&str], rows: &Markup) -> Markup {
    html! {
        table class="cards" {
            caption { (caption) }
            thead { tr { @for title in titles { th scope="col" { (title) } } } }
            tbody { (rows) }
        }
    }
}

/// The response with a page.
pub fn response(html: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(ContentType::html())
        .insert_header((CONTENT_SECURITY_POLICY, CONTENT_POLICY))
        .body(html)
}

/// How long a search keeps pages waiting: 100 a second.
const SEARCH_COST: Duration = Duration::from_millis(10);
/// `Retry-After` when there are too many, in seconds.
const SEARCH_RETRY_SECONDS: u64 = 5;

/// Waits for the turn of a page that cannot be shared by all readers. Call it before the work is done.
///
/// # Errors
/// 503 when there are too many.
pub async fn wait_for_search() -> Result<(), ApiError> {
    PAGES.wait(SEARCH_COST).await.map_err(|_| {
        ApiError::new(Code::NotReady, "too many requests for pages; try again")
            .retry_after(SEARCH_RETRY_SECONDS)
    })
}

/// A time that the script shows in the time zone of the reader.
pub fn at(time: Timestamp) -> Markup {
    let text = time.date_and_time();
    html! { time data-at=(time.as_micros() / 1000) datetime=(text) { (text) } }
}

/// The time since then, which the script counts on.
pub fn since(time: Timestamp, now: Timestamp) -> Markup {
    html! {
        span class="nowrap" data-since=(time.as_micros() / 1000) { (format::elapsed(now.since(time))) }
    }
}

/// By whom something was ordered, when and why: `by alice@laptop at 10:00:05 (new memory)`.
pub fn order(order: &Intervention) -> Markup {
    html! {
        "by " (order.author_or_operator()) " at " (at(order.since))
        @if !order.note.is_empty() { " (" (order.note) ")" }
    }
}

#[cfg(test)]
mod tests;
