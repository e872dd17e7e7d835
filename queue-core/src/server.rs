//! What the queue knows about one server: its last word, and what has happened since.
//!
//! Owns the arithmetic of "how many runners can be taken there now": reported idle, less those
//! taken since, less those being asked for, less those that proved not to be there.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shared::{
    clock::Timestamp,
    values::{Count, ProfileKey, UniqueId},
};

use super::report::{ProfileReport, Report, RunnerId};

/// How long a server that refused runners it had shown as idle is not asked for those again:
/// at first, and at most. Doubles with each refusal in a row.
const DISTRUST_FIRST: Duration = Duration::from_secs(1);
const DISTRUST_MAX: Duration = Duration::from_secs(60);

/// One server.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) report: Option<Report>,
    /// The last question that it answered: what it said is known to have been true then.
    pub(super) confirmed_at: Option<Timestamp>,
    /// Whether somebody is set to notice when its last word becomes too old.
    pub(super) is_watched: bool,
    /// Whether anything failed since its last answer.
    pub(super) is_failing: bool,
    /// Answers to questions asked before this moment do not count as a sign of health.
    pub(super) suspected_at: Option<Timestamp>,
    /// Granted runners that its report may still show as idle.
    pub(super) granted: BTreeSet<RunnerId>,
    /// Forwards without an answer, by job and attempt.
    pub(super) pending: BTreeMap<(UniqueId, u64), (ProfileKey, Count)>,
    /// Idle runners that could not be had.
    pub(super) distrusted: BTreeMap<ProfileKey, Distrust>,
}

/// What could not be had.
#[derive(Debug)]
pub(super) struct Distrust {
    pub(super) runners: BTreeSet<RunnerId>,
    pub(super) until: Timestamp,
    pub(super) length: Duration,
}

/// How a server looks from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Its last word is young enough to be used.
    Fresh,
    /// It has said nothing for a while.
    Stale,
    /// It could not be asked, or never answered.
    Down,
}

impl Server {
    /// How it looks from here.
    pub(super) fn health(&self, stale_after: Duration, now: Timestamp) -> Health {
        match self.confirmed_at {
            None => Health::Down,
            Some(_) if self.is_failing => Health::Down,
            Some(confirmed_at) if now.since(confirmed_at) > stale_after => Health::Stale,
            Some(_) => Health::Fresh,
        }
    }

    /// It gave nothing although it shows idle runners: those count as not there until the moment
    /// that is returned.
    pub(super) fn distrust(&mut self, key: &ProfileKey, now: Timestamp) -> Timestamp {
        let idle = self.profile(key).map(|profile| profile.idle.clone());
        let last = self.distrusted.get(key);
        let length = last.map_or(DISTRUST_FIRST, |last| (last.length * 2).min(DISTRUST_MAX));
        let until = now + length;
        let runners = idle.unwrap_or_default();
        self.distrusted.insert(
            key.clone(),
            Distrust {
                runners,
                until,
                length,
            },
        );
        until
    }

    /// The time of mistrust may be over; `true` if it is.
    pub(super) fn trust_again(&mut self, key: &ProfileKey, now: Timestamp) -> bool {
        let Some(distrust) = self
            .distrusted
            .get_mut(key)
            .filter(|distrust| now >= distrust.until)
        else {
            return false;
        };
        // The length stays, so that the next refusal in a row is met with a longer one.
        distrust.runners.clear();
        true
    }

    /// It answered a question that was asked at `asked_at`.
    pub(super) fn confirm(&mut self, asked_at: Timestamp) {
        self.confirmed_at = Some(asked_at);
        // A question asked before something went wrong may have been answered from before it.
        if self
            .suspected_at
            .is_none_or(|suspected_at| asked_at >= suspected_at)
        {
            self.is_failing = false;
        }
    }

    /// What it last said of a profile.
    pub(super) fn profile(&self, key: &ProfileKey) -> Option<&ProfileReport> {
        self.report.as_ref()?.profile(key)
    }

    /// How many idle runners of `key` can be asked for.
    pub(super) fn available(&self, key: &ProfileKey) -> usize {
        let Some(profile) = self.profile(key) else {
            return 0;
        };
        let distrusted = self.distrusted.get(key).map(|distrust| &distrust.runners);
        let is_there = |runner: &&RunnerId| {
            !self.granted.contains(runner)
                && !distrusted.is_some_and(|distrusted| distrusted.contains(runner))
        };
        let pending = self
            .pending
            .values()
            .filter(|(pending, _)| pending == key)
            .map(|(_, count)| count.get());
        profile
            .idle
            .iter()
            .filter(is_there)
            .count()
            .saturating_sub(pending.sum())
    }
}
