//! Keys, selection, changes and failures of polls.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};

use super::*;

/// The start of every test: 2026-12-24T10:00:00Z.
pub const START: Timestamp = Timestamp::from_seconds(1_798_106_400);
/// The server of [`dashboard`] that is drained.
pub const DRAINED: &str = "http://ci-c.example.org:8000/";
const FIRST_SERVER: &str = "http://ci-a.example.org:8000/";

/// A queue with two profiles, three jobs that wait and three servers.
pub fn dashboard() -> QueueDashboard {
    let job = |id: &str, run_id: u64, estimate: Value, why: &str| {
        json!({"public_id": public_id(id), "count": 1, "qualified_repo": "acme/engine", "run_id": run_id,
            "waited_seconds": 372 - run_id, "estimate": estimate, "why": why})
    };
    let estimate = |p50: u64, p90: u64| json!({"p50_seconds": p50, "p90_seconds": p90});
    let since = START.as_micros() - 120_000_000;
    serde_json::from_value(json!({
        "is_dispatching": true, "waiting_count": 3, "assigned_count": 1,
        "assigned": [{"public_id": public_id("r"), "profile_key": "linux", "count": 1, "qualified_repo": "acme/engine",
            "run_id": 5, "waited_seconds": 100, "assigned_at": START.as_micros() - 2_100_000_000,
            "started_at": START.as_micros() - 2_095_000_000, "runners": [{"server": FIRST_SERVER, "runner": 7}]}],
        "profiles": [
            {"profile_key": "linux", "target": 12, "missing": 3, "idle": 0, "starting": 1, "reserved": 1, "busy": 7,
             "waiting_count": 3, "jobs": [
                job("a", 11, estimate(120, 240), "it is next; no runner of this profile is idle: 7 are busy (the \
                    longest with acme/website run 5, assigned 35 min ago)"),
                job("b", 12, estimate(180, 300), "1 job is before it"),
                job("c", 13, Value::Null, "2 jobs are before it")]},
            {"profile_key": "windows", "target": 4, "idle": 4, "waiting_count": 0}],
        "servers": [
            {"name": FIRST_SERVER, "health": "fresh", "age_seconds": 0, "profiles": [
                {"profile_key": "linux", "target": 9, "idle": 0}, {"profile_key": "windows", "target": 4, "idle": 4}]},
            {"name": "http://ci-b.example.org:8000/", "health": "down", "age_seconds": 130, "profiles": [
                {"profile_key": "linux", "target": 3, "idle": 0, "missing": 3, "missing_because": "it does not answer"}]},
            {"name": DRAINED, "health": "fresh", "age_seconds": 1,
             "drain": {"since": START.as_micros(), "note": "new disk", "author": "alice@laptop"}}],
        "problems": [
            {"code": "server_not_answering", "severity": "error", "subject": "http://ci-b.example.org:8000/",
             "cause": "it does not answer: Connection refused", "remedy": "start its monitor", "since": since},
            {"code": "image_too_old", "severity": "warning", "subject": "profile windows",
             "cause": "its image is 12 days old", "remedy": "read the log of its build", "since": since}],
    }))
    .unwrap()
}

/// What a server says that has two runners.
pub fn server_report() -> MonitorDashboard {
    let runner = |id: u64, status: &str| {
        json!({"id": id, "profile_key": "linux", "status": status, "runner": {"id": id,
            "created_time": {"secs_since_epoch": START.as_seconds() - 3700, "nanos_since_epoch": 0},
            "registration": null, "guest_name": format!("linux.{id}"), "ipv4_address": "192.168.100.7"}})
    };
    let dashboard =
        json!({"profile_runner_counts": {}, "runners": [runner(7, "busy"), runner(8, "idle")]});
    serde_json::from_value(dashboard).unwrap()
}

/// The name under which the dashboard shows a job.
pub fn public_id(unique_id: &str) -> String {
    let unique_id = unique_id.parse::<UniqueId>().unwrap();
    unique_id.public_id().to_string()
}

