//! The domain definition of a guest, made from the `guest.xml` of its profile.
//!
//! Responsible for the parts of the template that differ between guests; all others are kept as they
//! are. Pure.
//!
//! | part | becomes |
//! | --- | --- |
//! | `name`, `uuid` | the guest's |
//! | `mac` of each `interface` | a new one |
//! | `on_poweroff`, `on_crash` | `destroy`: a guest that ends is gone |
//! | `disk` | see `disks` |
//! | `nvram` | a copy: of the image's, or else of the file it names |
//! | `serial` and `console` of type `file` | a file in the guest's folder, which exists already |
//! | `sysinfo` | has the guest's secret and the monitor's URL, if it authenticates itself by them |

mod disks;
mod params;
mod xml;

use std::path::{Path, PathBuf};

use shared::settings::GuestAuthMethod;
use xmltree::{Element, XMLNode};

use self::{
    disks::place_disks,
    xml::{child_or_new, children_named, element_with_text, set_text},
};
pub use self::{
    disks::{DiskMethod, DiskPlan},
    params::DomainParams,
};
use super::memory::memory_of;
use crate::hypervisor::error::TemplateError;

/// Names under which the guest's firmware shows its secret and the monitor's URL.
const SECRET_NAME: &str = "guest-secret";
const URL_NAME: &str = "monitor-url";

/// A definition for libvirt, and the files that it refers to.
#[derive(Debug)]
pub struct Definition {
    /// The definition, in UTF-8. It may contain the secret.
    pub xml: Vec<u8>,
    /// The disks to create.
    pub disks: Vec<DiskPlan>,
    /// The firmware's variables, if the template has any.
    pub nvram: Option<Nvram>,
}

/// The file with the firmware's variables.
#[derive(Debug, PartialEq, Eq)]
pub struct Nvram {
    pub path: PathBuf,
    /// The file that the template names. It is copied unless the image has its own.
    pub template: Option<PathBuf>,
}

/// Defines a guest.
///
/// # Errors
/// If the template is unusable.
pub fn define(template: &[u8], guest: &DomainParams<'_>) -> Result<Definition, TemplateError> {
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

/// Each interface gets a locally administered address, which no hardware has.
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
            // Otherwise virtlogd would replace the file by one that belongs to root.
            source.attributes.insert("append".into(), "on".into());
        }
    }
}

fn place_secret(domain: &mut Element, guest: &DomainParams<'_>) {
    match guest.proof {
        GuestAuthMethod::Address => {}
        GuestAuthMethod::FwCfg => {
            let sysinfo = sysinfo(domain, "fwcfg");
            let mut secret = Element::new("entry");
            let name = |name: &str| format!("opt/ci-runners/{name}");
            secret.attributes.insert("name".into(), name(SECRET_NAME));
            // As a file, because a value would appear in the command line of QEMU.
            let path = guest.secret_path.display().to_string();
            secret.attributes.insert("file".into(), path);
            let mut url = element_with_text("entry", guest.monitor_url);
            url.attributes.insert("name".into(), name(URL_NAME));
            sysinfo.children.push(XMLNode::Element(secret));
            sysinfo.children.push(XMLNode::Element(url));
        }
        GuestAuthMethod::Smbios => {
            let secret = guest.secret.expose();
            let strings = child_or_new(sysinfo(domain, "smbios"), "oemStrings");
            for (name, value) in [(SECRET_NAME, secret), (URL_NAME, guest.monitor_url)] {
                let entry = element_with_text("entry", &format!("ci-runners:{name}={value}"));
                strings.children.push(XMLNode::Element(entry));
            }
            let smbios = child_or_new(child_or_new(domain, "os"), "smbios");
            smbios.attributes.insert("mode".into(), "sysinfo".into());
        }
    }
}

/// The `sysinfo` element of a type, which is created if there is none.
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
        .expect("the node at that index is an element")
}

#[cfg(test)]
mod tests;
