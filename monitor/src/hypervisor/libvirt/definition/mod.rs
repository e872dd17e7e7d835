//! The domain definition of a guest, made from the `guest.xml` of its profile.
//!
//! Responsible for the order of the steps. A template is often the definition of an existing machine
//! (`virsh dumpxml`), so only what `allowed` lists is copied, and what differs between guests is
//! replaced. Everything else is refused, with what to do. Pure.
//!
//! | part | becomes | in |
//! | --- | --- | --- |
//! | `name`, `uuid`, `genid` | the guest's | here |
//! | `on_poweroff`, `on_crash` | `destroy`: a guest that ends is gone | here |
//! | `memory`, `numa` | unchanged, if that is not more than is counted for the guest | `memory` |
//! | `disk` | the guest's own | `disks` |
//! | MAC addresses, ports, sockets, ids of other devices | new ones | `devices` |
//! | `nvram` | a copy: of the image's, or else of the file it names | `firmware` |
//! | `sysinfo` | has the guest's secret and the monitor's URL, if it authenticates itself by them | `firmware` |
//! | `qemu:commandline` | unchanged, if every guest may have it | `command_line` |

mod allowed;
mod command_line;
mod devices;
mod disks;
mod firmware;
mod params;
mod xml;

use xmltree::Element;

use self::{
    devices::place_devices,
    disks::place_disks,
    firmware::{clean_tables, place_nvram, place_secret},
    xml::{attribute, refused, set_text},
};
pub use self::{
    disks::{DiskMethod, DiskPlan, placeholders},
    firmware::Nvram,
    params::DomainParams,
};
use super::memory::check_memory;
use crate::hypervisor::error::TemplateError;

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
    allowed::apply(&mut domain)?;
    command_line::check(&domain)?;
    check_memory(&domain, guest.memory_max)?;
    let uuid = guest.uuid.to_string();
    set_text(&mut domain, "name", guest.name);
    set_text(&mut domain, "uuid", &uuid);
    if domain.get_child("genid").is_some() {
        set_text(&mut domain, "genid", &uuid);
    }
    set_text(&mut domain, "on_poweroff", "destroy");
    set_text(&mut domain, "on_crash", "destroy");
    place_reboots(&mut domain)?;
    place_clock(&mut domain);
    place_labels(&mut domain)?;
    let nvram = place_nvram(&mut domain, guest.folder)?;
    clean_tables(&mut domain)?;
    let devices = domain.get_mut_child("devices");
    let devices = devices.ok_or(TemplateError::NoDevices)?;
    let disks = place_disks(devices, guest)?;
    place_devices(devices, guest.mac, &guest.folder.join("console.log"))?;
    place_secret(&mut domain, guest);
    let mut xml = Vec::new();
    domain
        .write(&mut xml)
        .map_err(|error| TemplateError::Syntax(error.to_string()))?;
    Ok(Definition { xml, disks, nvram })
}

/// What happens when a guest reboots is the template's choice, out of what QEMU can do.
fn place_reboots(domain: &mut Element) -> Result<(), TemplateError> {
    let text = domain.get_child("on_reboot").and_then(Element::get_text);
    match text.as_deref().map(str::trim) {
        None | Some("restart" | "destroy") => Ok(()),
        Some(other) => Err(refused(
            "on_reboot",
            format!("is `{other}`; use `restart` or `destroy`"),
        )),
    }
}

/// A clock that is set by hand has the time that another machine has set.
fn place_clock(domain: &mut Element) {
    if let Some(clock) = domain.get_mut_child("clock")
        && attribute(clock, "offset") == Some("variable")
    {
        clock.attributes.remove("adjustment");
    }
}

/// libvirt chooses the security labels of each guest.
fn place_labels(domain: &mut Element) -> Result<(), TemplateError> {
    let mut is_fixed = false;
    domain.children.retain(|node| {
        let Some(label) = node.as_element().filter(|it| it.name == "seclabel") else {
            return true;
        };
        let kind = attribute(label, "type").unwrap_or("dynamic");
        let is_account = attribute(label, "model") == Some("dac");
        is_fixed |= kind == "static" && !is_account;
        kind != "dynamic" || label.get_child("baselabel").is_some()
    });
    for label in xml::children_named(domain, "seclabel") {
        if attribute(label, "type").unwrap_or("dynamic") == "dynamic" {
            label.take_child("label");
        }
    }
    match is_fixed {
        true => Err(refused(
            "seclabel",
            "is one label for all guests, which then have access to each other's disks; use              type=\"dynamic\", or remove it",
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
