//! A job's command as a child process, with all processes that it starts.
//!
//! The command runs in its own process group, together with a watchdog that reads from a pipe. The
//! agent holds the other end. When that end is closed, even because the agent was killed, the
//! watchdog kills the group. So no process outlives the job or the agent.

use std::{collections::VecDeque, io, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::AsyncReadExt,
    process::{Child, ChildStdin, ChildStdout},
    time::timeout,
};

/// How much of the end of the output is kept, in bytes.
const OUTPUT_LENGTH_MAX: usize = 64 * 1024;
/// How long to wait for the end of the output after the group was killed. A process that has left
/// the group may keep it open.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Starts the watchdog, which has the pipe as descriptor 3, then becomes the command. The watchdog
/// inherits that HUP, INT and TERM are ignored: if it set that itself, a signal could end it before.
const WATCHDOG_SCRIPT: &str = r#"
exec 3<&0 </dev/null 2>&1
trap '' HUP INT TERM
(read -r _ <&3; kill -KILL 0) >/dev/null 2>&1 &
trap - HUP INT TERM
exec 3<&-
exec sh -c "$1"
"#;

#[derive(Debug)]
pub(super) struct Command<'a> {
    pub(super) shell_text: &'a str,
    pub(super) work_dir: Option<&'a Path>,
    /// Added to the agent's own environment.
    pub(super) variables: Vec<(&'static str, String)>,
    /// Removed from the agent's own environment.
    pub(super) removed_variables: &'a [String],
}

/// A running command. Dropping it kills the process group.
#[derive(Debug)]
pub(super) struct JobCommand {
    child: Child,
    /// The agent's end of the watchdog's pipe.
    watchdog_pipe: Option<ChildStdin>,
    output: ChildStdout,
    tail: Tail,
}

impl JobCommand {
    pub(super) fn start(command: &Command<'_>) -> io::Result<Self> {
        let mut process = tokio::process::Command::new("sh");
        process
            .args(["-c", WATCHDOG_SCRIPT, "sh", command.shell_text])
            .envs(command.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        for name in command.removed_variables {
            process.env_remove(name);
        }
        if let Some(work_dir) = command.work_dir {
            process.current_dir(work_dir);
        }
        let mut child = process.spawn()?;
        // Taken, because waiting for a child would close it.
        let watchdog_pipe = child.stdin.take();
        let output = child.stdout.take().expect("its output is piped");
        Ok(Self {
            child,
            watchdog_pipe,
            output,
            tail: Tail::default(),
        })
    }

    /// Kills the process group.
    pub(super) fn kill(&mut self) {
        self.watchdog_pipe = None;
    }

    /// Waits for the end of the command and kills what it has left behind; returns its exit code,
    /// none if it was killed. May be dropped and called again.
    pub(super) async fn wait(&mut self) -> Option<i32> {
        let mut buffer = [0; 8 * 1024];
        let mut is_open = true;
        let status = loop {
            tokio::select! {
                read = self.output.read(&mut buffer), if is_open => match read {
                    Ok(length @ 1..) => self.tail.push(&buffer[..length]),
                    _ => is_open = false,
                },
                status = self.child.wait() => break status,
            }
        };
        self.kill();
        let rest = async {
            while let Ok(length @ 1..) = self.output.read(&mut buffer).await {
                self.tail.push(&buffer[..length]);
            }
        };
        if timeout(DRAIN_TIMEOUT, rest).await.is_err() {
            log::debug!("a process outside of the group keeps the output of the command open");
        }
        status.ok()?.code()
    }

    /// The end of the output so far, of both streams. Invalid UTF-8 is replaced.
    pub(super) fn output_tail(&self) -> String {
        let (front, back) = self.tail.0.as_slices();
        String::from_utf8_lossy(&[front, back].concat()).into_owned()
    }
}

/// The last [`OUTPUT_LENGTH_MAX`] bytes that were pushed.
#[derive(Debug, Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        let excess = self.0.len().saturating_sub(OUTPUT_LENGTH_MAX);
        self.0.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(shell_text: &str) -> JobCommand {
        let command = Command {
            shell_text,
            work_dir: None,
            variables: vec![("GREETING", "hello".into()), ("KEY", "hunter2".into())],
            removed_variables: &["KEY".into()],
        };
        JobCommand::start(&command).unwrap()
    }

    async fn within<T>(work: impl Future<Output = T>) -> T {
        timeout(Duration::from_secs(30), work).await.unwrap()
    }

    #[tokio::test]
    async fn a_command_returns_its_exit_code_and_its_output() {
        for (shell_text, exit_code, output) in [
            ("echo $GREETING ${KEY-nothing}", Some(0), "hello nothing\n"),
            ("echo a; echo b >&2; exit 7", Some(7), "a\nb\n"),
            ("cat", Some(0), ""),
            ("printf 'a\\377b'", Some(0), "a\u{fffd}b"),
            ("kill -KILL $$", None, ""),
            ("kill -TERM 0; true", None, ""),
        ] {
            let mut command = start(shell_text);
            assert_eq!(within(command.wait()).await, exit_code, "{shell_text}");
            assert_eq!(command.output_tail(), output, "{shell_text}");
        }
    }

    #[tokio::test]
    async fn background_processes_are_killed_when_the_command_ends() {
        let mut command = start("sleep 1000 & echo done");
        assert_eq!(within(command.wait()).await, Some(0));
        // The output ends when the last process that can write to it has ended.
        assert_eq!(within(command.output.read(&mut [0])).await.unwrap(), 0);
        assert_eq!(command.output_tail(), "done\n");
    }

    #[tokio::test]
    async fn killing_a_command_kills_processes_that_ignore_signals() {
        let mut command = start("trap '' HUP INT TERM; sleep 1000 & sleep 1000");
        command.kill();
        assert_eq!(within(command.wait()).await, None);
        assert_eq!(within(command.output.read(&mut [0])).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_watchdog_survives_signals_to_its_process_group() {
        let mut command = start("trap '' TERM; sleep 1000 & trap - TERM; kill -TERM 0; true");
        assert_eq!(within(command.wait()).await, None);
        assert_eq!(within(command.output.read(&mut [0])).await.unwrap(), 0);
    }

    #[test]
    fn only_the_last_bytes_of_the_output_are_kept() {
        let mut tail = Tail::default();
        tail.push(&[b'a'; OUTPUT_LENGTH_MAX]);
        tail.push(b"end");
        assert_eq!(tail.0.len(), OUTPUT_LENGTH_MAX);
        assert!(tail.0.iter().copied().rev().take(4).eq(*b"dnea"));
    }
}
