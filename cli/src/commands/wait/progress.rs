//! Says where a waiting job stands: in one line that changes, on a terminal; in plain lines, each
//! said once, anywhere else.

use std::{cell::RefCell, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use super::line::Progress;
use crate::output;

/// How often the line moves, so that it is seen to live.
const TICK: Duration = Duration::from_millis(200);

/// Standard error, as a terminal or as anything else.
pub enum OnStderr {
    /// A terminal.
    Bar(ProgressBar),
    /// Anything else, with the last line that was said.
    Lines(RefCell<String>),
}

impl OnStderr {
    /// Shows nothing yet.
    pub fn start(is_terminal: bool) -> Self {
        if !is_terminal {
            return Self::Lines(RefCell::default());
        }
        let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}")
            .expect("the template is right");
        let bar = ProgressBar::new_spinner().with_style(style);
        bar.enable_steady_tick(TICK);
        Self::Bar(bar)
    }
}

impl Progress for OnStderr {
    fn show(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.set_message(text.to_owned()),
            Self::Lines(last) => {
                if *last.borrow() != text {
                    output::note(text);
                    *last.borrow_mut() = text.to_owned();
                }
            }
        }
    }

    fn say(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.println(text),
            Self::Lines(_) => output::note(text),
        }
    }
}

impl Drop for OnStderr {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
