//! The definition of one guest, made from the `guest.xml` of its profile.
//!
//! Owns which parts of the template are the guest's own, and is pure. What is not named here stands
//! in the definition as it stands in the template.
//!
//! | part | becomes |
//! | --- | --- |
//! | `name`, `uuid` | the guest's |
//! | `mac` of each `interface` | a new one |
//! | `on_poweroff`, `on_crash` | `destroy`: a guest that ends is gone |
//! | `disk` | see `disks` |
//! | `nvram` | a copy: of the image's, or else of the file it names |
//! | `serial` and `console` of type `file` | a file in the guest's folder, which is there already |
//! | `sysinfo` | has the guest's secret and the monitor's URL, if it proves itself by them |

mod disks;

use std::path::{Path, PathBuf};

use shared::{
    secret::Secret,
    settings::{DiskFormat, GuestProof},
    units::Memory,
};
use xmltree::{Element, XMLNode};

use self::disks::place_disks;
pub use self::disks::{Disk, Making};
use super::memory::memory_of;

/// What the guest's firmware calls its secret, and the monitor's URL.
const SECRET_NAME: &str = "guest-secret";
const URL_NAME: &str = "monitor-url";

/// What is wrong with a template. Each text is a clause about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is no XML.
    #[error("it is not XML: {0}")]
    Syntax(String),
    /// It is XML of something else.
    #[error("its root is `{0}`, and not `domain`")]
    NotDomain(String),
    /// It does not say how much memory a guest has.
    #[error("it does not say in `memory` how much a guest has, or not in a unit that is known")]
    NoMemory,
    /// A guest would take more than is counted for it.
    #[error("its guests have {has} of memory, and the profile requires only {counted}")]
    TooMuchMemory {
        /// What it gives them.
        has: Memory,
        /// What is counted for each.
        counted: Memory,
    },
    /// It has no devices.
    #[error("it has no `devices`")]
    NoDevices,
    /// It is not clear which disk the image is to be.
    #[error(
        "{0} of its disks have no source (or /dev/null); the image takes the place of just one"
    )]
    ImageDisks(usize),
    /// There are more CD-ROMs than drives.
    #[error(
        "it has fewer than the {0} CD-ROM drives without a source that the image's build needs"
    )]
    FewDrives(usize),
    /// All guests would write to the same disk.
    #[error(
        "its disk of type `{0}` would be shared by all guests; use a file, or make it readonly"
    )]
    SharedDisk(String),
}

/// A guest to be.
pub struct Newborn<'a> {
    /// The name at libvirt.
    pub name: &'a str,
    /// Different for each guest.
    pub uuid: uuid::Uuid,
    /// Different for each guest: the MAC address of its first interface, without the two bytes
    /// that all have in common.
    pub mac: [u8; 4],
    /// The folder that its files are in.
    pub folder: &'a Path,
    /// The image's disk.
    pub image_disk: &'a Path,
    /// What that is.
    pub image_format: DiskFormat,
    /// Whether it works on that disk itself, because it is there to build the image.
    pub builds: bool,
    /// What is put into its first empty CD-ROM drives.
    pub cdroms: &'a [PathBuf],
    /// The most memory that it may have: what is counted for it, hugepages included.
    pub memory_max: Memory,
    /// How it proves itself.
    pub proof: GuestProof,
    /// The file that its secret stands in.
    pub secret_path: &'a Path,
    /// Its secret.
    pub secret: &'a Secret,
    /// Where the monitor is.
    pub monitor_url: &'a str,
}

/// What libvirt is to be told, and the files that this speaks of.
#[derive(Debug)]
pub struct Definition {
    /// The definition, in UTF-8. There may be a secret in it.
    pub xml: Vec<u8>,
    /// The disks to be made.
    pub disks: Vec<Disk>,
    /// Where the firmware's variables are to be.
    pub nvram: Option<Nvram>,
}

/// The file of the firmware's variables.
#[derive(Debug, PartialEq, Eq)]
pub struct Nvram {
    /// The new file.
    pub path: PathBuf,
    /// What the template names; a copy of this is made unless the image has its own.
    pub template: Option<PathBuf>,
}

/// Makes a guest's definition.
///
/// # Errors
/// When the template cannot be one.
pub fn define(template: &[u8], guest: &Newborn<'_>) -> Result<Definition, TemplateError> {
    let mut domain =
        Element::parse(template).map_err(|error| TemplateError::Syntax(error.to_string()))?;
    if domain.name != "domain" {
        return Err(TemplateError::NotDomain(domain.name));
    }
    let has = memory_of(&domain).ok_or(TemplateError::NoMemory)?;
    if has > guest.memory_max {
        return Err(TemplateError::TooMuchMemory {
            has,
            counted: guest.memory_max,
        });
    }
    set_text(&mut domain, "name", guest.name);
    set_text(&mut domain, "uuid", &guest.uuid.to_string());
    set_text(&mut domain, "on_poweroff", "destroy");
    set_text(&mut domain, "on_crash", "destroy");
    let nvram = place_nvram(&mut domain, guest.folder);
    let devices = domain.get_mut_child("devices");
    let devices = devices.ok_or(TemplateError::NoDevices)?;
    let disks = place_disks(devices, guest)?;
    place_interfaces(devices, guest.mac);
    place_consoles(devices, &guest.folder.join("console.log"));
    place_secret(&mut domain, guest);
    let mut xml = Vec::new();
    domain
        .write(&mut xml)
        .map_err(|error| TemplateError::Syntax(error.to_string()))?;
    Ok(Definition { xml, disks, nvram })
}

