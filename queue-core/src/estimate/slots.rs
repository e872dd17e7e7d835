//! The places for runners of one profile, and what is in each now.

use std::collections::BTreeMap;

use shared::{
    clock::Timestamp,
    values::{ProfileKey, QualifiedRepo},
};

use super::RunnerLog;
use crate::state::fleet::Fleet;

/// How many slots of a profile are replayed at most; those of the first servers.
const SLOTS_MAX: usize = 1000;
/// The number of any repository.
pub const ANY_REPO: usize = 0;
/// How many repositories are told apart in one replay.
const REPOS_MAX: usize = 16;

/// What is in a slot. Times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Slot {
    /// A runner that can be assigned after this time: zero if it is idle.
    Idle { after: f64 },
    /// A runner that has had a job for this long, of the repository with this number.
    Held { elapsed: f64, repo: usize },
    /// Its last runner ended so long ago, and the next one is not idle yet.
    Vacant { elapsed: f64 },
}

/// The slots of one server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerSlots {
    pub slots: Vec<Slot>,
    /// How many runners the server has beyond its target: the first ones to end are not replaced.
    pub excess: usize,
}

/// The numbers of repositories in one replay. 0 stands for any.
#[derive(Clone, Debug, Default)]
pub struct Repos(BTreeMap<QualifiedRepo, usize>);

impl Repos {
    /// The number of a repository; 0 if it is unknown, or there are too many.
    pub fn number(&mut self, repo: Option<&QualifiedRepo>) -> usize {
        let Some(repo) = repo else { return ANY_REPO };
        if let Some(number) = self.0.get(repo) {
            return *number;
        }
        let number = self.0.len() + 1;
        if number > REPOS_MAX {
            return ANY_REPO;
        }
        self.0.insert(repo.clone(), number);
        number
    }

    /// Whether a repository has no number, and would get one.
    pub fn lacks(&self, repo: &QualifiedRepo) -> bool {
        self.0.len() < REPOS_MAX && !self.0.contains_key(repo)
    }

    /// The repository with each number.
    pub fn list(&self) -> Vec<Option<QualifiedRepo>> {
        let mut list = vec![None; self.0.len() + 1];
        for (repo, number) in &self.0 {
            list[*number] = Some(repo.clone());
        }
        list
    }
}

/// The slots of a profile at the servers that can be asked for runners.
pub fn slots(
    fleet: &Fleet,
    log: &RunnerLog,
    profile_key: &ProfileKey,
    now: Timestamp,
    repos: &mut Repos,
) -> Vec<ServerSlots> {
    let mut left = SLOTS_MAX;
    let mut servers = Vec::new();
    for (server, profile) in fleet.servers_with(profile_key, now) {
        if !fleet.is_usable(server, now) {
            continue;
        }
        let elapsed = |since: Timestamp| now.since(since).as_secs_f64();
        let idle = fleet.available_at(server, profile_key);
        let quarantined = fleet.quarantined(server, profile_key);
        let quarantined = quarantined.into_iter().flat_map(|it| {
            let after = it.until.since(now).as_secs_f64();
            std::iter::repeat_n(Slot::Idle { after }, it.count)
        });
        let requested = fleet.requested_at(server, profile_key);
        let begins = Slot::Held {
            elapsed: 0.0,
            repo: 0,
        };
        let held = log.held(server, profile_key).map(|it| Slot::Held {
            elapsed: elapsed(it.since),
            repo: repos.number(it.qualified_repo),
        });
        let held: Vec<Slot> = held.collect();
        // When a runner that something delays will be idle does not follow from how long others took.
        let delayed = profile.delayed.as_ref().map_or(0, |it| it.count);
        let vacant = log.vacant_since(server, profile_key).skip(delayed);
        let present = idle + requested + held.len();
        let slots: Vec<Slot> = std::iter::repeat_n(Slot::Idle { after: 0.0 }, idle)
            .chain(quarantined)
            .chain(std::iter::repeat_n(begins, requested))
            .chain(held)
            .chain(vacant.map(|since| Slot::Vacant {
                elapsed: elapsed(since),
            }))
            .take(left)
            .collect();
        left -= slots.len();
        servers.push(ServerSlots {
            slots,
            excess: present.saturating_sub(profile.target),
        });
    }
    servers
}
