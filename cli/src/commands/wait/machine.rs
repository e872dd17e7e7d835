//! State machine of a waiting client: what to do after each response of the queue. Pure.
//!
//! ```text
//!            ┌──(transient error)──┐
//!            ▼                     │
//!         Enqueue ──(ticket)──▶ Take ──(waiting, transient error)──▶ Take
//!            ▲                   │ │
//!            └──(job unknown ────┘ └──(runners)──▶ Finish
//!                after an outage)
//! ```
//!
//! A queue that restarts restores the job from its ticket, so a take is repeated after nearly every
//! error. The exception is an outage longer than the queue keeps a job whose client does not ask:
//! the job is abandoned by then and has to be enqueued again. A job that becomes unknown without an
//! outage was withdrawn, and is not enqueued again.
//!
//! A response that is not the queue's but that of a proxy, for example, is an outage as well, for a limited
//! number of times: the job may have its runners already.

use std::time::Duration;

use shared::backoff::Backoff;

use crate::client::{RequestError, Taken, Waiting};

/// How long the queue is asked to hold a take.
const HOLD: Duration = Duration::from_secs(20);
/// The pauses between requests that get no response. Even with jitter the longest is shorter than the
/// startup grace period of five seconds, in which a restarted queue waits for its clients.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(250),
    max: Duration::from_secs(2),
    jitter_percent: 25,
};
/// The longest `Retry-After` that is obeyed. Less than the 30 seconds after which the queue abandons
/// a job whose client does not ask.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(20);
/// How many takes in a row may be answered by something other than the queue: about two minutes.
const FOREIGN_TAKES_MAX: u32 = 60;
/// The same for enqueues: a few seconds, because the URL may be wrong.
const FOREIGN_ENQUEUES_MAX: u32 = 5;

/// The state of a waiting client.
#[derive(Debug)]
pub struct WaitMachine {
    /// Selects the jitter; differs from client to client.
    entropy: u64,
    /// Requests in a row that failed without `Retry-After`.
    failures: u32,
    /// Whether a request failed since the last proper response: an outage.
    is_cut_off: bool,
    /// Whether the queue refused to hold the last take because it holds too many.
    is_hold_refused: bool,
    /// Responses in a row that were not the queue's.
    foreign: u32,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Enqueue the job, after this pause.
    Enqueue(Duration),
    /// Ask for its runners.
    Take {
        /// The pause before the request.
        after: Duration,
        /// How long the queue may hold it.
        hold: Duration,
    },
    /// Stop: the job has its runners.
    Finish(Taken),
    /// Stop: the error is permanent.
    GiveUp(RequestError),
}

impl WaitMachine {
    /// A client that has sent no request yet.
    pub fn new(entropy: u64) -> Self {
        Self {
            entropy,
            failures: 0,
            is_cut_off: false,
            is_hold_refused: false,
            foreign: 0,
        }
    }

    /// The job was enqueued.
    pub fn on_ticket(&mut self) -> Step {
        self.reset();
        self.take(Duration::ZERO)
    }

    /// An enqueue failed.
    pub fn on_failed_enqueue(&mut self, error: RequestError) -> Step {
        if self.may_pass(&error, FOREIGN_ENQUEUES_MAX) {
            Step::Enqueue(self.pause(&error))
        } else {
            Step::GiveUp(error)
        }
    }

    /// The queue answered a take: the job still waits.
    pub fn on_waiting(&mut self, waiting: &Waiting) -> Step {
        self.reset();
        // Obeyed also after a take that was held: the queue may want to shed load.
        self.take(waiting.retry_after.min(RETRY_AFTER_MAX))
    }

    /// A take failed.
    pub fn on_failed_take(&mut self, error: RequestError) -> Step {
        let is_unknown = matches!(error.code(), "unknown_job" | "wrong_ticket");
        if is_unknown && self.is_cut_off {
            self.reset();
            return Step::Enqueue(Duration::ZERO);
        }
        if !self.may_pass(&error, FOREIGN_TAKES_MAX) {
            return Step::GiveUp(error);
        }
        // This error is no outage: the queue knows the job and holds too many requests.
        self.is_hold_refused = error.code() == "too_many_jobs";
        self.is_cut_off |= !self.is_hold_refused;
        let after = self.pause(&error);
        self.take(after)
    }

