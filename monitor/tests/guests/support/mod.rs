//! Fixtures: hosts, daemons, libvirt, mounts; and functions that wait for a condition.

mod daemon;
mod host;
mod libvirt;
mod mounts;
mod queue;

use std::{future::Future, time::Duration};

pub use daemon::Daemon;
pub use host::{Host, Profile};
pub use libvirt::{event_process_count, qemu_pid, restart_libvirtd, signal, virsh};
pub use mounts::{mount, mount_xfs, unmount};
pub use queue::Queue;

/// Long enough for guests without KVM on a busy machine; only a failing test waits that long.
const DEADLINE: Duration = Duration::from_secs(90);
/// Pause between two checks of a condition that causes no event.
const PAUSE: Duration = Duration::from_millis(50);

pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("timed out waiting until {what}"),
    }
}

/// Waits until a condition holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let held = async {
        while !holds() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    in_time(what, held).await;
}
