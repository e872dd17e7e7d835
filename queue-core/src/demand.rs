//! The demand that is stated to each server: how many of its runners, besides those in use, could have a job
//! at once.
//!
//! The jobs of a profile are shared out among the servers whose targets follow demand: first to what is idle or
//! starts there, then, by how many more runners each could have. So all of them together make as many runners
//! as are needed. What is idle or starts at the other servers is expected to be used as well.

use std::collections::BTreeMap;

use shared::{
    clock::Timestamp,
    demand::{Demand, PROFILES_MAX},
    values::{ProfileKey, QualifiedRepo},
};

use crate::state::{State, fleet::ServerId, repo_use::repo_use};

/// For each profile of a server the number of runners, besides those in use, that could have a job at once; without
/// the zeros, and for those with the most waiting jobs only. `None` if no target of the server follows demand, or it cannot be asked for runners.
pub(crate) fn demand(state: &State, now: Timestamp, server: ServerId) -> Option<Demand> {
    let report = state.fleet.report(server)?;
    let follows_demand = report.profiles.values().any(|it| it.max.is_some());
    if !follows_demand || !state.fleet.is_usable(server, now) {
        return None;
    }
    let keys = report.profiles.keys();
    let demands = keys.map(|key| (key.clone(), demand_for(state, now, server, key)));
    let mut demands: Vec<_> = demands.filter(|(_, demand)| *demand > 0).collect();
    demands.sort_by_key(|(_, demand)| std::cmp::Reverse(*demand));
    demands.truncate(PROFILES_MAX);
    let counts: BTreeMap<ProfileKey, usize> = demands.into_iter().collect();
    let queue = state.fencing.instance();
    Some(Demand { queue, counts })
}

fn demand_for(state: &State, now: Timestamp, server: ServerId, key: &ProfileKey) -> usize {
    let Some(queue) = state.profile_queues.get(key) else {
        return 0;
    };
    // While a profile is paused nothing of it is assigned.
    if state.pauses.get(key).is_some() {
        return 0;
    }
    let fleet = &state.fleet;
    let repo_use = repo_use(state, now, key);
    let left = |repo: &QualifiedRepo| {
        let repo_use = repo_use.as_ref();
        repo_use.map_or(usize::MAX, |it| it.max.saturating_sub(it.of(repo)))
    };
    let mut waiting = queue.runners_needed(fleet.reach_on_demand(key, now), left);
    let usable = fleet.servers_with(key, now);
    let usable = usable.filter(|&(server, _)| fleet.is_usable(server, now));
    let mut own = 0;
    let (mut room_before, mut own_room, mut room_total) = (0, 0, 0);
    for (other, profile) in usable {
        let delayed = profile.delayed.as_ref().map_or(0, |delayed| delayed.count);
        let starting = profile.starting.saturating_sub(delayed);
        let ready = fleet.available_at(other, key).saturating_add(starting);
        let used = ready.min(waiting);
        waiting -= used;
        let room = match profile.max {
            Some(max) => max.saturating_sub(profile.existing),
            None => profile.target.saturating_sub(profile.existing),
        };
        if other < server {
            room_before += room;
        }
        if other == server {
            (own, own_room) = (used, room);
        }
        room_total += room;
    }
    // The parts of all servers add up to what is left.
    let left = waiting.min(room_total);
    let part = |room: usize| (left * room).checked_div(room_total).unwrap_or(0);
    own + part(room_before + own_room) - part(room_before)
}
