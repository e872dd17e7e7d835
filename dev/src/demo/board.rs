//! Where the demo shows what happens: bars on a terminal, plain lines anywhere else.
//!
//! Owns what happens when nobody reads any more: the demo then ends, see [`Board::closed`].

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use shared::clock::{Clock, Timestamp};
use tokio::sync::Notify;

use cli::{
    commands::wait::Progress,
    output::{self, OutputError},
};

/// How often a bar moves, so that it is seen to live.
const TICK: Duration = Duration::from_millis(120);
/// How wide the names of jobs are shown.
const NAME_WIDTH: usize = 12;

/// What everybody looks at. Shared by all who have something to show.
pub struct Board {
    clock: Clock,
    started_at: Timestamp,
    /// On a terminal, as long as there are jobs to watch.
    bars: RefCell<Option<Bars>>,
    failure: Cell<Option<OutputError>>,
    failed: Notify,
}

/// The bars of all jobs.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    /// A bar that is finished and dropped would stay on the terminal for good.
    kept: Vec<ProgressBar>,
}

/// One job's place on the board.
pub struct Seat {
    board: Rc<Board>,
    name: String,
    /// On a terminal.
    bar: Option<ProgressBar>,
    /// What was shown last.
    last: RefCell<String>,
}

impl Board {
    /// An empty board.
    pub fn new(is_terminal: bool) -> Rc<Self> {
        let clock = Clock::start();
        Rc::new(Self {
            clock,
            started_at: clock.now(),
            bars: RefCell::new(is_terminal.then(Bars::default)),
            failure: Cell::new(None),
            failed: Notify::new(),
        })
    }

    /// How long ago the board was made.
    pub fn elapsed(&self) -> Duration {
        self.clock.now().since(self.started_at)
    }

    /// Prints lines that stay, on standard output.
    pub fn print(&self, text: &str) {
        // The bars are on standard error, but on the same terminal.
        let printed = match &*self.bars.borrow() {
            Some(bars) => bars.all.suspend(|| output::print(text)),
            None => output::print(text),
        };
        if let Err(error) = printed {
            self.failure.set(Some(error));
            self.failed.notify_one();
        }
    }

    /// Takes the bars off a terminal: what comes next stands in their place.
    pub fn take_bars_off(&self) {
        if let Some(bars) = self.bars.take() {
            // Fails where nobody looks.
            let _ = bars.all.clear();
        }
    }

    /// Resolves when nothing more can be printed.
    pub async fn closed(&self) -> OutputError {
        loop {
            if let Some(error) = self.failure.take() {
                return error;
            }
            self.failed.notified().await;
        }
    }

    /// A place for the job of that name.
    pub fn seat(self: &Rc<Self>, name: &str) -> Seat {
        let bar = self.bars.borrow_mut().as_mut().map(|bars| {
            let style = ProgressStyle::with_template("{elapsed:>4} {spinner} {prefix} {wide_msg}")
                .expect("the template is right");
            let bar = bars.all.add(ProgressBar::new_spinner().with_style(style));
            bar.set_prefix(format!("{name:NAME_WIDTH$}"));
            bar.enable_steady_tick(TICK);
            bars.kept.push(bar.clone());
            bar
        });
        Seat {
            board: self.clone(),
            name: name.to_owned(),
            bar,
            last: RefCell::default(),
        }
    }
}

impl Seat {
    /// Shows how it ended, for good.
    pub fn finish(&self, text: &str) {
        self.show(text);
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}

impl Progress for Seat {
    fn show(&self, text: &str) {
        if *self.last.borrow() == text {
            return;
        }
        text.clone_into(&mut self.last.borrow_mut());
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => {
                let line = line(self.board.elapsed(), &self.name, text);
                self.board.print(&line);
            }
        }
    }

    fn say(&self, text: &str) {
        self.show(text);
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
    fn a_line_says_when_and_who() {
        assert_eq!(
            line(Duration::from_millis(1_250), "build", "position 2"),
            "   1.2 s  build        position 2"
        );
    }

    #[actix_web::test]
    async fn a_board_that_nobody_reads_says_so_once() {
        let board = Board::new(false);
        board.failure.set(Some(OutputError::Closed));
        board.failed.notify_one();
        assert!(matches!(board.closed().await, OutputError::Closed));
        assert!(board.failure.take().is_none());
    }
}
