//! Outbox of releases: each is sent again, with back-off, until its server confirms it.
//!
//! A release carries the fencing token up to which it counts. The monitor ignores it if the job was
//! assigned runners with a later token, and refuses a take of that token or an earlier one that
//! arrives after it. So neither a late release nor a late take does harm.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shared::{
    backoff::Backoff,
    clock::Timestamp,
    values::{FencingToken, ProfileKey, UniqueId},
};

use super::fleet::{RunnerId, ServerId};
use crate::effect::Release;

/// Pauses between two tries of one release.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_secs(30),
    jitter_percent: 25,
};

/// All releases that are not confirmed.
#[derive(Debug, Default)]
pub struct PendingReleases {
    by_server: BTreeMap<ServerId, BTreeMap<UniqueId, PendingRelease>>,
    due: BTreeSet<(Timestamp, ServerId, UniqueId)>,
}

/// A release that is not confirmed.
#[derive(Debug)]
pub struct PendingRelease {
    pub token: FencingToken,
    pub destroy: bool,
    /// What is released, as far as it is known.
    pub runners: BTreeSet<RunnerId>,
    pub profile_key: ProfileKey,
    tries: u32,
    due_at: Timestamp,
}

impl PendingReleases {
    /// Adds a release, which is due at once. It replaces one of the same server and job.
    pub fn schedule(
        &mut self,
        now: Timestamp,
        release: Release,
        profile_key: ProfileKey,
        runners: BTreeSet<RunnerId>,
    ) {
        let Release {
            server,
            unique_id,
            token,
            destroy,
        } = release;
        self.cancel(server, &unique_id);
        self.due.insert((now, server, unique_id.clone()));
        let pending = PendingRelease {
            token,
            destroy,
            runners,
            profile_key,
            tries: 0,
            due_at: now,
        };
        let of_server = self.by_server.entry(server).or_default();
        of_server.insert(unique_id, pending);
    }

    /// Removes a release that has become pointless: a forward with a later token makes its server
    /// ignore it.
    pub fn cancel(&mut self, server: ServerId, unique_id: &UniqueId) {
        self.remove(server, unique_id);
    }

    /// Removes and returns the release with this token, if it is still pending.
    pub fn confirm(
        &mut self,
        server: ServerId,
        unique_id: &UniqueId,
        token: FencingToken,
    ) -> Option<PendingRelease> {
        if self.by_server.get(&server)?.get(unique_id)?.token != token {
            return None;
        }
        self.remove(server, unique_id)
    }

    /// Whether a release of this job is not confirmed by `server`.
    pub fn contains(&self, server: ServerId, unique_id: &UniqueId) -> bool {
        self.by_server
            .get(&server)
            .is_some_and(|of_server| of_server.contains_key(unique_id))
    }

    /// Makes every release at `server` due, because it answers again.
    pub fn retry_now(&mut self, now: Timestamp, server: ServerId) {
        for (unique_id, release) in self.by_server.entry(server).or_default() {
            self.due
                .remove(&(release.due_at, server, unique_id.clone()));
            self.due.insert((now, server, unique_id.clone()));
            release.due_at = now;
            release.tries = 0;
        }
    }

