//! Memory for each waiting job.

use crate::{
    fake_monitor::FakeMonitor, options::Binary, process::resident_bytes,
    queue_process::QueueProcess,
};

/// Jobs that are enqueued before memory is measured, so that buffers have their size.
const WARM_UP: usize = 1_000;
/// Connections over which jobs are enqueued.
const CONNECTIONS: usize = 16;

/// Measures how much memory `job_count` waiting jobs need.
pub fn measure(binaries: &[Binary], job_count: usize) {
    let monitors = [FakeMonitor::start()];
    for binary in binaries {
        let queue = QueueProcess::start(binary, &monitors);
        queue.enqueue_many("first", WARM_UP, CONNECTIONS);
        let before = resident_bytes(queue.pid());
        queue.enqueue_many("waiting", job_count, CONNECTIONS);
        let bytes = resident_bytes(queue.pid()).saturating_sub(before) / job_count as u64;
        println!(
            "{:>8}, {job_count:>6} waiting: {bytes} bytes for each job",
            queue.name
        );
    }
}
