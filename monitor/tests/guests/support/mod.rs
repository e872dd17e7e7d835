//! What the tests have in common.

mod daemon;
mod host;
mod libvirt;
mod mounts;
mod queue;

use std::{future::Future, time::Duration};

pub use daemon::Daemon;
pub use host::{Host, Profile};
pub use libvirt::{listener_count, qemu_pid, restart_libvirtd, signal, virsh};
pub use mounts::{mount, mount_xfs, unmount};
pub use queue::Queue;

/// Long enough for guests without KVM on a busy machine; only a test that fails waits that long.
const DEADLINE: Duration = Duration::from_secs(90);
/// Between two looks at what cannot be listened to.
const PAUSE: Duration = Duration::from_millis(50);

pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited too long for {what}"),
    }
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let held = async {
        while !holds() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    in_time(what, held).await;
}
