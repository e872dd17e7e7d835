//! Runs programs and watches what they print.

use std::{
    ffi::OsStr,
    process::{ExitStatus, Stdio},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::timeout,
};

use super::{API_TOKEN, PATIENCE};

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status; none if a signal ended it.
    pub status: Option<i32>,
    /// All that it printed.
    pub stdout: String,
    /// All that it said to standard error.
    pub stderr: String,
}

/// A command that runs.
pub struct Started {
    /// The process.
    pub child: Child,
    /// What it prints, line by line.
    pub stdout: Lines<BufReader<ChildStdout>>,
    /// What it says, line by line.
    pub stderr: Lines<BufReader<ChildStderr>>,
}

/// `executable` with these arguments, which are separated by blanks. Its environment has the API
/// token, and no other variable that this workspace's programs read.
pub fn command(executable: &str, arguments: &str) -> Command {
    let mut command = Command::new(executable);
    command
        .args(arguments.split_whitespace())
        .env("SERVO_CI_MONITOR_API_TOKEN", API_TOKEN)
        .env_remove("CI_RUNNERS_TICKET")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs `command` to its end.
///
/// # Panics
/// When it does not end.
pub async fn end_of(mut command: Command) -> Ended {
    let output = timeout(PATIENCE, command.output()).await;
    let output = output.expect("the command ends").unwrap();
    Ended {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Starts `command`, to be watched while it runs.
pub fn start(mut command: Command) -> Started {
    let mut child = command.spawn().unwrap();
    Started {
        stdout: BufReader::new(child.stdout.take().unwrap()).lines(),
        stderr: BufReader::new(child.stderr.take().unwrap()).lines(),
        child,
    }
}

impl Started {
    /// Reads what it says to standard error up to a line that contains `part`, and returns that.
    pub async fn says(&mut self, part: &str) -> String {
        find(&mut self.stderr, part).await
    }

    /// Reads what it prints up to a line that contains `part`, and returns that.
    pub async fn prints(&mut self, part: &str) -> String {
        find(&mut self.stdout, part).await
    }

    /// Sends it a signal, such as `INT`.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs");
        let mut kill = Command::new("kill");
        let sent = kill.args([format!("-{name}"), pid.to_string()]).status();
        assert!(sent.await.unwrap().success());
    }

    /// Waits for its end; returns its status, and what it printed and said since it was last read.
    pub async fn end(mut self) -> Ended {
        let rest = async {
            let (mut stdout, mut stderr) = (String::new(), String::new());
            let (mut out, mut err) = (self.stdout.into_inner(), self.stderr.into_inner());
            let (read_out, read_err) = tokio::join!(
                out.read_to_string(&mut stdout),
                err.read_to_string(&mut stderr)
            );
            read_out.and(read_err).unwrap();
            let status: ExitStatus = self.child.wait().await.unwrap();
            Ended {
                status: status.code(),
                stdout,
                stderr,
            }
        };
        timeout(PATIENCE, rest).await.expect("the command ends")
    }
}

async fn find<R: tokio::io::AsyncBufRead + Unpin>(lines: &mut Lines<R>, part: &str) -> String {
    let mut seen = Vec::new();
    let find = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(part) {
                return line;
            }
            seen.push(line);
        }
        panic!("{part:?} never came, only {seen:#?}");
    };
    let found = timeout(PATIENCE, find).await;
    found.unwrap_or_else(|_| panic!("{part:?} did not come in time"))
}

/// What `program` prints when it ends well.
pub async fn text_of(program: impl AsRef<OsStr>, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let ended = end_of(command).await;
    assert_eq!(ended.status, Some(0), "{ended:?}");
    ended.stdout
}
