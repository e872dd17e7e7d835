//! The profiles whose guests are virtual machines: what their folders say beside the settings.
//!
//! Owns the reading of it at the start, and what is refused then, so that a profile which can make no
//! guests is known before one is asked for. What a boot script does is not looked at.

use std::{collections::BTreeMap, path::PathBuf};

use shared::{
    settings::{ConfigIso, DiskFormat, GuestDriver, ImageSettings, Settings, SettingsError},
    values::ProfileKey,
};

use crate::hypervisor::{self, HypervisorError};

/// What the image is of each profile whose guests are virtual machines.
pub type Images = BTreeMap<ProfileKey, ImageSettings>;

/// Why a profile cannot be carried out on this host. Each text is a fragment that follows
/// "failed to".
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It wants virtual machines, and it is not said where their definitions are.
    #[error(
        "make guests of profile {0}: virtual machines need LIB_MONITOR_DIR, below which \
         profiles/{0}/guest.xml says what they are like; processes need [profiles.{0}.guest] with \
         driver = \"command\""
    )]
    NoFolder(ProfileKey),
    /// What its folder says of its image cannot be understood.
    #[error("read the settings: {0}")]
    Settings(#[from] SettingsError),
    /// Its image is built from a file, and it is not said where such files are.
    #[error(
        "build the image of profile {0}: its base or its CD-ROMs need IMAGE_DEPS_DIR, \
         which is not set"
    )]
    NoImageDeps(ProfileKey),
    /// A file that its build needs is not in its folder.
    #[error("build the image of profile {profile_key}: there is no file {}", .path.display())]
    NoConfigFile {
        /// The profile.
        profile_key: ProfileKey,
        /// The file.
        path: PathBuf,
    },
    /// No guest could be made of it.
    #[error(transparent)]
    Unusable(#[from] HypervisorError),
}

/// Says what is wrong with the profiles of these settings, without touching anything.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(settings: &Settings) -> Result<(), ProfileError> {
    read_images(settings).map(drop)
}

/// The folder of the profiles' folders, if there is one.
pub fn profiles_path(settings: &Settings) -> Option<PathBuf> {
    let lib_monitor_dir = settings.lib_monitor_dir.as_ref()?;
    Some(lib_monitor_dir.join("profiles"))
}

/// Reads what the folder of each profile of virtual machines says, once each is known to be usable.
///
/// # Errors
/// The first thing that is wrong.
pub fn read_images(settings: &Settings) -> Result<Images, ProfileError> {
    let profiles = settings.profiles.iter();
    let machines = profiles.filter(|(_, profile)| profile.guest == GuestDriver::Libvirt);
    let read = machines.map(|(profile_key, profile)| {
        let image = read_image(settings, profile_key)?;
        let profiles = profiles_path(settings).unwrap_or_default();
        hypervisor::check(&profiles, profile_key, &image, profile.memory())?;
        if image.disks == DiskFormat::Raw {
            hypervisor::check_reflinks(&settings.data_path)?;
        }
        Ok((profile_key.clone(), image))
    });
    read.collect()
}

fn read_image(
    settings: &Settings,
    profile_key: &ProfileKey,
) -> Result<ImageSettings, ProfileError> {
    let profiles =
        profiles_path(settings).ok_or_else(|| ProfileError::NoFolder(profile_key.clone()))?;
    let folder = profiles.join(profile_key.as_str());
    let image = ImageSettings::load(&folder)?;
    let Some(build) = &image.build else {
        return Ok(image);
    };
    if build.needs_image_deps() && settings.image_deps_dir.is_none() {
        return Err(ProfileError::NoImageDeps(profile_key.clone()));
    }
    if let Some(ConfigIso { files, .. }) = &build.config_iso {
        let mut paths = files.iter().map(|file| folder.join(file));
        if let Some(path) = paths.find(|path| !path.is_file()) {
            let profile_key = profile_key.clone();
            return Err(ProfileError::NoConfigFile { profile_key, path });
        }
    }
    Ok(image)
}
