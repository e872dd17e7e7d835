//! Temporary targets that replace those of the settings until their runners have come and gone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::{operator::Intervention, values::ProfileKey};

use super::runner::RunnerRecord;
use crate::RunnerId;

/// Temporary targets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TargetOverride {
    /// Since when, why and by whom it was ordered. Files of earlier releases have only the time.
    #[serde(flatten)]
    pub order: Intervention,
    /// How many runners of each profile are wanted.
    pub counts: BTreeMap<ProfileKey, usize>,
    /// The runners of each profile that have come online for it, including those that are gone.
    #[serde(rename = "come")]
    pub arrived: BTreeMap<ProfileKey, BTreeSet<RunnerId>>,
}

impl TargetOverride {
    /// How many runners of each profile are still wanted: those that have arrived and are gone
    /// again are not replaced.
    pub fn remaining<'a>(
        &'a self,
        runners: &'a BTreeMap<RunnerId, RunnerRecord>,
    ) -> impl Iterator<Item = (&'a ProfileKey, usize)> {
        self.counts.iter().map(|(profile_key, count)| {
            let arrived = self.arrived_of(profile_key);
            let gone = arrived.filter(|id| !runners.contains_key(id)).count();
            (profile_key, count.saturating_sub(gone))
        })
    }

    /// Records that a runner has come online. Returns whether it counts and was not known yet.
    pub fn record_arrival(&mut self, profile_key: &ProfileKey, id: RunnerId) -> bool {
        let Some(count) = self.counts.get(profile_key) else {
            return false;
        };
        let arrived = self.arrived.entry(profile_key.clone()).or_default();
        arrived.len() < *count && arrived.insert(id)
    }

    /// Whether all runners that were wanted have come and gone.
    pub fn is_over(&self, runners: &BTreeMap<RunnerId, RunnerRecord>) -> bool {
        self.counts.iter().all(|(profile_key, count)| {
            let mut arrived = self.arrived_of(profile_key);
            arrived.clone().count() >= *count && !arrived.any(|id| runners.contains_key(id))
        })
    }

    fn arrived_of(&self, profile_key: &ProfileKey) -> impl Iterator<Item = &RunnerId> + Clone {
        self.arrived.get(profile_key).into_iter().flatten()
    }
}
