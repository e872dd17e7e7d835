//! What repositories have used lately, and the position in the queue that follows from it.
//!
//! A job counts as enqueued earlier by `ageing` for each rank of its lane, and later by a delay that grows with
//! what its repository has used in this lane. Both are decided once, when the job is enqueued, and are part of
//! its ticket: so the order of two waiting jobs never changes, a restart does not change it, and no job is
//! overtaken by one that was enqueued later by more than `Policy::overtaking_max`.
//!
//! A job is counted from when it is enqueued, by `entry_penalty` for each of its runners; once it is over, by what
//! it has used instead. What was used counts half after each `half_life`.

use std::{collections::BTreeMap, time::Duration};

use shared::{
    clock::Timestamp,
    policy::{FairShare, Policy},
    values::{LaneName, QualifiedRepo},
};

use super::job::TicketContent;

/// The most accounts; beyond it the one that has used the least is forgotten.
const ACCOUNTS_MAX: usize = 10_000;

/// The accounts of all repositories, one for each lane that they have used.
#[derive(Debug, Default)]
pub struct Accounts(BTreeMap<(LaneName, QualifiedRepo), Account>);

/// What a repository has used in a lane.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// Runner time in seconds as it counted at `at`.
    used: f64,
    at: Timestamp,
    /// The position of its last job: later ones are not before it.
    last_queued_at: Timestamp,
}

impl Account {
    fn used_at(&self, now: Timestamp, share: &FairShare) -> f64 {
        self.used * remaining(now.since(self.at), share)
    }

    fn add(&mut self, now: Timestamp, seconds: f64, share: &FairShare) {
        // Never below zero: what a job was counted as may have been forgotten meanwhile.
        self.used = (self.used_at(now, share) + seconds).max(0.0);
        self.at = self.at.max(now);
    }
}

/// The part of what was used that still counts after this time.
fn remaining(after: Duration, share: &FairShare) -> f64 {
    (-after.as_secs_f64() / share.half_life.as_secs_f64()).exp2()
}

/// How much later a job counts as enqueued whose repository has used so many seconds of runner time: half of
/// the highest delay after as many seconds as that has, and never all of it.
pub fn delay(used: f64, share: &FairShare) -> Duration {
    let delay_max = share.delay_max.as_secs_f64();
    Duration::from_secs_f64(delay_max * used / (used + delay_max))
}

/// What a job counts as until it is over, in seconds of runner time.
fn penalty(ticket: &TicketContent, share: &FairShare) -> f64 {
    share.entry_penalty.as_secs_f64() * ticket.request.spec.count.get() as f64
}

impl Accounts {
    /// The time that determines the position of a job which is enqueued now.
    pub fn queued_at(
        &self,
        policy: &Policy,
        lane: &LaneName,
        repo: &QualifiedRepo,
        enqueued_at: Timestamp,
    ) -> Timestamp {
        let properties = policy.lane(lane.as_str());
        let ranks = policy.ageing * u32::from(properties.rank.unsigned_abs());
        let ranked_at = if properties.rank > 0 {
            enqueued_at - ranks
        } else {
            enqueued_at + ranks
        };
        let Some(share) = &policy.fair_share else {
            return ranked_at;
        };
        let account = self.0.get(&(lane.clone(), repo.clone())).copied();
        let account = account.unwrap_or_default();
        let used = account.used_at(enqueued_at, share) / f64::from(properties.weight);
        let queued_at = (ranked_at + delay(used, share)).max(account.last_queued_at);
        // Also if the policy has changed since the last job of the repository.
        queued_at.min(ranked_at + share.delay_max)
    }

    /// Counts a job that waits from now on: one that was enqueued, or restored from its ticket.
    pub fn charge(&mut self, policy: Option<&Policy>, now: Timestamp, ticket: &TicketContent) {
        let Some((share, lane)) = share_of(policy, ticket) else {
            return;
        };
        let since = now.since(ticket.enqueued_at);
        let account = self.account(now, lane, &ticket.request.spec.qualified_repo, share);
        account.add(now, penalty(ticket, share) * remaining(since, share), share);
        account.last_queued_at = account.last_queued_at.max(ticket.queued_at);
    }

    /// Counts a job that is over by what it has used: `took` is for how long it had its runners.
    pub fn settle(
        &mut self,
        policy: Option<&Policy>,
        now: Timestamp,
        ticket: &TicketContent,
        took: Duration,
    ) {
        let Some((share, lane)) = share_of(policy, ticket) else {
            return;
        };
        let since = now.since(ticket.enqueued_at);
        let used = took.as_secs_f64() * ticket.request.spec.count.get() as f64;
        let counted = penalty(ticket, share) * remaining(since, share);
        let account = self.account(now, lane, &ticket.request.spec.qualified_repo, share);
        account.add(now, used - counted, share);
    }

