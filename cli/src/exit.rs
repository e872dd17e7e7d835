//! With which status the command ends. Scripts go by these numbers, so none ever changes.
//!
//! Owns the numbers and what each means in words; help texts show [`MEANINGS`]. Which failure ends
//! how is said in `failure`.

use std::process::ExitCode;

use crate::signal::Signal;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was asked to.
    Done,
    /// It failed in a way that has no number of its own.
    Failed,
    /// What was typed cannot be understood, or a variable that is needed is not set.
    Usage,
    /// The API token or the ticket was not accepted.
    NotAllowed,
    /// The queue refused: the same request can never succeed.
    Refused,
    /// The queue could not be reached, or has no answer now; it may have one later.
    TryLater,
    /// The job still waits for its runners.
    NotYet,
    /// `wait` gave up after `--max-wait` and withdrew the job.
    WaitedTooLong,
    /// Ctrl-C.
    Interrupted,
    /// SIGTERM, as service managers and GitHub send it to a step that is cancelled.
    Terminated,
}

impl Exit {
    /// Every way to end, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::NotAllowed,
        Self::Refused,
        Self::TryLater,
        Self::NotYet,
        Self::WaitedTooLong,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number that the shell sees. From 128 on it is what shells themselves use: 128 and the
    /// number of the signal.
    pub const fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotAllowed => 3,
            Self::Refused => 4,
            Self::TryLater => 5,
            Self::NotYet => 6,
            Self::WaitedTooLong => 7,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

impl From<Signal> for Exit {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Interrupt => Self::Interrupted,
            Signal::Terminate => Self::Terminated,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}

/// All statuses, as the help shows them.
pub const MEANINGS: &str = "\
Exit status:
    0  done
    1  failed: the output could not be written, an answer made no sense, a port was taken, a
       scenario of self-test did not go as it should
    2  the command line is wrong, or SERVO_CI_MONITOR_API_TOKEN is not set
    3  the API token or the ticket was not accepted
    4  refused: the same request can never succeed, and waiting would not help
    5  the queue or monitor cannot be reached, or has no answer now: try again later
    6  not yet: the job still waits for its runners (take)
    7  --max-wait is over, and the job was withdrawn (wait)
  130  interrupted by Ctrl-C; wait has withdrawn the job
  143  ended by SIGTERM; wait has withdrawn the job";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_explained_once_and_in_order() {
        let explained: Vec<u8> = MEANINGS
            .lines()
            .skip(1)
            .filter(|line| !line.starts_with("       "))
            .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(explained, Exit::ALL.map(Exit::status));
    }

    #[test]
    fn a_status_never_changes() {
        assert_eq!(
            Exit::ALL.map(Exit::status),
            [0, 1, 2, 3, 4, 5, 6, 7, 130, 143]
        );
    }
}
