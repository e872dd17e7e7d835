//! Versions of the runner software, and the end of their support.

use std::collections::BTreeMap;

use shared::clock::Timestamp;

use super::{Model, ModelError};

/// The version of runners that listen, unless another one is set.
const CURRENT: &str = "2.337.0";
/// Maximum number of known versions.
const VERSIONS_MAX: usize = 100;

#[derive(Debug)]
pub(super) struct Software {
    /// The version of runners that begin to listen from now on.
    current: String,
    /// The end of support of each known version, if one is planned.
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
    /// Sets the version of runners that begin to listen from now on, and the end of its support.
    pub fn set_software(&mut self, version: &str, ends_at: Option<Timestamp>) {
        self.software.current = version.to_owned();
        let ends = &mut self.software.ends;
        if ends.len() < VERSIONS_MAX {
            ends.insert(version.to_owned(), ends_at);
        }
        self.changed();
    }

    /// The end of support of a version, if one is planned.
    ///
    /// # Errors
    /// When GitHub does not know the version.
    pub fn software_ends_at(&self, version: &str) -> Result<Option<Timestamp>, ModelError> {
        let ends_at = self.software.ends.get(version);
        ends_at.copied().ok_or(ModelError::NotFound)
    }
}
