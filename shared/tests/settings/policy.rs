//! The scheduling policy of the queue.

use std::time::Duration;

use shared::{
    policy::{FairShare, Lane, Policy, RunFacts},
    settings::SettingsError,
};

use super::{SHORTEST, example::EXAMPLE, load};

fn read(policy: &str) -> Result<Policy, SettingsError> {
    let queue = "[queue]\nservers = [\"http://a\"]\n";
    let settings = load(&format!("{SHORTEST}{queue}{policy}"), &[])?;
    Ok(settings.queue.unwrap().policy.unwrap())
}

#[test]
fn without_a_policy_there_is_none() {
    let queue = "[queue]\nservers = [\"http://a\"]\n";
    let settings = load(&format!("{SHORTEST}{queue}"), &[]).unwrap();
    assert_eq!(settings.queue.unwrap().policy, None);
}

#[test]
fn a_policy_without_settings_has_the_defaults() {
    let policy = read("[queue.policy]\n").unwrap();
    let expected = Policy {
        ageing: Duration::from_secs(1800),
        lanes: [].into(),
        rules: Vec::new(),
        fair_share: None,
        runners_per_repo_max: None,
    };
    assert_eq!(policy, expected);
    let policy = read("[queue.policy.fair_share]\n").unwrap();
    let expected = FairShare {
        half_life: Duration::from_secs(3600),
        entry_penalty: Duration::from_secs(300),
        delay_max: Duration::from_secs(1800),
    };
    assert_eq!(policy.fair_share, Some(expected));
}

#[test]
fn the_example_shows_a_policy_with_the_defaults() {
    let (_, policy) = EXAMPLE.split_once("\n#[queue.policy]").unwrap();
    let (policy, _) = policy.split_once("\n\n\n").unwrap();
    let lines = policy.lines().filter_map(|line| line.strip_prefix('#'));
    let lines: Vec<&str> = lines.filter(|line| !line.starts_with(' ')).collect();
    let policy = read(&format!("[queue.policy]\n{}\n", lines.join("\n"))).unwrap();
    assert_eq!(policy.ageing, Duration::from_secs(1800));
    assert_eq!(policy.runners_per_repo_max, Some(8));
    let defaults = read("[queue.policy.fair_share]\n").unwrap();
    assert_eq!(policy.fair_share, defaults.fair_share);
    assert_eq!(policy.lane("release"), Lane { rank: 1, weight: 1 });
    let facts = RunFacts {
        branch: Some("release/1".parse().unwrap()),
        event: Some("push".parse().unwrap()),
        workflow: Some("release.yml".parse().unwrap()),
    };
    let lane = policy.lane_of(&"servo/servo".parse().unwrap(), &facts);
    assert_eq!(lane.as_str(), "release");
}

#[test]
fn mistakes_in_a_policy_are_named() {
    for (policy, expected) in [
        (
            "[queue.policy]\nagein = 1",
            "queue.policy.agein: there is no such setting, allowed there: ageing, fair_share, lanes, rules, \
             runners_per_repo_max"
                .to_owned(),
        ),
        (
            "[queue.policy]\nrunners_per_repo_max = 0",
            "queue.policy.runners_per_repo_max: found number 0, allowed: a whole number from 1 to 100000".to_owned(),
        ),
        (
            "[queue.policy.fair_share]\nhalf_life = 0",
            "queue.policy.fair_share.half_life: found number 0, allowed: a duration from 1m to 30days, in whole seconds \
             or as text such as \"90s\", \"15m\", \"1h 30m\""
                .to_owned(),
        ),
        (
            "[queue.policy.lanes.default]\nrank = -10",
            "queue.policy.lanes.default.rank: found number -10, allowed: a whole number from -9 to 9".to_owned(),
        ),
        (
            "[queue.policy.lanes.default]\nweight = 2",
            "queue.policy.lanes.default.weight: found number 2, allowed: no weight, or a table \
             [queue.policy.fair_share], by which it has an effect"
                .to_owned(),
        ),
        (
            "[queue.policy.lanes.\"a b\"]",
            "queue.policy.lanes.\"a b\": found the name \"a b\", allowed: 1 to 32 characters of A-Z a-z 0-9 . _ -"
                .to_owned(),
        ),
        (
            "[queue.policy.lanes.unused]",
            "queue.policy.lanes: found the lane unused, into which no rule puts jobs, allowed: a rule with lane = \
             \"unused\", or no such lane"
                .to_owned(),
        ),
    ] {
        assert_refused(policy, &expected);
    }
}

#[test]
fn mistakes_in_rules_are_named() {
    let rule = "[[queue.policy.rules]]\nlane = \"default\"\n";
    for (policy, expected) in [
        (
            "[[queue.policy.rules]]\nlane = \"fast\"",
            "queue.policy.rules.1.lane: found string \"fast\", allowed: a lane of [queue.policy.lanes]: \"default\""
                .to_owned(),
        ),
        (
            &format!("{rule}[[queue.policy.rules]]"),
            "queue.policy.rules.2.lane: missing, allowed: a lane of [queue.policy.lanes]: \"default\"; explained in \
             monitor.toml.example"
                .to_owned(),
        ),
        (
            &format!("{rule}branch = \"\""),
            "queue.policy.rules.1.branch: found string \"\", allowed: 1 to 255 bytes without control characters, in \
             which * stands for any text"
                .to_owned(),
        ),
        (
            "[queue.policy]\nrules = 1",
            "queue.policy.rules: found a number, allowed: a list of at most 100 tables".to_owned(),
        ),
        (
            "[queue.policy]\nrules = [1]",
            "queue.policy.rules.1: found a number, allowed: a table".to_owned(),
        ),
        (
            &rule.repeat(101),
            "queue.policy.rules: found a list of 101 entries, allowed: a list of at most 100 tables".to_owned(),
        ),
    ] {
        assert_refused(policy, &expected);
    }
}

#[track_caller]
fn assert_refused(policy: &str, expected: &str) {
    let error = read(policy).unwrap_err().to_string();
    let (_, message) = error.split_once(": ").unwrap();
    assert_eq!(message, expected, "{policy}");
}