    /// Whether the same request may succeed later.
    fn may_pass(&mut self, error: &RequestError, foreign_max: u32) -> bool {
        if error.is_transient() {
            self.foreign = 0;
            return true;
        }
        self.foreign = self.foreign.saturating_add(1);
        error.is_foreign() && self.foreign <= foreign_max
    }

    fn reset(&mut self) {
        *self = Self::new(self.entropy);
    }

    fn take(&self, after: Duration) -> Step {
        let hold = if self.is_hold_refused {
            Duration::ZERO
        } else {
            HOLD
        };
        Step::Take { after, hold }
    }

    fn pause(&mut self, error: &RequestError) -> Duration {
        let retry_after = error.response().and_then(|response| response.retry_after);
        if let Some(retry_after) = retry_after {
            self.failures = 0;
            return retry_after.min(RETRY_AFTER_MAX);
        }
        self.failures = self.failures.saturating_add(1);
        // Added, so that the pauses of one client differ in their jitter too.
        let entropy = self.entropy.wrapping_add(u64::from(self.failures));
        BACKOFF.pause(self.failures, Duration::ZERO, entropy)
    }
}

#[cfg(test)]
mod tests {
    use http_client::HttpError;

    use super::*;
    use crate::client::tests::{refused, unreachable};

    fn machine() -> WaitMachine {
        WaitMachine::new(7)
    }

    fn waiting(retry_after: u64) -> Waiting {
        Waiting {
            position: Some(1),
            estimate: None,
            no_estimate_because: None,
            retry_after: Duration::from_secs(retry_after),
        }
    }

    /// Asserts that `step` is a take after exactly `after` milliseconds, held for `hold` seconds.
    #[track_caller]
    fn assert_take(step: &Step, after: u64, hold: u64) {
        let Step::Take {
            after: pause,
            hold: held,
        } = step
        else {
            panic!("expected a take, got {step:?}");
        };
        assert_eq!(*pause, Duration::from_millis(after));
        assert_eq!(*held, Duration::from_secs(hold));
    }

    /// Asserts that `step` is an enqueue after exactly `after` milliseconds.
    #[track_caller]
    fn assert_enqueue(step: &Step, after: u64) {
        let Step::Enqueue(pause) = step else {
            panic!("expected an enqueue, got {step:?}");
        };
        assert_eq!(*pause, Duration::from_millis(after));
    }

    #[track_caller]
    fn assert_given_up(step: &Step) {
        assert!(matches!(step, Step::GiveUp(_)), "{step:?}");
    }

    #[test]
    fn an_enqueued_job_takes_at_once_and_is_held() {
        assert_take(&machine().on_ticket(), 0, 20);
    }

    #[test]
    fn retry_after_is_obeyed_up_to_a_limit() {
        let mut machine = machine();
        for (seconds, obeyed) in [(1, 1_000), (5, 5_000), (86_400, 20_000)] {
            let step = machine.on_waiting(&waiting(seconds));
            assert_take(&step, obeyed, 20);
            let step = machine.on_failed_take(refused(503, "not_ready", Some(seconds)));
            assert_take(&step, obeyed, 20);
            let step = machine.on_failed_enqueue(refused(503, "not_ready", Some(seconds)));
            assert_enqueue(&step, obeyed);
        }
    }

    /// Asserts that pauses double from a quarter of a second to two seconds, with some jitter.
    #[track_caller]
    fn assert_backs_off(mut pause_after_failure: impl FnMut() -> Duration) {
        for least in [250, 500, 1_000, 2_000, 2_000, 2_000] {
            let pause = pause_after_failure().as_millis();
            assert!(
                (least..=least * 5 / 4).contains(&pause),
                "{pause} ms, not {least}"
            );
        }
    }

