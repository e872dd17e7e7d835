//! Queries about the runner software, and the versions that GitHub's list shows.

use std::time::Duration;

use shared::{clock::Timestamp, software::Support};

use crate::Monitor;

impl Monitor {
    /// The versions that GitHub is to be asked about now. The caller sends the queries and passes
    /// each answer to [`handle_software_support`](Self::handle_software_support).
    pub fn start_software_queries(&mut self, now: Timestamp) -> Vec<String> {
        self.software.start_queries(now)
    }

    /// GitHub has answered how long a version is supported, or the query has failed; then
    /// `Err(Some(_))` is the pause that GitHub asked for. Returns a sentence for each profile whose
    /// support ends soon.
    pub fn handle_software_support(
        &mut self,
        version: &str,
        answer: Result<Support, Option<Duration>>,
        now: Timestamp,
    ) -> Vec<String> {
        self.software.record_answer(version, answer, now);
        let views = self.software.views().into_iter();
        let affected = views.filter(|(_, view)| view.version == version);
        affected
            .filter_map(|(profile_key, view)| {
                let warning = view.warning(now)?;
                Some(format!("profile {profile_key}: {warning}"))
            })
            .collect()
    }

    /// Records the versions in GitHub's last list.
    pub(super) fn note_software(&mut self) {
        let listing = self.observed.registrations.iter();
        for (id, registration) in listing.flat_map(|listing| &listing.seen) {
            let record = self.durable.runners.get(id);
            if let (Some(record), Some(version)) = (record, &registration.version) {
                let profile_key = &record.profile_key;
                self.software.record_version(*id, profile_key, version);
            }
        }
        let profiles = &self.policy.profiles;
        self.software
            .update_versions(|profile_key| profiles.contains_key(profile_key));
    }
}

#[cfg(test)]
mod tests;
