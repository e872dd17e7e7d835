//! The disks of a guest: which ones its definition has, and which ones have to be created.
//!
//! Guarantees that no guest writes to a disk that another one is made from.
//!
//! | part | becomes |
//! | --- | --- |
//! | the `disk` without a source, or with the source `/dev/null` | an overlay of the profile's image, or, if that is a raw disk, a copy of it; in the guest that builds the image, the image itself |
//! | each other `disk` that is a file | an overlay of that file |
//! | the first CD-ROM drives without a source | have the CD-ROMs of the build; in a runner, they stay empty |
//! | a CD-ROM drive whose source is `/path/to/…` | empty, as if it had no source |
//! | floppies | `readonly` |
//! | other CD-ROMs, `readonly` disks | as they are |

use std::path::{Path, PathBuf};

use shared::settings::DiskFormat;
use xmltree::Element;

use super::{
    params::DomainParams,
    xml::{attribute, child_or_new, children_named, refused, set},
};
use crate::hypervisor::error::TemplateError;

/// A disk to create for a guest.
#[derive(Debug, PartialEq, Eq)]
pub struct DiskPlan {
    /// The new file.
    pub path: PathBuf,
    /// The file that it is made from.
    pub origin: PathBuf,
    pub method: DiskMethod,
}

/// How a disk is created from its origin.
#[derive(Debug, PartialEq, Eq)]
pub enum DiskMethod {
    /// An overlay in the format qcow2, whose backing file is the origin.
    Overlay { origin_format: String },
    /// A raw copy that shares its blocks with the origin, and does not depend on it.
    Reflink,
}

impl DiskPlan {
    /// The file that has to exist as long as this one.
    pub fn backing_file(&self) -> Option<&Path> {
        match self.method {
            DiskMethod::Overlay { .. } => Some(&self.origin),
            DiskMethod::Reflink => None,
        }
    }

    fn format(&self) -> DiskFormat {
        match self.method {
            DiskMethod::Overlay { .. } => DiskFormat::Qcow2,
            DiskMethod::Reflink => DiskFormat::Raw,
        }
    }
}

/// Replaces the disks of a template by the guest's own, and returns those to create.
pub fn place_disks(
    devices: &mut Element,
    guest: &DomainParams<'_>,
) -> Result<Vec<DiskPlan>, TemplateError> {
    let mut disks = Vec::new();
    let mut image_count = 0;
    let mut cdroms = guest.cdroms.iter();
    for element in children_named(devices, "disk") {
        let device = attribute(element, "device").unwrap_or("disk").to_owned();
        if device == "lun" {
            return Err(refused(
                "devices/disk",
                "with device=\"lun\" is a device of this host that all guests would share; remove it",
            ));
        }
        if device == "cdrom" && is_placeholder(element) {
            element.take_child("source");
        }
        let lacks_source = has_no_source(element);
        if device == "cdrom"
            && lacks_source
            && let Some(cdrom) = cdroms.next()
        {
            set_source(element, cdrom, DiskFormat::Raw);
        }
        if device == "floppy" {
            child_or_new(element, "readonly");
        }
        if device != "disk" || element.get_child("readonly").is_some() {
            if attribute(element, "type") == Some("vhostuser") {
                return Err(TemplateError::SharedDisk("vhostuser".to_owned()));
            }
            if let Some(source) = element.get_mut_child("source") {
                source.attributes.remove("index");
            }
            continue;
        }
        image_count += usize::from(lacks_source);
        if guest.builds && lacks_source {
            set_source(element, guest.image_disk, guest.image_format);
            continue;
        }
        let stem = guest.folder.join(format!("disk-{}", disks.len()));
        let disk = match lacks_source {
            true => image_disk(guest, &stem),
            false => overlay_of_source(element, &stem)?,
        };
        set_source(element, &disk.path, disk.format());
        disks.push(disk);
    }
    if cdroms.next().is_some() {
        return Err(TemplateError::FewDrives(guest.cdroms.len()));
    }
    match image_count {
        1 => Ok(disks),
        _ => Err(TemplateError::ImageDisks(image_count)),
    }
}

/// The disk that is made from the image.
fn image_disk(guest: &DomainParams<'_>, stem: &Path) -> DiskPlan {
    let word = guest.image_format.as_str();
    DiskPlan {
        path: stem.with_extension(word),
        origin: guest.image_disk.to_owned(),
        method: match guest.image_format {
            DiskFormat::Qcow2 => DiskMethod::Overlay {
                origin_format: word.to_owned(),
            },
            DiskFormat::Raw => DiskMethod::Reflink,
        },
    }
}

/// An overlay of a disk that the template names. That disk may be on another file system, where a copy
/// could not share blocks.
fn overlay_of_source(element: &Element, stem: &Path) -> Result<DiskPlan, TemplateError> {
    let source = element.get_child("source");
    let Some(origin) = source.and_then(|source| source.attributes.get("file")) else {
        let kind = element.attributes.get("type").cloned();
        return Err(TemplateError::SharedDisk(kind.unwrap_or_default()));
    };
    let driver = element.get_child("driver");
    let format = driver.and_then(|driver| driver.attributes.get("type").cloned());
    Ok(DiskPlan {
        path: stem.with_extension(DiskFormat::Qcow2.as_str()),
        origin: origin.into(),
        method: DiskMethod::Overlay {
            origin_format: format.unwrap_or_else(|| DiskFormat::Raw.as_str().to_owned()),
        },
    })
}

/// Whether a disk or a drive has no source yet.
fn has_no_source(disk: &Element) -> bool {
    disk.get_child("source").is_none_or(|source| {
        let mut attributes = source.attributes.iter();
        // libvirt adds an index to the source of a running machine.
        attributes.all(|(name, value)| name == "index" || value == "/dev/null")
    })
}

/// Whether the source of a drive is a placeholder for a medium that is inserted while an image is built.
fn is_placeholder(drive: &Element) -> bool {
    placeholder(drive).is_some()
}

/// The file name of the medium that the source of a drive is a placeholder for.
fn placeholder(drive: &Element) -> Option<&str> {
    let file = attribute(drive.get_child("source")?, "file")?;
    file.strip_prefix("/path/to/")
}

/// The file names of the media that the drives of a template have placeholders for, in the order of the
/// drives. None of them leads to another folder.
pub fn placeholders(template: &[u8]) -> Vec<String> {
    let domain = Element::parse(template).ok();
    let devices = domain.as_ref().and_then(|it| it.get_child("devices"));
    let devices = devices.iter().flat_map(|it| &it.children);
    let disks = devices
        .filter_map(|node| node.as_element())
        .filter(|disk| disk.name == "disk" && attribute(disk, "device") == Some("cdrom"));
    disks
        .filter_map(placeholder)
        .filter(|name| !name.is_empty() && !name.contains('/'))
        .map(str::to_owned)
        .collect()
}

fn set_source(disk: &mut Element, path: &Path, format: DiskFormat) {
    set(disk, "type", "file");
    let driver = child_or_new(disk, "driver");
    set(driver, "name", "qemu");
    set(driver, "type", format.as_str());
    let source = child_or_new(disk, "source");
    *source = Element::new("source");
    set(source, "file", &path.display().to_string());
}
