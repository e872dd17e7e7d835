//! Shows the progress of all jobs: as bars on a terminal, as plain lines anywhere else.
//!
//! Responsible for a closed output, at which the demo ends; see [`Screen::closed`].

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use cli::{
    commands::wait::Progress,
    output::{self, OutputError},
    terminal::{Colour, Look},
};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use shared::clock::{Clock, Timestamp};
use tokio::sync::Notify;

/// How often a spinner moves.
const TICK: Duration = Duration::from_millis(120);
/// The width of the column with the names of jobs.
const NAME_WIDTH: usize = 12;

/// The output of the demo, shared by all jobs.
pub struct Screen {
    look: Look,
    clock: Clock,
    started_at: Timestamp,
    /// `Some` on a terminal until [`Screen::remove_bars`].
    bars: RefCell<Option<Bars>>,
    failure: Cell<Option<OutputError>>,
    failed: Notify,
}

/// The bars of all jobs.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    /// Kept, because a finished bar that is dropped stays on the terminal.
    bars: Vec<ProgressBar>,
}

/// The progress of one job.
pub struct JobProgress {
    screen: Rc<Screen>,
    name: String,
    /// `Some` on a terminal.
    bar: Option<ProgressBar>,
    last_text: RefCell<String>,
}

impl Screen {
    /// An output without bars yet.
    pub fn new(is_terminal: bool, look: Look) -> Rc<Self> {
        let clock = Clock::start();
        Rc::new(Self {
            look,
            clock,
            started_at: clock.now(),
            bars: RefCell::new(is_terminal.then(Bars::default)),
            failure: Cell::new(None),
            failed: Notify::new(),
        })
    }

    /// The time since the start of the demo.
    pub fn elapsed(&self) -> Duration {
        self.clock.now().since(self.started_at)
    }

    /// Prints `text` to standard output, above the bars.
    pub fn print(&self, text: &str) {
        // The bars are on standard error, but on the same terminal.
        let printed = match &*self.bars.borrow() {
            Some(bars) => bars.all.suspend(|| output::print_coloured(self.look, text)),
            None => output::print_coloured(self.look, text),
        };
        if let Err(error) = printed {
            self.failure.set(Some(error));
            self.failed.notify_one();
        }
    }

    /// Prints good news.
    pub fn print_good(&self, text: &str) {
        self.print(&self.look.paint(Colour::Good, text));
    }

    /// How standard output looks.
    pub fn look(&self) -> Look {
        self.look
    }

    /// Removes the bars from the terminal.
    pub fn remove_bars(&self) {
        if let Some(bars) = self.bars.take() {
            // An error means that standard error is closed: then no bars are visible.
            let _ = bars.all.clear();
        }
    }

    /// Resolves when the output can no longer be written.
    pub async fn closed(&self) -> OutputError {
        loop {
            if let Some(error) = self.failure.take() {
                return error;
            }
            self.failed.notified().await;
        }
    }

    /// Adds the progress of a job.
    pub fn add_job(self: &Rc<Self>, name: &str) -> JobProgress {
        let bar = self.bars.borrow_mut().as_mut().map(|bars| {
            let style = ProgressStyle::with_template("{elapsed:>4} {spinner} {prefix} {wide_msg}")
                .expect("the template is valid");
            let bar = bars.all.add(ProgressBar::new_spinner().with_style(style));
            bar.set_prefix(format!("{name:NAME_WIDTH$}"));
            bar.enable_steady_tick(TICK);
            bars.bars.push(bar.clone());
            bar
        });
        JobProgress {
            screen: self.clone(),
            name: name.to_owned(),
            bar,
            last_text: RefCell::default(),
        }
    }
}

impl JobProgress {
    /// Shows the end of the job and stops its spinner.
    pub fn finish(&self, text: &str) {
        self.update(text);
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}

impl Progress for JobProgress {
    fn update(&self, text: &str) {
        if *self.last_text.borrow() == text {
            return;
        }
        text.clone_into(&mut self.last_text.borrow_mut());
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => {
                let line = line(self.screen.elapsed(), &self.name, text);
                self.screen.print(&line);
            }
        }
    }

    fn print(&self, text: &str) {
        self.update(text);
    }
}

fn line(elapsed: Duration, name: &str, text: &str) -> String {
    format!(
        "{:>6.1} s  {name:NAME_WIDTH$} {text}",
        elapsed.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_time_the_job_and_its_state() {
        assert_eq!(
            line(Duration::from_millis(1_250), "build", "position 2"),
            "   1.2 s  build        position 2"
        );
    }

    #[actix_web::test]
    async fn a_closed_output_is_reported_once() {
        let screen = Screen::new(false, Look::PLAIN);
        screen.failure.set(Some(OutputError::Closed));
        screen.failed.notify_one();
        assert!(matches!(screen.closed().await, OutputError::Closed));
        assert!(screen.failure.take().is_none());
    }
}
