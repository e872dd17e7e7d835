//! Shows the position of a waiting job on standard error: in one line that changes, on a terminal;
//! as one plain line for each change, anywhere else.

use std::{cell::RefCell, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// How often the spinner moves.
const TICK: Duration = Duration::from_millis(200);

/// Shows the state of a job while it waits.
pub trait Progress {
    /// Replaces the state that is shown.
    fn update(&self, text: &str);
    /// Replaces the state that is shown by the position of the job, and why it waits. A reason that changes
    /// while the position does not is no news.
    fn update_position(&self, position: &str, why: &str) {
        let _ = why;
        self.update(position);
    }
    /// Prints a line that stays.
    fn print(&self, text: &str);
}

impl<P: Progress> Progress for &P {
    fn update(&self, text: &str) {
        (**self).update(text);
    }

    fn update_position(&self, position: &str, why: &str) {
        (**self).update_position(position, why);
    }

    fn print(&self, text: &str) {
        (**self).print(text);
    }
}

/// Progress on standard error.
pub enum StderrProgress {
    /// On a terminal.
    Bar(ProgressBar),
    /// Anywhere else, with the text that was printed last.
    Lines(RefCell<String>),
}

impl StderrProgress {
    /// Progress that shows nothing yet.
    pub fn start(is_terminal: bool) -> Self {
        if !is_terminal {
            return Self::Lines(RefCell::default());
        }
        let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}")
            .expect("the template is valid");
        let bar = ProgressBar::new_spinner().with_style(style);
        bar.enable_steady_tick(TICK);
        Self::Bar(bar)
    }
}

impl Progress for StderrProgress {
    fn update(&self, text: &str) {
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

    fn update_position(&self, position: &str, why: &str) {
        let text = format!("{position}: {why}");
        match self {
            Self::Bar(bar) => bar.set_message(text),
            Self::Lines(last) => {
                if *last.borrow() != position {
                    output::note(&text);
                    *last.borrow_mut() = position.to_owned();
                }
            }
        }
    }

    fn print(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.println(text),
            Self::Lines(_) => output::note(text),
        }
    }
}

impl Drop for StderrProgress {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
