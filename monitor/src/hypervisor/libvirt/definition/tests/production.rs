//! Templates as the system in production has them: the same elements, for its three kinds of guests.

use super::*;

const COMMON: &str = r#"
  <currentMemory unit='KiB'>25165824</currentMemory>
  <memoryBacking><hugepages/></memoryBacking>
  <vcpu placement='static'>16</vcpu>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>restart</on_crash>
  <pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='no'/></pm>"#;

const DEVICES: &str = r#"
    <emulator>/run/libvirt/nix-emulators/qemu-system-x86_64</emulator>
    <controller type='pci' index='1' model='pcie-root-port'>
      <model name='pcie-root-port'/><target chassis='1' port='0x10'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0' multifunction='on'/>
    </controller>
    <controller type='usb' index='0' model='ich9-uhci1'><master startport='0'/></controller>
    <controller type='usb' index='0' model='qemu-xhci' ports='15'/>
    <serial type='pty'><target type='isa-serial' port='0'><model name='isa-serial'/></target></serial>
    <console type='pty'><target type='serial' port='0'/></console>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/>
      <address type='virtio-serial' controller='0' bus='0' port='1'/></channel>
    <channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>
    <input type='tablet' bus='usb'><address type='usb' bus='0' port='1'/></input>
    <input type='mouse' bus='ps2'/><input type='keyboard' bus='ps2'/>
    <graphics type='spice' autoport='yes'><listen type='address'/><image compression='off'/></graphics>
    <sound model='ich9'/><audio id='1' type='spice'/>
    <video><model type='qxl' ram='65536' vram='65536' vgamem='16384' heads='1' primary='yes'/></video>
    <redirdev bus='usb' type='spicevmc'><address type='usb' bus='0' port='2'/></redirdev>
    <watchdog model='itco' action='reset'/>
    <memballoon model='virtio'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"#;

fn linux() -> String {
    format!(
        r#"<domain type='kvm'>
  <name>linux.init</name><uuid>6ba7b810-9dad-11d1-80b4-00c04fd430c8</uuid>
  <metadata><l:libosinfo xmlns:l="http://libosinfo.org/xmlns/libvirt/domain/1.0">
    <l:os id="http://ubuntu.com/ubuntu/22.04"/></l:libosinfo></metadata>
  <memory unit='KiB'>25165824</memory>{COMMON}
  <cputune><vcpupin vcpu='0' cpuset='0,8'/></cputune>
  <os><type arch='x86_64' machine='pc-q35-8.1'>hvm</type></os>
  <features><acpi/><apic/><vmport state='off'/></features>
  <cpu mode='host-passthrough' check='none' migratable='on'/>
  <clock offset='utc'><timer name='rtc' tickpolicy='catchup'/></clock>
  <devices>{DEVICES}
    <disk type='block' device='disk'>
      <driver name='qemu' type='raw' cache='none' io='native' discard='unmap'/>
      <!-- virt-clone(1) will replace this with the first `-f` -->
      <source dev='/dev/null'/><target dev='vda' bus='virtio'/><boot order='1'/></disk>
    <disk type='block' device='cdrom'><driver name='qemu' type='raw'/><target dev='sda' bus='sata'/>
      <readonly/><boot order='2'/></disk>
    <interface type='network'><mac address='52:54:00:b8:b3:dd'/><source network='cinet'/>
      <model type='virtio'/></interface>
  </devices></domain>"#
    )
}

fn windows() -> String {
    let drive = |name: &str, letter: char| {
        format!(
            "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>\
             <source file='/path/to/{name}.iso'/><target dev='sd{letter}' bus='sata'/><readonly/></disk>"
        )
    };
    let drives = [
        drive("installer", 'b'),
        drive("drivers", 'c'),
        drive("p.config", 'd'),
    ];
    linux()
        .replace("device='cdrom'", "device='floppy'")
        .replace("</devices>", &format!("{}</devices>", drives.concat()))
        .replace(
            "<vmport state='off'/>",
            "<hyperv mode='custom'><relaxed state='on'/></hyperv>",
        )
}

