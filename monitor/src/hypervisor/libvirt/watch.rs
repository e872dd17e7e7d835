//! Watches libvirt for guests that end.
//!
//! Responsible for the one `virsh event` process, and that it is started again whenever it ends.
//! Events in between are lost; the next list finds those guests.

use std::{io, time::Duration};

use tokio::sync::mpsc;

use super::{event_lines::for_each_line, virsh::Virsh, virsh_output};

/// Pause before `virsh event` is started again, as when libvirtd was restarted.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Sends the name of each runner that ends. Returns when the receiver is gone.
pub async fn watch(virsh: Virsh, ended: mpsc::Sender<String>) {
    loop {
        let outcome = tokio::select! {
            outcome = forward_events(&virsh, &ended) => outcome,
            () = ended.closed() => return,
        };
        if let Err(error) = outcome {
            log::warn!(
                "failed to watch libvirt for guests that end: {error}; trying again in {} s",
                RESTART_PAUSE.as_secs()
            );
        }
        tokio::time::sleep(RESTART_PAUSE).await;
    }
}

async fn forward_events(virsh: &Virsh, ended: &mpsc::Sender<String>) -> io::Result<()> {
    for_each_line(virsh.events()?, |line| {
        if let Some(name) = virsh_output::ended(line).filter(|name| virsh.is_runner(name)) {
            // A full channel means that a list is due anyway.
            let _ = ended.try_send(name.to_owned());
        }
    })
    .await
}
