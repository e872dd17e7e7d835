//! Snapshots of the dashboard in its three forms.

use super::*;
use crate::api::snapshot::example;

#[test]
fn the_page_is_rendered() {
    let snapshot = example::snapshot();
    let finished = [example::past_job()];
    let page = page(&snapshot, "https://github.com/", &finished);
    let page = page.render().into_string();
    let body = &page[page.find("<body").unwrap()..];
    // One element a line, so that a change is readable.
    insta::assert_snapshot!(body.replace("><", ">\n<"));
}

#[test]
fn the_text_is_rendered() {
    insta::assert_snapshot!(render_text(&example::view()));
}

#[test]
fn the_json_is_rendered() {
    let json = example::snapshot().to_json();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
}

#[test]
fn an_empty_queue_in_its_grace_period_is_rendered() {
    insta::assert_snapshot!(render_text(&example::view_after_start()));
}

#[test]
fn no_form_shows_characters_that_deceive() {
    let mut view = example::view();
    // What a monitor reports, for example.
    view.problems[0].cause = "a\u{202e}b\u{2028}c\u{1b}[2J\r\u{200b}d".to_owned();
    let escaped = "a\\u{202e}b\\u{2028}c\\u{1b}[2J\\r\\u{200b}d";
    let text = render_text(&view);
    assert!(text.contains(escaped), "{text}");
    let mut snapshot = example::snapshot();
    snapshot.view = view;
    let page = page_html(&page(&snapshot, "", &[]));
    assert!(page.contains(escaped), "{page}");
    let json = json_text(&snapshot);
    let escaped = "a\\u202eb\\u2028c\\u001b[2J\\r\\u200bd";
    assert!(json.contains(escaped), "{json}");
}