fn macos() -> String {
    linux()
        .replace(
            "<domain type='kvm'>",
            "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>",
        )
        .replace(
            "</os>",
            "<loader readonly='yes' type='pflash'>/images/OVMF_CODE.fd</loader>\
             <nvram>/images/OVMF_VARS.fd</nvram></os>",
        )
        .replace(
            "</devices>",
            "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='writeback' io='threads'/>\
             <source file='/images/OpenCore.qcow2'/><target dev='sda' bus='sata'/></disk>\
             <disk type='file' device='disk'><driver name='qemu' type='raw' cache='writeback'/>\
             <source file='/images/BaseSystem.img'/><target dev='sdc' bus='sata'/></disk></devices>\
             <qemu:commandline><qemu:arg value='-device'/><qemu:arg value='isa-applesmc,osk=a(c)b'/>\
             <qemu:arg value='-smbios'/><qemu:arg value='type=2'/><qemu:arg value='-usb'/>\
             <qemu:arg value='-device'/><qemu:arg value='usb-tablet'/>\
             <qemu:arg value='-device'/><qemu:arg value='usb-kbd'/>\
             <qemu:arg value='-cpu'/><qemu:arg value='Penryn,kvm=on,+invtsc,check'/></qemu:commandline>",
        )
        .replace("type='network'", "type='bridge'")
        .replace("network='cinet'", "bridge='cinet'")
}

fn define_with(
    template: &str,
    cdroms: &[PathBuf],
    builds: bool,
) -> Result<Definition, TemplateError> {
    let guest = DomainParams {
        name: "ci-runner-a.1",
        uuid: uuid::Uuid::from_u128(7),
        mac: [1, 2, 3, 4],
        folder: Path::new("/data/virtual/ci-runner-a.1"),
        image_disk: Path::new("/data/images/a/1/disk.raw"),
        image_format: DiskFormat::Raw,
        builds,
        cdroms,
        memory_max: GuestMemory {
            hugepages_1g: 24,
            normal: Memory::from_bytes(1 << 30),
        },
        proof: GuestAuthMethod::FwCfgOrAddress,
        secret_path: Path::new("/data/virtual/ci-runner-a.1/secret"),
        secret: &Secret::new("hunter2"),
        monitor_url: "http://192.168.100.1:8000/",
    };
    define(template.as_bytes(), &guest)
}

#[test]
fn every_definition_in_production_is_accepted() {
    for template in [linux(), windows(), macos()] {
        for builds in [false, true] {
            let definition = define_with(&template, &[], builds).unwrap();
            let xml = String::from_utf8(definition.xml).unwrap();
            assert!(
                !xml.contains("/path/to/") && !xml.contains("/dev/null"),
                "{xml}"
            );
            assert_contains(&xml, "<hugepages />");
            assert_contains(&xml, "cache=\"none\"");
        }
    }
}

#[test]
fn placeholders_of_media_have_them_during_a_build_and_are_empty_in_runners() {
    let media = [
        "/deps/installer.iso",
        "/deps/drivers.iso",
        "/data/config.iso",
    ]
    .map(PathBuf::from);
    let xml = |cdroms: &[PathBuf]| {
        let definition = define_with(&windows(), cdroms, true).unwrap();
        String::from_utf8(definition.xml).unwrap()
    };
    for medium in &media {
        assert_contains(
            &xml(&media),
            &format!("<source file=\"{}\" />", medium.display()),
        );
        assert!(!xml(&[]).contains(".iso"));
    }
}

#[test]
fn macos_keeps_its_arguments_and_gets_its_own_variables_and_disks() {
    let definition = define_with(&macos(), &[], false).unwrap();
    assert_eq!(definition.disks.len(), 3);
    assert_eq!(
        definition.nvram.unwrap().template,
        Some("/images/OVMF_VARS.fd".into())
    );
    let xml = String::from_utf8(definition.xml).unwrap();
    assert_contains(&xml, r#"<qemu:arg value="isa-applesmc,osk=a(c)b" />"#);
    assert_contains(&xml, r#"<interface type="bridge">"#);
    assert_contains(&xml, r#"<source bridge="cinet" />"#);
}

/// It would be the disk of the machine that the template was made from.
#[test]
fn a_block_device_as_the_disk_is_refused() {
    let template = linux().replace("/dev/null", "/dev/zvol/pool/linux");
    let error = define_with(&template, &[], false).unwrap_err();
    assert!(matches!(error, TemplateError::SharedDisk(_)), "{error}");
}
