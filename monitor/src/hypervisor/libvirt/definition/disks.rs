//! Which disks a guest has, and which of them are to be made for it.
//!
//! Owns that no guest changes what others begin with.
//!
//! | part | becomes |
//! | --- | --- |
//! | the `disk` without a source, or with `/dev/null` for one | a layer upon the profile's image, or, if that is a raw disk, a copy of it; the image itself where it is built |
//! | each other `disk` that is a file | a layer upon that file |
//! | the first CD-ROM drives without a source | hold what the build of an image needs; in a runner, nothing |
//! | other CD-ROMs, floppies, `readonly` disks | as they are |

use std::path::{Path, PathBuf};

use shared::settings::DiskFormat;
use xmltree::Element;

use super::{Newborn, TemplateError, child_or_new, children_named};

/// A disk of a guest's own, made from one that others begin with too.
#[derive(Debug, PartialEq, Eq)]
pub struct Disk {
    /// The new file.
    pub path: PathBuf,
    /// The file that it is made from.
    pub origin: PathBuf,
    /// How.
    pub making: Making,
}

/// How a disk is made.
#[derive(Debug, PartialEq, Eq)]
pub enum Making {
    /// As a layer, which only holds what is different from the origin, and needs that for as long
    /// as it is there. In the format qcow2.
    Layer {
        /// The format of the origin.
        origin_format: String,
    },
    /// As a copy that shares its blocks with the origin, and does not need it any more.
    Copy,
}

impl Disk {
    /// The file that has to stay for as long as this one is there.
    pub fn below(&self) -> Option<&Path> {
        match self.making {
            Making::Layer { .. } => Some(&self.origin),
            Making::Copy => None,
        }
    }

    fn format(&self) -> DiskFormat {
        match self.making {
            Making::Layer { .. } => DiskFormat::Qcow2,
            Making::Copy => DiskFormat::Raw,
        }
    }
}

/// Puts its own disks into a guest's definition, and says which are to be made.
pub fn place_disks(devices: &mut Element, guest: &Newborn<'_>) -> Result<Vec<Disk>, TemplateError> {
    let mut disks = Vec::new();
    let mut image_count = 0;
    let mut cdroms = guest.cdroms.iter();
    for place in children_named(devices, "disk") {
        let device = place.attributes.get("device").cloned();
        let device = device.as_deref();
        let waits_for_image = is_blank(place);
        if device == Some("cdrom")
            && waits_for_image
            && let Some(cdrom) = cdroms.next()
        {
            set_source(place, cdrom, DiskFormat::Raw);
        }
        if device.is_some_and(|it| it != "disk") || place.get_child("readonly").is_some() {
            continue;
        }
        image_count += usize::from(waits_for_image);
        if guest.builds && waits_for_image {
            set_source(place, guest.image_disk, guest.image_format);
            continue;
        }
        let stem = guest.folder.join(format!("disk-{}", disks.len()));
        let disk = match waits_for_image {
            true => image_disk(guest, &stem),
            false => layer_upon_source(place, &stem)?,
        };
        set_source(place, &disk.path, disk.format());
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

/// The disk that begins as the image.
fn image_disk(guest: &Newborn<'_>, stem: &Path) -> Disk {
    let word = guest.image_format.word();
    Disk {
        path: stem.with_extension(word),
        origin: guest.image_disk.to_owned(),
        making: match guest.image_format {
            DiskFormat::Qcow2 => Making::Layer {
                origin_format: word.to_owned(),
            },
            DiskFormat::Raw => Making::Copy,
        },
    }
}

/// A disk of the template's own. It need not lie where a copy could share blocks with it.
fn layer_upon_source(place: &Element, stem: &Path) -> Result<Disk, TemplateError> {
    let source = place.get_child("source");
    let Some(origin) = source.and_then(|source| source.attributes.get("file")) else {
        let kind = place.attributes.get("type").cloned();
        return Err(TemplateError::SharedDisk(kind.unwrap_or_default()));
    };
    let driver = place.get_child("driver");
    let format = driver.and_then(|driver| driver.attributes.get("type").cloned());
    Ok(Disk {
        path: stem.with_extension(DiskFormat::Qcow2.word()),
        origin: origin.into(),
        making: Making::Layer {
            origin_format: format.unwrap_or_else(|| DiskFormat::Raw.word().to_owned()),
        },
    })
}

/// Whether a disk waits for the image, or a drive for a CD-ROM.
fn is_blank(disk: &Element) -> bool {
    disk.get_child("source").is_none_or(|source| {
        let mut places = source.attributes.values();
        places.all(|place| place == "/dev/null")
    })
}

fn set_source(disk: &mut Element, path: &Path, format: DiskFormat) {
    disk.attributes.insert("type".into(), "file".into());
    let driver = child_or_new(disk, "driver");
    driver.attributes.insert("name".into(), "qemu".into());
    let word = format.word();
    driver.attributes.insert("type".into(), word.into());
    let source = child_or_new(disk, "source");
    *source = Element::new("source");
    let path = path.display().to_string();
    source.attributes.insert("file".into(), path);
}