/// An event of a job.
fn event(name: &str, unique_id: &str, run_id: u64, seconds_ago: u64, facts: &Value) -> Event {
    let at = START.as_micros() - seconds_ago * 1_000_000;
    let mut event = json!({"id": at, "at": at, "event": name, "unique_id": unique_id, "run_id": run_id,
        "qualified_repo": "acme/engine", "profile_key": "linux", "count": 1});
    let event = event.as_object_mut().unwrap();
    event.extend(facts.as_object().unwrap().clone());
    Event::Journal(event.clone())
}

/// A state in which everything has arrived.
pub fn state(look: Look) -> State {
    let url = "https://queue.example.org/".to_owned();
    let mut state = State::new(url, look, true, START);
    state.handle(Event::Live(true));
    state.handle(Event::Dashboard(START, Ok(Box::new(dashboard()))));
    for name in [FIRST_SERVER, DRAINED] {
        let report = Ok(Box::new(server_report()));
        state.handle(Event::Server(name.to_owned(), START, report));
    }
    let ended = json!({"enqueued_at": START.as_micros() - 900_000_000, "assigned_at": START.as_micros() - 890_000_000,
        "started_at": START.as_micros() - 880_000_000});
    for event in [
        event("job_started", "r", 5, 2095, &json!({})),
        event("job_finished", "f", 4, 60, &ended),
        event("job_abandoned", "g", 3, 30, &json!({})),
    ] {
        state.handle(event);
    }
    state
}

