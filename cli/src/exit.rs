//! The exit statuses. Scripts depend on these numbers, so none ever changes.
//!
//! Responsible for the numbers and their descriptions. Not responsible for which failure has which
//! status; `failure` is.

use std::process::ExitCode;

use crate::signal::Signal;

/// How a command ended, which decides the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success.
    Done,
    /// A failure that has no status of its own.
    Failed,
    /// The command line is wrong, or a required variable is not set.
    Usage,
    /// The queue rejected the API token or the ticket.
    NotAllowed,
    /// The queue refused; the same request will never succeed.
    Refused,
    /// The daemon is unreachable or responded with a transient error.
    TryLater,
    /// `take`: the job still waits.
    NotYet,
    /// `wait`: `--max-wait` is over, and the job was withdrawn.
    WaitedTooLong,
    /// SIGINT, as from Ctrl-C.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl Exit {
    /// All variants, in the order of their statuses.
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

    /// The exit status. After a signal it is what shells report: 128 plus the signal's number.
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

/// The description of these statuses, for a help.
pub fn meanings(exits: &[Exit]) -> String {
    let lines = exits.iter().map(|exit| exit.meaning());
    let lines: Vec<&str> = lines.collect();
    format!("Exit status:\n{}", lines.join("\n"))
}

impl Exit {
    /// Its line of the help.
    fn meaning(self) -> &'static str {
        match self {
            Self::Done => "    0  done",
            Self::Failed => concat!(
                "    1  failed: the output could not be written, a response was malformed, a scenario of\n",
                "       self-test did not pass, a question was not answered with y"
            ),
            Self::Usage => {
                "    2  the command line is wrong, or an address or SERVO_CI_MONITOR_API_TOKEN is missing"
            }
            Self::NotAllowed => "    3  the API token or the ticket was rejected",
            Self::Refused => "    4  the request was refused; repeating it cannot succeed",
            Self::TryLater => {
                "    5  the queue or monitor is unreachable or temporarily unable to respond; retry later"
            }
            Self::NotYet => "    6  take: the job still waits for its runners",
            Self::WaitedTooLong => {
                "    7  nothing within --max-wait; wait withdraws its job, drain leaves the server drained"
            }
            Self::Interrupted => {
                "  130  interrupted by Ctrl-C; wait and self-test withdraw their job first"
            }
            Self::Terminated => {
                "  143  ended by SIGTERM; wait and self-test withdraw their job first"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_described_once_and_in_order() {
        let described: Vec<u8> = meanings(&Exit::ALL)
            .lines()
            .skip(1)
            .filter(|line| !line.starts_with("       "))
            .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(described, Exit::ALL.map(Exit::status));
    }

    #[test]
    fn the_statuses_never_change() {
        assert_eq!(
            Exit::ALL.map(Exit::status),
            [0, 1, 2, 3, 4, 5, 6, 7, 130, 143]
        );
    }
}
