//! Renders text tables, as wide as their cells or as the terminal. Pure.

use shared::text::printable;

use crate::terminal::{Colour, Look, width, wrapped};

/// Blanks between two columns.
const GAP: usize = 2;
/// A last column with less room than this is printed below its row.
const LAST_MIN: usize = 24;
/// No column is made narrower than this.
const COLUMN_MIN: usize = 6;
/// How far a last column below its row is indented.
const INDENT: &str = "    ";

/// A cell of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// Its colour.
    pub colour: Option<Colour>,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, colour: None }
    }
}

impl Cell {
    /// The same, without characters that could do more than be shown.
    fn cleaned(self) -> Self {
        let text = printable(&self.text).into_owned();
        Self { text, ..self }
    }

    /// A cell with a colour.
    pub fn coloured(text: impl Into<String>, colour: Colour) -> Self {
        Self {
            text: text.into(),
            colour: Some(colour),
        }
    }
}

/// A table of `rows` under `head`: each column as wide as its widest cell, two blanks between columns, no
/// trailing blanks, no final line break.
///
/// On a terminal it is no wider than the terminal: the last column is wrapped, and only if the others have too
/// little room for themselves, the widest of them is cut.
pub fn table<const N: usize, C: Clone + Into<Cell>>(
    look: Look,
    head: [&str; N],
    rows: &[[C; N]],
) -> String {
    let head = head.map(|text| Cell::coloured(text, Colour::Head));
    let rows = rows.iter().map(|row| row.clone().map(Into::into));
    let all: Vec<[Cell; N]> = std::iter::once(head).chain(rows).collect();
    rows_alone(look, &all)
}

/// A table without a head.
pub fn rows_alone<const N: usize>(look: Look, rows: &[[Cell; N]]) -> String {
    let rows = rows.iter().map(|row| row.clone().map(Cell::cleaned));
    let rows: Vec<[Cell; N]> = rows.collect();
    let layout = Layout::of(look, &rows);
    let lines = rows.iter().flat_map(|row| layout.lines(look, row));
    lines.collect::<Vec<_>>().join("\n")
}

/// Where the columns of a table are.
struct Layout {
    widths: Vec<usize>,
    /// Whether the last column is below its row.
    is_last_below: bool,
}

impl Layout {
    fn of<const N: usize>(look: Look, rows: &[[Cell; N]]) -> Self {
        let widest = |column: usize| rows.iter().map(|row| width(&row[column].text)).max();
        let mut natural: Vec<usize> = (0..N).map(|column| widest(column).unwrap_or(0)).collect();
        let is_too_wide = |widths: &[usize], screen| {
            widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1) > screen
        };
        let Some(screen) = look.width.filter(|screen| is_too_wide(&natural, *screen)) else {
            return Self {
                widths: natural,
                is_last_below: false,
            };
        };
        let last = natural.pop().unwrap_or(0);
        let others: usize = natural.iter().map(|width| width + GAP).sum();
        let is_last_below = others + LAST_MIN.min(last) > screen;
        if !is_last_below {
            natural.push(screen - others);
            return Self {
                widths: natural,
                is_last_below,
            };
        }
        let columns: Vec<Fit> = natural
            .iter()
            .map(|&width| Fit {
                width,
                width_min: COLUMN_MIN.min(width),
            })
            .collect();
        let gaps = GAP * columns.len().saturating_sub(1);
        let mut widths = fit(&columns, screen.saturating_sub(gaps));
        widths.push(screen.saturating_sub(INDENT.len()).max(COLUMN_MIN));
        Self {
            widths,
            is_last_below,
        }
    }

    fn lines<const N: usize>(&self, look: Look, row: &[Cell; N]) -> Vec<String> {
        let Some((last, others)) = row.split_last() else {
            return Vec::new();
        };
        let mut line = String::new();
        for (cell, &to) in others.iter().zip(&self.widths) {
            let text = look.cut(&cell.text, to);
            let blanks = " ".repeat(to.saturating_sub(width(&text)) + GAP);
            line += &painted(look, cell.colour, &text);
            line += &blanks;
        }
        let last_width = self.widths.last().copied().unwrap_or(0);
        let parts = match width(&last.text) > last_width {
            true => wrapped(&last.text, last_width),
            false => vec![last.text.clone()],
        };
        let mut lines = Vec::new();
        if self.is_last_below {
            lines.push(line.trim_end().to_owned());
            line = INDENT.to_owned();
        }
        let indent = match self.is_last_below {
            true => INDENT.to_owned(),
            false => " ".repeat(line_width(&self.widths)),
        };
        for (index, part) in parts.iter().enumerate() {
            if part.is_empty() && index == 0 && self.is_last_below {
                continue;
            }
            let start = if index == 0 { &line } else { &indent };
            let text = format!("{start}{}", painted(look, last.colour, part));
            lines.push(text.trim_end().to_owned());
        }
        lines
    }
}

