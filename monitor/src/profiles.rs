//! Image settings of the profiles of virtual machines, read from their folders.
//!
//! Responsible for their validation at the start, so that an unusable profile is refused before a job
//! needs a runner. Not responsible for the content of boot scripts, which is not validated.

mod derived;

use std::{collections::BTreeMap, path::PathBuf};

use daemon::startup::CheckMode;
use shared::{
    runner_name::{RUNNER_NAME_LENGTH_MAX, RunnerNames},
    settings::{
        ConfigIso, DiskFormat, GuestAuthMethod, GuestDriver, ImageSettings, ProfileSettings,
        Settings, SettingsError,
    },
    values::ProfileKey,
};

use crate::{
    core_policy::policy_of,
    hypervisor::{self, HypervisorError},
    programs::{self, NeededProgram},
};

/// The image settings of each profile of virtual machines.
pub type Images = BTreeMap<ProfileKey, ImageSettings>;

/// Why a profile is unusable on this host. Each text is a fragment that follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error(
        "create guests of profile {0}: virtual machines need LIB_MONITOR_DIR, whose file \
         profiles/{0}/guest.xml defines them; processes need [profiles.{0}.guest] with \
         driver = \"command\""
    )]
    NoFolder(ProfileKey),
    #[error("read the settings: {0}")]
    Settings(#[from] SettingsError),
    #[error(
        "build the image of profile {0}: its base or its CD-ROMs need IMAGE_DEPS_DIR, \
         which is not set"
    )]
    NoImageDeps(ProfileKey),
    #[error("build the image of profile {profile_key}: there is no file {}", .path.display())]
    NoConfigFile {
        profile_key: ProfileKey,
        path: PathBuf,
    },
    #[error(
        "register runners of profile {profile_key}: their names, such as {name}, would have {length} \
         characters, and GitHub accepts {RUNNER_NAME_LENGTH_MAX}; shorten github_api_suffix, \
         libvirt_runner_guest_prefix or the key of the profile"
    )]
    LongName {
        profile_key: ProfileKey,
        name: String,
        length: usize,
    },
    /// A profile without an `image.toml` and without an image, of which runners are wanted.
    #[error(
        "create guests of profile {0}: it has no image, and its folder does not describe how to build \
         one; import an existing disk with `ci-runners import {0} <disk>`, or describe the build in \
         image.toml"
    )]
    NoImage(ProfileKey),
    #[error(
        "build the image of profile {0}: it has user-data, but IMAGE_DEPS_DIR has no cloud image for it, \
         such as ubuntu2204/jammy-server-cloudimg-amd64.raw; put one there, or import an existing disk \
         with `ci-runners import {0} <disk>`, or describe the build in image.toml"
    )]
    NoCloudImage(ProfileKey),
    #[error(
        "build the image of profile {profile_key}: its guest.xml has a CD-ROM drive for {name}, which is \
         not in IMAGE_DEPS_DIR; put it there, or import an existing disk with \
         `ci-runners import {profile_key} <disk>`"
    )]
    NoMedium {
        profile_key: ProfileKey,
        name: String,
    },
    #[error("find in PATH: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    MissingPrograms(Vec<NeededProgram>),
    #[error(transparent)]
    Unusable(#[from] HypervisorError),
}

/// Validates the profiles of the settings, and looks for the programs that they need, without any side
/// effect. Returns a sentence for each target that cannot be reached.
///
/// # Errors
/// The first problem; for a start, only if no profile is usable.
pub fn check(settings: &Settings, mode: CheckMode) -> Result<Vec<String>, ProfileError> {
    check_profiles(settings, mode)?;
    let (images, _) = read_images(settings);
    let missing = programs::missing(&programs::needed(settings, &images));
    if mode == CheckMode::Everything && !missing.is_empty() {
        return Err(ProfileError::MissingPrograms(missing));
    }
    let unreachable = policy_of(settings, &images).unreachable_targets();
    let warnings = unreachable.into_iter().map(|(key, target, reachable)| {
        format!(
            "the target_count of profile {key} is {target}, but there is room for {reachable} runners of it \
             beside those of the other profiles; lower it, or raise what the settings allow runners to use"
        )
    });
    Ok(warnings.collect())
}

