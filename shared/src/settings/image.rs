//! The tables `[profiles.<profile_key>.image]`: what the monitor builds the image of a profile from.
//!
//! Owns these settings, their defaults and limits. A profile without such a table has an image that
//! is made elsewhere.

use std::{
    path::{Component, Path, PathBuf},
    time::Duration,
};

use super::{error::SettingsError, kind, table::Table};
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
    /// How long a build may take.
    pub build_timeout: Duration,
}

/// Reads the table of a profile, if it has one.
pub(super) fn read_image(profile: &mut Table<'_>) -> Result<Option<ImageSettings>, SettingsError> {
    let Some(mut table) = profile.table("image")? else {
        return Ok(None);
    };
    let base = kind::understood("the path of a file below IMAGE_DEPS_DIR", |text| {
        let path = Path::new(text);
        let is_plain = |component: Component<'_>| matches!(component, Component::Normal(_));
        let is_below = !text.is_empty() && !text.contains('\0') && path.components().all(is_plain);
        is_below.then(|| path.to_owned())
    });
    let image = ImageSettings {
        base: table.optional("base", &base)?,
        size: table.required("size", &kind::memory(SIZE_MAX))?,
        build_timeout: table.or("build_timeout", HOUR, &kind::duration(SECOND..=DAY))?,
    };
    table.finish()?;
    Ok(Some(image))
}
