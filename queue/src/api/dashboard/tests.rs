//! Snapshots of the dashboard in its three forms.

use super::*;
use crate::api::snapshot::example;

#[test]
fn the_page_is_rendered() {
    let page = render_page(&example::view(), example::snapshot().captured_at).into_string();
    // One element a line, so that a change is readable.
    insta::assert_snapshot!(page.replace("><", ">\n<"));
}

#[test]
fn the_text_is_rendered() {
    insta::assert_snapshot!(render_text(&example::view()));
}

#[test]
fn the_json_is_rendered() {
    let json = example::snapshot().to_json();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
}

#[test]
fn an_empty_queue_in_its_grace_period_is_rendered() {
    insta::assert_snapshot!(render_text(&example::view_after_start()));
}

#[test]
fn durations_have_two_or_three_digits() {
    for (seconds, expected) in [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h")] {
        assert_eq!(duration(seconds), expected);
    }
}
