//! What operators can do on a page. The script makes a form for it, so that without it no token can get into an
//! address.

use maud::{Markup, html};
use serde::Serialize;

/// What can be done with one thing.
#[derive(Debug, Serialize)]
pub struct Actions<'a> {
    /// What it is named in the page; unique there.
    #[serde(skip)]
    pub key: String,
    /// What is clicked to see the form.
    pub title: &'a str,
    /// The buttons. The first one is also pressed by Enter.
    pub buttons: Vec<Button>,
}

/// One request.
#[derive(Debug, Default, Serialize)]
pub struct Button {
    /// What it does.
    pub label: &'static str,
    /// The method of the request.
    pub method: &'static str,
    /// Where it is sent, relative to the page.
    pub path: String,
    /// What people may add: `note`, or `targets` such as `linux=3 windows=0`.
    pub sends: &'static [&'static str],
    /// What is shown after it; nothing if the answer itself is shown.
    pub done: &'static str,
    /// Whether it has to be pressed twice.
    pub is_final: bool,
}

impl Actions<'static> {
    /// Reading the settings again, which every daemon can.
    pub fn reload() -> Self {
        Self {
            key: "settings".to_owned(),
            title: "Reload the settings …",
            buttons: vec![Button {
                label: "Reload",
                method: "POST",
                path: "reload".to_owned(),
                ..Button::default()
            }],
        }
    }
}

impl Actions<'_> {
    /// The place for the form.
    pub fn render(&self) -> Markup {
        // Texts and paths only: this cannot fail.
        let json = serde_json::to_string(self).unwrap_or_default();
        html! { div class="actions" data-key={ "actions " (self.key) } data-actions=(json) data-keep {} }
    }
}
