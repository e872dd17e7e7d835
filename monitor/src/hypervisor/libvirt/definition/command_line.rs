//! Arguments that a template passes to QEMU itself (`qemu:commandline`).
//!
//! Responsible for which of them every guest may have: those for devices without a file, a socket, an
//! address or memory of their own. macOS needs some. Pure.

use xmltree::Element;

use super::xml::{attribute, refused};
use crate::hypervisor::error::TemplateError;

/// The namespace of elements for QEMU.
const QEMU: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

/// Options without a value.
const FLAGS: &[&str] = &[
    "usb",
    "nodefaults",
    "no-hpet",
    "no-acpi",
    "no-fd-bootchk",
    "enable-kvm",
    "no-user-config",
];

/// Options with a value that concerns the guest's hardware alone.
const VALUES: &[&str] = &[
    "cpu",
    "accel",
    "boot",
    "rtc",
    "msg",
    "k",
    "vga",
    "overcommit",
    "icount",
    "smp",
    "fw_cfg",
    "global",
    "machine",
    "M",
    "smbios",
    "device",
];

/// Devices that need nothing of the host. A name with an asterisk is the beginning of a name.
const DEVICES: &[&str] = &[
    "isa-applesmc",
    "usb-tablet",
    "usb-kbd",
    "usb-mouse",
    "usb-hub",
    "usb-ehci",
    "qemu-xhci",
    "nec-usb-xhci",
    "ich9-*",
    "intel-hda",
    "hda-*",
    "piix3-usb-uhci",
    "piix4-usb-uhci",
    "intel-iommu",
    "amd-iommu",
    "virtio-iommu*",
    "virtio-keyboard*",
    "virtio-mouse*",
    "virtio-tablet*",
    "virtio-rng*",
    "virtio-balloon*",
    "virtio-gpu*",
    "virtio-vga*",
    "virtio-scsi*",
    "virtio-serial*",
    "pvpanic*",
    "vmcoreinfo",
    "pcie-*",
    "pci-*",
    "ioh3420",
    "x3130-upstream",
    "xio3130-downstream",
    "VGA",
    "secondary-vga",
    "qxl",
    "qxl-vga",
    "vmware-svga",
    "bochs-display",
    "ramfb",
    "i6300esb",
    "ib700",
    "ahci",
    "isa-debug-exit",
];

/// Properties by which a device has an identity, or something of the host.
const OWN_PROPERTIES: &[&str] = &[
    "mac",
    "serial",
    "uuid",
    "asset",
    "wwn",
    "wwpn",
    "wwnn",
    "guid",
    "guest-cid",
    "drive",
    "netdev",
    "chardev",
    "memdev",
    "memory-backend",
    "file",
    "filename",
    "path",
    "host",
    "sysfsdev",
    "vhostfd",
];

/// Judges the elements of a template that are for one hypervisor only.
pub fn check(domain: &Element) -> Result<(), TemplateError> {
    let elements = domain.children.iter().filter_map(|node| node.as_element());
    for element in elements.filter(|element| element.prefix.is_some()) {
        let is_qemus = element.namespace.as_deref() == Some(QEMU);
        match element.name.as_str() {
            "commandline" if is_qemus => check_arguments(element)?,
            "capabilities" | "deprecation" if is_qemus => {}
            name => {
                let prefix = element.prefix.as_deref().unwrap_or_default();
                return Err(TemplateError::Unknown {
                    kind: "element",
                    name: format!("{prefix}:{name}"),
                    place: "domain".to_owned(),
                });
            }
        }
    }
    Ok(())
}

fn check_arguments(command_line: &Element) -> Result<(), TemplateError> {
    let elements = command_line
        .children
        .iter()
        .filter_map(|it| it.as_element());
    let arguments = elements.filter(|element| element.name == "arg");
    let mut arguments = arguments.filter_map(|argument| attribute(argument, "value"));
    while let Some(argument) = arguments.next() {
        // QEMU accepts two hyphens as well.
        let name = argument.strip_prefix('-').unwrap_or_default();
        let name = name.strip_prefix('-').unwrap_or(name);
        if FLAGS.contains(&name) {
            continue;
        }
        if !VALUES.contains(&name) {
            return Err(not_for_every_guest(argument));
        }
        let value = arguments.next().unwrap_or_default();
        if !is_for_every_guest(name, value) {
            return Err(not_for_every_guest(&format!("{argument} {value}")));
        }
    }
    Ok(())
}