/// Validates the profiles of the settings. For a start, a profile may have no image yet: it has no runners
/// until one is imported.
///
/// # Errors
/// As [`check`].
pub fn check_profiles(settings: &Settings, mode: CheckMode) -> Result<(), ProfileError> {
    let (images, unusable) = read_images(settings);
    let is_fatal = mode == CheckMode::Everything || unusable.len() == settings.profiles.len();
    if is_fatal && let Some((_, error)) = unusable.into_iter().next() {
        return Err(error);
    }
    if mode == CheckMode::Start {
        return Ok(());
    }
    for (profile_key, image) in images {
        let profile = settings.profiles.get(&profile_key);
        let folder = profile_folder(settings, &profile_key)?;
        if profile.is_some_and(|profile| profile.target_count > 0)
            && image.build.is_none()
            && !ImageSettings::is_in(&folder)
            && !hypervisor::has_image(&settings.data_path, &profile_key, image.disks)
        {
            let deps = settings.image_deps_dir.as_deref();
            derived::build_of(&folder, &profile_key, deps)?;
        }
    }
    Ok(())
}

/// Checks that GitHub would accept the names of the runners of a profile.
fn check_name(settings: &Settings, profile_key: &ProfileKey) -> Result<(), ProfileError> {
    let names = runner_names(settings);
    match names.excessive_length(profile_key) {
        Some(length) => Err(ProfileError::LongName {
            profile_key: profile_key.clone(),
            name: names.format(profile_key, 999_999),
            length,
        }),
        None => Ok(()),
    }
}

/// The names under which the runners are registered.
pub fn runner_names(settings: &Settings) -> RunnerNames {
    RunnerNames {
        prefix: settings.host.libvirt_runner_guest_prefix.clone(),
        suffix: settings.github.github_api_suffix.clone(),
    }
}

/// The folder with the folders of all profiles. None without `LIB_MONITOR_DIR`.
pub fn profiles_path(settings: &Settings) -> Option<PathBuf> {
    let lib_monitor_dir = settings.lib_monitor_dir.as_ref()?;
    Some(lib_monitor_dir.join("profiles"))
}

/// Reads and validates the image settings of all profiles of virtual machines. Returns also why which
/// profiles are unusable, those of processes included.
pub fn read_images(settings: &Settings) -> (Images, BTreeMap<ProfileKey, ProfileError>) {
    let mut images = Images::new();
    let mut unusable = BTreeMap::new();
    for (profile_key, profile) in &settings.profiles {
        if let Err(error) = check_name(settings, profile_key) {
            unusable.insert(profile_key.clone(), error);
            continue;
        }
        if profile.guest != GuestDriver::Libvirt {
            continue;
        }
        match read_usable_image(settings, profile_key, profile) {
            Ok(image) => drop(images.insert(profile_key.clone(), image)),
            Err(error) => drop(unusable.insert(profile_key.clone(), error)),
        }
    }
    (images, unusable)
}

fn read_usable_image(
    settings: &Settings,
    profile_key: &ProfileKey,
    profile: &ProfileSettings,
) -> Result<ImageSettings, ProfileError> {
    let image = read_image(settings, profile_key)?;
    let profiles = profiles_path(settings).unwrap_or_default();
    hypervisor::check(&profiles, profile_key, &image, profile.into())?;
    if image.disks == DiskFormat::Raw {
        hypervisor::check_reflinks(&settings.data_path)?;
    }
    Ok(image)
}

fn profile_folder(settings: &Settings, profile_key: &ProfileKey) -> Result<PathBuf, ProfileError> {
    let profiles = profiles_path(settings);
    let profiles = profiles.ok_or_else(|| ProfileError::NoFolder(profile_key.clone()))?;
    Ok(profiles.join(profile_key.as_str()))
}

fn read_image(
    settings: &Settings,
    profile_key: &ProfileKey,
) -> Result<ImageSettings, ProfileError> {
    let folder = profile_folder(settings, profile_key)?;
    if !ImageSettings::is_in(&folder) {
        return Ok(ImageSettings {
            proof: GuestAuthMethod::FwCfgOrAddress,
            disks: DiskFormat::default(),
            build: derived::build_of(&folder, profile_key, settings.image_deps_dir.as_deref()).ok(),
        });
    }
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
