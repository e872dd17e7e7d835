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
        loop {
            let cleaning_pause = self.files.cleaning_pause();
            let timeout = cleaning_pause.unwrap_or(CLEANING_INTERVAL);
            let Some(batch) = self.outbox.next_batch(timeout) else {
                return;
            };
            let (written_count, error) = self.files.append(&batch, clock.now());
            // Before the batch is done, so that a flush ends with what both have found.
            if let Some(cleaned) = self.files.clean(clock.now()) {
                self.outbox
                    .cleaned(cleaned.err().map(|error| error.to_string()));
            }
            self.outbox.done(written_count);
            if let Some(error) = error {
                self.outbox.fail(error.to_string());
                if !self.outbox.pause(retry_pause) {
                    return;
                }
            }
        }
    }
}
