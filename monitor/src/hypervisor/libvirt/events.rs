//! Hearing of the end of a guest in the moment in which it ends.
//!
//! Owns the one call that listens, and that there always is one. What is said while there is none
//! is lost, and found by the next list.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    sync::mpsc,
};

use super::{answers, virsh::Virsh};

/// The longest line that is read, in bytes. A name of ours is far shorter.
const LINE_LENGTH_MAX: u64 = 4096;
/// How long to wait before listening again, after libvirt has gone away or could not be reached.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends the name of each guest that ends. Returns when nobody wants to know any more.
pub async fn follow(virsh: Virsh, ended: mpsc::Sender<String>) {
    loop {
        let over = tokio::select! {
            over = listen(&virsh, &ended) => over,
            () = ended.closed() => return,
        };
        if let Err(error) = over {
            log::warn!("failed to listen to libvirt: {error}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn listen(virsh: &Virsh, ended: &mpsc::Sender<String>) -> io::Result<()> {
    let mut child = virsh.listen()?;
    let Some(said) = child.stdout.take() else {
        return Ok(());
    };
    let mut said = BufReader::new(said);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut said).take(LINE_LENGTH_MAX);
        if limited.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        if let Some(name) = answers::ended(text.trim_end()).filter(|name| virsh.is_ours(name)) {
            // Those who listen may have enough of it to look at already.
            let _ = ended.try_send(name.to_owned());
        }
    }
}
