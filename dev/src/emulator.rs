//! `ci-runners-dev emulator`: an emulated GitHub alone, until Ctrl-C.

use std::{net::SocketAddr, path::Path};

use cli::{exit::Exit, failure::Failure, output, signal::next_signal};
use shared::{secret::Secret, settings::Environment};

use crate::{args::Emulator, listen::listen, log};

/// The token it accepts. It opens nothing but what is made up.
const TOKEN: &str = "emulated";

/// Runs the command. Ctrl-C is its proper end.
///
/// # Errors
/// When the port is taken, or nobody reads where it is.
pub async fn emulator(args: &Emulator, environment: &Environment) -> Result<Exit, Failure> {
    log::to_stderr(environment);
    let executable = std::env::current_exe()
        .map_err(|error| Failure::Other(format!("find its own executable: {error}")))?;
    let address = SocketAddr::new(args.listen, args.port);
    let listener = listen("the made-up GitHub", address, "--port")?;
    let settings = emulator::EmulatorSettings::new(Secret::new(TOKEN));
    let github = emulator::Emulator::new(settings);
    let running = emulator::serve(github.clone(), listener)
        .map_err(|error| Failure::Other(format!("serve the made-up GitHub: {error}")))?;
    let printed = output::print(&how_to_use(github.base_url(), &executable));
    let stopped = match printed {
        Ok(()) => next_signal().await.map_err(Failure::Signals),
        Err(error) => Err(error.into()),
    };
    running.stop().await;
    stopped?;
    Ok(Exit::Done)
}

/// What a person does next.
fn how_to_use(base_url: &str, executable: &Path) -> String {
    // The quotes and escapes of Rust are those of TOML.
    let agent = executable.display().to_string();
    format!(
        "\
A made-up GitHub listens on {base_url}. Ctrl-C ends it, and it forgets everything.

For a monitor that uses it, in monitor.toml:
  github_api_url = \"{base_url}\"
  [profiles.linux.guest]
  driver = \"command\"
  command = [{agent:?}, \"agent\"]
and in its environment:
  export GITHUB_TOKEN={TOKEN}

Queue a workflow job; labels are what its runs-on says, the command is run by a real shell:
  curl --fail-with-body -sS -H 'content-type: application/json' {base_url}/_emulator/jobs \\
    -d '{{\"repo\":\"your-name/your-repo\",\"run_id\":1,\"labels\":[\"runner:...\"],\"command\":\"echo hello\"}}'
See how all jobs stand:
  curl -sS {base_url}/_emulator/jobs

Everybody with an account on this machine can queue such jobs, whose commands run as you."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_copied() {
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
