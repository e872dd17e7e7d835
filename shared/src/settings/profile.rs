//! The tables `[profiles.<profile_key>]`: which kinds of runner a server keeps, and how many.
//!
//! Owns these settings and their limits. What an image is made of stands in the profile's folder.

use std::collections::BTreeMap;

use super::{
    error::SettingsError,
    image::{ImageSettings, read_image},
    kind,
    table::Table,
};
use crate::{
    units::Memory,
    values::{InvalidValue, ProfileKey},
};

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
    /// What makes its guests.
    pub guest: GuestDriver,
    /// What its image is built from; none if that is made elsewhere.
    pub image: Option<ImageSettings>,
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
    /// Virtual machines of the host's libvirt, and how each shows that it is the one it says.
    Libvirt(GuestProof),
    /// One process for each runner: the program and its arguments.
    Command(Vec<String>),
}

/// How a virtual machine shows the monitor which one it is, when it asks for its credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestProof {
    /// By its address, and by a secret that QEMU's firmware configuration device shows it.
    FwCfg,
    /// By its address, and by a secret among the strings of its SMBIOS. For guests without a driver
    /// for the former; on the host, the secret can be read off the command line of QEMU.
    Smbios,
    /// By its address alone.
    Address,
}

/// Reads `[profiles]`; without it there are none.
pub(super) fn read_profiles(
    top: &mut Table<'_>,
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
            let profile = read_profile(&profile_key, table)?;
            Ok((profile_key, profile))
        })
        .collect()
}

fn read_profile(key: &ProfileKey, mut table: Table<'_>) -> Result<ProfileSettings, SettingsError> {
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
    let image = read_image(&mut table)?;
    let can_build = match guest {
        GuestDriver::Libvirt(proof) => proof != GuestProof::Address,
        GuestDriver::Command(_) => false,
    };
    if image.is_some() && !can_build {
        // A guest that builds an image is told from others by its secret.
        return Err(table.wrong(
            "image",
            "a table".to_owned(),
            "nothing, unless guest.driver = \"libvirt\" with a proof other than \"address\"",
        ));
    }
    let profile = ProfileSettings {
        github_runner_label: table.required("github_runner_label", &kind::line(256))?,
        target_count: table.required("target_count", &kind::number(0..=TARGET_COUNT_MAX))?,
        requires_1g_hugepages: table.or(
            "requires_1g_hugepages",
            0,
            &kind::number(0..=HUGEPAGES_MAX),
        )?,
        requires_normal_memory: table
            .required("requires_normal_memory", &kind::memory(MEMORY_MAX))?,
        guest,
        image,
    };
    table.finish()?;
    Ok(profile)
}

/// Reads `[profiles.<profile_key>.guest]`; without it the guests are those of libvirt.
fn read_guest(profile: &mut Table<'_>) -> Result<GuestDriver, SettingsError> {
    let Some(mut table) = profile.table("guest")? else {
        return Ok(GuestDriver::Libvirt(GuestProof::FwCfg));
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
    let proof = table.optional(
        "proof",
        &kind::one_of(&[
            ("fw_cfg", GuestProof::FwCfg),
            ("smbios", GuestProof::Smbios),
            ("address", GuestProof::Address),
        ]),
    )?;
    let driver = if is_command {
        if proof.is_some() {
            return Err(table.wrong(
                "proof",
                "a proof".to_owned(),
                "nothing, unless driver = \"libvirt\"",
            ));
        }
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
        GuestDriver::Libvirt(proof.unwrap_or(GuestProof::FwCfg))
    };
    table.finish()?;
    Ok(driver)
}
