//! Templates that are the definition of an existing machine, as `virsh dumpxml` prints it.

use super::*;

/// A template with one disk and this in `devices` and in `domain`.
fn template(in_devices: &str, in_domain: &str) -> String {
    format!(
        "<domain type='qemu'><name>t</name><memory unit='MiB'>128</memory>{in_domain}\
         <devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/>\
         <target dev='vda' bus='virtio'/></disk>{in_devices}</devices></domain>"
    )
}

fn xml_of(template: &str) -> Result<String, String> {
    let definition = define_as(GuestAuthMethod::Address, template).map_err(|it| it.to_string())?;
    Ok(String::from_utf8(definition.xml).unwrap())
}

#[test]
fn no_backing_chain_of_another_disk_hides_the_image() {
    for chain in [
        "<backingStore/>",
        "<backingStore type='file' index='3'><format type='qcow2'/>\
         <source file='/var/lib/old-base.qcow2'/><backingStore/></backingStore>",
        "<backingStore type='network'><format type='raw'/><source protocol='nbd' name='x'/></backingStore>",
        "<mirror type='file' job='copy'><source file='/var/lib/old-base.qcow2'/></mirror>",
    ] {
        let image =
            template("", "").replace("<target dev='vda'", &format!("{chain}<target dev='vda'"));
        let other = template(
            &format!(
                "<disk type='file' device='disk'><source file='/images/other.raw' index='2'/>{chain}\
                 <target dev='vdb'/></disk>\
                 <disk type='file' device='cdrom'><source file='/images/cd.iso' index='1'/>{chain}\
                 <target dev='sda'/></disk>"
            ),
            "",
        );
        for template in [image, other] {
            let xml = xml_of(&template).unwrap();
            for foreign in ["backingStore", "mirror", "old-base", "index"] {
                assert!(!xml.contains(foreign), "{foreign} in {xml}");
            }
        }
    }
}

