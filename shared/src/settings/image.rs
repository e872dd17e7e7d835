//! The file `image.toml` in a profile's folder: what the image of its virtual machines is, and what
//! the monitor builds it from.
//!
//! Owns these settings, their defaults and limits. How many runners there are of a profile, and what
//! each takes of a host, stands in the host's own settings.

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
/// The most CD-ROMs of a build, beside the one with its configuration.
const CDROMS_MAX: usize = 8;
/// The most files on the CD-ROM with the configuration.
const CONFIG_FILES_MAX: usize = 32;

/// What the image of a profile is. Each field is named as its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageSettings {
    /// How guests of this image show which one they are.
    pub proof: GuestProof,
    /// What its disk is.
    pub disks: DiskFormat,
    /// What it is built from; none if it is made elsewhere.
    pub build: Option<BuildSettings>,
}

/// How a virtual machine shows the monitor which one it is, when it asks for its credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GuestProof {
    /// By its address, and by a secret that QEMU's firmware configuration device shows it.
    #[default]
    FwCfg,
    /// By its address, and by a secret among the strings of its SMBIOS. For guests without a driver
    /// for the former; on the host, the secret can be read off the command line of QEMU.
    Smbios,
    /// By its address alone.
    Address,
}

/// What the disk of an image is, and with it the disks that its runners begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskFormat {
    /// A file of the format qcow2. A runner's disk is a layer upon it.
    #[default]
    Qcow2,
    /// A file that is the disk, byte by byte. A runner's disk is a copy that shares its blocks, for
    /// which it takes a file system that can do that.
    Raw,
}

impl DiskFormat {
    /// What libvirt, `qemu-img` and `image.toml` call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
        }
    }
}

/// What an image is built from. Each field is named as its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildSettings {
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

impl BuildSettings {
    /// How many CD-ROM drives a build needs.
    pub fn cdrom_count(&self) -> usize {
        self.cdroms.len() + usize::from(self.config_iso.is_some())
    }

    /// Whether it begins with files below `IMAGE_DEPS_DIR`.
    pub fn needs_image_deps(&self) -> bool {
        self.base.is_some() || !self.cdroms.is_empty()
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

impl ImageSettings {
    /// Reads `image.toml` in the folder of a profile; without that file, everything has its default,
    /// and the image is made elsewhere.
    ///
    /// # Errors
    /// The first thing that is wrong, in one sentence.
    pub fn load(profile_folder: &Path) -> Result<Self, SettingsError> {
        let file = profile_folder.join(FILE_NAME);
        let Some(source) = Source::read_alone(&file, EXPLAINED_IN)? else {
            return Ok(Self::default());
        };
        let mut table = Table::root(&source);
        let proofs = kind::one_of(&[
            ("fw_cfg", GuestProof::FwCfg),
            ("smbios", GuestProof::Smbios),
            ("address", GuestProof::Address),
        ]);
        let formats = kind::one_of(&[("qcow2", DiskFormat::Qcow2), ("raw", DiskFormat::Raw)]);
        let image = Self {
            proof: table.or("proof", GuestProof::default(), &proofs)?,
            disks: table.or("disks", DiskFormat::default(), &formats)?,
            build: read_build(&mut table)?,
        };
        if image.build.is_some() && image.proof == GuestProof::Address {
            // A guest that builds an image is told from others by its secret.
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