/// Presses keys: characters, or the names of other keys in angle brackets.
pub fn press(state: &mut State, keys: &str) -> Option<Effect> {
    let mut effect = None;
    let mut rest = keys;
    while let Some(first) = rest.chars().next() {
        let (name, after) = match rest.strip_prefix('<') {
            Some(named) => named.split_once('>').unwrap(),
            None => rest.split_at(first.len_utf8()),
        };
        rest = after;
        let code = match name {
            "enter" => KeyCode::Enter,
            "esc" => KeyCode::Esc,
            "down" => KeyCode::Down,
            "backspace" => KeyCode::Backspace,
            "end" => KeyCode::End,
            one => KeyCode::Char(one.chars().next().unwrap()),
        };
        effect = state.handle(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }
    effect
}

fn notice(state: &State) -> &str {
    match &state.notice {
        Some((Ok(text) | Err(text), _)) => text,
        None => "",
    }
}

fn withdrawal_of(unique_id: &str) -> Option<Effect> {
    let public_id = public_id(unique_id).parse().unwrap();
    Some(Effect::Change(Change::Withdraw(public_id)))
}

#[test]
fn a_job_is_withdrawn_only_after_a_confirmation() {
    let mut state = state(Look::PLAIN);
    assert_eq!(press(&mut state, "w"), None);
    assert!(matches!(state.mode, Mode::Confirm { .. }));
    assert_eq!(press(&mut state, "n"), None);
    assert_eq!(notice(&state), "Nothing was changed");
    assert_eq!(press(&mut state, "wy"), withdrawal_of("a"));
    assert_eq!(state.mode, Mode::List);
}

#[test]
fn a_question_is_about_the_job_that_was_selected() {
    let mut state = state(Look::PLAIN);
    press(&mut state, "w");
    // The first job gets its runners, so that another one is at its place.
    let mut moved = dashboard();
    moved.profiles[0].jobs.remove(0);
    state.handle(Event::Dashboard(START, Ok(Box::new(moved))));
    assert_eq!(press(&mut state, "y"), withdrawal_of("a"));
}

#[test]
fn a_profile_is_paused_with_a_note_and_resumed() {
    let mut state = state(Look::PLAIN);
    let change = |profile: &str, note: &str| {
        let (profile, note) = (profile.parse().unwrap(), note.to_owned());
        Some(Effect::Change(Change::Pause { profile, note }))
    };
    // The profile of the selected job is chosen already.
    let effect = press(&mut state, "p<enter>a disk<enter>");
    assert_eq!(effect, change("linux", "a disk"));
    let effect = press(&mut state, "p<down><down><enter><enter>");
    assert_eq!(effect, change("windows", ""));
    assert_eq!(press(&mut state, "p<esc>"), None);
    assert_eq!(state.mode, Mode::List);
    let mut paused = dashboard();
    paused.profiles[0].paused =
        Some(serde_json::from_value(json!({"since": 1, "note": "x"})).unwrap());
    state.handle(Event::Dashboard(START, Ok(Box::new(paused))));
    assert_eq!(press(&mut state, "p<enter>n"), None);
    let resume = Change::Resume {
        profile: "linux".parse().unwrap(),
    };
    assert_eq!(press(&mut state, "p<enter>y"), Some(Effect::Change(resume)));
}

#[test]
fn without_a_token_nothing_can_be_changed() {
    let mut state = state(Look::PLAIN);
    state.can_change = false;
    for keys in ["1w", "5d", "5u", "4x", "1p", "5b"] {
        press(&mut state, keys);
        assert_eq!(state.mode, Mode::List, "{keys}");
        let expected = "Changes need the API token";
        assert!(notice(&state).starts_with(expected), "{keys}");
    }
}

#[test]
fn a_server_is_drained_with_a_note_and_a_runner_is_destroyed() {
    let mut state = state(Look::PLAIN);
    let server = FIRST_SERVER.to_owned();
    let drain = Change::Drain {
        server: server.clone(),
        note: "a disk".to_owned(),
    };
    let keys = "5da q<backspace>disk<enter>";
    assert_eq!(press(&mut state, keys), Some(Effect::Change(drain)));
    assert_eq!(press(&mut state, "d<esc>"), None);
    let undrain = Change::Undrain {
        server: DRAINED.to_owned(),
    };
    let effect = press(&mut state, "<end>uy");
    assert_eq!(effect, Some(Effect::Change(undrain)));
    let destroy = Change::DestroyRunner { server, id: 8 };
    let effect = press(&mut state, "4<down>xy");
    assert_eq!(effect, Some(Effect::Change(destroy)));
}

#[test]
fn an_image_is_rebuilt_after_a_note_and_an_order_is_cancelled() {
    let mut state = state(Look::PLAIN);
    let server = FIRST_SERVER.to_owned();
    let windows: ProfileKey = "windows".parse().unwrap();
    let rebuild = Change::Rebuild {
        server: server.clone(),
        profile: windows.clone(),
        note: "new sdk".to_owned(),
    };
    let effect = press(&mut state, "5b<down><enter>new sdk<enter>");
    assert_eq!(effect, Some(Effect::Change(rebuild)));
    let mut report = server_report();
    let order = serde_json::json!({"since": 7, "note": "new sdk", "author": "alice@laptop"});
    let order = serde_json::from_value(order).unwrap();
    report.rebuilds.insert(windows.clone(), order);
    state.handle(Event::Server(server.clone(), START, Ok(Box::new(report))));
    assert_eq!(press(&mut state, "b<down><enter>"), None);
    let Mode::Confirm { question, .. } = &state.mode else {
        panic!("{:?}", state.mode);
    };
    assert!(
        question.contains("ordered by alice@laptop since 1970-01-01"),
        "{question}"
    );
    let cancel = Change::CancelRebuild {
        server,
        profile: windows,
    };
    assert_eq!(press(&mut state, "y"), Some(Effect::Change(cancel)));
}

#[test]
fn a_row_keeps_its_selection_when_it_moves() {
    let mut state = state(Look::PLAIN);
    press(&mut state, "<down>");
    let rows = state.rows();
    let key = rows[state.selected(&rows).unwrap()].key.clone();
    assert_eq!(key, public_id("b"));
    let mut moved = dashboard();
    moved.profiles[0].jobs.remove(0);
    state.handle(Event::Dashboard(START, Ok(Box::new(moved))));
    let rows = state.rows();
    assert_eq!(rows[state.selected(&rows).unwrap()].key, key);
    // Once it is gone, what is at its place is selected.
    let mut gone = dashboard();
    gone.profiles[0].jobs.truncate(1);
    state.handle(Event::Dashboard(START, Ok(Box::new(gone))));
    assert_eq!(state.selected(&state.rows()), Some(0));
}

#[test]
fn a_filter_leaves_the_rows_that_have_its_text() {
    let mut state = state(Look::PLAIN);
    press(&mut state, "/RUN 12<enter>");
    let rows = state.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].key, public_id("b"));
    // While a filter is typed, q is a letter of it.
    assert_eq!(press(&mut state, "/q<esc>"), None);
    assert_eq!(state.rows().len(), 3);
    assert_eq!(press(&mut state, "q"), Some(Effect::Quit));
}

