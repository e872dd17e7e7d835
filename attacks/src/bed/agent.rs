//! The runner of the attacked monitor: this executable, started as a guest.

use std::{process::ExitCode, time::Duration};

use actix_web::rt::System;
use emulator::agent::{AgentSettings, run};
use shared::secret::Secret;

/// The first argument of this executable when it is a guest.
pub const AGENT_ARGUMENT: &str = "agent";
/// How long it survives the daemons.
const UNREACHABLE_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs one job as a guest of the monitor that started this process.
pub fn run_agent() -> ExitCode {
    http_client::install_tls();
    #[expect(
        clippy::disallowed_methods,
        reason = "what a monitor hands to its guests is no setting"
    )]
    let variable = |name| std::env::var(name).ok();
    let url = variable("CI_RUNNERS_MONITOR_URL");
    let secret = variable("CI_RUNNERS_GUEST_SECRET");
    let (Some(url), Some(secret)) = (url, secret) else {
        eprintln!("attacks: only monitors start agents");
        return ExitCode::from(2);
    };
    let settings = AgentSettings {
        jit_config_timeout: UNREACHABLE_TIMEOUT,
        unreachable_timeout: UNREACHABLE_TIMEOUT,
        ..AgentSettings::new(url, Secret::new(secret))
    };
    match System::new().block_on(run(settings)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
