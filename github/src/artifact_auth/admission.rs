//! Which claim is checked next.
//!
//! Any client may claim to be any job, and each check costs requests to GitHub. So clients whose claims were
//! wrong have a small budget of their own and wait behind all others; among equals, addresses take turns,
//! and repositories of one address take turns. Pure.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use shared::clock::Timestamp;

/// How many claims are checked at once, and how many of those may be of suspects.
const CHECKED_MAX: usize = 8;
const SUSPECTS_CHECKED_MAX: usize = 2;
/// How many claims may be checked in a minute, and how many more of suspects. Each takes up to two of the 900
/// requests that GitHub allows in a minute; together they are a third of that.
const RATE_MAX: usize = 120;
const SUSPECT_RATE_MAX: usize = 20;
const RATE_WINDOW: Duration = Duration::from_secs(60);
/// How many claims may wait: in total, of one client, and of one suspect.
const WAITING_MAX: usize = 512;
const WAITING_OF_CLIENT_MAX: usize = 64;
const WAITING_OF_SUSPECT_MAX: usize = 2;
/// How long a claim may wait. Clients then ask again.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// A client is suspect after so many wrong claims since its last right one.
const FAILURES_MAX: u32 = 3;
/// How long wrong claims count, and right ones.
const FAILURES_COUNT_FOR: Duration = Duration::from_secs(600);
const SUCCESS_COUNTS_FOR: Duration = Duration::from_secs(3600);
/// How many clients are remembered. Beyond it the one that was checked first is forgotten.
const RECORDS_MAX: usize = 4096;

/// An address, or for IPv6 its first 64 bits, which one client has for itself. `None` is an unknown address.
type ClientKey = Option<IpAddr>;

/// The origin of a claim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    client: ClientKey,
    /// In lower case.
    repo: String,
}

impl Source {
    /// A client that claims to be a job of `repo`, which is in lower case.
    pub(super) fn new(address: Option<IpAddr>, repo: String) -> Self {
        let client = address.map(|address| match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
            address @ IpAddr::V4(_) => address,
        });
        Self { client, repo }
    }
}

/// Claims that wait for their check.
#[derive(Debug)]
pub(super) struct Admission<T> {
    waiting: BTreeMap<Source, VecDeque<Waiting<T>>>,
    clients: Records<ClientKey>,
    sources: Records<Source>,
    rate: Rate,
    suspect_rate: Rate,
    checked_count: usize,
    suspects_checked_count: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    since: Timestamp,
    claim: T,
}

/// A claim that is being checked. To be handed to [`Admission::finish`].
#[derive(Debug)]
pub(super) struct Check {
    source: Source,
    is_suspect: bool,
}

/// What a check has shown of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Right,
    Wrong,
    /// GitHub was unavailable, or the client is gone.
    Nothing,
}

impl<T> Default for Admission<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            clients: Records::default(),
            sources: Records::default(),
            rate: Rate::of(RATE_MAX),
            suspect_rate: Rate::of(SUSPECT_RATE_MAX),
            checked_count: 0,
            suspects_checked_count: 0,
        }
    }
}

impl<T> Admission<T> {
    /// Adds a claim. Returns the one that has no place: this one, or that of a client which has more.
    pub(super) fn enter(&mut self, source: Source, claim: T, now: Timestamp) -> Option<T> {
        let count_max = if self.is_suspect(&source, now) {
            WAITING_OF_SUSPECT_MAX
        } else {
            WAITING_OF_CLIENT_MAX
        };
        if self.waiting_of(source.client) >= count_max {
            return Some(claim);
        }
        let refused = (self.waiting_count() >= WAITING_MAX)
            .then(|| self.remove_of_largest(now))
            .flatten();
        let waiting = Waiting { since: now, claim };
        self.waiting.entry(source).or_default().push_back(waiting);
        refused
    }

