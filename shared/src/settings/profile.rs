//! The tables `[profiles.<profile_key>]`: the profiles of a server, and how many runners of each.
//!
//! Responsible for the limits of these settings. What an image is built from is defined in the folder
//! of the profile (`image`).

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::{
    error::SettingsError,
    github::{GithubSettings, runner_group_id, work_folder},
    kind::{self, Kind},
    pool::ReservationLabels,
    table::Table,
};
use crate::{
    units::Memory,
    values::{InvalidValue, ProfileKey},
};

/// The longest label that GitHub accepts, in characters.
const LABEL_LENGTH_MAX: usize = 256;
/// The most extra labels of a profile. GitHub accepts a hundred, and a reservation adds some.
const EXTRA_LABELS_MAX: usize = 50;
/// The most profiles of one server.
const PROFILES_MAX: usize = 200;
/// The most runners of one profile.
const TARGET_COUNT_MAX: usize = 1000;
/// The most hugepages of 1 GiB of a host or guest.
pub(super) const HUGEPAGES_MAX: u64 = 65_536;
/// The most memory of a host or guest: 1 PiB.
pub(super) const MEMORY_MAX: Memory = Memory::from_bytes(1 << 50);

/// A profile. Each field is named as its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileSettings {
    /// The label with which workflows request such runners from GitHub.
    pub github_runner_label: String,
    /// The number of runners to keep.
    pub target_count: usize,
    /// The fewest runners to keep while jobs wait for other profiles; at most `target_count`, its default.
    pub min_count: usize,
    /// The most runners to keep while jobs wait for them; at least `target_count`, its default.
    pub max_count: usize,
    /// Hugepages of 1 GiB of each guest.
    pub requires_1g_hugepages: u64,
    /// Normal memory of each guest.
    pub requires_normal_memory: Memory,
    /// The runner group at GitHub; by default, like `work_folder`, the one of all profiles.
    pub runner_group_id: u64,
    /// The folder in which jobs work, relative to the folder of the runner software.
    pub work_folder: String,
    /// Further labels of idle runners. Empty unless `reservation_labels` is `on_take`: with any other
    /// label, GitHub would assign them to jobs that did not wait in the queue.
    pub extra_labels: Vec<String>,
    /// How its guests are created.
    pub guest: GuestDriver,
}

/// The hypervisor driver of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestDriver {
    /// Virtual machines of libvirt, as defined in the folder of the profile.
    Libvirt,
    /// One process for each runner: program and arguments.
    Command(Vec<String>),
}

/// Settings of all profiles that affect how one is read.
pub(super) struct Common<'a> {
    pub github: &'a GithubSettings,
    pub reservation_labels: ReservationLabels,
}

/// The profiles that could be read, and the error of each that could not.
#[derive(Default)]
pub(super) struct Profiles {
    pub usable: BTreeMap<ProfileKey, ProfileSettings>,
    pub errors: Vec<(String, SettingsError)>,
}

/// Reads `[profiles]`; without it there are no profiles.
pub(super) fn read_profiles(
    top: &mut Table<'_>,
    common: &Common<'_>,
) -> Result<Profiles, SettingsError> {
    let Some(profiles) = top.table("profiles")? else {
        return Ok(Profiles::default());
    };
    let tables = profiles.tables()?;
    if tables.len() > PROFILES_MAX {
        return Err(top.wrong(
            "profiles",
            format!("{} tables", tables.len()),
            format!("at most {PROFILES_MAX} profiles"),
        ));
    }
    let mut profiles = Profiles::default();
    for (key, table) in tables {
        let parsed = key.parse().map_err(|refusal: InvalidValue| {
            table.wrong_as_a_whole(format!("the key {key:?}"), refusal.allowed)
        });
        let read = parsed.and_then(|profile_key: ProfileKey| {
            let profile = read_profile(&profile_key, table, common)?;
            Ok((profile_key, profile))
        });
        match read {
            Ok((profile_key, profile)) => drop(profiles.usable.insert(profile_key, profile)),
            Err(error) => profiles.errors.push((key, error)),
        }
    }
    Ok(profiles)
}

