//! Doing the job: the command runs, the emulator hears of it, and whichever says so first ends it.

use shared::values::QualifiedRepo;
use tokio::time::{Instant, sleep_until};

use super::{
    AgentError, AgentOutcome, AgentSettings,
    command::{Command, JobCommand},
    session::Session,
};
use crate::runner_wire::{OfferedJob, Report};

/// Runs the job's command to its end and reports it.
pub(super) async fn on(
    job: &OfferedJob,
    session: &Session,
    settings: &AgentSettings,
) -> Result<AgentOutcome, AgentError> {
    let report = match JobCommand::start(&described(job, settings)) {
        Ok(command) => attended(command, job, session, settings).await?,
        Err(error) => Report {
            exit_code: None,
            output_tail: format!("the command could not be started: {error}\n"),
        },
    };
    let exit_code = report.exit_code;
    session.complete(job.job_id, report).await?;
    Ok(AgentOutcome::RanJob {
        job_id: job.job_id,
        exit_code,
    })
}

fn described<'a>(job: &'a OfferedJob, settings: &'a AgentSettings) -> Command<'a> {
    let repo: &QualifiedRepo = &job.repo;
    Command {
        shell_text: &job.command,
        work_dir: settings.work_dir.as_deref(),
        variables: vec![
            ("CI", "true".into()),
            ("GITHUB_REPOSITORY", repo.to_string()),
            ("GITHUB_RUN_ID", job.run_id.to_string()),
        ],
        withheld: &settings.withheld_variables,
    }
}

/// Why a command is not allowed to go on.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Cancelled,
    Stopped,
    TooLong,
}

/// Waits for the command, or for a reason to kill it.
async fn attended(
    mut command: JobCommand,
    job: &OfferedJob,
    session: &Session,
    settings: &AgentSettings,
) -> Result<Report, AgentError> {
    let deadline = Instant::now() + settings.job_timeout;
    let ending = loop {
        let renewal = session.renew(job.job_id, command.output_tail());
        tokio::select! {
            exit_code = command.finished() => {
                return Ok(Report { exit_code, output_tail: command.output_tail() });
            }
            // An error means that nobody wants the result any more; dropping the command kills it.
            is_cancelled = renewal => if is_cancelled? {
                break Ending::Cancelled;
            },
            () = settings.stop.given() => break Ending::Stopped,
            () = sleep_until(deadline) => break Ending::TooLong,
        }
    };
    log::info!("killing the command of job {}: {ending:?}", job.job_id);
    command.kill();
    let _ = command.finished().await;
    Ok(Report {
        exit_code: None,
        output_tail: command.output_tail(),
    })
}