fn is_for_every_guest(option: &str, value: &str) -> bool {
    let mut words = value.split(',');
    if option == "device" {
        let device = words.next().unwrap_or_default();
        let device = device.strip_prefix("driver=").unwrap_or(device);
        let is_known = DEVICES.iter().any(|known| match known.strip_suffix('*') {
            Some(beginning) => device.starts_with(beginning),
            None => device == *known,
        });
        if !is_known {
            return false;
        }
    }
    words.all(|word| {
        let key = word.split('=').next().unwrap_or_default();
        // The key of a global property is `<device>.<property>`.
        let property = key.rsplit('.').next().unwrap_or_default();
        !OWN_PROPERTIES.contains(&property) && !word.contains("opt/ci-runners/")
    })
}

fn not_for_every_guest(argument: &str) -> TemplateError {
    refused(
        "qemu:commandline",
        format!(
            "has the argument `{argument}`, which the monitor does not know to be right for every guest; \
             remove it, or describe the same in `devices`"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_all(arguments: &[&str]) -> Result<(), String> {
        let arguments = arguments
            .iter()
            .map(|it| format!("<qemu:arg value='{it}'/>"));
        let xml = format!(
            "<domain xmlns:qemu='{QEMU}'><qemu:commandline>{}</qemu:commandline></domain>",
            arguments.collect::<String>()
        );
        check(&Element::parse(xml.as_bytes()).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_for_the_guests_hardware_are_kept() {
        let macos = [
            "-device",
            "isa-applesmc,osk=a(b)c",
            "-smbios",
            "type=2",
            "-usb",
            "-device",
            "usb-tablet",
            "--device",
            "usb-kbd,bus=ehci.0",
            "-cpu",
            "Penryn,kvm=on,vendor=GenuineIntel,+invtsc,check",
            "-global",
            "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
        ];
        assert_eq!(check_all(&macos), Ok(()));
        assert_eq!(check_all(&[]), Ok(()));
    }

    #[test]
    fn arguments_that_only_one_guest_can_have_are_refused() {
        for arguments in [
            &["-m", "8G"][..],
            &["-uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"],
            &["-smbios", "type=1,serial=C02XYZ"],
            &[
                "-smbios",
                "type=1,manufacturer=a,uuid=6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            ],
            &["-smbios", "file=/tmp/smbios.bin"],
            &["-drive", "file=/srv/shared.img,format=raw"],
            &["-hda", "/srv/shared.img"],
            &["-netdev", "user,id=n0,hostfwd=tcp::2222-:22"],
            &["-device", "virtio-net-pci,netdev=n0,mac=52:54:00:00:00:01"],
            &["-device", "vhost-vsock-pci,guest-cid=3"],
            &["-device", "vfio-pci,host=01:00.0"],
            &["-device", "ivshmem-plain,memdev=shared"],
            &["-device", "usb-host,hostbus=1"],
            &["-device", "{\"driver\":\"vfio-pci\"}"],
            &["-device", "virtio-rng-pci,mac=1"],
            &[
                "-object",
                "memory-backend-file,id=m,mem-path=/dev/shm/x,size=1G",
            ],
            &["-machine", "memory-backend=m"],
            &["-global", "virtio-net-pci.mac=52:54:00:00:00:01"],
            &["-fw_cfg", "name=opt/ci-runners/guest-secret,string=x"],
            &["-chardev", "socket,id=c,path=/tmp/c,server=on"],
            &["-serial", "tcp::4444,server"],
            &["-monitor", "unix:/tmp/monitor,server"],
            &["-vnc", ":1"],
            &["-incoming", "defer"],
            &["-usb", "-pidfile", "/run/one.pid"],
            &["-snapshot"],
            &["disk.img"],
            &[""],
        ] {
            let problem = check_all(arguments).unwrap_err();
            assert!(
                problem.starts_with("its `qemu:commandline` has the argument"),
                "{problem}"
            );
        }
    }

    #[test]
    fn elements_of_other_hypervisors_and_overrides_are_refused() {
        for (element, name) in [
            (format!("<q:override xmlns:q='{QEMU}'/>"), "`q:override`"),
            (
                "<x:commandline xmlns:x='http://libvirt.org/schemas/domain/xen/1.0'/>".to_owned(),
                "`x:commandline`",
            ),
        ] {
            let xml = format!("<domain>{element}</domain>");
            let problem = check(&Element::parse(xml.as_bytes()).unwrap()).unwrap_err();
            assert!(problem.to_string().contains(name), "{problem}");
        }
    }
}
