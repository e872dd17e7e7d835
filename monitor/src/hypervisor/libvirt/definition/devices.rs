//! The devices of a guest other than its disks.
//!
//! Guarantees that each guest has devices of its own: with other addresses, names and ports than those
//! of the template, which may be those of an existing machine. What is copied at all is in `allowed`.

use std::path::Path;

use xmltree::{Element, XMLNode};

use super::xml::{attribute, child_or_new, refused, set};
use crate::hypervisor::error::TemplateError;

/// Folders in which libvirt creates the sockets of channels.
const SOCKET_FOLDERS: [&str; 2] = ["/var/lib/libvirt/qemu/", "/run/libvirt/qemu/"];

/// Gives a guest its own devices. `console` is where the output of its serial ports of type `file` goes.
pub fn place_devices(
    devices: &mut Element,
    mac: [u8; 4],
    console: &Path,
) -> Result<(), TemplateError> {
    let mut interface_count = 0;
    for device in devices
        .children
        .iter_mut()
        .filter_map(XMLNode::as_mut_element)
    {
        match device.name.as_str() {
            "interface" => {
                place_interface(device, mac, interface_count)?;
                interface_count = interface_count.wrapping_add(1);
            }
            "serial" | "console" | "parallel" | "channel" => place_port(device, console)?,
            "graphics" => place_graphics(device)?,
            "tpm" => require_backend(device, "type", &["emulator"])?,
            "rng" => require_backend(device, "model", &["random", "builtin"])?,
            "crypto" => require_backend(device, "model", &["builtin"])?,
            "vsock" => set(child_or_new(device, "cid"), "auto", "yes"),
            "watchdog" => place_watchdog(device),
            "filesystem" if device.get_child("readonly").is_none() => {
                return Err(refused(
                    "devices/filesystem",
                    "would be shared by all guests; add `<readonly/>` to it, or remove it",
                ));
            }
            "redirdev" => require_type(device, &["spicevmc"])?,
            "input" => require_type(device, &["tablet", "mouse", "keyboard"])?,
            "audio" if attribute(device, "type") == Some("file") => {
                return Err(refused(
                    "devices/audio",
                    "writes to a file that all guests would share; use type=\"none\"",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The MAC addresses are locally administered, which no hardware has.
fn place_interface(
    interface: &mut Element,
    [a, b, c, d]: [u8; 4],
    number: u8,
) -> Result<(), TemplateError> {
    require_type(
        interface,
        &["network", "bridge", "direct", "user", "internal"],
    )?;
    let address = format!("52:54:{a:02x}:{b:02x}:{c:02x}:{:02x}", d ^ number);
    set(child_or_new(interface, "mac"), "address", &address);
    let is_of_network = attribute(interface, "type") == Some("network");
    if let Some(source) = interface.get_mut_child("source")
        && is_of_network
    {
        // Which libvirt shows for a running machine only.
        source.attributes.remove("bridge");
    }
    if let Some(filter) = interface.get_mut_child("filterref") {
        // They would bind each guest to the address of one machine.
        filter.children.retain(|node| {
            let name = node.as_element().and_then(|it| attribute(it, "name"));
            !matches!(name, Some("IP" | "IPV6" | "MAC"))
        });
    }
    Ok(())
}

/// A serial port, a console, a parallel port or a channel.
fn place_port(port: &mut Element, console: &Path) -> Result<(), TemplateError> {
    let place = format!("devices/{}", port.name);
    let kind = attribute(port, "type").unwrap_or("pty").to_owned();
    let is_channel = port.name == "channel";
    match kind.as_str() {
        "pty" | "null" | "vc" | "stdio" => {
            port.take_child("source");
        }
        "spicevmc" | "spiceport" | "qemu-vdagent" => {}
        "file" if matches!(port.name.as_str(), "serial" | "console") => {
            let source = child_or_new(port, "source");
            *source = Element::new("source");
            set(source, "path", &console.display().to_string());
            // Otherwise virtlogd would replace the file by one that belongs to root.
            set(source, "append", "on");
        }
        "unix" if is_channel => {
            let path = port
                .get_child("source")
                .and_then(|source| attribute(source, "path"));
            let is_libvirts =
                |path: &str| SOCKET_FOLDERS.iter().any(|folder| path.starts_with(folder));
            if !path.is_none_or(is_libvirts) {
                return Err(refused(
                    place,
                    "has a socket that only one guest can have; remove its `source`, and libvirt creates \
                     one for each guest",
                ));
            }
            port.take_child("source");
        }
        _ => {
            return Err(refused(
                place,
                format!(
                    "of type `{kind}` is connected to a file, a socket or a device that only one guest can \
                     have; use type=\"pty\", or for a serial port type=\"file\""
                ),
            ));
        }
    }
    Ok(())
}

/// Ports and sockets are libvirt's choice for each guest.
fn place_graphics(graphics: &mut Element) -> Result<(), TemplateError> {
    require_type(graphics, &["vnc", "spice", "rdp", "egl-headless"])?;
    if attribute(graphics, "type") != Some("egl-headless") {
        set(graphics, "autoport", "yes");
    }
    Ok(())
}

/// A dump of the memory of a guest would be left over. Any other action is the guest's own.
fn place_watchdog(watchdog: &mut Element) {
    if matches!(attribute(watchdog, "action"), Some("dump" | "pause")) {
        set(watchdog, "action", "poweroff");
    }
}

/// Refuses a device whose type is another one than these.
fn require_type(device: &Element, types: &[&str]) -> Result<(), TemplateError> {
    require(device, "type", format!("devices/{}", device.name), types)
}

/// Refuses a device with a backend of another kind than these.
fn require_backend(device: &Element, key: &str, kinds: &[&str]) -> Result<(), TemplateError> {
    match device.get_child("backend") {
        Some(backend) => require(
            backend,
            key,
            format!("devices/{}/backend", device.name),
            kinds,
        ),
        None => Ok(()),
    }
}

fn require(
    element: &Element,
    key: &str,
    place: String,
    allowed: &[&str],
) -> Result<(), TemplateError> {
    match attribute(element, key) {
        Some(value) if !allowed.contains(&value) => {
            let allowed: Vec<_> = allowed.iter().map(|it| format!("{key}=\"{it}\"")).collect();
            Err(refused(
                place,
                format!(
                    "with {key}=\"{value}\" uses something that only one guest can have; use {}, or remove it",
                    allowed.join(" or "),
                ),
            ))
        }
        _ => Ok(()),
    }
}
