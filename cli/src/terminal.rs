//! What the terminal can show: its width, colours, characters beyond ASCII.
//!
//! Responsible for the rules: colours only on a terminal and without `NO_COLOR`, ASCII only where the locale
//! demands it. Widths are those of a terminal, in columns.

use std::io::{self, IsTerminal};

use ratatui::crossterm::terminal;
use shared::settings::Environment;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The variables that are read.
pub const VARIABLES: [&str; 5] = ["NO_COLOR", "TERM", "LC_ALL", "LC_CTYPE", "LANG"];
/// The size of a terminal that does not say it, and the smallest width that is believed.
const WIDTH_DEFAULT: usize = 80;
const HEIGHT_DEFAULT: usize = 24;
const WIDTH_MIN: usize = 20;

/// What follows the escape character where a colour ends.
const COLOUR_END: &str = "[0m";

/// How output looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The width of the terminal; `None` if the output is none, so that nothing is cut.
    pub width: Option<usize>,
    /// Whether there are colours.
    pub has_colour: bool,
    /// Whether characters beyond ASCII may be used.
    pub is_unicode: bool,
}

impl Look {
    /// Of output that is no terminal.
    pub const PLAIN: Self = Self {
        width: None,
        has_colour: false,
        is_unicode: true,
    };

    /// Of standard output.
    pub fn of_stdout(environment: &Environment) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let size = is_terminal.then(|| terminal::size().ok()).flatten();
        let width = size.map_or(WIDTH_DEFAULT, |(width, _)| usize::from(width));
        Self::new(is_terminal.then_some(width), environment)
    }

    fn new(width: Option<usize>, environment: &Environment) -> Self {
        let is_dumb = environment.get("TERM") == Some("dumb");
        Self {
            width: width.map(|width| width.max(WIDTH_MIN)),
            has_colour: width.is_some() && !is_dumb && environment.get("NO_COLOR").is_none(),
            is_unicode: width.is_none() || is_unicode(environment),
        }
    }

    /// `text` in this colour, if there are colours.
    pub fn paint(self, colour: Colour, text: &str) -> String {
        match self.has_colour && !text.is_empty() {
            true => format!("\x1b{}{text}\x1b{COLOUR_END}", colour.sequence()),
            false => text.to_owned(),
        }
    }

    /// What marks text that was cut.
    pub fn ellipsis(self) -> &'static str {
        if self.is_unicode { "…" } else { "..." }
    }

    /// `text` on lines that begin with `indent` and are no wider than the terminal.
    pub fn wrapped(self, text: &str, indent: &str) -> String {
        let Some(width) = self.width else {
            return format!("{indent}{text}");
        };
        let lines = wrapped(text, width.saturating_sub(indent.len()));
        let lines: Vec<String> = lines.iter().map(|line| format!("{indent}{line}")).collect();
        lines.join("\n")
    }

    /// `text` in at most `width_max` columns, with an ellipsis if it was cut.
    pub fn cut(self, text: &str, width_max: usize) -> String {
        if width(text) <= width_max {
            return text.to_owned();
        }
        let ellipsis = match self.ellipsis() {
            ellipsis if width(ellipsis) <= width_max => ellipsis,
            _ => "",
        };
        let rest = beginning(text, width_max - width(ellipsis));
        format!("{}{ellipsis}", rest.trim_end())
    }

    /// The end of `text` in at most `width_max` columns, with an ellipsis before it if it was cut.
    pub fn cut_start(self, text: &str, width_max: usize) -> String {
        if width(text) <= width_max {
            return text.to_owned();
        }
        let ellipsis = match self.ellipsis() {
            ellipsis if width(ellipsis) <= width_max => ellipsis,
            _ => "",
        };
        let room = width_max - width(ellipsis);
        let mut ends = text.char_indices().map(|(start, _)| &text[start..]);
        let rest = ends.find(|rest| width(rest) <= room);
        format!("{ellipsis}{}", rest.unwrap_or_default())
    }
}

/// A colour with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Something does not work.
    Error,
    /// Something may soon not work.
    Warning,
    /// Something works.
    Good,
    /// A head of a table.
    Head,
    /// Something that matters less.
    Dim,
}

impl Colour {
    /// All of them.
    const ALL: [Self; 5] = [
        Self::Error,
        Self::Warning,
        Self::Good,
        Self::Head,
        Self::Dim,
    ];

    /// What follows the escape character where the colour begins.
    fn sequence(self) -> &'static str {
        match self {
            Self::Error => "[31m",
            Self::Warning => "[33m",
            Self::Good => "[32m",
            Self::Head => "[1m",
            Self::Dim => "[2m",
        }
    }

    /// What follows the escape character in everything that [`Look::paint`] adds.
    pub fn sequences() -> impl Iterator<Item = &'static str> {
        let begins = Self::ALL.map(Self::sequence).into_iter();
        begins.chain([COLOUR_END])
    }
}

