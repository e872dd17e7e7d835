//! `ci-runners-dev agent`: a runner of the emulated GitHub, started by a monitor.

use cli::{exit::Exit, failure::Failure, signal::next_signal};
use emulator::agent::{AgentOutcome, AgentSettings, StopSignal, run};
use shared::settings::Environment;

use crate::{args::Agent, log};

/// Lives a runner's life. A job that failed is no failure of its runner.
///
/// # Errors
/// When it was not started by a monitor, when that gives no credential, or when GitHub is out of
/// reach for too long.
pub async fn agent(args: &Agent, environment: &Environment) -> Result<Exit, Failure> {
    log::to_stderr(environment);
    let guest_secret = args.guest_secret.clone().ok_or_else(|| {
        let what = "find out which guest it is: CI_RUNNERS_GUEST_SECRET is not set";
        Failure::Usage(format!("{what}; monitors set it when they start it"))
    })?;
    let (stop, is_stopped) = StopSignal::pair();
    let settings = AgentSettings {
        stop: is_stopped,
        credential_timeout: args.give_up_after,
        unreachable_timeout: args.give_up_after,
        ..AgentSettings::new(args.monitor_url.as_str(), guest_secret)
    };
    let stopping = actix_web::rt::spawn(async move {
        // Without a handler for them, signals end the process at once, which is as good.
        if next_signal().await.is_ok() {
            let _ = stop.send(true);
        }
        // The other end takes a sender that has gone for an order to stop.
        std::future::pending::<()>().await;
    });
    let outcome = run(settings).await;
    stopping.abort();
    match outcome {
        Ok(AgentOutcome::RanJob { job_id, exit_code }) => {
            ::log::info!("job {job_id} ended with {exit_code:?}");
        }
        Ok(AgentOutcome::RegistrationGone) => ::log::info!("GitHub no longer knows this runner"),
        Ok(AgentOutcome::Stopped) => ::log::info!("stopped before there was a job"),
        Err(error) => return Err(Failure::Other(error.to_string())),
    }
    Ok(Exit::Done)
}
