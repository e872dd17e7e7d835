//! The plan: actions with their reasons, and what cannot be done.
//!
//! Destruction comes first: while a runner is still to be destroyed, none is created. A runner that
//! cannot be destroyed after a few attempts no longer delays the others; until it is gone it only
//! counts against the capacity.

use std::fmt;

use shared::{
    clock::Timestamp,
    values::{ProfileKey, UniqueId},
};

use super::reason::{Obstacle, Reason};
use crate::{Monitor, RunnerId};

/// What to do now. Empty if everything is as it should be, or has to be waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they are to begin.
    pub steps: Vec<Step>,
    /// Runners that should be created and cannot be.
    pub shortfalls: Vec<Shortfall>,
}

/// One action and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub action: Action,
    pub reason: Reason,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Register a new runner and create its guest.
    Create(RunnerId, ProfileKey),
    /// Build a new image for a profile.
    Rebuild(ProfileKey),
    /// Unregister a runner, unless it is busy, and destroy its guest.
    Destroy(RunnerId, ProfileKey),
    /// Add the labels of a reservation to its runners.
    AddLabels(UniqueId),
    /// Remove the labels of an earlier reservation from a runner.
    RemoveLabels(RunnerId),
}

/// Runners that should be created and cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    pub profile_key: ProfileKey,
    pub count: usize,
    pub obstacle: Obstacle,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, reason } = self;
        match action {
            Action::Create(id, profile_key) => {
                write!(formatter, "create runner {id} ({profile_key})")
            }
            Action::Destroy(id, profile_key) => {
                write!(formatter, "destroy runner {id} ({profile_key})")
            }
            Action::Rebuild(profile_key) => write!(formatter, "rebuild the image of {profile_key}"),
            // The page shows this to everybody, and the name of a job gives a label of its runners.
            Action::AddLabels(_) => write!(formatter, "add the labels of a reservation"),
            Action::RemoveLabels(id) => write!(formatter, "remove labels from runner {id}"),
        }?;
        write!(formatter, ": {reason}")
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            profile_key,
            count,
            obstacle,
        } = self;
        write!(formatter, "{count} more of {profile_key}: {obstacle}")
    }
}

impl Plan {
    pub(super) fn add(&mut self, action: Action, reason: Reason) {
        self.steps.push(Step { action, reason });
    }
}

impl Monitor {
    /// Decides what to do now.
    pub fn plan(&self, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        if !self.is_ready() {
            return plan;
        }
        let mut to_destroy = self.runners_to_destroy(now);
        self.evict_for_rebuild(now, &mut to_destroy);
        if !self.has_pending_destructions(&to_destroy) {
            self.evict_for_shares(now, &mut to_destroy);
        }
        let may_create = self.plan_destructions(&to_destroy, now, &mut plan);
        self.plan_labels(&to_destroy, &mut plan);
        let in_use = match may_create {
            // Rebuilds come before new runners: they get what a runner leaves free.
            true => self.plan_rebuilds(now, &mut plan),
            false => self.resources_in_use(),
        };
        self.plan_creations(now, may_create, in_use, &mut plan);
        plan
    }
}

#[cfg(test)]
mod tests;