    /// The next claim to check, if one may be checked now.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<(Check, T)> {
        if self.checked_count >= CHECKED_MAX {
            return None;
        }
        let is_suspect = if self.rate.has_room(now) && self.first(false, now).is_some() {
            false
        } else if self.suspects_checked_count < SUSPECTS_CHECKED_MAX
            && self.suspect_rate.has_room(now)
        {
            true
        } else {
            return None;
        };
        let source = self.first(is_suspect, now)?;
        let claim = self.pop(&source)?;
        self.clients.of(source.client, now).checked_at = now;
        self.sources.of(source.clone(), now).checked_at = now;
        self.checked_count += 1;
        if is_suspect {
            self.suspects_checked_count += 1;
            self.suspect_rate.record(now);
        } else {
            self.rate.record(now);
        }
        Some((Check { source, is_suspect }, claim))
    }

    /// Ends a check.
    pub(super) fn finish(&mut self, check: Check, finding: Finding, now: Timestamp) {
        self.checked_count -= 1;
        self.suspects_checked_count -= usize::from(check.is_suspect);
        self.clients
            .of(check.source.client, now)
            .record(finding, now);
        self.sources.of(check.source, now).record(finding, now);
    }

    /// Removes the claims that have waited too long.
    pub(super) fn remove_expired(&mut self, now: Timestamp) -> Vec<T> {
        let mut expired = Vec::new();
        self.waiting.retain(|_, claims| {
            while let Some(first) = claims.front()
                && now >= first.since + WAIT_MAX
            {
                expired.extend(claims.pop_front().map(|it| it.claim));
            }
            !claims.is_empty()
        });
        expired
    }

    /// When to call [`next`](Self::next) and [`remove_expired`](Self::remove_expired) again, unless a
    /// claim enters or a check ends before.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        let claims = self.waiting.values().filter_map(|claims| claims.front());
        let expires_at = claims.map(|it| it.since + WAIT_MAX).min()?;
        // While all places are taken, the end of a check comes first.
        let has_place = self.checked_count < CHECKED_MAX;
        let has_place_for_suspect = has_place && self.suspects_checked_count < SUSPECTS_CHECKED_MAX;
        let room_at = [
            has_place.then(|| self.rate.room_at()),
            has_place_for_suspect.then(|| self.suspect_rate.room_at()),
        ];
        let room_at = room_at.into_iter().flatten().flatten();
        room_at.chain([expires_at]).min()
    }

    /// The source whose turn it is, of those that are suspect, or are not.
    fn first(&self, is_suspect: bool, now: Timestamp) -> Option<Source> {
        let sources = self.waiting.iter();
        let eligible = sources.filter(|(source, _)| self.is_suspect(source, now) == is_suspect);
        let turn = eligible.min_by_key(|(source, claims)| {
            (
                self.clients.checked_at(&source.client),
                self.sources.checked_at(source),
                claims.front().map(|it| it.since),
            )
        });
        turn.map(|(source, _)| source.clone())
    }

    /// Whether a client's claims about this repository were wrong or, if it has made none, all its claims.
    fn is_suspect(&self, source: &Source, now: Timestamp) -> bool {
        match self.sources.get(source) {
            Some(record) if record.is_suspect(now) => true,
            Some(record) if record.is_proven(now) => false,
            _ => {
                let client = self.clients.get(&source.client);
                client.is_some_and(|record| record.is_suspect(now))
            }
        }
    }

    fn waiting_count(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    fn waiting_of(&self, client: ClientKey) -> usize {
        let of_client = self.waiting.iter();
        let of_client = of_client.filter(|(source, _)| source.client == client);
        of_client.map(|(_, claims)| claims.len()).sum()
    }

    /// Removes the last claim of the source that has most, suspects first.
    fn remove_of_largest(&mut self, now: Timestamp) -> Option<T> {
        let sources = self.waiting.iter();
        let largest =
            sources.max_by_key(|(source, claims)| (self.is_suspect(source, now), claims.len()));
        let source = largest.map(|(source, _)| source.clone())?;
        let claims = self.waiting.get_mut(&source)?;
        let last = claims.pop_back().map(|it| it.claim);
        if claims.is_empty() {
            self.waiting.remove(&source);
        }
        last
    }

    fn pop(&mut self, source: &Source) -> Option<T> {
        let claims = self.waiting.get_mut(source)?;
        let first = claims.pop_front().map(|it| it.claim);
        if claims.is_empty() {
            self.waiting.remove(source);
        }
        first
    }
}

