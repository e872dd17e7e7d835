//! Calls of programs of the host, with a timeout and a limit on their output.
//!
//! Responsible for the environment of the programs: they inherit only the variables that are listed
//! here, because the monitor's environment holds tokens. Not responsible for what the programs do.

use std::{
    ffi::OsString,
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
};

/// Maximum output of a program, in bytes.
const OUTPUT_SIZE_MAX: u64 = 4 << 20;
/// How much of its error output is part of an error, in characters.
const ERROR_OUTPUT_LENGTH_MAX: usize = 300;
/// The inherited variables. A libvirt session of another user finds its sockets by the last one.
const INHERITED_VARIABLES: [&str; 3] = ["PATH", "HOME", "XDG_RUNTIME_DIR"];

/// Why a call of a program failed. Each text is a clause about the program.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    #[error("`{program}` cannot be run: {source}")]
    Unusable {
        program: &'static str,
        source: io::Error,
    },
    #[error("`{program}` did not end within {} s and was killed", .timeout.as_secs())]
    TimedOut {
        program: &'static str,
        timeout: Duration,
    },
    #[error("`{program}` wrote more than {OUTPUT_SIZE_MAX} bytes and was killed")]
    TooMuchOutput { program: &'static str },
    #[error("`{program}` ended with {status}: {error_output}")]
    Failed {
        program: &'static str,
        status: ExitStatus,
        /// On one line.
        error_output: String,
    },
}

/// Runs `program` to its end, and returns its standard output.
///
/// # Errors
/// If it cannot be run, exceeds the `timeout` or the limit on its output, or fails.
pub async fn call(
    program: &'static str,
    arguments: &[OsString],
    timeout: Duration,
) -> Result<String, ProgramError> {
    call_with(program, arguments, &[], timeout).await
}

/// The same, with these variables in addition to the inherited ones.
///
/// # Errors
/// As [`call`].
pub async fn call_with(
    program: &'static str,
    arguments: &[OsString],
    variables: &[(OsString, OsString)],
    timeout: Duration,
) -> Result<String, ProgramError> {
    let unusable = |source| ProgramError::Unusable { program, source };
    let child = start(program, arguments, variables).map_err(unusable)?;
    tokio::time::timeout(timeout, output(program, child))
        .await
        .unwrap_or(Err(ProgramError::TimedOut { program, timeout }))
}

/// Starts a program that ends with the monitor, even if the monitor is killed: the kernel sends it
/// SIGTERM. The kernel does so at the end of the *thread* that calls this, which therefore has to live
/// as long as the program.
pub fn start_bound_to_thread(program: &str, arguments: &[OsString]) -> io::Result<Child> {
    // `setpriv` requests the signal and then executes the program. To request it here would mean to
    // run code between fork and exec, which needs unsafe code.
    let mut words = ["--pdeathsig", "TERM", "--", program]
        .map(OsString::from)
        .to_vec();
    words.extend_from_slice(arguments);
    start("setpriv", &words, &[])
}

