//! `ci-runners-dev agent`: one runner of the emulated GitHub, started by a monitor.

use cli::{exit::Exit, failure::Failure, signal::next_signal};
use emulator::agent::{AgentOutcome, AgentSettings, StopSignal, run};
use shared::settings::Environment;

use crate::{args::Agent, log};

/// Runs one job and exits. A job that fails is not a failure of the agent.
///
/// # Errors
/// When no monitor started it, the monitor returns no JIT configuration, or the monitor or GitHub is
/// unreachable for too long.
pub async fn agent(args: &Agent, environment: &Environment) -> Result<Exit, Failure> {
    log::to_stderr(environment);
    let guest_secret = args.guest_secret.clone().ok_or_else(|| {
        Failure::Usage(
            "authenticate: CI_RUNNERS_GUEST_SECRET is not set; monitors set it for the agents that \
             they start"
                .to_owned(),
        )
    })?;
    let (stop, is_stopped) = StopSignal::pair();
    let settings = AgentSettings {
        stop: is_stopped,
        jit_config_timeout: args.give_up_after,
        unreachable_timeout: args.give_up_after,
        ..AgentSettings::new(args.monitor_url.as_str(), guest_secret)
    };
    let stopping = actix_web::rt::spawn(async move {
        // Without a handler, signals end the process at once, which is fine too.
        if next_signal().await.is_ok() {
            let _ = stop.send(true);
        }
        // Never dropped: a dropped sender means stop.
        std::future::pending::<()>().await;
    });
    let outcome = run(settings).await;
    stopping.abort();
    match outcome {
        Ok(AgentOutcome::RanJob {
            job_id,
            exit_code: Some(exit_code),
        }) => ::log::info!("job {job_id} ended with exit code {exit_code}"),
        Ok(AgentOutcome::RanJob {
            job_id,
            exit_code: None,
        }) => ::log::info!("job {job_id} ended without an exit code"),
        Ok(AgentOutcome::RegistrationGone) => {
            ::log::info!("the registration of this runner was removed");
        }
        Ok(AgentOutcome::Stopped) => ::log::info!("stopped before a job arrived"),
        Err(error) => return Err(Failure::Other(error.to_string())),
    }
    Ok(Exit::Done)
}
