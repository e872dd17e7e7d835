//! Notifies waiting tasks that something has changed.

use std::sync::Arc;

use tokio::sync::watch;

/// Sends notifications to all its receivers. Cheap to clone; all clones have the same receivers.
#[derive(Clone, Debug)]
pub(crate) struct Notifier(Arc<watch::Sender<u64>>);

impl Notifier {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    pub(crate) fn notify(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Receives every notification from now on. Several in quick succession can become one.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}