    /// Learns what a job had used that was over at this time, before the queue was restarted.
    pub fn restore(
        &mut self,
        policy: Option<&Policy>,
        ended_at: Timestamp,
        lane: &LaneName,
        repo: &QualifiedRepo,
        runner_time: Duration,
    ) {
        if let Some(share) = policy.and_then(|policy| policy.fair_share.as_ref()) {
            let account = self.account(ended_at, lane, repo, share);
            account.add(ended_at, runner_time.as_secs_f64(), share);
        }
    }

    fn account(
        &mut self,
        now: Timestamp,
        lane: &LaneName,
        repo: &QualifiedRepo,
        share: &FairShare,
    ) -> &mut Account {
        let key = (lane.clone(), repo.clone());
        if self.0.len() >= ACCOUNTS_MAX && !self.0.contains_key(&key) {
            let accounts = self.0.iter();
            let least = accounts.min_by(|(_, one), (_, other)| {
                let [one, other] = [one, other].map(|it| it.used_at(now, share));
                one.total_cmp(&other)
            });
            if let Some(least) = least.map(|(key, _)| key.clone()) {
                self.0.remove(&least);
            }
        }
        self.0.entry(key).or_default()
    }
}

fn share_of<'a>(
    policy: Option<&'a Policy>,
    ticket: &'a TicketContent,
) -> Option<(&'a FairShare, &'a LaneName)> {
    policy?.fair_share.as_ref().zip(ticket.lane.as_ref())
}

#[cfg(test)]
mod tests {
    use shared::{policy::Lane, values::Count};

    use super::*;
    use crate::tests::harness::request;

    const MINUTE: u64 = 60;

    fn policy() -> Policy {
        Policy {
            ageing: Duration::from_secs(10 * MINUTE),
            lanes: [
                ("first", Lane { rank: 2, weight: 1 }),
                (
                    "last",
                    Lane {
                        rank: -1,
                        weight: 1,
                    },
                ),
                ("heavy", Lane { rank: 0, weight: 3 }),
            ]
            .map(|(name, lane)| (name.parse().unwrap(), lane))
            .into(),
            rules: Vec::new(),
            fair_share: Some(FairShare {
                half_life: Duration::from_secs(60 * MINUTE),
                entry_penalty: Duration::from_secs(5 * MINUTE),
                delay_max: Duration::from_secs(30 * MINUTE),
            }),
            runners_per_repo_max: None,
        }
    }

    fn at(minute: u64) -> Timestamp {
        Timestamp::from_seconds(100_000_000 + minute * MINUTE)
    }

    /// The place of a job of one runner that is enqueued then, which is counted.
    fn enqueue(accounts: &mut Accounts, minute: u64, lane: &str, repo: &str) -> TicketContent {
        enqueue_several(accounts, minute, lane, repo, 1)
    }

    fn enqueue_several(
        accounts: &mut Accounts,
        minute: u64,
        lane: &str,
        repo: &str,
        count: u64,
    ) -> TicketContent {
        let (policy, lane): (_, LaneName) = (policy(), lane.parse().unwrap());
        let mut request = request("job", "linux", count);
        request.spec.qualified_repo = repo.parse().unwrap();
        request.spec.count = Count::new(count).unwrap();
        let repo = &request.spec.qualified_repo;
        let ticket = TicketContent {
            queued_at: accounts.queued_at(&policy, &lane, repo, at(minute)),
            lane: Some(lane),
            enqueued_at: at(minute),
            nonce: 1,
            request,
        };
        accounts.charge(Some(&policy), at(minute), &ticket);
        ticket
    }

    fn delay_of(ticket: &TicketContent) -> u64 {
        ticket.queued_at.since(ticket.enqueued_at).as_secs()
    }

    #[test]
    fn each_rank_counts_as_having_waited_for_longer() {
        let mut accounts = Accounts::default();
        let places = ["first", "default", "last"].map(|lane| {
            let ticket = enqueue(&mut accounts, 100, lane, "a/a");
            ticket.queued_at
        });
        assert_eq!(places, [at(80), at(100), at(110)]);
    }