fn place_nvram(domain: &mut Element, folder: &Path) -> Option<Nvram> {
    let nvram = domain.get_mut_child("os")?.get_mut_child("nvram")?;
    let path = folder.join("nvram.fd");
    let template = nvram.get_text().map(|named| PathBuf::from(named.trim()));
    nvram.children = vec![XMLNode::Text(path.display().to_string())];
    Some(Nvram {
        path,
        template: template.filter(|named| !named.as_os_str().is_empty()),
    })
}

/// Each interface gets an address of the locally administered kind, which no hardware has.
fn place_interfaces(devices: &mut Element, [a, b, c, d]: [u8; 4]) {
    for (interface, d) in children_named(devices, "interface").zip((0..=u8::MAX).map(|n| d ^ n)) {
        let mac = child_or_new(interface, "mac");
        let address = format!("52:54:{a:02x}:{b:02x}:{c:02x}:{d:02x}");
        mac.attributes.insert("address".into(), address);
    }
}

fn place_consoles(devices: &mut Element, path: &Path) {
    for port in devices
        .children
        .iter_mut()
        .filter_map(XMLNode::as_mut_element)
    {
        let is_file = port.attributes.get("type").is_some_and(|it| it == "file");
        if is_file && matches!(port.name.as_str(), "serial" | "console") {
            let source = child_or_new(port, "source");
            let path = path.display().to_string();
            source.attributes.insert("path".into(), path);
            // Otherwise virtlogd would make it anew, and its own.
            source.attributes.insert("append".into(), "on".into());
        }
    }
}

fn place_secret(domain: &mut Element, guest: &Newborn<'_>) {
    match guest.proof {
        GuestProof::Address => {}
        GuestProof::FwCfg => {
            let sysinfo = sysinfo(domain, "fwcfg");
            let mut secret = Element::new("entry");
            let name = |name: &str| format!("opt/ci-runners/{name}");
            secret.attributes.insert("name".into(), name(SECRET_NAME));
            // By a file, because a value would stand in the command line of QEMU.
            let path = guest.secret_path.display().to_string();
            secret.attributes.insert("file".into(), path);
            let mut url = text("entry", guest.monitor_url);
            url.attributes.insert("name".into(), name(URL_NAME));
            sysinfo.children.push(XMLNode::Element(secret));
            sysinfo.children.push(XMLNode::Element(url));
        }
        GuestProof::Smbios => {
            let secret = guest.secret.expose();
            let strings = child_or_new(sysinfo(domain, "smbios"), "oemStrings");
            for (name, value) in [(SECRET_NAME, secret), (URL_NAME, guest.monitor_url)] {
                let entry = text("entry", &format!("ci-runners:{name}={value}"));
                strings.children.push(XMLNode::Element(entry));
            }
            let smbios = child_or_new(child_or_new(domain, "os"), "smbios");
            smbios.attributes.insert("mode".into(), "sysinfo".into());
        }
    }
}

/// The `sysinfo` of a type, of which there is one at most.
fn sysinfo<'a>(domain: &'a mut Element, kind: &str) -> &'a mut Element {
    let is_it = |node: &XMLNode| {
        node.as_element().is_some_and(|element| {
            element.name == "sysinfo" && element.attributes.get("type").is_some_and(|it| it == kind)
        })
    };
    let index = domain.children.iter().position(is_it).unwrap_or_else(|| {
        let mut sysinfo = Element::new("sysinfo");
        sysinfo.attributes.insert("type".into(), kind.into());
        domain.children.push(XMLNode::Element(sysinfo));
        domain.children.len() - 1
    });
    domain.children[index]
        .as_mut_element()
        .expect("only an element is found or put there")
}

fn text(name: &str, content: &str) -> Element {
    let mut element = Element::new(name);
    element.children.push(XMLNode::Text(content.to_owned()));
    element
}

fn set_text(parent: &mut Element, name: &str, content: &str) {
    child_or_new(parent, name).children = vec![XMLNode::Text(content.to_owned())];
}

fn children_named<'a>(
    parent: &'a mut Element,
    name: &'a str,
) -> impl Iterator<Item = &'a mut Element> {
    let elements = parent.children.iter_mut();
    elements
        .filter_map(XMLNode::as_mut_element)
        .filter(move |element| element.name == name)
}

fn child_or_new<'a>(parent: &'a mut Element, name: &str) -> &'a mut Element {
    if parent.get_child(name).is_none() {
        parent.children.push(XMLNode::Element(Element::new(name)));
    }
    parent
        .get_mut_child(name)
        .expect("it was there, or has just been put there")
}

#[cfg(test)]
mod tests;
