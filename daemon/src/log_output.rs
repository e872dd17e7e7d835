//! Where the lines of the log go: through a bounded buffer to standard error, by a thread of its own.
//!
//! Guarantees that logging never blocks: if standard error is a pipe that nothing reads, a terminal that is
//! stopped or a file on a full disk, requests are served all the same. Lines that do not fit into the
//! buffer, or cannot be written, are dropped and counted; once lines can be written again, one line in
//! the log tells how many are missing.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Write},
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

/// How many bytes of lines wait to be written at most; a busy daemon logs that much in some minutes.
const BUFFER_SIZE: usize = 1 << 20;
/// The longest line, in bytes; the rest of a longer one is cut off.
const LINE_LENGTH_MAX: usize = 64 << 10;
/// The pause before the next attempt to write, if standard error is in non-blocking mode and full.
const FULL_PAUSE: Duration = Duration::from_millis(20);

/// The buffer of this process, once its log has been started.
static PROCESS: OnceLock<LogOutput> = OnceLock::new();

/// What is known about the log of this process, for dashboards and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStatus {
    /// How many lines have been dropped since the start of the process.
    pub dropped_count: u64,
    /// Why lines are being dropped; `None` if the last line was written, or is being written.
    pub trouble: Option<LogTrouble>,
}

/// Why lines of the log are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTrouble {
    /// The buffer is full, because standard error is read too slowly or not at all.
    NotRead,
    /// Standard error refuses to be written, with this error.
    Failed(String),
}

/// The log of this process; without lines, if it has not been started.
pub fn status() -> LogStatus {
    PROCESS.get().map(LogOutput::status).unwrap_or_default()
}

/// Waits until all lines are written, but at most for `timeout`. For the end of the process.
pub fn flush(timeout: Duration) {
    if let Some(output) = PROCESS.get() {
        output.flush(timeout);
    }
}

/// Writes text that is no record, such as the last error of a process, as a line of the log.
pub(crate) fn write_line(line: &str) {
    match PROCESS.get() {
        Some(output) => output.push(format!("{line}\n").into_bytes()),
        // Before the start of the log. A closed output is ignored.
        None => drop(writeln!(io::stderr(), "{line}")),
    }
}

/// Starts the buffer of this process; later calls return the same.
pub(crate) fn start() -> LogOutput {
    PROCESS
        .get_or_init(|| LogOutput::spawn(io::stderr()))
        .clone()
}

/// A bounded buffer of lines, and the thread that writes them. As a `Write`, one call is one line.
#[derive(Clone)]
pub(crate) struct LogOutput(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Notified of new lines and of written ones.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    /// The length of all `lines` together.
    size: usize,
    /// Whether the thread is writing a line, which is no longer among `lines`.
    is_writing: bool,
    status: LogStatus,
    /// Dropped lines that no line in the log has told of yet.
    untold_count: u64,
}

impl LogOutput {
    /// Starts a thread that writes to `output`, for the life of the process.
    fn spawn(output: impl Write + Send + 'static) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let log = Self(shared);
        let writer = log.clone();
        let spawned = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write_lines(output));
        if let Err(error) = spawned {
            // Lines are counted as dropped once the buffer is full.
            drop(writeln!(
                io::stderr(),
                "failed to start the thread of the log: {error}"
            ));
        }
        log
    }

    fn push(&self, mut line: Vec<u8>) {
        if line.len() > LINE_LENGTH_MAX {
            line.truncate(LINE_LENGTH_MAX - 1);
            line.push(b'\n');
        }
        let mut state = self.0.state.lock();
        if state.size + line.len() > BUFFER_SIZE {
            state.drop_line(LogTrouble::NotRead);
            return;
        }
        state.size += line.len();
        state.lines.push_back(line);
        self.0.changed.notify_all();
    }

    fn status(&self) -> LogStatus {
        self.0.state.lock().status.clone()
    }

    fn flush(&self, timeout: Duration) {
        let mut state = self.0.state.lock();
        let is_busy = |state: &mut State| state.is_writing || !state.lines.is_empty();
        let _ = self.0.changed.wait_while_for(&mut state, is_busy, timeout);
    }

    /// Writes lines as they come. What cannot be written is dropped, and the next line is tried.
    fn write_lines(&self, mut output: impl Write) -> ! {
        loop {
            let line = self.next_line();
            let written = write_whole(&mut output, &line);
            let mut state = self.0.state.lock();
            state.is_writing = false;
            match written {
                Ok(()) => state.status.trouble = None,
                Err(error) => state.drop_line(LogTrouble::Failed(error.to_string())),
            }
            self.0.changed.notify_all();
            // Behind the last line that was kept, where the missing ones belong.
            let can_tell = state.lines.is_empty() && state.status.trouble.is_none();
            let untold_count = match can_tell {
                true => std::mem::take(&mut state.untold_count),
                false => 0,
            };
            drop(state);
            if untold_count > 0 {
                let lines = if untold_count == 1 { "line" } else { "lines" };
                log::warn!(
                    "{untold_count} {lines} of the log are missing here: standard error could not be \
                     written"
                );
            }
        }
    }

    fn next_line(&self) -> Vec<u8> {
        let mut state = self.0.state.lock();
        loop {
            if let Some(line) = state.lines.pop_front() {
                state.size -= line.len();
                state.is_writing = true;
                return line;
            }
            self.0.changed.wait(&mut state);
        }
    }
}