    #[test]
    fn an_unreachable_queue_is_retried_with_back_off() {
        let mut machine = machine();
        assert_backs_off(|| match machine.on_failed_take(unreachable()) {
            Step::Take { after, .. } => after,
            step => panic!("expected a take, got {step:?}"),
        });
        machine.on_waiting(&waiting(1));
        assert_backs_off(|| match machine.on_failed_enqueue(unreachable()) {
            Step::Enqueue(after) => after,
            step => panic!("expected an enqueue, got {step:?}"),
        });
    }

    #[test]
    fn clients_that_fail_together_do_not_return_together() {
        let pause = |entropy| match WaitMachine::new(entropy).on_failed_take(unreachable()) {
            Step::Take { after, .. } => after,
            step => panic!("expected a take, got {step:?}"),
        };
        assert_ne!(pause(1), pause(2));
    }

    #[test]
    fn the_pause_stays_short_however_long_an_outage_lasts() {
        let mut machine = machine();
        for _ in 0..10_000 {
            machine.on_failed_take(unreachable());
        }
        let Step::Take { after, .. } = machine.on_failed_take(unreachable()) else {
            panic!("expected a take");
        };
        assert!(after <= Duration::from_millis(2_500), "{after:?}");
    }

    #[test]
    fn a_job_that_is_unknown_after_an_outage_is_enqueued_again() {
        for code in ["unknown_job", "wrong_ticket"] {
            for outage in [unreachable(), refused(503, "not_ready", Some(1))] {
                let mut machine = machine();
                machine.on_failed_take(outage);
                let step = machine.on_failed_take(refused(404, code, None));
                assert_enqueue(&step, 0);
                // The outage is over: a second time the job was withdrawn.
                let step = machine.on_failed_take(refused(404, code, None));
                assert_given_up(&step);
            }
        }
    }

    #[test]
    fn a_job_that_was_withdrawn_is_not_enqueued_again() {
        let mut machine = machine();
        machine.on_failed_take(unreachable());
        machine.on_waiting(&waiting(1));
        let step = machine.on_failed_take(refused(404, "unknown_job", None));
        assert_given_up(&step);
    }

    #[test]
    fn a_take_that_the_queue_cannot_hold_is_repeated_without_a_hold() {
        let mut machine = machine();
        let step = machine.on_failed_take(refused(429, "too_many_jobs", Some(5)));
        assert_take(&step, 5_000, 0);
        // That was no outage.
        assert_given_up(&machine.on_failed_take(refused(404, "unknown_job", None)));
        assert_take(&machine.on_waiting(&waiting(1)), 1_000, 20);
    }

    #[test]
    fn the_response_of_a_proxy_is_an_outage_for_a_limited_time() {
        let page = || {
            RequestError::from(HttpError::Malformed {
                target: String::new(),
                cause: "it is not JSON".into(),
            })
        };
        for foreign in [|| refused(404, "", None), || refused(302, "", None), page] {
            let mut machine = machine();
            for _ in 0..60 {
                let step = machine.on_failed_take(foreign());
                assert!(matches!(step, Step::Take { hold: HOLD, .. }), "{step:?}");
            }
            assert_given_up(&machine.on_failed_take(foreign()));
            // After an outage the job is enqueued again.
            machine.on_ticket();
            machine.on_failed_take(foreign());
            let step = machine.on_failed_take(refused(404, "unknown_job", None));
            assert_enqueue(&step, 0);

            let mut machine = self::machine();
            for _ in 0..5 {
                let step = machine.on_failed_enqueue(foreign());
                assert!(matches!(step, Step::Enqueue(_)), "{step:?}");
            }
            assert_given_up(&machine.on_failed_enqueue(foreign()));
        }
    }

    #[test]
    fn permanent_errors_end_the_wait() {
        for (status, code) in [
            (401, "unauthorised"),
            (403, "wrong_token"),
            (409, "already_enqueued"),
            (422, "unsatisfiable"),
        ] {
            assert_given_up(&machine().on_failed_enqueue(refused(status, code, None)));
        }
        assert_given_up(&machine().on_failed_take(refused(403, "wrong_ticket", None)));
    }
}
