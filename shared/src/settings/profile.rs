//! The tables `[profiles.<profile_key>]`: which kinds of runner a server keeps, and how many.
//!
//! Owns these settings and their limits. What an image is made of stands in the profile's folder.

use std::collections::BTreeMap;

use super::{
    error::SettingsError,
    github::{GithubSettings, runner_group_id, work_folder},
    kind,
    pool::ReservationLabels,
    table::Table,
};
use crate::{
    units::Memory,
    values::{InvalidValue, ProfileKey},
};

/// The longest label at GitHub.
const LABEL_LENGTH_MAX: usize = 256;
/// The most labels of a profile beside its own; GitHub takes a hundred, and a reservation adds some.
const EXTRA_LABELS_MAX: usize = 50;
/// The most profiles of one server.
const PROFILES_MAX: usize = 200;
/// The most runners of one profile.
const TARGET_COUNT_MAX: usize = 1000;
/// The most hugepages of 1 GiB that a host or guest may have.
pub(super) const HUGEPAGES_MAX: u64 = 65_536;
/// The most memory that a host or guest may have: 1 PiB.
pub(super) const MEMORY_MAX: Memory = Memory::from_bytes(1 << 50);

/// One kind of runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileSettings {
    /// The label by which workflows ask GitHub for such a runner.
    pub github_runner_label: String,
    /// How many of its runners there should be.
    pub target_count: usize,
    /// How many hugepages of 1 GiB each of its guests takes.
    pub requires_1g_hugepages: u64,
    /// How much normal memory each of its guests takes.
    pub requires_normal_memory: Memory,
    /// The group at GitHub that its runners are registered in; without a setting of its own, that
    /// of all profiles. So is the next.
    pub runner_group_id: u64,
    /// The folder that its jobs work in, relative to where the runner is installed.
    pub work_folder: String,
    /// More labels of its idle runners. There are none where runners have a label of their own
    /// from birth: any other label would let jobs that have not waited in line take them.
    pub extra_labels: Vec<String>,
    /// What makes its guests.
    pub guest: GuestDriver,
}

impl ProfileSettings {
    /// All the memory that each of its guests takes, hugepages and normal.
    pub fn memory(&self) -> Memory {
        Memory::from_bytes(1 << 30) * self.requires_1g_hugepages + self.requires_normal_memory
    }
}

/// What makes the guests of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestDriver {
    /// Virtual machines of the host's libvirt, as the profile's folder says.
    Libvirt,
    /// One process for each runner: the program and its arguments.
    Command(Vec<String>),
}

/// What holds for all profiles, unless one says otherwise, and what they can say.
pub(super) struct Common<'a> {
    pub github: &'a GithubSettings,
    pub reservation_labels: ReservationLabels,
}

/// Reads `[profiles]`; without it there are none.
pub(super) fn read_profiles(
    top: &mut Table<'_>,
    common: &Common<'_>,
) -> Result<BTreeMap<ProfileKey, ProfileSettings>, SettingsError> {
    let Some(profiles) = top.table("profiles")? else {
        return Ok(BTreeMap::new());
    };
    let tables = profiles.tables()?;
    if tables.len() > PROFILES_MAX {
        return Err(top.wrong(
            "profiles",
            format!("{} tables", tables.len()),
            format!("at most {PROFILES_MAX} profiles"),
        ));
    }
    tables
        .into_iter()
        .map(|(key, table)| {
            let profile_key: ProfileKey = key.parse().map_err(|refusal: InvalidValue| {
                table.wrong_as_a_whole(format!("the key {key:?}"), refusal.allowed)
            })?;
            let profile = read_profile(&profile_key, table, common)?;
            Ok((profile_key, profile))
        })
        .collect()
}

fn read_profile(
    key: &ProfileKey,
    mut table: Table<'_>,
    common: &Common<'_>,
) -> Result<ProfileSettings, SettingsError> {
    // These two are in the files of older releases and leave no choice: the name is the key, and
    // what an image is made of stands in the profile's folder.
    let same_name = key.clone();
    table.optional(
        "profile_name",
        &kind::text(
            format!("{:?}, as in the head of its table", key.as_str()),
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
            format!("a list of {} entries", extra_labels.len()),
            "nothing, unless reservation_labels = \"on_take\": by any other label than their own, \
             jobs that have not waited in line would take runners",
        ));
    }
    let profile = ProfileSettings {
        github_runner_label: table
            .required("github_runner_label", &kind::line(LABEL_LENGTH_MAX))?,
        target_count: table.required("target_count", &kind::number(0..=TARGET_COUNT_MAX))?,
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

/// Reads `[profiles.<profile_key>.guest]`; without it the guests are those of libvirt.
fn read_guest(profile: &mut Table<'_>) -> Result<GuestDriver, SettingsError> {
    let Some(mut table) = profile.table("guest")? else {
        return Ok(GuestDriver::Libvirt);
    };
    let is_command = table.or(
        "driver",
        false,
        &kind::one_of(&[("libvirt", false), ("command", true)]),
    )?;
    // A program without a name could not be started, and a NUL ends what the system would read.
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