/// `virsh dumpxml` of a running guest of libvirt 9.0, without the source of its disk.
const RUNNING: &str = r#"<domain type='qemu' id='7'>
  <name>old-machine</name>
  <uuid>6ba7b810-9dad-11d1-80b4-00c04fd430c8</uuid>
  <genid>6ba7b811-9dad-11d1-80b4-00c04fd430c8</genid>
  <title>old-machine</title>
  <description>old-machine</description>
  <metadata><x:y xmlns:x='http://example.org/' id='old-machine'/></metadata>
  <maxMemory slots='16' unit='GiB'>64</maxMemory>
  <memory unit='KiB'>131072</memory>
  <currentMemory unit='KiB'>131072</currentMemory>
  <vcpu placement='static' current='1'>2</vcpu>
  <resource><partition>/machine</partition></resource>
  <sysinfo type='smbios'>
    <system>
      <entry name='manufacturer'>Kept</entry>
      <entry name='uuid'>6ba7b810-9dad-11d1-80b4-00c04fd430c8</entry>
      <entry name='serial'>old-machine-serial</entry>
    </system>
    <baseBoard><entry name='serial'>old-machine-board</entry></baseBoard>
    <chassis><entry name='asset'>old-machine-asset</entry></chassis>
    <oemStrings><entry>ci-runners:guest-secret=old-machine-secret</entry><entry>own</entry></oemStrings>
  </sysinfo>
  <sysinfo type='fwcfg'>
    <entry name='opt/ci-runners/guest-secret' file='/data/old-machine/secret'/>
    <entry name='opt/own'>x</entry>
  </sysinfo>
  <os firmware='efi'>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <firmware><feature enabled='no' name='enrolled-keys'/></firmware>
    <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
    <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>/var/lib/libvirt/qemu/nvram/old-machine_VARS.fd</nvram>
    <boot dev='hd'/>
    <smbios mode='sysinfo'/>
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='custom' match='exact' check='full'><model fallback='forbid'>qemu64</model>
    <feature policy='require' name='x2apic'/></cpu>
  <clock offset='variable' adjustment='-4242' basis='utc'/>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>coredump-restart</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk' snapshot='external'>
      <driver name='qemu' type='qcow2'/><backingStore/>
      <target dev='vda' bus='virtio'/><shareable/><transient/>
      <alias name='virtio-disk0'/>
      <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/>
    </disk>
    <disk type='file' device='cdrom'><driver name='qemu'/><target dev='sda' bus='sata' tray='open'/>
      <readonly/><alias name='sata0-0-0'/></disk>
    <controller type='pci' index='0' model='pcie-root'><alias name='pcie.0'/></controller>
    <interface type='network'>
      <mac address='52:54:00:aa:aa:aa'/>
      <source network='ci' portid='6ba7b812-9dad-11d1-80b4-00c04fd430c8' bridge='virbr-old'/>
      <target dev='vnet42'/>
      <virtualport type='openvswitch'><parameters interfaceid='6ba7b813-9dad-11d1-80b4-00c04fd430c8'/></virtualport>
      <filterref filter='clean-traffic'><parameter name='IP' value='10.9.9.9'/></filterref>
      <model type='virtio'/><alias name='net0'/>
    </interface>
    <serial type='pty'><source path='/dev/pts/42'/><target type='isa-serial' port='0'>
      <model name='isa-serial'/></target><log file='/var/log/old-machine.log'/><alias name='serial0'/></serial>
    <console type='pty' tty='/dev/pts/42'><source path='/dev/pts/42'/><target type='serial' port='0'/></console>
    <channel type='unix'>
      <source mode='bind' path='/var/lib/libvirt/qemu/channel/target/domain-7-old-machine/org.qemu.guest_agent.0'/>
      <target type='virtio' name='org.qemu.guest_agent.0' state='connected'/><alias name='channel0'/>
    </channel>
    <tpm model='tpm-crb'><backend type='emulator' version='2.0' persistent_state='yes'>
      <source type='dir' path='/var/lib/libvirt/swtpm/old-machine'/></backend></tpm>
    <graphics type='vnc' port='5942' websocket='5742' autoport='no' listen='127.0.0.1'>
      <listen type='address' address='127.0.0.1'/></graphics>
    <graphics type='spice' socket='/run/old-machine.sock'><listen type='socket' socket='/run/old-machine.sock'/></graphics>
    <video><model type='vga' vram='16384' heads='1' primary='yes'/><alias name='video0'/></video>
    <watchdog model='itco' action='dump'><alias name='watchdog0'/></watchdog>
    <memballoon model='virtio'><stats period='5'/><alias name='balloon0'/></memballoon>
    <vsock model='virtio'><cid auto='no' address='42'/><alias name='vsock0'/></vsock>
    <pstore backend='acpi-erst'><path>/var/lib/old-machine.pstore</path><size unit='KiB'>8</size></pstore>
    <redirdev bus='usb' type='spicevmc'><alias name='redir0'/></redirdev>
  </devices>
  <seclabel type='dynamic' model='apparmor' relabel='yes'>
    <label>libvirt-6ba7b810-9dad-11d1-80b4-00c04fd430c8</label>
    <imagelabel>libvirt-6ba7b810-9dad-11d1-80b4-00c04fd430c8</imagelabel></seclabel>
  <seclabel type='dynamic' model='dac' relabel='yes'><label>+64055:+64055</label></seclabel>
</domain>"#;

#[test]
fn nothing_of_the_machine_that_a_template_was_copied_from_survives() {
    let definition = define_as(GuestAuthMethod::Address, RUNNING).unwrap();
    let xml = String::from_utf8(definition.xml).unwrap();
    for foreign in [
        "old",
        "9dad",
        "-4242",
        "64055",
        "'7'",
        "id=\"7\"",
        "aa:aa",
        "10.9.9.9",
        "vnet",
        "pts",
        "5942",
        "5742",
        "alias",
        "backingStore",
        "shareable",
        "transient",
        "snapshot",
        "tray",
        "connected",
        "persistent_state",
        "pstore",
        "maxMemory",
        "coredump",
        "dump",
        "address=\"42\"",
        "metadata",
        "firmware=",
        "<firmware",
    ] {
        assert!(!xml.contains(foreign), "{foreign} in {xml}");
    }
    for own in [
        "<genid>00000000-0000-0000-0000-000000000007</genid>",
        "<entry name=\"manufacturer\">Kept</entry>",
        "<entry>own</entry>",
        "<entry name=\"opt/own\">x</entry>",
        "<nvram>/data/virtual/ci-runner-a.1/nvram.fd</nvram>",
        "<cid auto=\"yes\" />",
        "<on_crash>destroy</on_crash>",
        "<filterref filter=\"clean-traffic\" />",
        "bus=\"0x04\"",
    ] {
        assert_contains(&xml, own);
    }
    assert_eq!(xml.matches("autoport=\"yes\"").count(), 2);
    let nvram = definition.nvram.unwrap();
    assert_eq!(
        nvram.template,
        Some("/usr/share/OVMF/OVMF_VARS_4M.fd".into()),
        "the template, and not the variables of the machine"
    );
}

