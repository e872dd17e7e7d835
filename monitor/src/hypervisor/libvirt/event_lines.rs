//! The output of a `virsh` process that writes one line for each event.

use std::io;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Child,
};

/// Maximum number of bytes that are read of a line. Events are far shorter.
const LINE_LENGTH_MAX: u64 = 4096;

/// Calls `handle` with each line, without its end, until the process ends. The process ends when this
/// future is dropped.
pub async fn for_each_line(mut child: Child, mut handle: impl FnMut(&str)) -> io::Result<()> {
    let Some(output) = child.stdout.take() else {
        return Ok(());
    };
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut output).take(LINE_LENGTH_MAX);
        if limited.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        handle(String::from_utf8_lossy(&line).trim_end());
    }
}
