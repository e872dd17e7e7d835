//! Steps of runners as events of the journal.

use std::borrow::Cow;

use daemon::journal::Entry;
use monitor_core::{FailedStep, RunnerEvent, RunnerStep};

/// The name of the first event in the story of a runner.
pub const FIRST_EVENT: &str = "runner_created";

/// A step of a runner as an event: `runner_created` and so on.
///
/// | fact | of |
/// | --- | --- |
/// | `reason`, `cause` | `runner_created`, `runner_destroyed`: a name in snake case, and a sentence |
/// | `what`, `cause` | `runner_failed`: `creation`, `guest` or `destruction`, and why it failed |
/// | `exit_status`, `output` | `runner_ended`: as far as the hypervisor knows them; strangers do not see the output |
pub fn entry_of(event: RunnerEvent) -> Entry {
    let RunnerEvent {
        at,
        runner,
        profile_key,
        job,
        step,
    } = event;
    let mut entry = Entry::new(at, FIRST_EVENT);
    entry.event = Cow::Owned(format!("runner_{}", step.name()));
    entry.runner = Some(runner.0);
    entry.profile_key = Some(profile_key);
    if let Some(job) = job {
        entry.unique_id = job.unique_id;
        entry.qualified_repo = Some(job.qualified_repo);
        entry.run_id = Some(job.run_id);
    }
    match step {
        RunnerStep::Created { reason } | RunnerStep::Destroyed { reason } => {
            entry.fact("reason", reason.code).fact("cause", reason.text)
        }
        RunnerStep::Failed { what, cause } => {
            let cause = match what {
                FailedStep::Guest => cause,
                FailedStep::Creation | FailedStep::Destruction => format!("failed to {cause}"),
            };
            entry.fact("what", what.name()).fact("cause", cause)
        }
        RunnerStep::Ended { end } => {
            if let Some(exit_status) = end.exit_status {
                entry = entry.fact("exit_status", exit_status);
            }
            match end.output.is_empty() {
                true => entry,
                false => entry.fact("output", end.output),
            }
        }
        RunnerStep::Found
        | RunnerStep::GuestStarted
        | RunnerStep::CredentialFetched
        | RunnerStep::Online
        | RunnerStep::Reserved
        | RunnerStep::Released
        | RunnerStep::Busy
        | RunnerStep::GuestMissing => entry,
    }
}

#[cfg(test)]
mod tests {
    use monitor_core::{Cause, GuestEnd, RunnerId, RunnerJob};
    use shared::{clock::Timestamp, values::RunId};

    use super::*;

    fn text(step: RunnerStep) -> String {
        let event = RunnerEvent {
            at: Timestamp::from_seconds(7),
            runner: RunnerId(3),
            profile_key: "linux".parse().unwrap(),
            job: None,
            step,
        };
        entry_of(event).to_text()
    }

    #[test]
    fn every_step_is_an_event_with_its_facts() {
        let reason = Cause {
            code: "guest_gone",
            text: "its guest is gone".to_owned(),
        };
        let end = GuestEnd {
            exit_status: Some("exit status: 3".to_owned()),
            output: vec!["one".to_owned(), "two words".to_owned()],
        };
        let failed = RunnerStep::Failed {
            what: FailedStep::Creation,
            cause: "start guest".to_owned(),
        };
        for (step, line) in [
            (
                RunnerStep::Created {
                    reason: reason.clone(),
                },
                "runner_created profile_key=linux runner=3 reason=guest_gone cause=\"its guest is gone\"",
            ),
            (
                RunnerStep::Destroyed { reason },
                "runner_destroyed profile_key=linux runner=3 reason=guest_gone cause=\"its guest is gone\"",
            ),
            (
                RunnerStep::Ended { end },
                "runner_ended profile_key=linux runner=3 exit_status=\"exit status: 3\" output=one,\"two words\"",
            ),
            (
                RunnerStep::Ended {
                    end: GuestEnd::default(),
                },
                "runner_ended profile_key=linux runner=3",
            ),
            (
                failed,
                "runner_failed profile_key=linux runner=3 what=creation cause=\"failed to start guest\"",
            ),
            (
                RunnerStep::Online,
                "runner_online profile_key=linux runner=3",
            ),
        ] {
            assert_eq!(text(step), line);
        }
    }

    #[test]
    fn the_job_of_a_runner_is_shown_with_a_token_only() {
        let event = RunnerEvent {
            at: Timestamp::from_seconds(7),
            runner: RunnerId(3),
            profile_key: "linux".parse().unwrap(),
            job: Some(RunnerJob {
                unique_id: Some("my-job".parse().unwrap()),
                qualified_repo: "acme/app".parse().unwrap(),
                run_id: RunId(9),
            }),
            step: RunnerStep::Reserved,
        };
        let entry = entry_of(event);
        assert_eq!(
            entry.to_text(),
            "runner_reserved unique_id=my-job qualified_repo=acme/app run_id=9 profile_key=linux runner=3"
        );
        let public = entry.to_public_json().unwrap();
        assert!(
            !public.contains("my-job") && !public.contains("acme"),
            "{public}"
        );
    }

    #[test]
    fn the_output_of_a_guest_is_not_for_strangers() {
        let event = RunnerEvent {
            at: Timestamp::from_seconds(7),
            runner: RunnerId(3),
            profile_key: "linux".parse().unwrap(),
            job: None,
            step: RunnerStep::Ended {
                end: GuestEnd {
                    exit_status: Some("exit status: 3".to_owned()),
                    output: vec!["password: hunter2".to_owned()],
                },
            },
        };
        let public = entry_of(event).to_public_json().unwrap();
        assert!(
            public.contains("exit status: 3") && !public.contains("hunter2"),
            "{public}"
        );
    }
}
