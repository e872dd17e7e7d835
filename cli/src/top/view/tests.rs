//! Whole screens, as text.

use std::time::Duration;

use ratatui::{Terminal, backend::TestBackend, style::Modifier};

use super::*;
use crate::{
    terminal::Look,
    top::state::{
        Event,
        tests::{START, press, state},
    },
};

const ASCII: Look = Look {
    is_unicode: false,
    ..Look::PLAIN
};

fn terminal(state: &State, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(state, frame)).unwrap();
    terminal
}

fn screen(state: &State, width: u16, height: u16) -> String {
    terminal(state, width, height).backend().to_string()
}

/// A state after these keys.
fn after(keys: &str) -> State {
    let mut state = state(Look::PLAIN);
    press(&mut state, keys);
    state
}

#[test]
fn each_list_on_a_small_and_on_a_large_screen() {
    for (key, name) in [
        ("1", "waiting"),
        ("2", "running"),
        ("3", "finished"),
        ("4", "runners"),
        ("5", "servers"),
        ("6", "problems"),
    ] {
        insta::assert_snapshot!(format!("{name}_80x24"), screen(&after(key), 80, 24));
        insta::assert_snapshot!(format!("{name}_200x50"), screen(&after(key), 200, 50));
    }
}

#[test]
fn what_lies_over_the_list() {
    for (keys, name) in [
        ("?", "help"),
        ("w", "confirm"),
        ("5dnew disk", "drain"),
        ("p", "profiles"),
        ("5b", "images"),
        ("5b<enter>new sdk", "rebuild"),
        ("p<enter>new disk", "pause"),
        ("<enter>", "job"),
        ("2<enter>", "running_job"),
        ("4<enter>", "runner"),
        ("5<down><enter>", "server"),
        ("6<enter>", "problem"),
        ("/eng", "filter"),
        ("/nothing<enter>", "filter_without_rows"),
    ] {
        insta::assert_snapshot!(format!("overlay_{name}"), screen(&after(keys), 80, 24));
    }
}

#[test]
fn a_queue_that_does_not_answer_leaves_its_last_state_dimmed() {
    let mut state = after("");
    let cause = "reach http://queue.example.org/: Connection refused".to_owned();
    state.handle(Event::Dashboard(START, Err(cause)));
    state.handle(Event::Tick(START + Duration::from_secs(90)));
    let terminal = terminal(&state, 80, 24);
    insta::assert_snapshot!("down", terminal.backend().to_string());
    let is_dim = |y| {
        let cell = &terminal.backend().buffer()[(1, y)];
        cell.modifier.contains(Modifier::DIM)
    };
    assert!(!is_dim(0), "the head tells that it is down");
    assert!((1..23).filter(|y| is_dim(*y)).count() > 8);
}

#[test]
fn a_queue_that_has_never_answered() {
    let url = "http://127.0.0.1:8002/".to_owned();
    let mut state = State::new(url, Look::PLAIN, false, START);
    insta::assert_snapshot!("connecting", screen(&state, 80, 24));
    state.handle(Event::Dashboard(START, Err("reach it".to_owned())));
    insta::assert_snapshot!("never_connected", screen(&state, 80, 24));
}

#[test]
fn a_locale_without_unicode_has_ascii_only() {
    for keys in ["", "?", "w", "5d", "p", "<enter>", "/a"] {
        let mut state = state(ASCII);
        press(&mut state, keys);
        let screen = screen(&state, 80, 24);
        assert!(screen.is_ascii(), "{keys}: {screen}");
    }
}

#[test]
fn cells_have_colours_only_if_the_terminal_has() {
    for has_colour in [false, true] {
        let look = Look {
            has_colour,
            ..Look::PLAIN
        };
        let terminal = terminal(&state(look), 80, 24);
        let mut cells = terminal.backend().buffer().content().iter();
        let is_coloured = cells.any(|cell| cell.fg != ratatui::style::Color::Reset);
        assert_eq!(is_coloured, has_colour);
    }
}

#[test]
fn every_size_can_be_drawn() {
    for keys in ["", "2", "3", "4", "5", "6", "?", "w", "5d", "p", "<enter>"] {
        let state = after(keys);
        for (width, height) in [(1, 1), (39, 24), (40, 12), (61, 13), (300, 100)] {
            screen(&state, width, height);
        }
    }
}
