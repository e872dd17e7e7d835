//! The settings in the words of the core.
//!
//! Owns that translation, and decides nothing.

use shared::{
    github::RunnerNames,
    settings::{GuestDriver, GuestProof, ProfileSettings, ReservationLabels, Settings},
};

use crate::core::{LabelPolicy, Policy, ProfilePolicy, Proof, Resources};

/// What the settings want of the pool.
pub fn policy_of(settings: &Settings) -> Policy {
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
        profiles: profiles
            .map(|(key, profile)| (key.clone(), profile_policy(profile)))
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

fn profile_policy(profile: &ProfileSettings) -> ProfilePolicy {
    ProfilePolicy {
        target_count: profile.target_count,
        needs: Resources {
            hugepages_1g: profile.requires_1g_hugepages,
            memory: profile.requires_normal_memory,
        },
        github_runner_label: profile.github_runner_label.clone(),
        builds_image: profile.image.is_some(),
        proof: match profile.guest {
            GuestDriver::Command(_) => Proof::Secret,
            GuestDriver::Libvirt(GuestProof::FwCfg | GuestProof::Smbios) => Proof::SecretAndAddress,
            GuestDriver::Libvirt(GuestProof::Address) => Proof::Address,
        },
    }
}
