//! Why a guest that builds an image has ended.
//!
//! Responsible for the one `virsh qemu-monitor-event` process of a build. Only QEMU's own event tells a
//! guest that has powered itself off from one that rebooted, panicked, was destroyed or was killed: libvirt
//! reports "shut down" for several of these. If the event is missed, as while libvirtd restarts, the cause
//! is unknown, and the build counts as failed.

use std::{io, time::Duration};

use tokio::{sync::watch, task::JoinHandle, time::timeout};

use super::{
    event_lines::for_each_line,
    virsh::Virsh,
    virsh_output::{self, Shutdown},
};

/// Pause before the process is started again, as when libvirtd was restarted.
const RESTART_PAUSE: Duration = Duration::from_millis(200);
/// How long an event may take after the machine is gone.
const EVENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Watches for the end of one guest. The process ends when this is dropped.
pub struct ShutdownWatch {
    cause: watch::Receiver<Option<Shutdown>>,
    task: JoinHandle<()>,
}

impl ShutdownWatch {
    /// Has to be called before the guest is started.
    pub fn start(virsh: Virsh, name: &str) -> Self {
        let (report, cause) = watch::channel(None);
        let name = name.to_owned();
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = follow(&virsh, &name, &report).await {
                    log::debug!("failed to watch the end of guest {name}: {error}");
                }
                tokio::time::sleep(RESTART_PAUSE).await;
            }
        });
        Self { cause, task }
    }

    /// The first cause that QEMU has reported. Called when the machine is gone.
    pub async fn cause(&mut self) -> Option<Shutdown> {
        let reported = timeout(EVENT_TIMEOUT, self.cause.wait_for(Option::is_some)).await;
        reported.ok()?.ok()?.clone()
    }
}

impl Drop for ShutdownWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads events until the process ends.
async fn follow(
    virsh: &Virsh,
    name: &str,
    report: &watch::Sender<Option<Shutdown>>,
) -> io::Result<()> {
    for_each_line(virsh.shutdown_events()?, |line| {
        if let Some((_, cause)) = virsh_output::shutdown(line).filter(|(of, _)| *of == name) {
            // A second event is about the end of the QEMU process.
            report.send_if_modified(|known| {
                let is_first = known.is_none();
                known.get_or_insert(cause);
                is_first
            });
        }
    })
    .await
}
