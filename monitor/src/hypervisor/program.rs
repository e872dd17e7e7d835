//! A program of the host that is called, answers, and ends.
//!
//! Owns that no call waits for ever or answers without end, and that nothing of the monitor's
//! environment, which holds tokens, reaches the program but where programs are and whose home is
//! whose. Knows nothing about what the programs do.

use std::{
    ffi::OsString,
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    time::timeout,
};

/// The most that a program may say, in bytes.
const ANSWER_SIZE_MAX: u64 = 4 << 20;
/// The most of its complaint that is repeated, in characters.
const COMPLAINT_LENGTH_MAX: usize = 300;
/// What it sees of the monitor's environment. (Whoever runs libvirt under another user's name finds
/// its sockets by the last one.)
const INHERITED_VARIABLES: [&str; 3] = ["PATH", "HOME", "XDG_RUNTIME_DIR"];

/// Why a program did not do what it was called for. Each text is a clause about the program.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It could not be started, or not be listened to.
    #[error("`{program}` cannot be run: {source}")]
    Unusable {
        /// Which program.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It was still at work, and was killed.
    #[error("`{program}` did not answer within {} s", .timeout.as_secs())]
    TimedOut {
        /// Which program.
        program: &'static str,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// It said too much, and was killed.
    #[error("`{program}` said more than {ANSWER_SIZE_MAX} bytes")]
    Garrulous {
        /// Which program.
        program: &'static str,
    },
    /// It says that it failed.
    #[error("`{program}` ended with {status}: {complaint}")]
    Failed {
        /// Which program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// What it said about that, on one line.
        complaint: String,
    },
}

/// Calls `program`, which has `patience` to end, and returns what it said.
///
/// # Errors
/// When it cannot be run, is too slow or too loud, or says that it failed.
pub async fn call(
    program: &'static str,
    arguments: &[OsString],
    patience: Duration,
) -> Result<String, ProgramError> {
    let unusable = |source| ProgramError::Unusable { program, source };
    let child = start(program, arguments).map_err(unusable)?;
    match timeout(patience, hear(program, child)).await {
        Ok(heard) => heard,
        Err(_) => Err(ProgramError::TimedOut {
            program,
            timeout: patience,
        }),
    }
}

/// Starts a program that ends with us, also when we are killed. That it is told by the kernel, which
/// takes the thread that calls this for us: it has to live as long as the program is wanted.
pub fn start_as_our_own(program: &str, arguments: &[OsString]) -> io::Result<Child> {
    // The wish is made by `setpriv`, which then becomes the program: to make it here would be to run
    // code of ours between fork and exec, for which Rust has no safe way.
    let mut own = ["--pdeathsig", "TERM", "--", program]
        .map(OsString::from)
        .to_vec();
    own.extend_from_slice(arguments);
    start("setpriv", &own)
}

/// Starts a program. It is killed when what is returned is dropped.
fn start(program: &str, arguments: &[OsString]) -> io::Result<Child> {
    let inherited = std::env::vars_os().filter(|(name, _)| {
        INHERITED_VARIABLES
            .iter()
            .any(|inherited| name == inherited)
    });
    Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(inherited)
        // What it says is read by us, in its own words.
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

async fn hear(program: &'static str, mut child: Child) -> Result<String, ProgramError> {
    let (said, complaint) = tokio::try_join!(
        read(program, child.stdout.take()),
        read(program, child.stderr.take()),
    )?;
    let ended = child.wait().await;
    let status = ended.map_err(|source| ProgramError::Unusable { program, source })?;
    if status.success() {
        return Ok(said);
    }
    Err(ProgramError::Failed {
        program,
        status,
        complaint: on_one_line(&complaint),
    })
}

async fn read(
    program: &'static str,
    from: Option<impl AsyncRead + Unpin>,
) -> Result<String, ProgramError> {
    let mut said = Vec::new();
    if let Some(from) = from {
        let read = from
            .take(ANSWER_SIZE_MAX + 1)
            .read_to_end(&mut said)
            .await
            .map_err(|source| ProgramError::Unusable { program, source })?;
        if read as u64 > ANSWER_SIZE_MAX {
            return Err(ProgramError::Garrulous { program });
        }
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// The words of a complaint, without what would break a log line.
fn on_one_line(complaint: &str) -> String {
    let lines: Vec<_> = complaint.lines().map(str::trim).collect();
    let lines = lines.into_iter().filter(|line| !line.is_empty());
    let joined = lines.collect::<Vec<_>>().join("; ");
    joined
        .chars()
        .filter(|character| !character.is_control())
        .take(COMPLAINT_LENGTH_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use rustix::process::{Pid, Signal, WaitOptions, waitpid};
    use tokio::runtime::Builder;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    async fn shell(script: &str, patience: Duration) -> Result<String, ProgramError> {
        call("sh", &["-c".into(), script.into()], patience).await
    }

    #[tokio::test]
    async fn an_answer_is_what_was_said() {
        assert_eq!(shell("echo a; echo b", PATIENCE).await.unwrap(), "a\nb\n");
    }

    #[tokio::test]
    async fn a_failure_is_told_in_the_programs_words_on_one_line() {
        let script = "echo 'error: one' >&2; echo >&2; printf 'error:\\033 two\\n' >&2; exit 3";
        let error = shell(script, PATIENCE).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh` ended with exit status: 3: error: one; error: two"
        );
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_an_error() {
        let error = call("no-such-program", &[], PATIENCE).await.unwrap_err();
        assert!(matches!(error, ProgramError::Unusable { .. }), "{error}");
    }

    #[tokio::test]
    async fn nobody_is_waited_for_without_end() {
        let error = shell("exec sleep 600", Duration::from_millis(50))
            .await
            .unwrap_err();
        assert!(matches!(error, ProgramError::TimedOut { .. }), "{error}");
    }

    #[tokio::test]
    async fn nobody_is_listened_to_without_end() {
        for script in ["exec yes", "exec yes >&2"] {
            let error = shell(script, PATIENCE).await.unwrap_err();
            assert!(matches!(error, ProgramError::Garrulous { .. }), "{error}");
        }
    }

    /// Starts a program of our own on this thread, and returns once it runs. Nothing but the kernel
    /// can end it then.
    fn start_and_forget() -> Option<Pid> {
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let child = runtime.block_on(async {
            let script = "echo up; exec sleep 600";
            let mut child = start_as_our_own("sh", &["-c".into(), script.into()]).unwrap();
            // By now `setpriv` has become the program.
            let mut said = [0; 3];
            let stdout = child.stdout.as_mut().unwrap();
            stdout.read_exact(&mut said).await.unwrap();
            assert_eq!(&said, b"up\n");
            child
        });
        let pid = child.id()?;
        std::mem::forget(child);
        Pid::from_raw(pid.try_into().unwrap())
    }

    #[test]
    fn a_program_of_our_own_ends_with_the_thread_that_started_it() {
        let pid = std::thread::spawn(start_and_forget).join().unwrap();
        let ended = waitpid(pid, WaitOptions::empty()).unwrap();
        let (_, status) = ended.unwrap();
        assert_eq!(status.terminating_signal(), Some(Signal::TERM.as_raw()));
    }

    #[tokio::test]
    async fn nothing_of_the_environment_but_what_is_listed_is_inherited() {
        let said = shell("env", PATIENCE).await.unwrap();
        // `cargo test` sets many others. A shell adds the last two by itself.
        let known = [
            "PATH",
            "HOME",
            "XDG_RUNTIME_DIR",
            "LC_ALL",
            "PWD",
            "OLDPWD",
            "SHLVL",
            "_",
        ];
        for line in said.lines() {
            let name = line.split('=').next().unwrap();
            assert!(known.contains(&name), "{line}");
        }
    }
}