fn read_profile(
    key: &ProfileKey,
    mut table: Table<'_>,
    common: &Common<'_>,
) -> Result<ProfileSettings, SettingsError> {
    // Existing files contain these two, which have only one valid value each.
    let same_name = key.clone();
    table.optional(
        "profile_name",
        &kind::text(
            format!("{:?}, as in the header of its table", key.as_str()),
            move |name| name == same_name.as_str(),
        ),
    )?;
    table.optional("image_type", &kind::one_of(&[("Rust", ())]))?;

    let guest = read_guest(&mut table)?;
    let extra_labels = table.or(
        "extra_labels",
        Vec::new(),
        &kind::list(kind::line(LABEL_LENGTH_MAX), 0..=EXTRA_LABELS_MAX),
    )?;
    if !extra_labels.is_empty() && common.reservation_labels == ReservationLabels::FromBirth {
        return Err(table.wrong(
            "extra_labels",
            kind::shape_of_list(extra_labels.len()),
            "nothing, unless reservation_labels = \"on_take\": with another label than their own, \
             runners would be taken by jobs that did not wait in the queue",
        ));
    }
    let github_runner_label =
        table.required("github_runner_label", &kind::line(LABEL_LENGTH_MAX))?;
    let target_count = table.required("target_count", &kind::number(0..=TARGET_COUNT_MAX))?;
    let profile = ProfileSettings {
        github_runner_label,
        target_count,
        min_count: table.or(
            "min_count",
            target_count,
            &count_from(0..=target_count, "up to target_count"),
        )?,
        max_count: table.or(
            "max_count",
            target_count,
            &count_from(target_count..=TARGET_COUNT_MAX, "from target_count"),
        )?,
        requires_1g_hugepages: table.or(
            "requires_1g_hugepages",
            0,
            &kind::number(0..=HUGEPAGES_MAX),
        )?,
        requires_normal_memory: table
            .required("requires_normal_memory", &kind::memory(MEMORY_MAX))?,
        runner_group_id: table.or(
            "runner_group_id",
            common.github.runner_group_id,
            &runner_group_id(),
        )?,
        work_folder: table.or(
            "work_folder",
            common.github.work_folder.clone(),
            &work_folder(),
        )?,
        extra_labels,
        guest,
    };
    table.finish()?;
    Ok(profile)
}

/// A number of runners in `range`, which follows from another setting.
fn count_from(range: RangeInclusive<usize>, relation: &str) -> Kind<usize> {
    let mut count = kind::number(range);
    count.allowed = format!("{} ({relation})", count.allowed);
    count
}

/// Reads `[profiles.<profile_key>.guest]`; the default is libvirt.
fn read_guest(profile: &mut Table<'_>) -> Result<GuestDriver, SettingsError> {
    let Some(mut table) = profile.table("guest")? else {
        return Ok(GuestDriver::Libvirt);
    };
    let is_command = table.or(
        "driver",
        false,
        &kind::one_of(&[("libvirt", false), ("command", true)]),
    )?;
    // The system reads arguments up to the first NUL.
    let argument = kind::text("text of at most 4096 bytes without a NUL", |text| {
        text.len() <= 4096 && !text.contains('\0')
    });
    let command = kind::list(argument, 1..=64);
    let driver = if is_command {
        let command = table.required("command", &command)?;
        if command[0].is_empty() {
            return Err(table.wrong(
                "command",
                "an empty first entry".to_owned(),
                "a program to start",
            ));
        }
        GuestDriver::Command(command)
    } else if table.optional("command", &command)?.is_some() {
        return Err(table.wrong(
            "command",
            "a command".to_owned(),
            "nothing, unless driver = \"command\"",
        ));
    } else {
        GuestDriver::Libvirt
    };
    table.finish()?;
    Ok(driver)
}
