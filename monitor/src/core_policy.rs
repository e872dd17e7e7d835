//! Translates the settings into the policy of the core.

use shared::{
    runner_name::RunnerNames,
    settings::{GuestAuthMethod, ImageSettings, ProfileSettings, ReservationLabels, Settings},
};

use crate::profiles::Images;
use monitor_core::{GuestAuth, LabelPolicy, Policy, ProfilePolicy, Resources};

/// The policy that follows from the settings and the image settings of the profiles.
pub fn policy_of(settings: &Settings, images: &Images) -> Policy {
    let Settings {
        github,
        network,
        pool,
        host,
        profiles,
        ..
    } = settings;
    let profiles = profiles.iter();
    Policy {
        names: RunnerNames {
            prefix: host.libvirt_runner_guest_prefix.clone(),
            suffix: github.github_api_suffix.clone(),
        },
        scope: github.github_api_scope.to_string(),
        profiles: profiles
            .map(|(key, profile)| (key.clone(), profile_policy(profile, images.get(key))))
            .collect(),
        capacity: Resources {
            hugepages_1g: host.available_1g_hugepages,
            memory: host.available_normal_memory,
        },
        labels: match pool.reservation_labels {
            ReservationLabels::FromBirth => LabelPolicy::FromBirth,
            ReservationLabels::OnTake => LabelPolicy::OnTake,
        },
        start_timeout: pool.monitor_start_timeout,
        reserve_timeout: pool.monitor_reserve_timeout,
        image_max_age: host.base_image_max_age,
        base_url: network.external_base_url.to_string(),
        builder_prefix: host.libvirt_rebuild_guest_prefix.clone(),
        poll_interval: pool.monitor_poll_interval,
        cache_timeout: github.api_cache_timeout,
        makes_runners: !pool.zeroes_targets(),
        destroys_all: pool.destroy_all_non_busy_runners,
    }
}

/// The label that GitHub itself gives to runners on this architecture.
const ARCHITECTURE_LABEL: &str = match cfg!(target_arch = "aarch64") {
    true => "ARM64",
    false => "X64",
};

fn idle_labels(profile: &ProfileSettings) -> Vec<String> {
    let own = [
        "self-hosted",
        ARCHITECTURE_LABEL,
        &profile.github_runner_label,
    ];
    let own = own.into_iter().map(str::to_owned);
    own.chain(profile.extra_labels.iter().cloned()).collect()
}

/// `image` is None for a profile of processes.
fn profile_policy(profile: &ProfileSettings, image: Option<&ImageSettings>) -> ProfilePolicy {
    ProfilePolicy {
        target_count: profile.target_count,
        min_count: profile.min_count,
        max_count: profile.max_count,
        needs: Resources {
            hugepages_1g: profile.requires_1g_hugepages,
            memory: profile.requires_normal_memory,
        },
        idle_labels: idle_labels(profile),
        builds_image: image.is_some_and(|image| image.build.is_some()),
        guest_auth: match image.map(|image| image.proof) {
            None => GuestAuth::Secret,
            Some(GuestAuthMethod::FwCfg | GuestAuthMethod::Smbios) => GuestAuth::SecretAndAddress,
            Some(GuestAuthMethod::Address | GuestAuthMethod::FwCfgOrAddress) => GuestAuth::Address,
        },
    }
}
