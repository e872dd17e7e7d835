//! Runs programs and reads what they print.

use std::{
    ffi::OsStr,
    process::{ExitStatus, Stdio},
};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::timeout,
};

use super::{API_TOKEN, TIMEOUT};

/// The variables of proxies; empty, they count as not set.
const PROXY_VARIABLES: [&str; 8] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// A program that has exited.
#[derive(Debug)]
pub struct Finished {
    /// The exit status; `None` if a signal ended the process.
    pub status: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// A program that runs.
pub struct Running {
    /// The process.
    pub child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

/// A command that runs `executable` with these arguments, which are separated by blanks. Its
/// environment has the API token, and no other variable that affects the programs of this workspace.
pub fn command(executable: impl AsRef<OsStr>, arguments: &str) -> Command {
    let mut command = Command::new(executable);
    command
        .args(arguments.split_whitespace())
        .env("SERVO_CI_MONITOR_API_TOKEN", API_TOKEN)
        .env("CI_RUNNERS_AUTHOR", "alice@laptop")
        .env_remove("CI_RUNNERS_TICKET")
        .env_remove("CI_RUNNERS_QUEUE")
        .env_remove("CI_RUNNERS_MONITOR")
        .env_remove("CI_RUNNERS_FLEET")
        .env_remove("CI_RUNNERS_CONFIG")
        // The configuration file of the account that runs the tests.
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .env_remove("RUST_LOG")
        // The width of the help.
        .env_remove("COLUMNS")
        .envs(PROXY_VARIABLES.map(|name| (name, "")))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs `command` until it exits.
///
/// # Panics
/// When it does not exit within [`TIMEOUT`].
pub async fn finish(mut command: Command) -> Finished {
    let output = timeout(TIMEOUT, command.output()).await;
    let output = output.expect("the command exits").unwrap();
    Finished {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs `program` with these arguments until it exits, and returns its standard output.
///
/// # Panics
/// When it fails.
pub async fn stdout_of(program: impl AsRef<OsStr>, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let finished = finish(command).await;
    finished.assert_status(0);
    finished.stdout
}

/// Starts `command`.
pub fn start(mut command: Command) -> Running {
    let mut child = command.spawn().unwrap();
    Running {
        stdout: BufReader::new(child.stdout.take().unwrap()).lines(),
        stderr: BufReader::new(child.stderr.take().unwrap()).lines(),
        child,
    }
}

impl Finished {
    /// Asserts the exit status.
    #[track_caller]
    pub fn assert_status(&self, status: i32) {
        assert_eq!(self.status, Some(status), "{self:?}");
    }

    /// Asserts the exit status and the whole standard output.
    #[track_caller]
    pub fn assert_exit(&self, status: i32, stdout: &str) {
        self.assert_status(status);
        assert_eq!(self.stdout, stdout, "{self:?}");
    }

    /// Asserts that standard output contains `part`.
    #[track_caller]
    pub fn assert_stdout_has(&self, part: &str) {
        assert!(self.stdout.contains(part), "{part:?} is not in {self:?}");
    }

    /// Asserts that standard error contains `part`.
    #[track_caller]
    pub fn assert_stderr_has(&self, part: &str) {
        assert!(self.stderr.contains(part), "{part:?} is not in {self:?}");
    }
}

impl Running {
    /// Reads standard error up to a line that contains `part`, and returns that line.
    pub async fn expect_stderr(&mut self, part: &str) -> String {
        expect_line(&mut self.stderr, part).await
    }

    /// Reads standard output up to a line that contains `part`, and returns that line.
    pub async fn expect_stdout(&mut self, part: &str) -> String {
        expect_line(&mut self.stdout, part).await
    }

    /// Sends it a signal, such as `INT`.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs");
        let mut kill = Command::new("kill");
        let sent = kill.args([format!("-{name}"), pid.to_string()]).status();
        assert!(sent.await.unwrap().success());
    }

    /// Waits until it exits; returns what it printed since the last line that was expected.
    pub async fn finish(mut self) -> Finished {
        let rest = async {
            let (mut stdout, mut stderr) = (String::new(), String::new());
            let (mut out, mut err) = (self.stdout.into_inner(), self.stderr.into_inner());
            let (read_out, read_err) = tokio::join!(
                out.read_to_string(&mut stdout),
                err.read_to_string(&mut stderr)
            );
            read_out.and(read_err).unwrap();
            let status: ExitStatus = self.child.wait().await.unwrap();
            Finished {
                status: status.code(),
                stdout,
                stderr,
            }
        };
        timeout(TIMEOUT, rest).await.expect("the command exits")
    }
}

async fn expect_line<R: AsyncBufRead + Unpin>(lines: &mut Lines<R>, part: &str) -> String {
    let mut seen = Vec::new();
    let find = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(part) {
                return line;
            }
            seen.push(line);
        }
        panic!("expected {part:?}, got only {seen:#?}");
    };
    let found = timeout(TIMEOUT, find).await;
    found.unwrap_or_else(|_| panic!("{part:?} was not printed within {TIMEOUT:?}"))
}
