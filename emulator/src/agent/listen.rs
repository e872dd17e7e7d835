//! Waiting for the one job.

use super::{
    AgentError, AgentOutcome, AgentSettings,
    session::{Session, Start},
    work,
};
/// Listens until there was a job, and does it.
pub(super) async fn until_done(
    session: &Session,
    settings: &AgentSettings,
) -> Result<AgentOutcome, AgentError> {
    loop {
        let offered = tokio::select! {
            offered = session.poll() => offered?,
            () = settings.stop.given() => break,
        };
        let Some(job) = offered else { continue };
        let Some(start) = settings.stop.see_through(session.start(job.job_id)).await else {
            break;
        };
        if start? == Start::Granted {
            log::info!("running job {} of {}", job.job_id, job.repo);
            return work::on(&job, session, settings).await;
        }
    }
    session.close().await;
    Ok(AgentOutcome::Stopped)
}
