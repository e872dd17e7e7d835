//! The rows of the list that is shown, in columns that fit the screen.

use ratatui::text::{Line, Span};

use super::theme::Theme;
use crate::{
    table::{Fit, fit},
    terminal::width,
    top::state::{State, Tab},
};

/// Blanks between two columns.
const GAP: usize = 2;

/// The head, and as many rows around the selected one as `height` has room for.
pub fn list(state: &State, theme: Theme, screen_width: u16, height: usize) -> Vec<Line<'static>> {
    let rows = state.rows();
    if rows.is_empty() {
        return vec![Line::raw(""), Line::styled(nothing(state), theme.dim())];
    }
    let columns = state.tab.columns();
    let selected = state.selected(&rows).unwrap_or(0);
    let room = height.saturating_sub(1).max(1);
    let first = first_shown(selected, rows.len(), room);
    let shown = &rows[first..(first + room).min(rows.len())];
    let natural: Vec<Fit> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let cells = shown.iter().map(|row| width(&row.cells[index]));
            let width = cells.max().unwrap_or(0).max(width(column.head));
            Fit {
                width,
                width_min: column.width_min.unwrap_or(width).min(width),
            }
        })
        .collect();
    let gaps = GAP * (columns.len() - 1) + 1;
    let widths = fit(&natural, usize::from(screen_width).saturating_sub(gaps));
    let heads: Vec<String> = columns.iter().map(|it| it.head.to_owned()).collect();
    let mut lines = vec![Line::styled(text(state, &heads, &widths), theme.head())];
    lines.extend(shown.iter().enumerate().map(|(index, row)| {
        let line = text(state, &row.cells, &widths);
        match first + index == selected {
            true => {
                let line = format!(">{}", line.get(1..).unwrap_or_default());
                let blanks = usize::from(screen_width).saturating_sub(width(&line));
                let line = Span::raw(format!("{line}{}", " ".repeat(blanks)));
                Line::from(line.style(theme.tone(row.tone).patch(theme.selected())))
            }
            false => Line::styled(line, theme.tone(row.tone)),
        }
    }));
    lines
}

/// The first row that is shown, so that the selected one is among those that are.
fn first_shown(selected: usize, count: usize, room: usize) -> usize {
    let before = selected.saturating_sub(room / 2);
    before.min(count.saturating_sub(room))
}

fn text(state: &State, cells: &[String], widths: &[usize]) -> String {
    let columns = state.tab.columns().iter();
    let cells = cells
        .iter()
        .zip(widths)
        .zip(columns)
        .map(|((cell, &to), column)| {
            let cell = match column.keeps_end {
                true => state.look.cut_start(cell, to),
                false => state.look.cut(cell, to),
            };
            let blanks = " ".repeat(to - width(&cell));
            format!("{cell}{blanks}")
        });
    let cells: Vec<String> = cells.collect();
    format!(" {}", cells.join(&" ".repeat(GAP)))
}

/// What is shown instead of an empty list.
fn nothing(state: &State) -> String {
    if !state.filter.is_empty() {
        return format!(" Nothing has \"{}\". Esc ends the filter.", state.filter);
    }
    let text = match (state.tab, state.queue.get()) {
        (_, None) => "Nothing is known of the queue yet.",
        (Tab::Waiting, _) => "No job waits.",
        (Tab::Running, _) => "No job runs.",
        (Tab::Finished, _) => "No job has ended, as far as the events reach back.",
        (Tab::Runners, _) => "No server has answered from here yet.",
        (Tab::Servers, _) => "The queue has no servers.",
        (Tab::Problems, _) => "No problems.",
    };
    format!(" {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_row_is_always_shown() {
        for (selected, count, room, first) in [
            (0, 3, 10, 0),
            (0, 30, 10, 0),
            (5, 30, 10, 0),
            (9, 30, 10, 4),
            (29, 30, 10, 20),
            (2, 3, 1, 2),
        ] {
            let found = first_shown(selected, count, room);
            assert_eq!(found, first, "{selected} of {count} in {room}");
            assert!((found..found + room).contains(&selected));
        }
    }
}
