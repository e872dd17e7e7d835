//! The scheduling policy: which jobs go first when they wait for the same runners.
//!
//! Responsible for its form: lanes, rules and the facts that rules look at. What follows for the position of
//! a job is decided by the queue's core.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use crate::values::{InvalidValue, LaneName, QualifiedRepo};

/// The longest branch, event and workflow, in bytes.
const FACT_LENGTH_MAX: usize = 255;
/// The longest pattern, in bytes.
const PATTERN_LENGTH_MAX: usize = 255;

/// The highest rank of a lane; the lowest one is its negative.
pub const RANK_MAX: i8 = 9;

/// Which jobs go first. Without a policy jobs are assigned in the order in which they were enqueued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How much earlier a job counts as enqueued for each rank of its lane.
    pub ageing: Duration,
    /// The lanes by name. The lane `default` always exists.
    pub lanes: BTreeMap<LaneName, Lane>,
    /// The first rule that matches a job names its lane.
    pub rules: Vec<Rule>,
    /// How repositories share runners; `None` if it does not matter what they have used.
    pub fair_share: Option<FairShare>,
    /// The most runners of one profile that the jobs of one repository have at once; `None` for no limit.
    pub runners_per_repo_max: Option<usize>,
}

/// A lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// -9 to 9: jobs of a higher rank go first, until the others have waited for longer by `ageing` for each
    /// rank.
    pub rank: i8,
    /// 1 to 100: what a repository uses in this lane counts as that much less.
    pub weight: u8,
}

impl Default for Lane {
    fn default() -> Self {
        Self { rank: 0, weight: 1 }
    }
}

/// How repositories share runners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FairShare {
    /// After this time what a repository has used counts half.
    pub half_life: Duration,
    /// For how long a job is assumed to use each runner, from when it is enqueued until it has ended.
    pub entry_penalty: Duration,
    /// A job counts as enqueued later by less than this, however much its repository has used.
    pub delay_max: Duration,
}

/// Puts jobs into a lane. It matches if each of its patterns does; of a fact that is not known only the pattern
/// that is absent does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as the facts")]
pub struct Rule {
    pub lane: LaneName,
    pub repository: Option<Pattern>,
    pub branch: Option<Pattern>,
    pub event: Option<Pattern>,
    pub workflow: Option<Pattern>,
}

/// What is known of the workflow run of a job, from GitHub or from a client with the API token; never from the
/// claim of another client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFacts {
    /// The branch in the repository of the job. Not known of a run of a fork.
    pub branch: Option<Fact>,
    /// What has started the run, such as `push` or `pull_request`.
    pub event: Option<Fact>,
    /// The name of the workflow's file, such as `release.yml`. Not known of a run of a fork, which can change it.
    pub workflow: Option<Fact>,
}

/// A branch, an event or a workflow: 1 to 255 bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact(String);

impl Fact {
    /// The fact as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the file of a workflow, from its path, with or without the reference behind it:
    /// `servo/servo/.github/workflows/main.yml@refs/heads/main` is `main.yml`.
    #[must_use]
    pub fn file_name(&self) -> Self {
        let path = self.0.split('@').next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        Self(name.to_owned())
    }
}

impl FromStr for Fact {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let is_valid = (1..=FACT_LENGTH_MAX).contains(&text.len());
        let is_valid = is_valid && !text.chars().any(char::is_control);
        is_valid.then(|| Self(text.to_owned())).ok_or(InvalidValue {
            field: "branch, event and workflow",
            allowed: "1 to 255 bytes without control characters",
        })
    }
}

/// A text in which each `*` stands for any text, also for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Whether it matches the whole of `text`.
    pub fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        for part in parts {
            let Some(at) = rest.find(part) else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }

    /// The same in any spelling.
    fn matches_repo(&self, repo: &QualifiedRepo) -> bool {
        let pattern = Self(self.0.to_ascii_lowercase());
        pattern.matches(&repo.as_str().to_ascii_lowercase())
    }
}

impl FromStr for Pattern {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let is_valid = (1..=PATTERN_LENGTH_MAX).contains(&text.len());
        let is_valid = is_valid && !text.chars().any(char::is_control);
        is_valid.then(|| Self(text.to_owned())).ok_or(InvalidValue {
            field: "pattern",
            allowed: "1 to 255 bytes without control characters, in which * stands for any text",
        })
    }
}

impl Rule {
    /// Whether it matches a job.
    pub fn matches(&self, repo: &QualifiedRepo, facts: &RunFacts) -> bool {
        let is_met = |pattern: &Option<Pattern>, fact: &Option<Fact>| match (pattern, fact) {
            (None, _) => true,
            (Some(pattern), Some(fact)) => pattern.matches(fact.as_str()),
            (Some(_), None) => false,
        };
        let repository = self.repository.as_ref();
        repository.is_none_or(|pattern| pattern.matches_repo(repo))
            && is_met(&self.branch, &facts.branch)
            && is_met(&self.event, &facts.event)
            && is_met(&self.workflow, &facts.workflow)
    }
}

