//! Settings of the host: memory for guests, images, and names of guests.
//!
//! Responsible for their defaults and limits. The memory of each guest is a setting of its profile.

use std::{path::PathBuf, time::Duration};

use super::{
    error::SettingsError,
    kind,
    profile::{HUGEPAGES_MAX, MEMORY_MAX},
    table::Table,
};
use crate::units::{DAY, DURATION_MAX, Memory, SECOND};

/// Resources of the host. Each field is named as its key.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// Hugepages of 1 GiB for all guests together.
    pub available_1g_hugepages: u64,
    /// Normal memory for all guests together.
    pub available_normal_memory: Memory,
    /// The repository of which images contain a copy.
    pub main_repo_path: Option<PathBuf>,
    /// Whether that copy is not updated when an image is rebuilt.
    pub dont_update_cached_servo_repo: bool,
    /// The age at which an image is rebuilt.
    pub base_image_max_age: Duration,
    /// Prefix of the names of guests that were image templates in older releases.
    pub libvirt_template_guest_prefix: String,
    /// Prefix of the names of guests that build an image.
    pub libvirt_rebuild_guest_prefix: String,
    /// Prefix of the names of runners and their guests.
    pub libvirt_runner_guest_prefix: String,
}

pub(super) fn read_host(top: &mut Table<'_>) -> Result<HostSettings, SettingsError> {
    let [template, rebuild, runner] = read_guest_prefixes(top)?;
    Ok(HostSettings {
        available_1g_hugepages: top.or(
            "available_1g_hugepages",
            0,
            &kind::number(0..=HUGEPAGES_MAX),
        )?,
        available_normal_memory: top
            .required("available_normal_memory", &kind::memory(MEMORY_MAX))?,
        main_repo_path: top.optional("main_repo_path", &kind::path())?,
        dont_update_cached_servo_repo: top.or(
            "dont_update_cached_servo_repo",
            false,
            &kind::flag(),
        )?,
        base_image_max_age: top.or(
            "base_image_max_age",
            DAY,
            &kind::duration(SECOND..=DURATION_MAX),
        )?,
        libvirt_template_guest_prefix: template,
        libvirt_rebuild_guest_prefix: rebuild,
        libvirt_runner_guest_prefix: runner,
    })
}

/// Reads the three prefixes, from which the hypervisor's guests are told apart. A guest is called
/// `<prefix>-<profile_key>`, so `ci` and `ci-runner` would both claim `ci-runner-linux`.
fn read_guest_prefixes(top: &mut Table<'_>) -> Result<[String; 3], SettingsError> {
    const KEYS: [(&str, &str); 3] = [
        ("libvirt_template_guest_prefix", "ci-template"),
        ("libvirt_rebuild_guest_prefix", "ci-rebuild"),
        ("libvirt_runner_guest_prefix", "ci-runner"),
    ];
    let mut prefixes: [String; 3] = Default::default();
    for (index, (key, default)) in KEYS.into_iter().enumerate() {
        let prefix = top.or(key, default.to_owned(), &kind::name(40))?;
        for (other, (other_key, _)) in prefixes[..index].iter().zip(KEYS) {
            let is_confusable = format!("{prefix}-").starts_with(&format!("{other}-"))
                || format!("{other}-").starts_with(&format!("{prefix}-"));
            if is_confusable {
                let found = format!("{prefix:?} beside {other_key} = {other:?}");
                let allowed = "prefixes that differ, none of which continues another one after a -";
                return Err(top.wrong(key, found, allowed));
            }
        }
        prefixes[index] = prefix;
    }
    Ok(prefixes)
}
