//! What lies over the list: details, help, a question.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    symbols::border,
    text::{Line, Span},
    widgets::{Block, Clear, Paragraph},
};

use super::theme::{Cell, Theme};
use crate::{
    output::printable,
    terminal::{width, wrapped},
    top::state::{Mode, Order, Purpose, State, short_name},
};

const ASCII_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// How far the further lines of a long line are indented.
const INDENT: &str = "    ";

const HELP: [(&str, &str); 16] = [
    ("1 to 6, Tab", "another list"),
    ("arrows, j k, PgUp PgDn", "select a row"),
    ("Enter", "everything about the selected row"),
    ("/", "show only rows with a text; Esc shows all"),
    ("w", "withdraw the selected job"),
    ("d", "drain the selected server, with a note"),
    ("u", "end the drain of the selected server"),
    ("x", "destroy the selected runner"),
    ("p", "pause or resume a profile"),
    ("b", "rebuild an image of the selected server"),
    ("q, Ctrl-C", "quit"),
    ("", ""),
    ("NEXT, EMPTY", "when the first and the last job get runners"),
    ("~2 min (≤ 8 min)", "about 2 min; 9 of 10 jobs within 8 min"),
    ("live", "every change at once; polling: once a second"),
    ("!", "a problem; the list Problems has its remedy"),
];

/// Draws it, if there is something to draw.
pub fn draw(state: &State, theme: Theme, frame: &mut Frame<'_>) {
    match &state.mode {
        Mode::List | Mode::Filter => {}
        Mode::Help => help(theme, frame),
        Mode::Confirm { question, .. } => {
            let lines = vec![question.clone(), String::new(), "y: yes   n: no".to_owned()];
            dialog(theme, frame, "Confirm", &lines);
        }
        Mode::Note { order, note } => {
            let (title, what, verb) = match order {
                Order::Drain(server) => {
                    let name = short_name(server);
                    let what = format!("Drain {name}: running jobs go on, no others start.");
                    ("Drain", what, "drain")
                }
                Order::Pause(profile) => {
                    let what = format!("Pause {profile}: its jobs wait, running ones go on.");
                    ("Pause", what, "pause")
                }
                Order::Rebuild(server, profile) => {
                    let name = short_name(server);
                    let what = format!(
                        "Rebuild the image of {profile} on {name}: its runners are made from the \
                         present one meanwhile."
                    );
                    ("Rebuild", what, "rebuild")
                }
            };
            let lines = vec![
                what,
                format!("Why: {note}{}", theme.cursor()),
                String::new(),
                format!("Enter: {verb}   Esc: leave it"),
            ];
            dialog(theme, frame, title, &lines);
        }
        Mode::Profiles { purpose, selected } => {
            let mut lines = profiles(state, purpose, selected, usize::from(frame.area().height));
            let (title, verb) = match purpose {
                Purpose::Pause => ("Pause or resume which profile?", "pause or resume"),
                Purpose::Rebuild(_) => ("Rebuild the image of which profile?", "rebuild or cancel"),
            };
            let keys = format!("Enter: {verb}   Up Down: another   Esc: leave it");
            lines.extend([String::new(), keys]);
            dialog(theme, frame, title, &lines);
        }
        Mode::Details { scroll, .. } => details(state, theme, frame, *scroll),
    }
}

/// The profiles around the selected one that a screen of this height has room for, each with what is in force.
fn profiles(state: &State, purpose: &Purpose, selected: &str, height: usize) -> Vec<String> {
    let profiles = state.profiles_for(purpose);
    let place = profiles.iter().position(|it| *it == selected);
    let room = height.saturating_sub(6).max(1);
    let first = place.unwrap_or(0).saturating_sub(room / 2);
    let in_force = |profile: &str| match purpose {
        Purpose::Pause => {
            let mut all = state.queue.get().into_iter().flat_map(|it| &it.profiles);
            let found = all.find(|it| it.profile_key == profile)?;
            Some(format!("paused {}", found.paused.as_ref()?))
        }
        Purpose::Rebuild(server) => {
            let order = state.rebuild_order(server, profile)?;
            Some(format!("rebuild ordered {order}"))
        }
    };
    let lines = profiles.iter().skip(first).take(room).map(|profile| {
        let mark = if *profile == selected { '>' } else { ' ' };
        let key = printable(profile, 64);
        match in_force(profile) {
            Some(in_force) => printable(&format!("{mark} {key}: {in_force}"), 400),
            None => format!("{mark} {key}"),
        }
    });
    lines.collect()
}

