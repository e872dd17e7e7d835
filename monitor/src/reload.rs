//! The settings of the monitor that may change while it runs.

use std::{collections::BTreeSet, sync::Arc};

use daemon::reload::{Reloadable, Reloader};
use shared::{
    clock::Clock,
    settings::{Settings, User},
    values::ProfileKey,
};

use crate::{core_policy::policy_of, profiles::Images, shared_core::SharedCore};

const RELOADABLE: Reloadable = Reloadable {
    applied: &[
        "profiles.{present}.target_count",
        "profiles.*.min_count",
        "profiles.*.max_count",
        "available_1g_hugepages",
        "available_normal_memory",
        "monitor_start_timeout",
        "monitor_reserve_timeout",
        "base_image_max_age",
        "api_cache_timeout",
        "dont_create_runners",
        "dont_register_runners",
        "destroy_all_non_busy_runners",
    ],
    daemon: User::Monitor,
};

/// Reads the settings again for this monitor. Profiles that were `unusable` at its start stay without runners.
pub fn reloader(
    settings: &Settings,
    images: &Images,
    unusable: BTreeSet<ProfileKey>,
    core: &Arc<SharedCore>,
    clock: Clock,
) -> Reloader {
    let (images, changed_core) = (images.clone(), core.clone());
    let apply = move |settings: &Settings| {
        let mut policy = policy_of(settings, &images);
        for profile_key in &unusable {
            if let Some(profile) = policy.profiles.get_mut(profile_key) {
                profile.set_fixed_target(0);
            }
        }
        changed_core.change(|core, _| core.apply_policy(&policy));
    };
    let (board, journal) = (core.problem_board().clone(), core.journal().clone());
    Reloader::new(settings, RELOADABLE, board, journal, clock, apply)
}
