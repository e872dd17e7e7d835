//! Runs a job: its command, until it ends by itself or is killed.

use tokio::time::{Instant, sleep_until};

use super::{
    AgentError, AgentOutcome, AgentSettings,
    command::{Command, JobCommand},
    session::Session,
};
use crate::agent_protocol::{OfferedJob, Report};

/// Runs the job's command to its end and reports it.
pub(super) async fn run(
    job: &OfferedJob,
    session: &Session,
    settings: &AgentSettings,
) -> Result<AgentOutcome, AgentError> {
    let report = match JobCommand::start(&command_of(job, settings)) {
        Ok(command) => supervise(command, job, session, settings).await?,
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

fn command_of<'a>(job: &'a OfferedJob, settings: &'a AgentSettings) -> Command<'a> {
    Command {
        shell_text: &job.command,
        work_dir: settings.work_dir.as_deref(),
        variables: vec![
            ("CI", "true".into()),
            ("GITHUB_REPOSITORY", job.repo.to_string()),
            ("GITHUB_RUN_ID", job.run_id.to_string()),
        ],
        removed_variables: &settings.removed_variables,
    }
}

/// Why a command is killed.
#[derive(Clone, Copy, Debug)]
enum KillReason {
    Cancelled,
    AgentStopped,
    Timeout,
}

/// Waits for the command to end, or for a reason to kill it.
async fn supervise(
    mut command: JobCommand,
    job: &OfferedJob,
    session: &Session,
    settings: &AgentSettings,
) -> Result<Report, AgentError> {
    let deadline = Instant::now() + settings.job_timeout;
    let reason = loop {
        let renewal = session.renew(job.job_id, command.output_tail());
        tokio::select! {
            exit_code = command.wait() => {
                return Ok(Report { exit_code, output_tail: command.output_tail() });
            }
            // After an error the result could not be reported; dropping the command kills it.
            is_cancelled = renewal => if is_cancelled? {
                break KillReason::Cancelled;
            },
            () = settings.stop.stopped() => break KillReason::AgentStopped,
            () = sleep_until(deadline) => break KillReason::Timeout,
        }
    };
    log::info!("killing the command of job {}: {reason:?}", job.job_id);
    command.kill();
    let _ = command.wait().await;
    Ok(Report {
        exit_code: None,
        output_tail: command.output_tail(),
    })
}