/// Whether the locale has characters beyond ASCII. The first of the three variables that is set decides.
fn is_unicode(environment: &Environment) -> bool {
    let mut names = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter();
    let locale = names.find_map(|name| environment.get(name));
    let locale = locale.unwrap_or("C").to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// How many lines the terminal has.
pub fn height() -> usize {
    let size = terminal::size();
    size.map_or(HEIGHT_DEFAULT, |(_, height)| usize::from(height))
}

/// How many columns `text` takes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The longest beginning of `text` that takes at most `width_max` columns.
fn beginning(text: &str, width_max: usize) -> &str {
    let mut taken = 0;
    for (at, character) in text.char_indices() {
        taken += character.width().unwrap_or(0);
        if taken > width_max {
            return &text[..at];
        }
    }
    text
}

/// `text` in lines of at most `width_max` columns, broken at blanks where that is possible.
pub fn wrapped(text: &str, width_max: usize) -> Vec<String> {
    let width_max = width_max.max(1);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let needs = width(&line) + usize::from(!line.is_empty()) + width(word);
        if needs > width_max && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        let mut rest = word;
        while width(&line) + width(rest) > width_max {
            let part = beginning(rest, width_max - width(&line));
            // A character may be wider than the line.
            let length = match part.len() {
                0 => rest.chars().next().map_or(0, char::len_utf8),
                length => length,
            };
            line.push_str(&rest[..length]);
            lines.push(std::mem::take(&mut line));
            rest = &rest[length..];
        }
        line.push_str(rest);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(width: Option<usize>, variables: &[(&str, &str)]) -> Look {
        Look::new(width, &variables.iter().copied().collect())
    }

    #[test]
    fn colours_need_a_terminal_and_no_variable_against_them() {
        assert!(look(Some(80), &[]).has_colour);
        assert!(look(Some(80), &[("NO_COLOR", "")]).has_colour);
        assert!(!look(Some(80), &[("NO_COLOR", "1")]).has_colour);
        assert!(!look(Some(80), &[("TERM", "dumb")]).has_colour);
        assert!(!look(None, &[]).has_colour);
        assert_eq!(look(None, &[]), Look::PLAIN);
        let coloured = look(Some(80), &[]);
        assert_eq!(coloured.paint(Colour::Error, "a"), "\x1b[31ma\x1b[0m");
        assert_eq!(Look::PLAIN.paint(Colour::Error, "a"), "a");
    }

    #[test]
    fn the_first_locale_that_is_set_decides_about_ascii() {
        for (variables, is_unicode) in [
            (&[("LANG", "en_GB.UTF-8")][..], true),
            (&[("LANG", "C.utf8")], true),
            (&[("LANG", "de_DE.ISO-8859-1")], false),
            (&[("LC_ALL", "C"), ("LANG", "C.UTF-8")], false),
            (&[("LC_ALL", ""), ("LC_CTYPE", "C.UTF-8")], true),
            (&[], false),
        ] {
            let look = look(Some(80), variables);
            assert_eq!(look.is_unicode, is_unicode, "{variables:?}");
        }
        assert!(look(None, &[("LC_ALL", "C")]).is_unicode);
    }

    #[test]
    fn a_text_is_cut_at_its_width_and_marked() {
        let ascii = Look {
            is_unicode: false,
            ..Look::PLAIN
        };
        for (text, width_max, cut) in [
            ("abcdef", 6, "abcdef"),
            ("abcdef", 5, "abcd…"),
            ("ab cdef", 4, "ab…"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
        ] {
            assert_eq!(Look::PLAIN.cut(text, width_max), cut, "{text} {width_max}");
        }
        assert_eq!(ascii.cut("abcdef", 5), "ab...");
        assert_eq!(ascii.cut("abcdef", 2), "ab");
    }

    #[test]
    fn a_text_is_wrapped_at_blanks_and_loses_nothing() {
        assert_eq!(wrapped("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrapped("abcdef g", 4), ["abcd", "ef g"]);
        assert_eq!(wrapped("", 4), [""]);
        assert_eq!(wrapped("日本", 1), ["日", "本"]);
    }

    #[test]
    fn the_end_of_a_text_is_kept_if_it_tells_more() {
        let unicode = look(None, &[("LC_ALL", "C.UTF-8")]);
        for (width_max, expected) in [
            (30, "acme/engine run 12"),
            (18, "acme/engine run 12"),
            (10, "…ne run 12"),
            (1, "…"),
            (0, ""),
        ] {
            assert_eq!(unicode.cut_start("acme/engine run 12", width_max), expected);
        }
        let ascii = look(Some(80), &[("LC_ALL", "C")]);
        assert_eq!(ascii.cut_start("acme/engine run 12", 10), "... run 12");
    }
}
