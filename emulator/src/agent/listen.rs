//! Waits for a job, and runs it.

use super::{
    AgentError, AgentOutcome, AgentSettings, job,
    session::{Session, Start},
};

/// Polls until a job was offered and started, then runs it to its end.
pub(super) async fn listen(
    session: &Session,
    settings: &AgentSettings,
) -> Result<AgentOutcome, AgentError> {
    loop {
        let offered = tokio::select! {
            offered = session.poll() => offered?,
            () = settings.stop.stopped() => break,
        };
        let Some(offered) = offered else { continue };
        let start = session.start(offered.job_id);
        let Some(start) = settings.stop.finish(start).await else {
            break;
        };
        if start? == Start::Accepted {
            log::info!("running job {} of {}", offered.job_id, offered.repo);
            return job::run(&offered, session, settings).await;
        }
    }
    session.close().await;
    Ok(AgentOutcome::Stopped)
}
