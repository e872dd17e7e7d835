//! Draining: an operator lets the runners of a server end, so that work can be done on it.
//!
//! Responsible for beginning and ending it. While it lasts, all targets are zero, no image is built and no
//! runner is assigned; runners that are reserved or busy stay until their jobs have ended.

use shared::{clock::Timestamp, text::printable};

use crate::{Drain, Monitor};

/// The longest note, in characters.
const NOTE_LENGTH_MAX: usize = 200;

/// The note of a drain is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoteTooLong {
    /// How many characters are allowed.
    pub length_max: usize,
}

impl Monitor {
    /// The drain that is in force, if there is one.
    pub fn drained(&self) -> Option<&Drain> {
        self.durable.drain.as_ref()
    }

    /// Drains the server, or replaces the note of the drain in force, which keeps its time. Returns the
    /// revision that has to be on disk before that may be confirmed.
    ///
    /// # Errors
    /// If the note is too long; then nothing has changed.
    pub fn drain(&mut self, note: &str, now: Timestamp) -> Result<u64, NoteTooLong> {
        if note.chars().count() > NOTE_LENGTH_MAX {
            return Err(NoteTooLong {
                length_max: NOTE_LENGTH_MAX,
            });
        }
        let since = self.drained().map_or(now, |drain| drain.since);
        let note = printable(note.trim()).into_owned();
        self.durable.drain = Some(Drain { since, note });
        self.mark_dirty();
        Ok(self.revision())
    }

    /// Ends the drain. Returns it, if there was one, and the revision that has to be on disk before that
    /// may be confirmed.
    pub fn end_drain(&mut self) -> (Option<Drain>, u64) {
        let ended = self.durable.drain.take();
        if ended.is_some() {
            self.mark_dirty();
        }
        (ended, self.revision())
    }
}

#[cfg(test)]
mod tests;
