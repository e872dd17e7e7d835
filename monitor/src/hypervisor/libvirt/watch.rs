//! Watches libvirt for guests that end.
//!
//! Responsible for the one `virsh event` process, and that it is started again whenever it ends.
//! Events in between are lost; the next list finds those guests.

use std::{io, path::PathBuf, time::Duration};

use tokio::sync::mpsc;

use super::{event_lines::for_each_line, logs, virsh::Virsh, virsh_output};
use crate::hypervisor::{guest::EndedGuest, output};

/// Pause before `virsh event` is started again, as when libvirtd was restarted.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Sends each runner that ends, with the end of QEMU's log of it. Returns when the receiver is gone.
pub async fn watch(virsh: Virsh, log_folders: Vec<PathBuf>, ended: mpsc::Sender<EndedGuest>) {
    loop {
        let outcome = tokio::select! {
            outcome = forward_events(&virsh, &log_folders, &ended) => outcome,
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

async fn forward_events(
    virsh: &Virsh,
    log_folders: &[PathBuf],
    ended: &mpsc::Sender<EndedGuest>,
) -> io::Result<()> {
    for_each_line(virsh.events()?, |line| {
        let reported = virsh_output::ended(line);
        if let Some((name, event)) = reported.filter(|(name, _)| virsh.is_runner(name)) {
            let (name, exit_status) = (name.to_owned(), Some(event.to_owned()));
            let (log_folders, ended) = (log_folders.to_owned(), ended.clone());
            // A disk that hangs must not delay further events. Without this one, lists show that the guest
            // is gone.
            tokio::task::spawn_blocking(move || {
                let output = logs::end_of(&log_folders, &name).unwrap_or_default();
                // A full channel means that a list is due anyway.
                let _ = ended.try_send(EndedGuest {
                    name,
                    exit_status,
                    output: output::last_lines(&output),
                });
            });
        }
    })
    .await
}
