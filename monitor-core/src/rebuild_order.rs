//! Rebuilds of images on an operator's order: as if the image were too old, and also during the pause after
//! failed builds.
//!
//! Responsible for giving, cancelling and fulfilling an order: by an image whose build began after it. When an
//! image is built is decided in `planning::rebuilds`.

use std::collections::BTreeMap;

use shared::{
    clock::Timestamp,
    operator::{Intervention, Order},
    values::ProfileKey,
};

use crate::Monitor;

/// Why an order is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebuildRefusal {
    UnknownProfile,
    /// Its image is not built on this server, or it has none.
    NotBuiltHere,
}

impl Monitor {
    /// The orders that are not fulfilled yet, by profile.
    pub fn rebuild_orders(&self) -> &BTreeMap<ProfileKey, Intervention> {
        &self.durable.rebuilds
    }

    /// Orders that the image of a profile is rebuilt. An order that no build has begun for keeps its time.
    /// Returns the revision that has to be on disk before that may be confirmed.
    ///
    /// # Errors
    /// See [`RebuildRefusal`]; then nothing has changed.
    pub fn order_rebuild(
        &mut self,
        profile_key: &ProfileKey,
        order: Order,
        now: Timestamp,
    ) -> Result<u64, RebuildRefusal> {
        let profile = self.policy.profiles.get(profile_key);
        let profile = profile.ok_or(RebuildRefusal::UnknownProfile)?;
        if !profile.builds_image {
            return Err(RebuildRefusal::NotBuiltHere);
        }
        let build_since = self.images.build_since(profile_key);
        let given = self.durable.rebuilds.get(profile_key);
        // What was changed before the second of two orders may be missing in a build that the first one began.
        let given = given.filter(|order| build_since.is_none_or(|began| began < order.since));
        let order = Intervention::order(given, order, now);
        self.durable.rebuilds.insert(profile_key.clone(), order);
        self.images.end_backoff(profile_key);
        self.mark_dirty();
        Ok(self.revision())
    }

    /// Cancels an order; a build that is under way goes on. Returns the order, if there was one, and the
    /// revision that has to be on disk before that may be confirmed.
    pub fn cancel_rebuild(&mut self, profile_key: &ProfileKey) -> (Option<Intervention>, u64) {
        let cancelled = self.durable.rebuilds.remove(profile_key);
        if cancelled.is_some() {
            self.mark_dirty();
        }
        (cancelled, self.revision())
    }

    /// Ends the order for an image that is complete, if its build began after the order.
    pub(crate) fn fulfil_rebuild_order(&mut self, profile_key: &ProfileKey, began: Timestamp) {
        let order = self.durable.rebuilds.get(profile_key);
        if order.is_some_and(|order| order.since <= began) {
            self.cancel_rebuild(profile_key);
        }
    }
}

#[cfg(test)]
mod tests;
