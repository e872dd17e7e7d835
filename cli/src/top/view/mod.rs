//! Draws the state of `ci-runners top`. Pure: the same state makes the same screen.
//!
//! - `theme`: colours and characters
//! - `overview`: head, problems and profiles
//! - `list`: the rows of the list that is shown
//! - `overlay`: details, help, questions
//!
//! From top to bottom: head, problems, profiles, the names of the lists, the list, and the keys.

mod list;
mod overlay;
mod overview;
mod theme;

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
};

use self::theme::Theme;
use super::state::{Mode, State, Tab};

/// The smallest screen that is drawn.
const WIDTH_MIN: u16 = 40;
const HEIGHT_MIN: u16 = 12;

/// Draws `state` on the whole screen.
pub fn draw(state: &State, frame: &mut Frame<'_>) {
    let theme = Theme::of(state.look);
    let area = frame.area();
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        let text = format!("too small: at least {WIDTH_MIN} x {HEIGHT_MIN}");
        return line(frame, area, 0, Line::raw(text));
    }
    let mut lines = vec![overview::head(state, theme, area.width)];
    let body_from = lines.len();
    lines.extend(overview::problems(state, theme, area));
    lines.extend(overview::profiles(state, theme, area));
    lines.push(tabs(state, theme));
    let list_height = usize::from(area.height).saturating_sub(lines.len() + 1);
    lines.extend(list::list(state, theme, area.width, list_height));
    for (y, content) in lines.into_iter().enumerate() {
        let content = match state.is_outdated() && y >= body_from {
            true => content.patch_style(Style::new().add_modifier(Modifier::DIM)),
            false => content,
        };
        line(frame, area, y, content);
    }
    let last = usize::from(area.height) - 1;
    line(frame, area, last, footer(state, theme, area.width));
    overlay::draw(state, theme, frame);
}

/// Draws a line at the row `y` of an area.
fn line(frame: &mut Frame<'_>, area: Rect, y: usize, content: Line<'_>) {
    let Ok(y) = u16::try_from(y) else { return };
    if y < area.height {
        let row = Rect::new(area.x, area.y + y, area.width, 1);
        frame.render_widget(content, row);
    }
}

/// The names of the lists, with the number of rows in each.
fn tabs(state: &State, theme: Theme) -> Line<'static> {
    let mut spans = Vec::new();
    for (index, tab) in Tab::ALL.into_iter().enumerate() {
        let count = count(state, tab);
        let text = format!("{} {} {count}", index + 1, tab.name());
        spans.push(match tab == state.tab {
            true => Span::styled(format!("[{text}]"), theme.head()),
            false => Span::styled(format!(" {text} "), theme.dim()),
        });
    }
    Line::from(spans)
}

/// How many rows a list has; of the jobs that wait or run, how many the queue has.
fn count(state: &State, tab: Tab) -> usize {
    let dashboard = state.queue.get().filter(|_| state.filter.is_empty());
    match (tab, dashboard) {
        (Tab::Waiting, Some(dashboard)) => dashboard.waiting_count,
        (Tab::Running, Some(dashboard)) => dashboard.assigned_count,
        _ => state.rows_of(tab).len(),
    }
}

/// The last line: what is typed, what became of the last change, or the keys.
fn footer(state: &State, theme: Theme, width: u16) -> Line<'static> {
    if let Some((notice, _)) = &state.notice {
        let (text, style) = match notice {
            Ok(done) => (done, theme.good()),
            Err(failed) => (failed, theme.error()),
        };
        let text = state.look.cut(text, usize::from(width).saturating_sub(2));
        return Line::styled(format!(" {text}"), style);
    }
    if state.mode == Mode::Filter {
        return Line::from(vec![
            Span::styled(" filter: ", theme.head()),
            Span::raw(state.filter.clone()),
            Span::styled(theme.cursor(), theme.head()),
        ]);
    }
    if matches!(state.mode, Mode::Details { .. }) {
        return key_line(theme, &[("Up Down", "scroll"), ("Esc", "back")]);
    }
    let mut keys = vec![("Enter", "details")];
    keys.extend(match state.tab {
        Tab::Waiting | Tab::Running => vec![("w", "withdraw"), ("p", "pause")],
        Tab::Runners => vec![("x", "destroy"), ("d u", "drain, undrain"), ("p", "pause")],
        Tab::Servers => vec![("d u", "drain, undrain"), ("b", "rebuild"), ("p", "pause")],
        Tab::Finished | Tab::Problems => vec![("p", "pause")],
    });
    keys.extend([("/", "filter"), ("?", "help"), ("q", "quit")]);
    key_line(theme, &keys)
}

fn key_line(theme: Theme, keys: &[(&'static str, &str)]) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    for (key, meaning) in keys {
        spans.push(Span::styled(*key, theme.head()));
        spans.push(Span::styled(format!(" {meaning}  "), theme.dim()));
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests;
