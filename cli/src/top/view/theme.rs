//! Colours and characters. Without colours, everything is shown by text and weight alone.

use ratatui::style::{Color, Modifier, Style};

use crate::{terminal::Look, top::state::Tone};

/// How the screen looks.
#[derive(Clone, Copy, Debug)]
pub struct Theme(Look);

/// A runner in the bar of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Busy,
    Reserved,
    Idle,
    Starting,
    Missing,
}

impl Cell {
    pub const ALL: [Self; 5] = [
        Self::Busy,
        Self::Reserved,
        Self::Idle,
        Self::Starting,
        Self::Missing,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Reserved => "reserved",
            Self::Idle => "idle",
            Self::Starting => "starting",
            Self::Missing => "missing",
        }
    }
}

impl Theme {
    pub fn of(look: Look) -> Self {
        Self(look)
    }

    fn coloured(self, colour: Color, without: Modifier) -> Style {
        match self.0.has_colour {
            true => Style::new().fg(colour),
            false => Style::new().add_modifier(without),
        }
    }

    pub fn error(self) -> Style {
        self.coloured(Color::Red, Modifier::BOLD)
    }

    pub fn warning(self) -> Style {
        self.coloured(Color::Yellow, Modifier::empty())
    }

    pub fn good(self) -> Style {
        self.coloured(Color::Green, Modifier::empty())
    }

    pub fn head(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub fn tone(self, tone: Tone) -> Style {
        match tone {
            Tone::Error => self.error(),
            Tone::Warning => self.warning(),
            Tone::Normal => Style::new(),
            Tone::Dim => self.dim(),
        }
    }

    pub fn cell(self, cell: Cell) -> Style {
        match cell {
            Cell::Busy => self.coloured(Color::Blue, Modifier::empty()),
            Cell::Reserved => self.coloured(Color::Magenta, Modifier::empty()),
            Cell::Idle => self.good(),
            Cell::Starting => self.warning(),
            Cell::Missing => self.coloured(Color::Red, Modifier::empty()),
        }
    }

    /// The character of a runner in a bar; each kind has one of its own, for screens without colours.
    pub fn bar(self, cell: Cell) -> &'static str {
        let (unicode, ascii) = match cell {
            Cell::Busy => ("■", "#"),
            Cell::Reserved => ("▣", "="),
            Cell::Idle => ("□", "o"),
            Cell::Starting => ("▒", "+"),
            Cell::Missing => ("░", "."),
        };
        if self.0.is_unicode { unicode } else { ascii }
    }

    pub fn cursor(self) -> &'static str {
        if self.0.is_unicode { "▏" } else { "_" }
    }

    pub fn is_unicode(self) -> bool {
        self.0.is_unicode
    }
}
