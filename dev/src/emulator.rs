//! `ci-runners-dev emulator`: an emulated GitHub alone, until Ctrl-C.

use std::{net::SocketAddr, path::Path};

use cli::{exit::Exit, failure::Failure, output, signal::next_signal};
use shared::{secret::Secret, settings::Environment};

use crate::{args::Emulator, listen::listen, log, own_executable};

/// The token that it accepts. It protects nothing real.
const TOKEN: &str = "emulated";

/// Runs the command. Ctrl-C is its regular end.
///
/// # Errors
/// When the port is taken, or the output cannot be written.
pub async fn emulator(args: &Emulator, environment: &Environment) -> Result<Exit, Failure> {
    log::to_stderr(environment);
    let executable = own_executable()?;
    let address = SocketAddr::new(args.listen, args.port);
    let listener = listen("the emulated GitHub", address, "--port")?;
    let settings = emulator::EmulatorSettings::new(Secret::new(TOKEN));
    let github = emulator::Emulator::new(settings);
    let running = emulator::serve(github.clone(), listener)
        .map_err(|error| Failure::Other(format!("serve the emulated GitHub: {error}")))?;
    let printed = output::print(&how_to_use(github.base_url(), &executable));
    let stopped = match printed {
        Ok(()) => next_signal().await.map_err(Failure::Signals),
        Err(error) => Err(error.into()),
    };
    running.stop().await;
    stopped?;
    Ok(Exit::Done)
}

/// The settings of a monitor that uses it, and how to queue a workflow job.
fn how_to_use(base_url: &str, executable: &Path) -> String {
    // The quotes and escapes of Rust are those of TOML.
    let agent = executable.display().to_string();
    format!(
        "\
The emulated GitHub listens on {base_url}. Its state is lost when Ctrl-C ends it.

Settings of a monitor that uses it, in monitor.toml:
  github_api_url = \"{base_url}\"
  [profiles.linux.guest]
  driver = \"command\"
  command = [{agent:?}, \"agent\"]
and in the environment of the monitor:
  export GITHUB_TOKEN={TOKEN}

To queue a workflow job, with the labels of its runs-on and a shell command:
  curl --fail-with-body -sS -H 'content-type: application/json' {base_url}/_emulator/jobs \\
    -d '{{\"repo\":\"your-name/your-repo\",\"run_id\":1,\"labels\":[\"runner:...\"],\"command\":\"echo hello\"}}'
To show all jobs:
  curl -sS {base_url}/_emulator/jobs

Every account of this machine can queue such jobs, and their commands run as you."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_and_commands_can_be_copied() {
        let text = how_to_use("http://127.0.0.1:8080", Path::new("/a/ci-runners-dev"));
        for part in [
            "  github_api_url = \"http://127.0.0.1:8080\"\n",
            "  command = [\"/a/ci-runners-dev\", \"agent\"]\n",
            "  export GITHUB_TOKEN=emulated\n",
            "  curl -sS http://127.0.0.1:8080/_emulator/jobs\n",
            "-d '{\"repo\":\"your-name/your-repo\",\"run_id\":1,",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}