/// What is known of clients, or of sources.
#[derive(Debug)]
struct Records<K>(BTreeMap<K, Record>);

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    checked_at: Timestamp,
    /// Wrong claims since the last right one.
    failures: u32,
    failed_at: Timestamp,
    succeeded_at: Option<Timestamp>,
}

impl<K> Default for Records<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone> Records<K> {
    fn get(&self, key: &K) -> Option<&Record> {
        self.0.get(key)
    }

    fn checked_at(&self, key: &K) -> Timestamp {
        self.get(key).map(|it| it.checked_at).unwrap_or_default()
    }

    fn of(&mut self, key: K, now: Timestamp) -> &mut Record {
        if self.0.len() >= RECORDS_MAX && !self.0.contains_key(&key) {
            let oldest = self.0.iter().min_by_key(|(_, record)| record.checked_at);
            if let Some(oldest) = oldest.map(|(oldest, _)| oldest.clone()) {
                self.0.remove(&oldest);
            }
        }
        self.0.entry(key).or_insert_with(|| Record {
            checked_at: now,
            ..Record::default()
        })
    }
}

impl Record {
    fn record(&mut self, finding: Finding, now: Timestamp) {
        match finding {
            Finding::Right => {
                self.failures = 0;
                self.succeeded_at = Some(now);
            }
            Finding::Wrong => {
                self.failures = self.failures.saturating_add(1);
                self.failed_at = now;
            }
            Finding::Nothing => {}
        }
    }

    fn is_suspect(&self, now: Timestamp) -> bool {
        self.failures >= FAILURES_MAX && now < self.failed_at + FAILURES_COUNT_FOR
    }

    fn is_proven(&self, now: Timestamp) -> bool {
        self.succeeded_at
            .is_some_and(|succeeded_at| now < succeeded_at + SUCCESS_COUNTS_FOR)
    }
}

/// At most so many checks in each [`RATE_WINDOW`].
#[derive(Debug)]
struct Rate {
    count_max: usize,
    checks: VecDeque<Timestamp>,
}

impl Rate {
    fn of(count_max: usize) -> Self {
        Self {
            count_max,
            checks: VecDeque::new(),
        }
    }

    fn has_room(&mut self, now: Timestamp) -> bool {
        while let Some(first) = self.checks.front()
            && *first + RATE_WINDOW <= now
        {
            self.checks.pop_front();
        }
        self.checks.len() < self.count_max
    }

    fn record(&mut self, now: Timestamp) {
        self.checks.push_back(now);
    }