impl Policy {
    /// The lane of a job.
    pub fn lane_of(&self, repo: &QualifiedRepo, facts: &RunFacts) -> LaneName {
        let mut rules = self.rules.iter();
        let rule = rules.find(|rule| rule.matches(repo, facts));
        rule.map_or_else(LaneName::default, |rule| rule.lane.clone())
    }

    /// A lane; the default one if there is none of that name.
    pub fn lane(&self, name: &str) -> Lane {
        self.lanes.get(name).copied().unwrap_or_default()
    }

    /// Whether a rule looks at the run of a job, for which GitHub has to be asked.
    pub fn needs_run(&self) -> bool {
        let looks_at_run =
            |rule: &Rule| rule.branch.is_some() || rule.event.is_some() || rule.workflow.is_some();
        self.rules.iter().any(looks_at_run)
    }

    /// The longest time by which a job may have been enqueued later than another one of its profile and still get
    /// runners before it, unless the limit of its repository keeps the other one waiting.
    pub fn overtaking_max(&self) -> Duration {
        let ranks = self.lanes.values().map(|lane| lane.rank).chain(
            // The lane `default` always exists.
            (!self.lanes.contains_key(LaneName::DEFAULT)).then_some(0),
        );
        let (least, most) = ranks.fold((i8::MAX, i8::MIN), |(least, most), rank| {
            (least.min(rank), most.max(rank))
        });
        let ranks = u32::from(most.abs_diff(least));
        let delay_max = self.fair_share.map_or(Duration::ZERO, |it| it.delay_max);
        self.ageing * ranks + delay_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Option<Pattern> {
        Some(text.parse().unwrap())
    }

    fn fact(text: &str) -> Option<Fact> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("main", "main", true),
            ("main", "mainx", false),
            ("main", "xmain", false),
            ("*", "", true),
            ("release/*", "release/", true),
            ("release/*", "release/1.0", true),
            ("release/*", "xrelease/1.0", false),
            ("*.yml", "a.yml", true),
            ("*.yml", "a.yaml", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*ab*b", "ab", false),
            ("é*", "éa", true),
        ] {
            let parsed: Pattern = pattern.parse().unwrap();
            assert_eq!(parsed.matches(text), expected, "{pattern} {text}");
        }
        for bad in [String::new(), "a\n".to_owned(), "a".repeat(256)] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
            assert!(bad.parse::<Fact>().is_err(), "{bad}");
        }
    }

    fn policy() -> Policy {
        let rule = |lane: &str| Rule {
            lane: lane.parse().unwrap(),
            repository: None,
            branch: None,
            event: None,
            workflow: None,
        };
        Policy {
            ageing: Duration::from_secs(600),
            lanes: BTreeMap::from([
                ("release".parse().unwrap(), Lane { rank: 2, weight: 1 }),
                (
                    "slow".parse().unwrap(),
                    Lane {
                        rank: -1,
                        weight: 1,
                    },
                ),
            ]),
            rules: vec![
                Rule {
                    repository: pattern("Servo/*"),
                    branch: pattern("release/*"),
                    ..rule("release")
                },
                Rule {
                    event: pattern("schedule"),
                    workflow: pattern("nightly.yml"),
                    ..rule("slow")
                },
            ],
            fair_share: None,
            runners_per_repo_max: None,
        }
    }

    #[test]
    fn the_first_rule_whose_patterns_all_match_names_the_lane() {
        let facts = |branch, event, workflow| RunFacts {
            branch,
            event,
            workflow,
        };
        for (repo, facts, expected) in [
            (
                "servo/servo",
                facts(fact("release/1"), None, None),
                "release",
            ),
            (
                "SERVO/Servo",
                facts(fact("release/1"), None, None),
                "release",
            ),
            (
                "acme/servo",
                facts(fact("release/1"), None, None),
                "default",
            ),
            ("servo/servo", facts(None, None, None), "default"),
            (
                "acme/servo",
                facts(None, fact("schedule"), fact("nightly.yml")),
                "slow",
            ),
            ("acme/servo", facts(None, fact("schedule"), None), "default"),
        ] {
            let lane = policy().lane_of(&repo.parse().unwrap(), &facts);
            assert_eq!(lane.as_str(), expected, "{repo} {facts:?}");
        }
    }

    #[test]
    fn a_workflow_is_known_by_the_name_of_its_file() {
        for (path, name) in [
            ("main.yml", "main.yml"),
            (".github/workflows/main.yml", "main.yml"),
            ("a/b/.github/workflows/main.yml@refs/heads/x/y", "main.yml"),
        ] {
            let fact: Fact = path.parse().unwrap();
            assert_eq!(fact.file_name().as_str(), name);
        }
    }

    #[test]
    fn how_long_a_job_can_be_overtaken_follows_from_the_ranks_and_the_delay() {
        let mut policy = policy();
        assert_eq!(policy.overtaking_max(), Duration::from_secs(1800));
        policy.fair_share = Some(FairShare {
            half_life: Duration::from_secs(3600),
            entry_penalty: Duration::from_secs(300),
            delay_max: Duration::from_secs(60),
        });
        assert_eq!(policy.overtaking_max(), Duration::from_secs(1860));
        policy.lanes.remove("slow");
        let with_default = policy.overtaking_max();
        assert_eq!(with_default, Duration::from_secs(1260));
    }
}