    /// When the next try is due.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _, _)| *at)
    }

    /// The next release that is due. It becomes due again after a pause, unless it is confirmed.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<Release> {
        if self.next_at()? > now {
            return None;
        }
        let (_, server, unique_id) = self.due.pop_first()?;
        let release = self.by_server.get_mut(&server)?.get_mut(&unique_id)?;
        release.tries += 1;
        // Releases of many jobs at one server may begin in the same moment; their tokens differ.
        let entropy = now.as_micros().wrapping_add(release.token.sequence);
        release.due_at = now + BACKOFF.pause(release.tries, Duration::ZERO, entropy);
        self.due.insert((release.due_at, server, unique_id.clone()));
        Some(Release {
            server,
            unique_id,
            token: release.token,
            destroy: release.destroy,
        })
    }

    fn remove(&mut self, server: ServerId, unique_id: &UniqueId) -> Option<PendingRelease> {
        let release = self.by_server.get_mut(&server)?.remove(unique_id)?;
        self.due
            .remove(&(release.due_at, server, unique_id.clone()));
        Some(release)
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.by_server.values().all(BTreeMap::is_empty) && self.due.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(server: ServerId, job: &str, sequence: u64) -> Release {
        Release {
            server,
            unique_id: job.parse().unwrap(),
            token: FencingToken {
                instance: 1,
                sequence,
            },
            destroy: false,
        }
    }

    fn pending(now: Timestamp, releases: &[Release]) -> PendingReleases {
        let mut pending = PendingReleases::default();
        for release in releases {
            let profile_key = "linux".parse().unwrap();
            pending.schedule(now, release.clone(), profile_key, BTreeSet::new());
        }
        pending
    }

    fn pop_all(pending: &mut PendingReleases, now: Timestamp) -> Vec<Release> {
        std::iter::from_fn(|| pending.pop_due(now)).collect()
    }

    #[test]
    fn a_release_is_due_at_once_and_again_after_a_pause() {
        let now = Timestamp::from_seconds(100);
        let releases = [release(0, "job", 1)];
        let mut pending = pending(now, &releases);
        assert_eq!(pop_all(&mut pending, now), releases);
        let again_at = pending.next_at().unwrap();
        let pause = again_at.since(now).as_millis();
        assert!((1000..1250).contains(&pause), "{pause} ms");
        assert_eq!(pop_all(&mut pending, again_at), releases);
        let pause = pending.next_at().unwrap().since(again_at).as_millis();
        assert!((2000..2500).contains(&pause), "{pause} ms");
    }

    #[test]
    fn only_the_token_of_the_latest_release_confirms_it() {
        let now = Timestamp::from_seconds(100);
        let releases = [release(0, "job", 1), release(0, "job", 2)];
        let mut pending = pending(now, &releases);
        let [earlier, later] = &releases;
        assert_eq!(pop_all(&mut pending, now), releases[1..]);
        let unique_id = &later.unique_id;
        assert!(pending.confirm(0, unique_id, earlier.token).is_none());
        assert!(pending.confirm(1, unique_id, later.token).is_none());
        assert!(pending.contains(0, unique_id));
        assert!(pending.confirm(0, unique_id, later.token).is_some());
        assert!(pending.confirm(0, unique_id, later.token).is_none());
        assert!(pending.is_empty());
    }

    #[test]
    fn a_server_that_answers_again_is_sent_its_releases_at_once_and_no_other_server_is() {
        let now = Timestamp::from_seconds(100);
        let releases = [release(0, "a", 1), release(1, "a", 2), release(1, "b", 3)];
        let mut pending = pending(now, &releases);
        assert_eq!(pop_all(&mut pending, now), releases);
        assert_eq!(pop_all(&mut pending, now), []);
        pending.retry_now(now, 1);
        assert_eq!(pop_all(&mut pending, now), releases[1..]);
        pending.cancel(1, &"a".parse().unwrap());
        pending.retry_now(now, 1);
        assert_eq!(pop_all(&mut pending, now), releases[2..]);
    }

    #[test]
    fn after_an_answer_of_its_server_the_pauses_begin_anew() {
        let mut now = Timestamp::from_seconds(100);
        let mut pending = pending(now, &[release(0, "job", 1)]);
        for _ in 0..8 {
            pop_all(&mut pending, now);
            now = pending.next_at().unwrap();
        }
        pop_all(&mut pending, now);
        let pause = pending.next_at().unwrap().since(now).as_millis();
        assert!((30_000..37_500).contains(&pause), "{pause} ms");
        pending.retry_now(now, 0);
        pop_all(&mut pending, now);
        let pause = pending.next_at().unwrap().since(now).as_millis();
        assert!((1000..1250).contains(&pause), "{pause} ms");
    }
}
