//! Which settings differ between two readings, by name.
//!
//! Some values are secrets, so only their digests are kept.

use std::collections::{BTreeMap, BTreeSet};

use figment::value::{Dict, Value};

use super::{environment::Environment, source::Source};
use crate::sha256::Sha256;

/// The digest of the value of each setting that is set, such as `profiles.linux.target_count`, and of each variable
/// that is no setting.
#[derive(Clone, Default)]
pub(super) struct Fingerprint(BTreeMap<String, Sha256>);

/// Shows nothing: the settings themselves are shown beside it.
impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("…")
    }
}

impl Fingerprint {
    pub(super) fn of(source: &Source, environment: &Environment) -> Self {
        let mut digests = Self::default();
        digests.add_table("", &source.entries());
        for (name, value) in environment.others() {
            digests.add(name.to_owned(), value);
        }
        digests
    }

    fn add_table(&mut self, prefix: &str, table: &Dict) {
        for (key, value) in table {
            let key = format!("{prefix}{key}");
            match value {
                Value::Dict(_, table) => self.add_table(&format!("{key}."), table),
                value => {
                    let text = serde_json::to_string(value).unwrap_or_default();
                    self.add(key, &text);
                }
            }
        }
    }

    fn add(&mut self, key: String, value: &str) {
        self.0.insert(key, Sha256::of(value.as_bytes()));
    }

    /// Whether a setting of this table is set.
    pub(super) fn has_table(&self, name: &str) -> bool {
        let mut keys = self.0.keys();
        keys.any(|key| {
            key.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('.'))
        })
    }

    /// The settings that are set in one of the two only, or to another value.
    pub(super) fn differences(&self, other: &Self) -> BTreeSet<String> {
        let keys = self.0.keys().chain(other.0.keys());
        let differing = keys.filter(|key| self.0.get(*key) != other.0.get(*key));
        differing.cloned().collect()
    }
}
