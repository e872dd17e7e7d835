//! The thread that writes events to files, and removes old files.
//!
//! While the disk refuses to be written, the events wait here and are tried again after a pause; the
//! daemon goes on.

use std::{sync::Arc, thread, time::Duration};

use shared::clock::Clock;

use super::{files::Files, outbox::Outbox};

/// How often old files are removed if nothing happens.
const CLEANING_INTERVAL: Duration = Duration::from_secs(600);

/// Starts the thread, which ends when the outbox is closed.
pub(super) fn spawn(outbox: Arc<Outbox>, files: Files, clock: Clock, retry_pause: Duration) {
    let run = {
        let outbox = Arc::clone(&outbox);
        move || Writer { outbox, files }.run(clock, retry_pause)
    };
    let spawned = thread::Builder::new().name("journal".to_owned()).spawn(run);
    if let Err(error) = spawned {
        outbox.fail(format!(
            "failed to start the thread that writes it: {error}"
        ));
    }
}

struct Writer {
    outbox: Arc<Outbox>,
    files: Files,
}

impl Writer {
    fn run(mut self, clock: Clock, retry_pause: Duration) {
        while let Some(batch) = self.outbox.next_batch(CLEANING_INTERVAL) {
            let (written_count, error) = self.files.append(&batch);
            self.outbox.done(written_count);
            let error = error.or_else(|| self.files.clean(clock.now()).err());
            if let Some(error) = error {
                self.outbox.fail(error.to_string());
                if !self.outbox.pause(retry_pause) {
                    return;
                }
            }
        }
    }
}