#[test]
fn the_first_of_several_failures_tells_since_when() {
    let mut state = state(Look::PLAIN);
    let later = |seconds| START + Duration::from_secs(seconds);
    for seconds in [1, 2, 3] {
        let failure = Err(format!("{seconds}"));
        state.handle(Event::Dashboard(later(seconds), failure));
    }
    assert_eq!(state.queue.failure, Some((later(1), "3".to_owned())));
    assert!(state.is_outdated() && state.rows().len() == 3);
    state.handle(Event::Dashboard(later(4), Ok(Box::new(dashboard()))));
    assert!(!state.is_outdated());
}

#[test]
fn details_ask_for_the_story_of_a_job_and_show_it() {
    let mut state = state(Look::PLAIN);
    let unique_id: UniqueId = public_id("a").parse().unwrap();
    let effect = press(&mut state, "<enter>");
    assert_eq!(effect, Some(Effect::GetStory(unique_id.clone())));
    let other: UniqueId = "b".parse().unwrap();
    for (id, line) in [(other, "of another job"), (unique_id, "enqueued")] {
        state.handle(Event::Story(id.to_string(), Ok(vec![line.to_owned()])));
    }
    let (title, lines) = state.details().unwrap();
    assert_eq!(title, format!("Job {}", public_id("a")));
    assert_eq!(lines.last().unwrap(), "enqueued");
    assert!(!lines.contains(&"of another job".to_owned()));
    press(&mut state, "<esc>");
    assert_eq!(state.details(), None);
}

#[test]
fn details_of_a_runner_have_its_story_and_the_output_of_its_guest() {
    let mut state = state(Look::PLAIN);
    let effect = press(&mut state, "4<down><enter>");
    let server = FIRST_SERVER.to_owned();
    assert_eq!(effect, Some(Effect::GetRunner { server, id: 8 }));
    for id in [7, 8] {
        let line = format!("printed by {id}");
        state.handle(Event::Story(runner_key(FIRST_SERVER, id), Ok(vec![line])));
    }
    let (_, lines) = state.details().unwrap();
    assert_eq!(lines.last().unwrap(), "printed by 8");
    assert!(!lines.contains(&"printed by 7".to_owned()));
    press(&mut state, "<esc>");
    // Without a token there is nothing to ask with.
    state.can_change = false;
    assert_eq!(press(&mut state, "<enter>"), None);
}

#[test]
fn a_message_about_a_change_goes_away() {
    let mut state = state(Look::PLAIN);
    state.handle(Event::Changed(Ok("done".to_owned())));
    state.handle(Event::Tick(START + NOTICE_SHOWN / 2));
    assert_eq!(notice(&state), "done");
    state.handle(Event::Tick(START + NOTICE_SHOWN));
    assert_eq!(state.notice, None);
}

#[test]
fn a_server_that_the_queue_does_not_have_any_more_is_forgotten() {
    let mut state = state(Look::PLAIN);
    let mut fewer = dashboard();
    fewer.servers.truncate(1);
    state.handle(Event::Dashboard(START, Ok(Box::new(fewer))));
    assert_eq!(state.servers.len(), 1);
}

#[test]
fn a_duration_takes_few_columns() {
    for (seconds, text) in [
        (0, "0s"),
        (59, "59s"),
        (372, "6m12s"),
        (11_100, "3h05m"),
        (187_200, "2d04h"),
    ] {
        assert_eq!(clock(seconds), text);
    }
}
