//! A job's command as a child process, with all that it starts.
//!
//! The command runs in a process group of its own, together with a small watchman that reads from
//! a pipe whose other end this process holds. When that end goes away, for whatever reason, the
//! watchman kills the group. So nothing of a job outlives its end, its cancellation, or the
//! agent, however the agent dies.

use std::{collections::VecDeque, io, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::AsyncReadExt,
    process::{Child, ChildStdin, ChildStdout},
    time::timeout,
};

/// How much of the output is kept, in bytes; the end of it.
const OUTPUT_LENGTH_MAX: usize = 64 * 1024;
/// How long to wait for the end of the output after the group was killed; what has left the group
/// may hold it open.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Keeps the pipe as descriptor 3 for the watchman alone, then becomes the command. The watchman
/// inherits that polite signals are ignored: were it to say so itself, a quick command could end it
/// before it has.
const WATCHED: &str = r#"
exec 3<&0 </dev/null 2>&1
trap '' HUP INT TERM
(read -r _ <&3; kill -KILL 0) >/dev/null 2>&1 &
trap - HUP INT TERM
exec 3<&-
exec sh -c "$1"
"#;

/// What to run, and how.
#[derive(Debug)]
pub(super) struct Command<'a> {
    pub(super) shell_text: &'a str,
    pub(super) work_dir: Option<&'a Path>,
    /// Added to the agent's own environment.
    pub(super) variables: Vec<(&'static str, String)>,
    /// Taken out of it.
    pub(super) withheld: &'a [String],
}

/// A command that runs, until this is dropped.
#[derive(Debug)]
pub(super) struct JobCommand {
    child: Child,
    /// The group lives as long as this.
    leash: Option<ChildStdin>,
    output: ChildStdout,
    tail: Tail,
}

impl JobCommand {
    /// Starts the command.
    pub(super) fn start(command: &Command<'_>) -> io::Result<Self> {
        let mut process = tokio::process::Command::new("sh");
        process
            .args(["-c", WATCHED, "sh", command.shell_text])
            .envs(command.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        for name in command.withheld {
            process.env_remove(name);
        }
        if let Some(work_dir) = command.work_dir {
            process.current_dir(work_dir);
        }
        let mut child = process.spawn()?;
        // Taken, because waiting for a child closes the pipe it still has.
        let leash = child.stdin.take();
        let output = child.stdout.take().expect("its output is piped");
        Ok(Self {
            child,
            leash,
            output,
            tail: Tail::default(),
        })
    }

    /// Kills the command and all that it started.
    pub(super) fn kill(&mut self) {
        self.leash = None;
    }

    /// Waits for the end of the command, collecting its output; gives its exit code, none if it was
    /// killed. Nothing that it started is left then. May be dropped and called again.
    pub(super) async fn finished(&mut self) -> Option<i32> {
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
            log::debug!("the output was still open after the command had ended");
        }
        status.ok()?.code()
    }

    /// The end of the output so far, both streams as they came. What is not UTF-8 is replaced.
    pub(super) fn output_tail(&self) -> String {
        let (front, back) = self.tail.0.as_slices();
        String::from_utf8_lossy(&[front, back].concat()).into_owned()
    }
}

/// The last bytes of what was pushed.
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
            withheld: &["KEY".into()],
        };
        JobCommand::start(&command).unwrap()
    }

    async fn within<T>(work: impl Future<Output = T>) -> T {
        timeout(Duration::from_secs(30), work).await.unwrap()
    }

    #[tokio::test]
    async fn a_command_ends_with_its_exit_code_and_its_output() {
        for (shell_text, exit_code, output) in [
            ("echo $GREETING ${KEY-nothing}", Some(0), "hello nothing\n"),
            ("echo a; echo b >&2; exit 7", Some(7), "a\nb\n"),
            ("cat", Some(0), ""),
            ("printf 'a\\377b'", Some(0), "a\u{fffd}b"),
            ("kill -KILL $$", None, ""),
            ("kill -TERM 0; true", None, ""),
        ] {
            let mut command = start(shell_text);
            assert_eq!(within(command.finished()).await, exit_code, "{shell_text}");
            assert_eq!(command.output_tail(), output, "{shell_text}");
        }
    }

    #[tokio::test]
    async fn nothing_is_left_when_a_command_has_finished() {
        let mut command = start("sleep 1000 & echo done");
        assert_eq!(within(command.finished()).await, Some(0));
        // The output ends when the last process that could write to it is gone.
        assert_eq!(within(command.output.read(&mut [0])).await.unwrap(), 0);
        assert_eq!(command.output_tail(), "done\n");
    }

    #[tokio::test]
    async fn a_killed_command_takes_all_with_it_even_what_ignores_polite_signals() {
        let mut command = start("trap '' HUP INT TERM; sleep 1000 & sleep 1000");
        command.kill();
        assert_eq!(within(command.finished()).await, None);
        assert_eq!(within(command.output.read(&mut [0])).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_command_that_ends_its_own_group_does_not_end_the_watch() {
        let mut command = start("trap '' TERM; sleep 1000 & trap - TERM; kill -TERM 0; true");
        assert_eq!(within(command.finished()).await, None);
        assert_eq!(within(command.output.read(&mut [0])).await.unwrap(), 0);
    }

    #[test]
    fn only_the_last_bytes_are_kept() {
        let mut tail = Tail::default();
        tail.push(&[b'a'; OUTPUT_LENGTH_MAX]);
        tail.push(b"end");
        assert_eq!(tail.0.len(), OUTPUT_LENGTH_MAX);
        assert!(tail.0.iter().copied().rev().take(4).eq(*b"dnea"));
    }
}
