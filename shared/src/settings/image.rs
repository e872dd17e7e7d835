//! The file `image.toml` in the folder of a profile: the image of its virtual machines, and what the
//! monitor builds it from.
//!
//! Responsible for the defaults and limits of these settings. The number of runners and their memory
//! are settings in the settings file of the server (`profile`).

use std::{
    path::{Component, Path, PathBuf},
    time::Duration,
};

use super::{
    error::SettingsError,
    kind::{self, Kind},
    source::Source,
    table::Table,
};
use crate::units::{DAY, HOUR, Memory, SECOND};

/// The name of the file.
const FILE_NAME: &str = "image.toml";
/// Where the file is explained.
const EXPLAINED_IN: &str = "docs/src/virtual-machines.md";
/// The largest disk of an image: 64 TiB.
const SIZE_MAX: Memory = Memory::from_bytes(64 << 40);
/// The most CD-ROMs of a build, without the one with its configuration.
const CDROMS_MAX: usize = 8;
/// The most files on the CD-ROM with the configuration.
const CONFIG_FILES_MAX: usize = 32;

/// The image of a profile. Each field is named as its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageSettings {
    /// How guests of this image authenticate.
    pub proof: GuestAuthMethod,
    /// The format of its disk.
    pub disks: DiskFormat,
    /// What it is built from; `None` if the monitor does not build it.
    pub build: Option<BuildSettings>,
}

/// Guest authentication: how the monitor recognises a virtual machine that requests its JIT
/// configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GuestAuthMethod {
    /// By its address, and by a secret in QEMU's firmware configuration device.
    #[default]
    FwCfg,
    /// By its address, and by a secret in the strings of its SMBIOS: for guests without a driver for
    /// the former. On the host, the secret is visible in the command line of QEMU.
    Smbios,
    /// By its address alone.
    Address,
    /// By its address alone, or, if it sends a secret, as with `FwCfg`: for images that may come from
    /// another system. Selected by the absence of `image.toml`.
    FwCfgOrAddress,
}

/// The disk format of an image and of the disks of its runners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskFormat {
    /// qcow2. The disk of a runner is an overlay on the image.
    #[default]
    Qcow2,
    /// Raw bytes. The disk of a runner is a copy that shares the blocks of the image (a reflink),
    /// which the file system has to support.
    Raw,
}

impl DiskFormat {
    /// Its name for libvirt, `qemu-img` and in `image.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
        }
    }
}

/// What an image is built from. Each field is named as its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildSettings {
    /// The initial disk, below `IMAGE_DEPS_DIR`; `None` for an empty one.
    pub base: Option<PathBuf>,
    /// The size of the disk.
    pub size: Memory,
    /// CD-ROM images for the first empty drives during the build, below `IMAGE_DEPS_DIR`.
    pub cdroms: Vec<PathBuf>,
    /// The CD-ROM in the drive after those, if any.
    pub config_iso: Option<ConfigIso>,
    /// The longest time of a build.
    pub build_timeout: Duration,
}

impl BuildSettings {
    /// The number of CD-ROM drives that a build needs.
    pub fn cdrom_count(&self) -> usize {
        self.cdroms.len() + usize::from(self.config_iso.is_some())
    }

    /// Whether it uses files below `IMAGE_DEPS_DIR`.
    pub fn needs_image_deps(&self) -> bool {
        self.base.is_some() || !self.cdroms.is_empty()
    }
}

/// A CD-ROM with files of the profile's folder, such as the answer file of an installer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigIso {
    /// The label of the volume, by which the guest finds it.
    pub label: String,
    /// Names of files in the profile's folder; they have the same names on the CD-ROM.
    pub files: Vec<String>,
}

impl ImageSettings {
    /// Whether the folder of a profile has an `image.toml`.
    pub fn is_in(profile_folder: &Path) -> bool {
        profile_folder.join(FILE_NAME).exists()
    }

    /// Reads `image.toml` in the folder of a profile. Without that file all settings have their
    /// defaults, and the monitor does not build the image.
    ///
    /// # Errors
    /// The first invalid or missing setting, in one sentence.
    pub fn load(profile_folder: &Path) -> Result<Self, SettingsError> {
        let file = profile_folder.join(FILE_NAME);
        let Some(source) = Source::read_alone(&file, EXPLAINED_IN)? else {
            return Ok(Self::default());
        };
        let mut table = Table::root(&source);
        let proofs = kind::one_of(&[
            ("fw_cfg", GuestAuthMethod::FwCfg),
            ("smbios", GuestAuthMethod::Smbios),
            ("address", GuestAuthMethod::Address),
        ]);
        let formats = kind::one_of(&[("qcow2", DiskFormat::Qcow2), ("raw", DiskFormat::Raw)]);
        let image = Self {
            proof: table.or("proof", GuestAuthMethod::default(), &proofs)?,
            disks: table.or("disks", DiskFormat::default(), &formats)?,
            build: read_build(&mut table)?,
        };
        if image.build.is_some() && image.proof == GuestAuthMethod::Address {
            // A guest that builds an image is recognised by its secret.
            return Err(table.wrong(
                "build",
                "a table".to_owned(),
                "nothing, where proof = \"address\"",
            ));
        }
        table.finish()?;
        Ok(image)
    }
}

fn read_build(image: &mut Table<'_>) -> Result<Option<BuildSettings>, SettingsError> {
    let Some(mut table) = image.table("build")? else {
        return Ok(None);
    };
    let cdroms = kind::list(path_below(), 0..=CDROMS_MAX);
    let build = BuildSettings {
        base: table.optional("base", &path_below())?,
        size: table.required("size", &kind::memory(SIZE_MAX))?,
        cdroms: table.or("cdroms", Vec::new(), &cdroms)?,
        config_iso: read_config_iso(&mut table)?,
        build_timeout: table.or("build_timeout", HOUR, &kind::duration(SECOND..=DAY))?,
    };
    table.finish()?;
    Ok(Some(build))
}

fn read_config_iso(build: &mut Table<'_>) -> Result<Option<ConfigIso>, SettingsError> {
    let Some(mut table) = build.table("config_iso")? else {
        return Ok(None);
    };
    // What ISO 9660 allows in the label of a volume, and lower case, which all systems read as well.
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