#[test]
fn variables_of_the_firmware_are_never_those_of_another_machine() {
    let path = "/data/virtual/ci-runner-a.1/nvram.fd";
    let loader = "<loader readonly='yes' type='pflash'>/fw/CODE.fd</loader>";
    for (os, expected) in [
        // The guest's own file, the file that it is copied from, and its format.
        (
            format!("<os>{loader}<nvram>/fw/VARS.fd</nvram></os>"),
            Ok((Some("/fw/VARS.fd"), None)),
        ),
        (
            format!("<os>{loader}<nvram template='/fw/VARS.fd'>/images/old.fd</nvram></os>"),
            Ok((Some("/fw/VARS.fd"), None)),
        ),
        (
            format!("<os>{loader}<nvram template='/fw/VARS.fd'/></os>"),
            Ok((Some("/fw/VARS.fd"), None)),
        ),
        (
            format!(
                "<os>{loader}<nvram type='file' format='qcow2'><source file='/fw/VARS.qcow2'/></nvram></os>"
            ),
            Ok((Some("/fw/VARS.qcow2"), Some("qcow2"))),
        ),
        (
            format!(
                "<os>{loader}<nvram template='/fw/VARS.fd' templateFormat='raw' format='qcow2'>/x</nvram></os>"
            ),
            Ok((Some("/fw/VARS.fd"), Some("raw"))),
        ),
        // Otherwise libvirt would leave a file for each guest in its own folder.
        (format!("<os>{loader}</os>"), Ok((None, None))),
        ("<os firmware='efi'/>".to_owned(), Ok((None, None))),
        (
            format!("<os>{loader}<nvram>/var/lib/libvirt/qemu/nvram/old_VARS.fd</nvram></os>"),
            Err("its `os/nvram` names /var/lib/libvirt/qemu/nvram/old_VARS.fd"),
        ),
        (
            format!("<os>{loader}<nvram type='block'><source dev='/dev/vg/vars'/></nvram></os>"),
            Err("its `os/nvram` has a `source` that is not a file"),
        ),
        (
            "<os><loader type='pflash'>/fw/BOTH.fd</loader></os>".to_owned(),
            Err("its `os/loader` is a file that all guests would write to"),
        ),
    ] {
        let defined = define_as(GuestAuthMethod::Address, &template("", &os));
        match (defined, expected) {
            (Ok(definition), Ok((origin, format))) => {
                let nvram = definition.nvram.unwrap();
                assert_eq!(nvram.path, Path::new(path), "{os}");
                assert_eq!(nvram.template.as_deref(), origin.map(Path::new), "{os}");
                let xml = String::from_utf8(definition.xml).unwrap();
                let attribute = format
                    .map(|it| format!(" format=\"{it}\""))
                    .unwrap_or_default();
                assert_contains(&xml, &format!("<nvram{attribute}>{path}</nvram>"));
            }
            (Err(error), Err(problem)) => {
                assert!(error.to_string().starts_with(problem), "{error}");
            }
            (defined, _) => panic!("{os}: {defined:?}"),
        }
    }
    for os in [
        "<os/>",
        "<os><loader type='rom'>/fw/bios.bin</loader></os>",
        "<os firmware='bios'/>",
    ] {
        let definition = define_as(GuestAuthMethod::Address, &template("", os)).unwrap();
        assert_eq!(definition.nvram, None, "{os}");
    }
}

