//! The tables `[profiles.<profile_key>.image]`: what the monitor builds the image of a profile from.
//!
//! Owns these settings, their defaults and limits. A profile without such a table has an image that
//! is made elsewhere.

use std::{
    path::{Component, Path, PathBuf},
    time::Duration,
};

use super::{
    error::SettingsError,
    kind::{self, Kind},
    table::Table,
};
use crate::units::{DAY, HOUR, Memory, SECOND};

/// The largest disk of an image: 64 TiB.
const SIZE_MAX: Memory = Memory::from_bytes(64 << 40);

/// What an image is built from. Each field is named as its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSettings {
    /// The disk that the build begins with, below `IMAGE_DEPS_DIR`; none for a blank one.
    pub base: Option<PathBuf>,
    /// How large the disk is to be.
    pub size: Memory,
    /// What is put into the first empty CD-ROM drives during the build: files below
    /// `IMAGE_DEPS_DIR`.
    pub cdroms: Vec<PathBuf>,
    /// What is put into the drive after those; none for nothing.
    pub config_iso: Option<ConfigIso>,
    /// How long a build may take.
    pub build_timeout: Duration,
}

impl ImageSettings {
    /// How many CD-ROM drives a build needs.
    pub fn cdrom_count(&self) -> usize {
        self.cdroms.len() + usize::from(self.config_iso.is_some())
    }
}

/// A CD-ROM that is made of files in the profile's folder, such as the answers to an installer's
/// questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigIso {
    /// The name of the volume, by which the guest finds it.
    pub label: String,
    /// Names of files in the profile's folder; they have the same names on the CD-ROM.
    pub files: Vec<String>,
}

/// The most CD-ROMs of a build, beside the one with its configuration.
const CDROMS_MAX: usize = 8;
/// The most files on the CD-ROM with the configuration.
const CONFIG_FILES_MAX: usize = 32;

/// Reads the table of a profile, if it has one.
pub(super) fn read_image(profile: &mut Table<'_>) -> Result<Option<ImageSettings>, SettingsError> {
    let Some(mut table) = profile.table("image")? else {
        return Ok(None);
    };
    let image = ImageSettings {
        base: table.optional("base", &path_below())?,
        cdroms: table.or(
            "cdroms",
            Vec::new(),
            &kind::list(path_below(), 0..=CDROMS_MAX),
        )?,
        config_iso: read_config_iso(&mut table)?,
        size: table.required("size", &kind::memory(SIZE_MAX))?,
        build_timeout: table.or("build_timeout", HOUR, &kind::duration(SECOND..=DAY))?,
    };
    table.finish()?;
    Ok(Some(image))
}

fn read_config_iso(image: &mut Table<'_>) -> Result<Option<ConfigIso>, SettingsError> {
    let Some(mut table) = image.table("config_iso")? else {
        return Ok(None);
    };
    // What ISO 9660 allows as the name of a volume, and small letters, which all systems read too.
    let label = kind::name(32);
    let files = kind::distinct(kind::name(64), 1..=CONFIG_FILES_MAX);
    let config_iso = ConfigIso {
        label: table.required("label", &label)?,
        files: table.required("files", &files)?,
    };
    table.finish()?;
    Ok(Some(config_iso))
}

fn path_below() -> Kind<PathBuf> {
    kind::understood("the path of a file below IMAGE_DEPS_DIR", |text| {
        let path = Path::new(text);
        let is_plain = |component: Component<'_>| matches!(component, Component::Normal(_));
        let is_below = !text.is_empty() && !text.contains('\0') && path.components().all(is_plain);
        is_below.then(|| path.to_owned())
    })
}