    /// When there is room again; `None` if there is.
    fn room_at(&self) -> Option<Timestamp> {
        let is_full = self.checks.len() >= self.count_max;
        let first = self.checks.front().filter(|_| is_full);
        first.map(|first| *first + RATE_WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_seconds(1_000_000);

    fn at(millis: u64) -> Timestamp {
        START + Duration::from_millis(millis)
    }

    fn source(address: &str, repo: &str) -> Source {
        Source::new(Some(address.parse().unwrap()), repo.to_owned())
    }

    /// Makes a client suspect.
    fn fail(admission: &mut Admission<&'static str>, source: &Source) {
        for _ in 0..FAILURES_MAX {
            let entered = admission.enter(source.clone(), "wrong", START);
            assert_eq!(entered, None);
            let (check, _) = admission.next(START).unwrap();
            admission.finish(check, Finding::Wrong, START);
        }
    }

    fn checked(admission: &mut Admission<&'static str>, now: Timestamp) -> Vec<&'static str> {
        std::iter::from_fn(|| {
            let (check, claim) = admission.next(now)?;
            admission.finish(check, Finding::Nothing, now);
            Some(claim)
        })
        .collect()
    }

    #[test]
    fn claims_of_suspects_wait_behind_all_others() {
        let mut admission = Admission::default();
        let (suspect, other) = (source("10.0.0.1", "a/a"), source("10.0.0.2", "a/a"));
        fail(&mut admission, &suspect);
        admission.enter(suspect, "suspect", at(1));
        admission.enter(other, "other", at(2));
        assert_eq!(checked(&mut admission, at(3)), ["other", "suspect"]);
    }

    #[test]
    fn another_repository_does_not_rehabilitate_a_client_but_an_earlier_success_there_does() {
        let mut admission = Admission::default();
        let proven = source("10.0.0.1", "a/proven");
        admission.enter(proven.clone(), "right", START);
        let (check, _) = admission.next(START).unwrap();
        admission.finish(check, Finding::Right, START);
        fail(&mut admission, &source("10.0.0.1", "a/a"));
        assert!(admission.is_suspect(&source("10.0.0.1", "a/b"), START));
        assert!(!admission.is_suspect(&proven, START));
        fail(&mut admission, &proven);
        assert!(admission.is_suspect(&proven, START));
    }

    #[test]
    fn a_right_claim_and_time_end_suspicion() {
        let suspect = source("10.0.0.1", "a/a");
        let mut admission = Admission::default();
        fail(&mut admission, &suspect);
        assert!(admission.is_suspect(&suspect, at(599_999)));
        assert!(!admission.is_suspect(&suspect, at(600_000)));
        admission.enter(suspect.clone(), "right", START);
        let (check, _) = admission.next(START).unwrap();
        admission.finish(check, Finding::Right, START);
        assert!(!admission.is_suspect(&suspect, START));
    }

    #[test]
    fn addresses_take_turns_and_so_do_the_repositories_of_one() {
        let mut admission = Admission::default();
        for (address, repo, claim) in [
            ("10.0.0.1", "a/a", "1a-1"),
            ("10.0.0.1", "a/a", "1a-2"),
            ("10.0.0.1", "a/b", "1b-1"),
            ("10.0.0.2", "a/a", "2a-1"),
            ("10.0.0.2", "a/a", "2a-2"),
        ] {
            admission.enter(source(address, repo), claim, START);
        }
        let mut order = Vec::new();
        for millis in 1.. {
            match checked_one(&mut admission, at(millis)) {
                Some(claim) => order.push(claim),
                None => break,
            }
        }
        assert_eq!(order, ["1a-1", "2a-1", "1b-1", "2a-2", "1a-2"]);
    }

    fn checked_one(
        admission: &mut Admission<&'static str>,
        now: Timestamp,
    ) -> Option<&'static str> {
        let (check, claim) = admission.next(now)?;
        admission.finish(check, Finding::Nothing, now);
        Some(claim)
    }

    #[test]
    fn suspects_have_a_budget_of_their_own() {
        let mut admission = Admission::default();
        let suspect = source("10.0.0.1", "a/a");
        fail(&mut admission, &suspect);
        let mut count = 0;
        for second in 0..60 {
            admission.enter(suspect.clone(), "suspect", at(second * 1000));
            admission.remove_expired(at(second * 1000));
            count += checked(&mut admission, at(second * 1000)).len();
        }
        assert_eq!(count, SUSPECT_RATE_MAX);
        let mut honest_count = 0;
        for number in 0..RATE_MAX as u64 {
            let now = at(59_000 + number);
            admission.enter(source("10.0.0.2", "a/a"), "honest", now);
            honest_count += checked(&mut admission, now).len();
        }
        assert_eq!(honest_count, RATE_MAX - FAILURES_MAX as usize);
        let next_at = admission.next_at();
        assert_eq!(
            next_at,
            Some(at(60_000)),
            "the first checks are a minute old"
        );
        let later = checked(&mut admission, at(60_000));
        assert_eq!(later, ["honest", "honest", "honest", "suspect"]);
    }

    #[test]
    fn few_claims_are_checked_at_once_and_fewer_of_suspects() {
        let mut admission = Admission::default();
        for number in 1..=9 {
            let suspect = source(&format!("10.0.1.{number}"), "a/a");
            fail(&mut admission, &suspect);
            admission.enter(suspect, "suspect", START);
        }
        let mut checks: Vec<Check> = Vec::new();
        while let Some((check, _)) = admission.next(START) {
            checks.push(check);
        }
        assert_eq!(checks.len(), SUSPECTS_CHECKED_MAX);
        for _ in 0..CHECKED_MAX {
            admission.enter(source("10.0.0.2", "a/a"), "honest", START);
        }
        while let Some((check, _)) = admission.next(START) {
            checks.push(check);
        }
        assert_eq!(checks.len(), CHECKED_MAX);
        admission.finish(checks.remove(0), Finding::Wrong, START);
        let (_, claim) = admission.next(START).unwrap();
        assert_eq!(claim, "honest", "a suspect's place is for all");
    }

    /// Otherwise the worker would not sleep until a check ends.
    #[test]
    fn while_all_places_are_taken_room_in_the_budget_is_not_waited_for() {
        let mut admission = Admission::default();
        let honest = source("10.0.0.2", "a/a");
        for _ in 0..RATE_MAX - CHECKED_MAX {
            admission.enter(honest.clone(), "honest", START);
            assert_eq!(checked(&mut admission, START), ["honest"]);
        }
        for _ in 0..CHECKED_MAX + 1 {
            admission.enter(honest.clone(), "honest", START);
        }
        let checks: Vec<_> = std::iter::from_fn(|| admission.next(START)).collect();
        assert_eq!(checks.len(), CHECKED_MAX);
        assert_eq!(admission.next_at(), Some(at(10_000)));
        for (check, _) in checks {
            admission.finish(check, Finding::Nothing, START);
        }
        admission.remove_expired(at(10_000));
        admission.enter(honest, "honest", at(55_000));
        assert_eq!(admission.next_at(), Some(at(60_000)));
    }

    #[test]
    fn one_client_cannot_take_all_places() {
        let mut admission = Admission::default();
        let large = source("10.0.0.1", "a/a");
        for _ in 0..WAITING_OF_CLIENT_MAX {
            assert_eq!(admission.enter(large.clone(), "large", START), None);
        }
        assert_eq!(admission.enter(large, "one more", START), Some("one more"));
        assert_eq!(
            admission.enter(source("10.0.0.1", "a/b"), "elsewhere", START),
            Some("elsewhere")
        );
        // With all places taken, a claim of the client with most makes room.
        let mut address = 0;
        while admission.waiting_count() < WAITING_MAX {
            address += 1;
            let small = source(&format!("10.1.{}.{}", address / 200, address % 200), "a/a");
            assert_eq!(admission.enter(small, "small", START), None);
        }
        let new = source("10.0.0.3", "a/a");
        assert_eq!(admission.enter(new, "new", START), Some("large"));
        assert_eq!(admission.waiting_count(), WAITING_MAX);
    }

    #[test]
    fn a_suspect_has_few_places_and_loses_them_first() {
        let mut admission = Admission::default();
        let suspect = source("10.0.0.1", "a/a");
        fail(&mut admission, &suspect);
        for expected in [None, None, Some("suspect")] {
            assert_eq!(admission.enter(suspect.clone(), "suspect", START), expected);
        }
        let mut number = 0;
        while admission.waiting_count() < WAITING_MAX {
            number += 1;
            let honest = source(&format!("10.1.0.{}", number % 200), "a/a");
            assert_eq!(admission.enter(honest, "honest", START), None);
        }
        let new = source("10.0.0.3", "a/a");
        assert_eq!(admission.enter(new, "new", START), Some("suspect"));
    }

    #[test]
    fn a_claim_that_waits_too_long_is_removed() {
        let mut admission: Admission<&str> = Admission::default();
        admission.enter(source("10.0.0.1", "a/a"), "first", at(0));
        admission.enter(source("10.0.0.1", "a/a"), "second", at(1));
        assert_eq!(admission.next_at(), Some(at(10_000)));
        assert_eq!(admission.remove_expired(at(9_999)), [""; 0]);
        assert_eq!(admission.remove_expired(at(10_000)), ["first"]);
        assert_eq!(admission.remove_expired(at(10_001)), ["second"]);
        assert_eq!(admission.next_at(), None);
    }

    #[test]
    fn addresses_of_one_client_are_one_source() {
        let of = |address: &str| source(address, "a/a");
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }

    #[test]
    fn the_number_of_remembered_clients_is_limited() {
        let mut admission = Admission::default();
        for number in 0..RECORDS_MAX as u64 + 1 {
            let bits = u32::try_from(number).unwrap() + 0x0a00_0000;
            let address = IpAddr::V4(bits.into());
            let now = at(number * 1000);
            admission.enter(Source::new(Some(address), "a/a".to_owned()), "claim", now);
            assert_eq!(checked(&mut admission, now).len(), 1);
        }
        assert_eq!(admission.clients.0.len(), RECORDS_MAX);
        assert_eq!(admission.sources.0.len(), RECORDS_MAX);
    }
}
