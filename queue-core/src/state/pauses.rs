//! The profiles that operators have paused.

use std::collections::BTreeMap;

use shared::{operator::Intervention, values::ProfileKey};

/// Maximum number of paused profiles.
pub const PAUSES_MAX: usize = 100;

/// The pauses that are in force, at most [`PAUSES_MAX`].
#[derive(Debug, Default)]
pub struct Pauses(BTreeMap<ProfileKey, Intervention>);

impl Pauses {
    /// The pause of a profile, if it is paused.
    pub fn get(&self, profile_key: &ProfileKey) -> Option<&Intervention> {
        self.0.get(profile_key)
    }

    /// Every pause, by profile.
    pub fn iter(&self) -> impl Iterator<Item = (&ProfileKey, &Intervention)> {
        self.0.iter()
    }

    /// Whether one more profile can be paused, or this one is paused already.
    pub fn has_room_for(&self, profile_key: &ProfileKey) -> bool {
        self.0.len() < PAUSES_MAX || self.0.contains_key(profile_key)
    }

    /// Pauses a profile, or replaces its pause; does nothing if there is no room.
    pub fn insert(&mut self, profile_key: ProfileKey, pause: Intervention) {
        if self.has_room_for(&profile_key) {
            self.0.insert(profile_key, pause);
        }
    }

    /// Ends a pause, and returns it.
    pub fn remove(&mut self, profile_key: &ProfileKey) -> Option<Intervention> {
        self.0.remove(profile_key)
    }
}