/// The width of everything before the last column.
fn line_width(widths: &[usize]) -> usize {
    let others = widths.iter().rev().skip(1);
    others.map(|width| width + GAP).sum()
}

fn painted(look: Look, colour: Option<Colour>, text: &str) -> String {
    match colour {
        Some(colour) => look.paint(colour, text),
        None => text.to_owned(),
    }
}

/// How wide a column would be, and how narrow it may be made.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// The width of its widest cell.
    pub width: usize,
    /// The smallest width, at most `width`.
    pub width_min: usize,
}

/// The widths of columns that together have `room`: the widest column that may be narrower gives way first. If
/// all are as narrow as they may be, they can be wider than the room.
pub fn fit(columns: &[Fit], room: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = columns.iter().map(|column| column.width).collect();
    let mut excess = widths.iter().sum::<usize>().saturating_sub(room);
    while excess > 0 {
        let may_shrink = (0..columns.len()).filter(|&it| widths[it] > columns[it].width_min);
        let Some(widest) = may_shrink.max_by_key(|&it| widths[it]) else {
            break;
        };
        widths[widest] -= 1;
        excess -= 1;
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [[String; 3]; 2] {
        [
            ["linux".into(), "1".into(), "all runners are busy".into()],
            ["é".into(), "1000".into(), "it is next".into()],
        ]
    }

    fn on_terminal(width: usize) -> Look {
        Look {
            width: Some(width),
            ..Look::PLAIN
        }
    }

    #[test]
    fn a_column_is_as_wide_as_its_widest_cell() {
        let rows = rows().map(|[a, b, _]| [a, b]);
        assert_eq!(
            table(Look::PLAIN, ["Profile", "N"], &rows),
            "Profile  N\nlinux    1\né        1000"
        );
    }

    #[test]
    fn a_table_without_rows_is_its_head() {
        assert_eq!(table::<2, String>(Look::PLAIN, ["A", "B"], &[]), "A  B");
    }

    #[test]
    fn nothing_is_cut_where_there_is_no_terminal() {
        let long = [["a".repeat(500), "b".repeat(500)]];
        let text = table(Look::PLAIN, ["A", "B"], &long);
        assert!(text.contains(&"a".repeat(500)) && text.contains(&"b".repeat(500)));
    }

    #[test]
    fn on_a_terminal_the_last_column_is_wrapped() {
        let mut rows = rows();
        rows[0][2] = "all runners are busy, and two are missing".into();
        insta::assert_snapshot!(table(on_terminal(40), ["PROFILE", "N", "REASON"], &rows), @"
        PROFILE  N     REASON
        linux    1     all runners are busy, and
                       two are missing
        é        1000  it is next
        ");
    }

    #[test]
    fn a_last_column_without_room_is_below_its_row() {
        insta::assert_snapshot!(table(on_terminal(20), ["PROFILE", "N", "REASON"], &rows()), @"
        PROFILE  N
            REASON
        linux    1
            all runners are
            busy
        é        1000
            it is next
        ");
    }

    #[test]
    fn the_widest_column_gives_way_first() {
        let columns = [(10, 4), (8, 8), (20, 5)].map(|(width, width_min)| Fit { width, width_min });
        for (room, widths) in [
            (40, [10, 8, 20]),
            (30, [10, 8, 12]),
            (24, [8, 8, 8]),
            (17, [4, 8, 5]),
            (1, [4, 8, 5]),
        ] {
            assert_eq!(fit(&columns, room), widths, "{room}");
        }
    }
}
