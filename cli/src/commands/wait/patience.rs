//! What to do after each answer of the queue while a job waits. Pure: no call, no clock.
//!
//! ```text
//!            ┌──(cannot be asked, not now)──┐
//!            ▼                              │
//!         Enqueue ──(ticket)──▶ Take ──(waiting, cannot be asked)──▶ Take
//!            ▲                   │ │
//!            └──(job unknown ────┘ └──(runners)──▶ done
//!                after a cut)
//! ```
//!
//! A queue that restarts knows the job again by its ticket, so nearly every failure means: ask
//! again. The one exception is a cut longer than the queue waits for a silent client: then the job
//! has left the line, and has to join it anew. A job that is unknown without a cut was withdrawn by
//! somebody, and stays so.

use std::time::Duration;

use crate::client::{CallError, Taken, Waiting};

/// How long an answer is to be held while there is no runner.
const HOLD: Duration = Duration::from_secs(20);
/// The first pause after a call that got no answer; it doubles with every further one.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest such pause: a queue that was restarted must hear from everybody within its `settle`
/// of five seconds.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// More failures than this make no pause longer.
const FAILURE_COUNT_MAX: u32 = 3;
/// The longest `Retry-After` that is obeyed: a job that is silent for 30 seconds leaves the line.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(20);

/// How the wait has gone so far.
#[derive(Debug, Default)]
pub struct Patience {
    /// How many calls in a row got no answer that said when to ask again.
    failure_count: u32,
    /// Whether the queue could not be asked since its last proper answer.
    is_cut: bool,
    /// Whether the queue had no room to hold the last request.
    is_hold_refused: bool,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Put the job in line, after a pause.
    Enqueue(Duration),
    /// Ask for its runners.
    Take {
        /// How long to pause first.
        after: Duration,
        /// How long the answer may be held.
        hold: Duration,
    },
    /// It has its runners.
    Finish(Taken),
    /// Waiting cannot help.
    GiveUp(CallError),
}

impl Patience {
    /// The job is in line: ask at once.
    pub fn after_ticket(&mut self) -> Step {
        *self = Self::default();
        self.take(Duration::ZERO)
    }

    /// The job could not be put in line.
    pub fn after_failed_enqueue(&mut self, error: CallError) -> Step {
        if error.is_transient() {
            Step::Enqueue(self.pause(&error))
        } else {
            Step::GiveUp(error)
        }
    }

    /// The job's turn has not come.
    pub fn after_waiting(&mut self, waiting: &Waiting) -> Step {
        *self = Self::default();
        // An answer that was held has waited already, but a queue may have a reason to slow down.
        self.take(waiting.retry_after.min(RETRY_AFTER_MAX))
    }

    /// The runners could not be asked for.
    pub fn after_failed_take(&mut self, error: CallError) -> Step {
        let is_unknown = matches!(error.code(), "unknown_job" | "wrong_ticket");
        if is_unknown && self.is_cut {
            *self = Self::default();
            return Step::Enqueue(Duration::ZERO);
        }
        if !error.is_transient() {
            return Step::GiveUp(error);
        }
        // No room to hold a request is an answer like any other: the job is known.
        self.is_hold_refused = error.code() == "too_many_jobs";
        self.is_cut |= !self.is_hold_refused;
        let after = self.pause(&error);
        self.take(after)
    }

    fn take(&self, after: Duration) -> Step {
        let hold = if self.is_hold_refused {
            Duration::ZERO
        } else {
            HOLD
        };
        Step::Take { after, hold }
    }