    #[test]
    fn jobs_of_a_push_are_counted_before_they_run() {
        let mut accounts = Accounts::default();
        let push: Vec<u64> = (0..100)
            .map(|_| delay_of(&enqueue(&mut accounts, 0, "default", "a/a")))
            .collect();
        // 5 minutes of 30: 30 × 5 / 35 minutes.
        assert_eq!(push[..3], [0, 257, 450]);
        assert!(push.is_sorted_by(|one, other| one < other), "{push:?}");
        assert!(push[99] < 30 * MINUTE, "{push:?}");
        let other = enqueue(&mut accounts, 0, "default", "b/b");
        assert_eq!(delay_of(&other), 0);
        let several = enqueue_several(&mut accounts, 0, "default", "c/c", 2);
        assert_eq!(delay_of(&several), 0);
        let behind = enqueue(&mut accounts, 0, "default", "c/c");
        assert_eq!(delay_of(&behind), push[2]);
    }

    #[test]
    fn a_weight_counts_that_much_less() {
        let mut accounts = Accounts::default();
        for _ in 0..3 {
            enqueue(&mut accounts, 0, "heavy", "a/a");
        }
        enqueue(&mut accounts, 0, "default", "a/a");
        let [heavy, other] =
            ["heavy", "default"].map(|lane| delay_of(&enqueue(&mut accounts, 0, lane, "a/a")));
        assert_eq!((heavy, other), (257, 257));
    }

    #[test]
    fn what_was_used_counts_half_after_a_while() {
        let (mut accounts, share) = (Accounts::default(), policy().fair_share.unwrap());
        for _ in 0..4 {
            enqueue(&mut accounts, 0, "default", "a/a");
        }
        let later = enqueue(&mut accounts, 120, "default", "a/a");
        assert_eq!(delay_of(&later), delay(300.0, &share).as_secs());
    }

    #[test]
    fn a_job_that_is_over_counts_as_what_it_has_used() {
        let share = policy().fair_share.unwrap();
        for (took, expected) in [(0, 0.0), (60, 60.0), (3600, 3600.0)] {
            let mut accounts = Accounts::default();
            let ticket = enqueue(&mut accounts, 0, "default", "a/a");
            let took = Duration::from_secs(took);
            accounts.settle(Some(&policy()), at(30), &ticket, took);
            let next = enqueue(&mut accounts, 30, "default", "a/a");
            assert_eq!(
                delay_of(&next),
                delay(expected, &share).as_secs(),
                "{took:?}"
            );
        }
    }

    #[test]
    fn jobs_of_one_repository_and_lane_are_never_out_of_order() {
        let mut accounts = Accounts::default();
        let tickets: Vec<_> = (0..20)
            .map(|_| enqueue(&mut accounts, 0, "default", "a/a"))
            .collect();
        for ticket in &tickets {
            accounts.settle(Some(&policy()), at(1), ticket, Duration::ZERO);
        }
        // Nothing is counted any more, and still it is not before the others.
        let next = enqueue(&mut accounts, 1, "default", "a/a");
        assert_eq!(next.queued_at, tickets[19].queued_at);
        assert!(next.position() > tickets[19].position());
        let later = enqueue(&mut accounts, 100, "default", "a/a");
        assert!(delay_of(&later) < 300);
    }

    #[test]
    fn what_is_restored_counts_as_if_the_queue_had_not_been_restarted() {
        let (mut one, mut other) = (Accounts::default(), Accounts::default());
        let ended = enqueue(&mut one, 0, "default", "a/a");
        let waiting = enqueue(&mut one, 0, "default", "a/a");
        let took = Duration::from_secs(600);
        one.settle(Some(&policy()), at(20), &ended, took);
        let (lane, repo) = ("default".parse().unwrap(), "a/a".parse().unwrap());
        other.restore(Some(&policy()), at(20), &lane, &repo, took);
        other.charge(Some(&policy()), at(30), &waiting);
        let [one, other] =
            [one, other].map(|mut it| delay_of(&enqueue(&mut it, 40, "default", "a/a")));
        assert_eq!(one, other);
    }

    #[test]
    fn the_account_that_has_used_the_least_is_forgotten_first() {
        let mut accounts = Accounts::default();
        enqueue_several(&mut accounts, 0, "default", "a/used", 2);
        for repo in 0..ACCOUNTS_MAX {
            enqueue(&mut accounts, 0, "default", &format!("a/{repo}"));
        }
        assert_eq!(accounts.0.len(), ACCOUNTS_MAX);
        let used = enqueue(&mut accounts, 0, "default", "a/used");
        assert!(delay_of(&used) > 0);
    }
}