impl State {
    fn drop_line(&mut self, trouble: LogTrouble) {
        self.status.dropped_count += 1;
        self.status.trouble = Some(trouble);
        self.untold_count += 1;
    }
}

impl Write for LogOutput {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes all of `line`, also if `output` is in non-blocking mode, which another process that shares it
/// may have chosen.
fn write_whole(output: &mut impl Write, mut line: &[u8]) -> io::Result<()> {
    while !line.is_empty() {
        match output.write(line) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => line = &line[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(FULL_PAUSE),
            Err(error) => return Err(error),
        }
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// How long a test waits for what must happen.
    const DEADLINE: Duration = Duration::from_secs(30);

    /// An output whose every write waits for its outcome from the test.
    struct Scripted {
        attempts: Sender<Vec<u8>>,
        outcomes: Receiver<io::Result<usize>>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // The test may have ended.
            let _ = self.attempts.send(bytes.to_vec());
            let outcome = self.outcomes.recv();
            outcome.unwrap_or(Ok(bytes.len()))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn scripted() -> (LogOutput, Receiver<Vec<u8>>, Sender<io::Result<usize>>) {
        let (attempts, attempted) = channel();
        let (decide, outcomes) = channel();
        let log = LogOutput::spawn(Scripted { attempts, outcomes });
        (log, attempted, decide)
    }

    fn next(attempted: &Receiver<Vec<u8>>) -> String {
        String::from_utf8(attempted.recv_timeout(DEADLINE).unwrap()).unwrap()
    }

    #[test]
    fn lines_are_written_in_order_and_whole() {
        let (log, attempted, decide) = scripted();
        log.push(b"one\n".to_vec());
        log.push(b"two\n".to_vec());
        assert_eq!(next(&attempted), "one\n");
        decide.send(Ok(1)).unwrap();
        assert_eq!(next(&attempted), "ne\n");
        decide.send(Err(ErrorKind::Interrupted.into())).unwrap();
        assert_eq!(next(&attempted), "ne\n");
        decide.send(Err(ErrorKind::WouldBlock.into())).unwrap();
        assert_eq!(next(&attempted), "ne\n");
        decide.send(Ok(3)).unwrap();
        assert_eq!(next(&attempted), "two\n");
        decide.send(Ok(4)).unwrap();
        log.flush(DEADLINE);
        assert_eq!(log.status(), LogStatus::default());
    }

    #[test]
    fn an_output_that_is_not_read_costs_only_lines() {
        let (log, attempted, decide) = scripted();
        log.push(b"first\n".to_vec());
        assert_eq!(next(&attempted), "first\n");
        // The thread is stuck in this write; everything below must not wait for it.
        let line = vec![b'x'; LINE_LENGTH_MAX];
        let fitting = BUFFER_SIZE / LINE_LENGTH_MAX;
        for _ in 0..fitting + 3 {
            log.push(line.clone());
        }
        let expected = LogStatus {
            dropped_count: 3,
            trouble: Some(LogTrouble::NotRead),
        };
        assert_eq!(log.status(), expected);
        log.flush(Duration::from_millis(1));
        drop(decide);
        log.flush(DEADLINE);
        assert_eq!(attempted.try_iter().count(), fitting, "all that fitted");
        assert_eq!(log.status().trouble, None);
        assert_eq!(log.status().dropped_count, 3);
    }

    #[test]
    fn a_line_that_cannot_be_written_is_dropped_and_the_next_one_tried() {
        let (log, attempted, decide) = scripted();
        log.push(b"one\n".to_vec());
        assert_eq!(next(&attempted), "one\n");
        decide.send(Err(ErrorKind::BrokenPipe.into())).unwrap();
        log.flush(DEADLINE);
        let failed = LogTrouble::Failed("broken pipe".to_owned());
        assert_eq!(log.status().trouble, Some(failed));
        log.push(b"two\n".to_vec());
        assert_eq!(next(&attempted), "two\n");
        decide.send(Ok(4)).unwrap();
        log.flush(DEADLINE);
        let expected = LogStatus {
            dropped_count: 1,
            trouble: None,
        };
        assert_eq!(log.status(), expected);
    }

    #[test]
    fn a_long_line_is_cut_off() {
        let (log, attempted, _decide) = scripted();
        log.push(vec![b'x'; LINE_LENGTH_MAX + 5]);
        let line = next(&attempted);
        assert_eq!(line.len(), LINE_LENGTH_MAX);
        assert!(line.ends_with("x\n"));
    }
}