    fn pause(&mut self, error: &CallError) -> Duration {
        let retry_after = error.refusal().and_then(|refusal| refusal.retry_after);
        if let Some(retry_after) = retry_after {
            self.failure_count = 0;
            return retry_after.min(RETRY_AFTER_MAX);
        }
        let pause = PAUSE_MIN * 2_u32.pow(self.failure_count);
        self.failure_count = (self.failure_count + 1).min(FAILURE_COUNT_MAX);
        pause.min(PAUSE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::{refused, unreachable};

    /// A step in short: what, after how many milliseconds, held for how many seconds.
    fn short(step: &Step) -> (&'static str, u128, u64) {
        match step {
            Step::Enqueue(after) => ("enqueue", after.as_millis(), 0),
            Step::Take { after, hold } => ("take", after.as_millis(), hold.as_secs()),
            Step::Finish(_) => ("finish", 0, 0),
            Step::GiveUp(_) => ("give up", 0, 0),
        }
    }

    fn waiting(retry_after: u64) -> Waiting {
        Waiting {
            position: Some(1),
            estimate: None,
            retry_after: Duration::from_secs(retry_after),
        }
    }

    #[test]
    fn a_job_in_line_asks_at_once_and_is_held() {
        let step = Patience::default().after_ticket();
        assert_eq!(short(&step), ("take", 0, 20));
    }

    #[test]
    fn the_queue_says_when_to_ask_again_within_reason() {
        let mut patience = Patience::default();
        for (said, obeyed) in [(1, 1_000), (5, 5_000), (86_400, 20_000)] {
            let step = patience.after_waiting(&waiting(said));
            assert_eq!(short(&step), ("take", obeyed, 20));
            let step = patience.after_failed_take(refused(503, "not_ready", Some(said)));
            assert_eq!(short(&step), ("take", obeyed, 20));
            let step = patience.after_failed_enqueue(refused(503, "not_ready", Some(said)));
            assert_eq!(short(&step), ("enqueue", obeyed, 0));
        }
    }

    #[test]
    fn a_queue_that_cannot_be_reached_is_asked_ever_more_slowly_but_often_enough() {
        let pauses = [250, 500, 1_000, 2_000, 2_000, 2_000];
        let mut patience = Patience::default();
        for pause in pauses {
            let step = patience.after_failed_take(unreachable());
            assert_eq!(short(&step), ("take", pause, 20));
        }
        patience.after_waiting(&waiting(1));
        for pause in pauses {
            let step = patience.after_failed_enqueue(unreachable());
            assert_eq!(short(&step), ("enqueue", pause, 0));
        }
    }

    #[test]
    fn no_outage_is_too_long_to_count() {
        let mut patience = Patience::default();
        for _ in 0..10_000 {
            patience.after_failed_take(unreachable());
        }
        let step = patience.after_failed_take(unreachable());
        assert_eq!(short(&step), ("take", 2_000, 20));
    }

    #[test]
    fn a_job_that_was_lost_in_a_cut_joins_again() {
        for code in ["unknown_job", "wrong_ticket"] {
            for cut in [unreachable(), refused(503, "not_ready", Some(1))] {
                let mut patience = Patience::default();
                patience.after_failed_take(cut);
                let step = patience.after_failed_take(refused(404, code, None));
                assert_eq!(short(&step), ("enqueue", 0, 0));
                // That ended the cut: a second time it is no accident.
                let step = patience.after_failed_take(refused(404, code, None));
                assert_eq!(short(&step), ("give up", 0, 0));
            }
        }
    }

    #[test]
    fn a_job_that_somebody_withdrew_stays_withdrawn() {
        let mut patience = Patience::default();
        patience.after_failed_take(unreachable());
        patience.after_waiting(&waiting(1));
        let step = patience.after_failed_take(refused(404, "unknown_job", None));
        assert_eq!(short(&step), ("give up", 0, 0));
    }

    #[test]
    fn where_there_is_no_room_to_be_held_one_answer_is_asked_for_without() {
        let mut patience = Patience::default();
        let step = patience.after_failed_take(refused(429, "too_many_jobs", Some(5)));
        assert_eq!(short(&step), ("take", 5_000, 0));
        let step = patience.after_failed_take(refused(404, "unknown_job", None));
        assert_eq!(short(&step), ("give up", 0, 0), "that was no cut");
        let step = patience.after_waiting(&waiting(1));
        assert_eq!(short(&step), ("take", 1_000, 20));
    }

    #[test]
    fn what_can_never_succeed_is_given_up() {
        for (status, code) in [
            (401, "unauthorised"),
            (403, "wrong_token"),
            (409, "already_enqueued"),
            (422, "unsatisfiable"),
        ] {
            let step = Patience::default().after_failed_enqueue(refused(status, code, None));
            assert_eq!(short(&step), ("give up", 0, 0));
        }
        let step = Patience::default().after_failed_take(refused(403, "wrong_ticket", None));
        assert_eq!(short(&step), ("give up", 0, 0));
    }
}
