//! Versions of the runner software: which one runners have, and until when GitHub supports each.

use std::collections::BTreeMap;

use shared::clock::Timestamp;

use super::{Model, Refusal};

/// The version of all runners that listen, unless another is set.
const CURRENT: &str = "2.337.0";
/// The most versions that are known.
const VERSIONS_MAX: usize = 100;

/// What GitHub knows of versions.
#[derive(Debug)]
pub(super) struct Software {
    /// The one that runners have which begin to listen from now on.
    current: String,
    /// Until when each supported version can run jobs; none if no end is planned.
    ends: BTreeMap<String, Option<Timestamp>>,
}

impl Default for Software {
    fn default() -> Self {
        Self {
            current: CURRENT.to_owned(),
            ends: BTreeMap::from([(CURRENT.to_owned(), None)]),
        }
    }
}

impl Software {
    pub(super) fn current(&self) -> &str {
        &self.current
    }
}

impl Model {
    /// Gives that version to all runners that begin to listen from now on. GitHub supports it until
    /// `ends_at`.
    pub fn set_software(&mut self, version: &str, ends_at: Option<Timestamp>) {
        self.software.current = version.to_owned();
        let ends = &mut self.software.ends;
        if ends.len() < VERSIONS_MAX {
            ends.insert(version.to_owned(), ends_at);
        }
        self.changed();
    }

    /// Until when runners of that version can run jobs; none if no end is planned.
    ///
    /// # Errors
    /// When GitHub does not know the version, or not any more.
    pub fn software_ends_at(&self, version: &str) -> Result<Option<Timestamp>, Refusal> {
        let ends_at = self.software.ends.get(version);
        ends_at.copied().ok_or(Refusal::NotFound)
    }
}