/// Starts a program. It is killed when the returned value is dropped.
fn start(
    program: &str,
    arguments: &[OsString],
    variables: &[(OsString, OsString)],
) -> io::Result<Child> {
    let inherited = std::env::vars_os().filter(|(name, _)| {
        INHERITED_VARIABLES
            .iter()
            .any(|inherited| name == inherited)
    });
    Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(inherited)
        .envs(variables.iter().cloned())
        // Its output is parsed, so it must not be translated.
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

async fn output(program: &'static str, mut child: Child) -> Result<String, ProgramError> {
    let (output, error_output) = tokio::try_join!(
        read(program, child.stdout.take()),
        read(program, child.stderr.take()),
    )?;
    let ended = child.wait().await;
    let status = ended.map_err(|source| ProgramError::Unusable { program, source })?;
    if status.success() {
        return Ok(output);
    }
    Err(ProgramError::Failed {
        program,
        status,
        error_output: on_one_line(&error_output),
    })
}

async fn read(
    program: &'static str,
    from: Option<impl AsyncRead + Unpin>,
) -> Result<String, ProgramError> {
    let mut output = Vec::new();
    if let Some(from) = from {
        let read = from
            .take(OUTPUT_SIZE_MAX + 1)
            .read_to_end(&mut output)
            .await
            .map_err(|source| ProgramError::Unusable { program, source })?;
        if read as u64 > OUTPUT_SIZE_MAX {
            return Err(ProgramError::TooMuchOutput { program });
        }
    }
    Ok(String::from_utf8_lossy(&output).into_owned())
}

/// The error output, shortened and without characters that would break a log line.
fn on_one_line(error_output: &str) -> String {
    let lines: Vec<_> = error_output.lines().map(str::trim).collect();
    let lines = lines.into_iter().filter(|line| !line.is_empty());
    let joined = lines.collect::<Vec<_>>().join("; ");
    joined
        .chars()
        .filter(|character| !character.is_control())
        .take(ERROR_OUTPUT_LENGTH_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use rustix::process::{Pid, Signal, WaitOptions, waitpid};
    use tokio::runtime::Builder;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn shell(script: &str, timeout: Duration) -> Result<String, ProgramError> {
        call("sh", &["-c".into(), script.into()], timeout).await
    }

    #[tokio::test]
    async fn a_call_returns_the_standard_output() {
        assert_eq!(shell("echo a; echo b", TIMEOUT).await.unwrap(), "a\nb\n");
    }

    #[tokio::test]
    async fn a_failure_has_the_error_output_on_one_line() {
        let script = "echo 'error: one' >&2; echo >&2; printf 'error:\\033 two\\n' >&2; exit 3";
        let error = shell(script, TIMEOUT).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh` ended with exit status: 3: error: one; error: two"
        );
    }

    #[tokio::test]
    async fn a_program_that_does_not_exist_is_an_error() {
        let error = call("no-such-program", &[], TIMEOUT).await.unwrap_err();
        assert!(matches!(error, ProgramError::Unusable { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_exceeds_the_timeout_is_an_error() {
        let error = shell("exec sleep 600", Duration::from_millis(50))
            .await
            .unwrap_err();
        assert!(matches!(error, ProgramError::TimedOut { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_exceeds_the_output_limit_is_an_error() {
        for script in ["exec yes", "exec yes >&2"] {
            let error = shell(script, TIMEOUT).await.unwrap_err();
            assert!(
                matches!(error, ProgramError::TooMuchOutput { .. }),
                "{error}"
            );
        }
    }

    /// Starts a program on this thread, and returns once it runs. Only the kernel can end it then.
    fn start_and_forget() -> Option<Pid> {
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let child = runtime.block_on(async {
            let script = "echo up; exec sleep 600";
            let mut child = start_bound_to_thread("sh", &["-c".into(), script.into()]).unwrap();
            // This output shows that `setpriv` has executed the program.
            let mut output = [0; 3];
            let stdout = child.stdout.as_mut().unwrap();
            stdout.read_exact(&mut output).await.unwrap();
            assert_eq!(&output, b"up\n");
            child
        });
        let pid = child.id()?;
        std::mem::forget(child);
        Pid::from_raw(pid.try_into().unwrap())
    }

    #[test]
    fn a_program_bound_to_a_thread_ends_with_that_thread() {
        let pid = std::thread::spawn(start_and_forget).join().unwrap();
        let ended = waitpid(pid, WaitOptions::empty()).unwrap();
        let (_, status) = ended.unwrap();
        assert_eq!(status.terminating_signal(), Some(Signal::TERM.as_raw()));
    }

    #[tokio::test]
    async fn only_listed_variables_are_inherited() {
        let output = shell("env", TIMEOUT).await.unwrap();
        // `cargo test` sets many others; the shell adds the last ones.
        let known = [
            "PATH",
            "HOME",
            "XDG_RUNTIME_DIR",
            "LC_ALL",
            "TZ",
            "PWD",
            "OLDPWD",
            "SHLVL",
            "_",
        ];
        for line in output.lines() {
            let name = line.split('=').next().unwrap();
            assert!(known.contains(&name), "{line}");
        }
    }
}