fn help(theme: Theme, frame: &mut Frame<'_>) {
    let mut lines: Vec<Line<'static>> = HELP
        .iter()
        .map(|(key, meaning)| {
            let key = match theme.is_unicode() {
                true => (*key).to_owned(),
                false => key.replace('≤', "<="),
            };
            Line::from(vec![
                Span::styled(format!("{key:<24}"), theme.head()),
                Span::raw(*meaning),
            ])
        })
        .collect();
    let mut bar = vec![Span::styled(format!("{:<24}", "bar"), theme.head())];
    for cell in Cell::ALL {
        bar.push(Span::styled(theme.bar(cell), theme.cell(cell)));
        bar.push(Span::raw(format!(" {}  ", cell.name())));
    }
    lines.push(Line::from(bar));
    let area = centred(frame.area(), 78, lines.len() + 2);
    boxed(theme, frame, area, "Help", lines);
}

fn dialog(theme: Theme, frame: &mut Frame<'_>, title: &str, lines: &[String]) {
    let screen = frame.area();
    let inner_max = usize::from(screen.width.saturating_sub(6)).min(90);
    let lines: Vec<String> = lines
        .iter()
        .flat_map(|line| wrapped_line(line, inner_max))
        .collect();
    let widest = lines.iter().map(|line| width(line)).max().unwrap_or(0);
    let area = centred(screen, widest + 4, lines.len() + 2);
    let lines = lines.into_iter().map(Line::raw).collect();
    boxed(theme, frame, area, title, lines);
}

fn details(state: &State, theme: Theme, frame: &mut Frame<'_>, scroll: u16) {
    let Some((title, lines)) = state.details() else {
        return;
    };
    let screen = frame.area();
    let area = Rect::new(
        screen.x + 1,
        screen.y + 2,
        screen.width.saturating_sub(2),
        screen.height.saturating_sub(3),
    );
    let inner_width = usize::from(area.width.saturating_sub(4));
    let lines: Vec<String> = lines
        .iter()
        .flat_map(|line| wrapped_line(line, inner_width))
        .collect();
    let room = usize::from(area.height.saturating_sub(2));
    let last_scroll = lines.len().saturating_sub(room);
    let scroll = usize::from(scroll).min(last_scroll);
    let more = lines.len().saturating_sub(scroll + room);
    let title = match more {
        0 => format!("{title}  (Esc: back)"),
        more => format!("{title}  (Esc: back; {more} more lines: Down)"),
    };
    let lines = lines.into_iter().skip(scroll).map(Line::raw).collect();
    boxed(theme, frame, area, &title, lines);
}

/// A line in lines that fit, of which the others are indented if the first one has columns.
fn wrapped_line(line: &str, width_max: usize) -> Vec<String> {
    if width(line) <= width_max {
        return vec![line.to_owned()];
    }
    // What stands before the last column stays as it is.
    let (columns, rest) = match line.rfind("  ").map(|at| line.split_at(at + 2)) {
        Some((columns, rest)) if width(columns) < width_max => (columns, rest),
        _ => return wrapped(line, width_max),
    };
    let first_width = width_max - width(columns);
    let mut lines = wrapped(rest, first_width);
    let others = lines.split_off(1).join(" ");
    let mut all = vec![format!("{columns}{}", lines.concat())];
    if !others.is_empty() {
        let others = wrapped(&others, width_max.saturating_sub(INDENT.len()));
        all.extend(others.iter().map(|line| format!("{INDENT}{line}")));
    }
    all
}

fn boxed(theme: Theme, frame: &mut Frame<'_>, area: Rect, title: &str, lines: Vec<Line<'_>>) {
    let borders = match theme.is_unicode() {
        true => border::ROUNDED,
        false => ASCII_BORDER,
    };
    let block = Block::bordered()
        .border_set(borders)
        .title(Span::styled(format!(" {title} "), theme.head()))
        .padding(ratatui::widgets::Padding::horizontal(1));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).style(Style::new()).block(block), area);
}

/// An area in the middle of the screen, at most as large as the screen.
fn centred(screen: Rect, width: usize, height: usize) -> Rect {
    let size = |size: usize, max: u16| u16::try_from(size).unwrap_or(max).min(max);
    let (width, height) = (size(width, screen.width), size(height, screen.height));
    Rect::new(
        screen.x + (screen.width - width) / 2,
        screen.y + (screen.height - height) / 2,
        width,
        height,
    )
}
