//! The scheduling policy of a run, if there is one, and the repositories of its jobs.

use std::time::Duration;

use shared::{
    policy::{FairShare, Lane, Policy, Rule},
    values::{LaneName, QualifiedRepo},
};

use crate::rng::Rng;

/// Distinguishes the random streams of policies and repositories from the others of a seed.
const POLICIES: u64 = 0x90_11c1;
const REPOS: u64 = 0x4e_b05e;
/// How many repositories the jobs of a run with a policy belong to.
const REPO_COUNT: u64 = 3;

/// The policy of a seed. Its times are short, because runs are.
pub fn policy(seed: u64) -> Option<Policy> {
    let mut rng = Rng::from_seed(seed ^ POLICIES);
    if !rng.chance(0.4) {
        return None;
    }
    let mut seconds = |least, most| Duration::from_secs(rng.number(least, most));
    let (ageing, share) = (
        seconds(5, 60),
        FairShare {
            half_life: seconds(30, 300),
            entry_penalty: seconds(5, 60),
            delay_max: seconds(10, 120),
        },
    );
    let lane: LaneName = "first".parse().expect("this is a name");
    let first = Lane {
        rank: [0, 1, 3, -1][rng.index(4)],
        weight: [1, 4][rng.index(2)],
    };
    Some(Policy {
        ageing,
        lanes: [(lane.clone(), first)].into(),
        rules: vec![Rule {
            lane,
            repository: Some("org/repo-0".parse().expect("this is a pattern")),
            branch: None,
            event: None,
            workflow: None,
        }],
        fair_share: rng.chance(0.7).then_some(share),
        runners_per_repo_max: rng.chance(0.5).then(|| rng.number(1, 4) as usize),
    })
}

/// The repository of a client's job.
pub fn repo_of(seed: u64, client: usize, has_policy: bool) -> QualifiedRepo {
    let name = match has_policy {
        true => {
            let mut rng = Rng::from_seed(seed ^ REPOS ^ ((client as u64) << 32));
            format!("org/repo-{}", rng.number(0, REPO_COUNT - 1))
        }
        false => "org/repo".to_owned(),
    };
    name.parse().expect("this is a repository")
}