#[test]
fn what_only_one_guest_can_have_is_refused_with_the_remedy() {
    for device in [
        "<hostdev mode='subsystem' type='pci' managed='yes'><source/></hostdev>",
        "<hostdev mode='subsystem' type='usb'/>",
        "<filesystem type='mount'><source dir='/srv'/><target dir='srv'/></filesystem>",
        "<shmem name='shared'><model type='ivshmem-plain'/></shmem>",
        "<lease><lockspace>a</lockspace></lease>",
        "<smartcard mode='host'/>",
        "<memory model='dimm'><target><size unit='GiB'>8</size></target></memory>",
        "<memory model='nvdimm'><source><path>/srv/nvdimm</path></source></memory>",
        "<memory model='virtio-mem'/>",
        "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='4555'/></serial>",
        "<serial type='udp'/>",
        "<serial type='dev'><source path='/dev/ttyS0'/></serial>",
        "<serial type='unix'><source mode='bind' path='/tmp/serial.sock'/></serial>",
        "<console type='pipe'><source path='/tmp/pipe'/></console>",
        "<parallel type='file'><source path='/tmp/printer'/></parallel>",
        "<channel type='unix'><source mode='bind' path='/tmp/agent.sock'/></channel>",
        "<channel type='file'><source path='/tmp/channel'/></channel>",
        "<channel type='tcp'/>",
        "<redirdev bus='usb' type='tcp'><source mode='connect' host='localhost' service='4000'/></redirdev>",
        "<graphics type='sdl' display=':0'/>",
        "<graphics type='dbus' address='unix:path=/run/bus'/>",
        "<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>",
        "<tpm model='tpm-tis'><backend type='external'><source type='unix' mode='connect' path='/t'/></backend></tpm>",
        "<rng model='virtio'><backend model='egd' type='tcp'/></rng>",
        "<input type='evdev'><source dev='/dev/input/event1'/></input>",
        "<audio id='1' type='file' path='/tmp/a.wav'/>",
        "<interface type='hostdev'><source><address type='pci'/></source></interface>",
        "<interface type='ethernet'><target dev='tap7'/></interface>",
        "<interface type='vhostuser'><source type='unix' path='/tmp/v.sock'/></interface>",
        "<interface type='bridge'><source bridge='br0'/><script path='/etc/up'/></interface>",
        "<disk type='block' device='lun'><source dev='/dev/sda'/><target dev='sdb'/></disk>",
        "<disk type='block' device='disk'><source dev='/dev/vg/data'/><target dev='vdb'/></disk>",
        "<disk type='network' device='disk'><source protocol='rbd' name='p/i'/><target dev='vdb'/></disk>",
        "<disk type='volume' device='disk'><source pool='p' volume='v'/><target dev='vdb'/></disk>",
        "<disk type='vhostuser' device='disk'><source type='unix' path='/s'/><target dev='vdb'/><readonly/></disk>",
        "<unheard-of/>",
        "<video mode='new'/>",
    ] {
        let error = xml_of(&template(device, "")).unwrap_err();
        let name = device
            .split([' ', '/', '>'])
            .next()
            .unwrap()
            .trim_start_matches('<');
        assert!(error.contains(name), "{device}: {error}");
        let remedies = ["remove it", "use ", "make it readonly"];
        assert!(remedies.iter().any(|it| error.contains(it)), "{error}");
    }
    for part in [
        "<launchSecurity type='sev'><dhCert>old</dhCert></launchSecurity>",
        "<bootloader>/usr/bin/pygrub</bootloader>",
        "<cputune><cachetune vcpus='0'/></cputune>",
        "<os><smbios mode='host'/></os>",
        "<os><acpi><table type='slic'>/srv/slic</table></acpi></os>",
        "<sysinfo type='other'/>",
        "<seclabel type='static' model='selinux'><label>s0:c1,c2</label></seclabel>",
        "<on_reboot>preserve</on_reboot>",
        "<memoryBacking><hugepages><page size='2' unit='M'/></hugepages></memoryBacking>",
        "<unheard-of/>",
        "<iothreads mode='new'>1</iothreads>",
    ] {
        let error = xml_of(&template("", part)).unwrap_err();
        assert!(
            error.starts_with("its `") || error.starts_with("it has the"),
            "{error}"
        );
    }
}

#[test]
fn a_device_that_each_guest_can_have_is_kept() {
    for (device, kept) in [
        (
            "<filesystem type='mount'><source dir='/srv'/><target dir='srv'/><readonly/></filesystem>",
            "<source dir=\"/srv\" />",
        ),
        (
            "<rng model='virtio'><backend model='builtin'/></rng>",
            "model=\"builtin\"",
        ),
        (
            "<interface type='bridge'><source bridge='cinet'/></interface>",
            "bridge=\"cinet\"",
        ),
        ("<interface type='user'/>", "type=\"user\""),
        (
            "<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>",
            "spicevmc",
        ),
        (
            "<iommu model='intel'><driver intremap='on'/></iommu>",
            "intremap",
        ),
        ("<panic model='isa'/>", "<panic"),
        (
            "<tpm model='tpm-tis'><backend type='emulator'/></tpm>",
            "type=\"emulator\"",
        ),
    ] {
        assert_contains(&xml_of(&template(device, "")).unwrap(), kept);
    }
    let xml = xml_of(&template(
        "<disk type='file' device='floppy'><source file='/images/a.img'/><target dev='fda'/></disk>",
        "",
    ));
    assert_contains(&xml.unwrap(), "<readonly />");
    let account = "<seclabel type='static' model='dac'><label>+107:+107</label></seclabel>";
    assert_contains(&xml_of(&template("", account)).unwrap(), "+107:+107");
}
