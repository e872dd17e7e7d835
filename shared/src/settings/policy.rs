//! The table `[queue.policy]`: which jobs go first.
//!
//! Responsible for its defaults and limits, and for settings that would have no effect, which are errors.

use std::collections::BTreeMap;

use super::{
    error::SettingsError,
    kind::{self, Kind},
    table::Table,
};
use crate::{
    policy::{FairShare, Lane, Pattern, Policy, RANK_MAX, Rule},
    units::{DAY, MINUTE, SECOND},
    values::LaneName,
};

/// The most lanes.
const LANES_MAX: usize = 32;
/// The most rules.
const RULES_MAX: usize = 100;
/// The highest limit of runners of a repository.
const RUNNERS_MAX: usize = 100_000;

/// Reads `[queue.policy]`, if there is one.
pub(super) fn read_policy(queue: &mut Table<'_>) -> Result<Option<Policy>, SettingsError> {
    let Some(mut table) = queue.table("policy")? else {
        return Ok(None);
    };
    let ageing = table.or("ageing", MINUTE * 30, &kind::duration(MINUTE..=DAY))?;
    let limit = kind::number(1..=RUNNERS_MAX);
    let runners_per_repo_max = table.optional("runners_per_repo_max", &limit)?;
    let fair_share = match table.table("fair_share")? {
        Some(table) => Some(read_fair_share(table)?),
        None => None,
    };
    let lanes = match table.table("lanes")? {
        Some(lanes) => read_lanes(&table, lanes, fair_share.is_some())?,
        None => BTreeMap::new(),
    };
    let rules = table.list_of_tables("rules", RULES_MAX)?;
    let rules = rules.into_iter().map(|rule| read_rule(rule, &lanes));
    let rules: Vec<Rule> = rules.collect::<Result<_, _>>()?;
    for name in lanes.keys() {
        let is_used = name.as_str() == LaneName::DEFAULT || rules.iter().any(|it| it.lane == *name);
        if !is_used {
            let found = format!("the lane {name}, into which no rule puts jobs");
            let allowed = format!("a rule with lane = {:?}, or no such lane", name.as_str());
            return Err(table.wrong("lanes", found, allowed));
        }
    }
    table.finish()?;
    Ok(Some(Policy {
        ageing,
        lanes,
        rules,
        fair_share,
        runners_per_repo_max,
    }))
}

fn read_fair_share(mut table: Table<'_>) -> Result<FairShare, SettingsError> {
    let fair_share = FairShare {
        half_life: table.or("half_life", MINUTE * 60, &kind::duration(MINUTE..=DAY * 30))?,
        entry_penalty: table.or("entry_penalty", MINUTE * 5, &kind::duration(SECOND..=DAY))?,
        delay_max: table.or("delay_max", MINUTE * 30, &kind::duration(MINUTE..=DAY))?,
    };
    table.finish()?;
    Ok(fair_share)
}

fn read_lanes(
    policy: &Table<'_>,
    lanes: Table<'_>,
    shares: bool,
) -> Result<BTreeMap<LaneName, Lane>, SettingsError> {
    let tables = lanes.tables()?;
    if tables.len() > LANES_MAX {
        let found = format!("{} tables", tables.len());
        return Err(policy.wrong("lanes", found, format!("at most {LANES_MAX} lanes")));
    }
    let lanes = tables.into_iter().map(|(name, mut table)| {
        let Ok(name) = name.parse::<LaneName>() else {
            let allowed = "1 to 32 characters of A-Z a-z 0-9 . _ -";
            return Err(table.wrong_as_a_whole(format!("the name {name:?}"), allowed));
        };
        let rank = table.or("rank", 0, &rank())?;
        let weight = table.optional("weight", &kind::number(1..=100_u8))?;
        if let Some(weight) = weight.filter(|_| !shares) {
            let allowed =
                "no weight, or a table [queue.policy.fair_share], by which it has an effect";
            return Err(table.wrong("weight", format!("number {weight}"), allowed));
        }
        table.finish()?;
        let weight = weight.unwrap_or(1);
        Ok((name, Lane { rank, weight }))
    });
    lanes.collect()
}

fn rank() -> Kind<i8> {
    kind::whole(-RANK_MAX..=RANK_MAX)
}

fn read_rule(
    mut table: Table<'_>,
    lanes: &BTreeMap<LaneName, Lane>,
) -> Result<Rule, SettingsError> {
    let names = lanes.keys().map(LaneName::as_str);
    let mut names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
    if !lanes.contains_key(LaneName::DEFAULT) {
        names.push(format!("{:?}", LaneName::DEFAULT));
    }
    let allowed = format!("a lane of [queue.policy.lanes]: {}", names.join(" or "));
    let known: Vec<LaneName> = lanes.keys().cloned().chain([LaneName::default()]).collect();
    let lane = kind::understood(allowed, move |text| {
        known.iter().find(|lane| lane.as_str() == text).cloned()
    });
    let pattern: Kind<Pattern> =
        kind::parsed("1 to 255 bytes without control characters, in which * stands for any text");
    let rule = Rule {
        lane: table.required("lane", &lane)?,
        repository: table.optional("repository", &pattern)?,
        branch: table.optional("branch", &pattern)?,
        event: table.optional("event", &pattern)?,
        workflow: table.optional("workflow", &pattern)?,
    };
    table.finish()?;
    Ok(rule)
}
