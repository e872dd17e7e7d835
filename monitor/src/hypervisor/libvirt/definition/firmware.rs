//! The firmware of a guest: its variables, and the tables that it shows to the guest.
//!
//! Guarantees that no guest writes to the variables of another one, or shows the identity of the machine
//! that the template was made from.

use std::path::{Path, PathBuf};

use shared::settings::GuestAuthMethod;
use xmltree::{Element, XMLNode};

use super::{
    params::DomainParams,
    xml::{attribute, child_or_new, children_named, element_with_text, refused, set},
};
use crate::hypervisor::error::TemplateError;

/// Names under which the guest's firmware shows its secret and the monitor's URL.
const SECRET_NAME: &str = "guest-secret";
const URL_NAME: &str = "monitor-url";
/// Where libvirt keeps the variables of machines.
const NVRAM_FOLDER: &str = "/libvirt/qemu/nvram/";

/// The file with the firmware's variables.
#[derive(Debug, PartialEq, Eq)]
pub struct Nvram {
    pub path: PathBuf,
    /// The file that they are copied from unless the image has its own. Without it libvirt creates them
    /// from the firmware's template.
    pub template: Option<PathBuf>,
}

/// Gives a guest its own variables in `folder`. None if its firmware has none.
pub fn place_nvram(domain: &mut Element, folder: &Path) -> Result<Option<Nvram>, TemplateError> {
    let Some(os) = domain.get_mut_child("os") else {
        return Ok(None);
    };
    let loader = os.get_child("loader");
    let is_stateless = loader.is_some_and(|it| attribute(it, "stateless") == Some("yes"));
    let is_flash = loader.is_some_and(|it| attribute(it, "type") == Some("pflash"));
    let has_file = loader
        .and_then(Element::get_text)
        .is_some_and(|path| !path.trim().is_empty());
    if is_flash && has_file && loader.is_some_and(|it| attribute(it, "readonly") != Some("yes")) {
        return Err(refused(
            "os/loader",
            "is a file that all guests would write to; add readonly=\"yes\", and name the template of its \
             variables in `nvram`",
        ));
    }
    if has_file {
        // libvirt shows both for a running machine; before release 9.2 it accepts only one of them.
        os.attributes.remove("firmware");
        os.take_child("firmware");
    }
    let has_efi = attribute(os, "firmware") == Some("efi");
    if is_stateless || os.get_child("nvram").is_none() && !has_efi && !is_flash {
        return Ok(None);
    }
    let nvram = child_or_new(os, "nvram");
    let template = nvram_template(nvram)?;
    let path = folder.join("nvram.fd");
    nvram.attributes.remove("type");
    nvram.attributes.remove("template");
    nvram.children = vec![XMLNode::Text(path.display().to_string())];
    Ok(Some(Nvram { path, template }))
}

/// The file that the variables of a guest are copied from.
fn nvram_template(nvram: &mut Element) -> Result<Option<PathBuf>, TemplateError> {
    let own_format = nvram.attributes.remove("format");
    let template_format = nvram.attributes.remove("templateFormat");
    let template = nvram.attributes.remove("template");
    let is_template = template.is_some();
    let source = nvram.get_child("source");
    if source.is_some_and(|it| attribute(it, "file").is_none()) {
        return Err(refused(
            "os/nvram",
            "has a `source` that is not a file; name the firmware's template, such as \
             /usr/share/OVMF/OVMF_VARS_4M.fd",
        ));
    }
    let named = source
        .and_then(|it| attribute(it, "file"))
        .map(str::to_owned)
        .or_else(|| nvram.get_text().map(|path| path.trim().to_owned()))
        .filter(|path| !path.is_empty());
    let Some(path) = template.or(named) else {
        return Ok(None);
    };
    if path.contains(NVRAM_FOLDER) {
        return Err(refused(
            "os/nvram",
            format!(
                "names {path}, which has the variables of another machine; name the firmware's template, \
                 such as /usr/share/OVMF/OVMF_VARS_4M.fd"
            ),
        ));
    }
    // The copy has the format of what it is copied from.
    let format = match is_template {
        true => template_format,
        false => own_format,
    };
    if let Some(format) = format {
        set(nvram, "format", &format);
    }
    Ok(Some(path.into()))
}

/// Removes the identity of another machine from the tables that the firmware shows.
pub fn clean_tables(domain: &mut Element) -> Result<(), TemplateError> {
    let os = domain.get_child("os");
    let smbios = os.and_then(|os| os.get_child("smbios"));
    if smbios.is_some_and(|it| attribute(it, "mode") == Some("host")) {
        return Err(refused(
            "os/smbios",
            "would show this host's serial numbers in all guests; use mode=\"sysinfo\", or remove it",
        ));
    }
    for sysinfo in children_named(domain, "sysinfo") {
        let kind = attribute(sysinfo, "type");
        if !matches!(kind, Some("smbios" | "fwcfg")) {
            return Err(refused(
                "sysinfo",
                "is of an unknown type; use type=\"smbios\" or type=\"fwcfg\"",
            ));
        }
        sysinfo.children.retain(|node| !is_own(node));
        for table in sysinfo
            .children
            .iter_mut()
            .filter_map(XMLNode::as_mut_element)
        {
            table.children.retain(|node| {
                let name = node.as_element().and_then(|it| attribute(it, "name"));
                let is_identity = matches!(name, Some("uuid" | "serial" | "asset"));
                !is_identity && !is_own(node)
            });
        }
    }
    Ok(())
}

/// Whether an entry is one that a monitor has added to the definition of a guest.
fn is_own(node: &XMLNode) -> bool {
    node.as_element().is_some_and(|entry| {
        let is_named = attribute(entry, "name").is_some_and(|it| it.starts_with("opt/ci-runners/"));
        is_named
            || entry
                .get_text()
                .is_some_and(|it| it.trim().starts_with("ci-runners:"))
    })
}

/// Adds the secret of a guest and the monitor's URL to its tables, if its profile requires that.
pub fn place_secret(domain: &mut Element, guest: &DomainParams<'_>) {
    match guest.proof {
        GuestAuthMethod::Address => {}
        GuestAuthMethod::FwCfg | GuestAuthMethod::FwCfgOrAddress => {
            let sysinfo = sysinfo(domain, "fwcfg");
            let mut secret = Element::new("entry");
            let name = |name: &str| format!("opt/ci-runners/{name}");
            set(&mut secret, "name", &name(SECRET_NAME));
            // As a file, because a value would appear in the command line of QEMU.
            set(
                &mut secret,
                "file",
                &guest.secret_path.display().to_string(),
            );
            let mut url = element_with_text("entry", guest.monitor_url);
            set(&mut url, "name", &name(URL_NAME));
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
            set(smbios, "mode", "sysinfo");
        }
    }
}

/// The `sysinfo` element of a type, which is created if there is none.
fn sysinfo<'a>(domain: &'a mut Element, kind: &str) -> &'a mut Element {
    let is_it = |node: &XMLNode| {
        node.as_element().is_some_and(|element| {
            element.name == "sysinfo" && attribute(element, "type") == Some(kind)
        })
    };
    let index = domain.children.iter().position(is_it).unwrap_or_else(|| {
        let mut sysinfo = Element::new("sysinfo");
        set(&mut sysinfo, "type", kind);
        domain.children.push(XMLNode::Element(sysinfo));
        domain.children.len() - 1
    });
    domain.children[index]
        .as_mut_element()
        .expect("the node at that index is an element")
}
