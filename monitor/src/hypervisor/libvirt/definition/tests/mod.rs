//! Tests of the definition that is made from a template.

mod copied;
mod production;

use std::path::{Path, PathBuf};

use shared::{
    secret::Secret,
    settings::{DiskFormat, GuestAuthMethod},
    units::Memory,
};

use super::*;
use crate::hypervisor::guest::GuestMemory;

const TEMPLATE: &str = r#"<?xml version='1.0'?>
<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>profile.init</name>
  <uuid>ec747b67-ffb4-47cc-a27b-43156ca1724f</uuid>
  <memory unit='KiB'>262144</memory>
  <memoryBacking><hugepages><page size='1' unit='G'/></hugepages></memoryBacking>
  <os>
    <type arch='x86_64'>hvm</type>
    <nvram>/images/VARS.fd</nvram>
  </os>
  <on_poweroff>preserve</on_poweroff>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='writeback'/>
      <source file='/images/boot.qcow2'/>
      <target dev='sda' bus='sata'/>
    </disk>
    <disk type='block' device='disk'>
      <driver name='qemu' type='raw' cache='none' io='native'/>
      <source dev='/dev/null'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='block' device='cdrom'>
      <target dev='sdb' bus='sata'/>
      <readonly/>
    </disk>
    <interface type='network'>
      <mac address='52:54:00:b8:b3:dd'/>
      <source network='cinet'/>
    </interface>
    <interface type='network'><source network='other'/></interface>
    <serial type='file'><source path='/dev/null'/></serial>
    <console type='pty'/>
  </devices>
  <qemu:commandline><qemu:arg value='-usb'/></qemu:commandline>
</domain>"#;

const MEMORY: GuestMemory = GuestMemory {
    hugepages_1g: 1,
    normal: Memory::from_bytes(256 << 20),
};

fn define_as(proof: GuestAuthMethod, template: &str) -> Result<Definition, TemplateError> {
    define_upon(DiskFormat::Qcow2, proof, template)
}

fn define_upon(
    image_format: DiskFormat,
    proof: GuestAuthMethod,
    template: &str,
) -> Result<Definition, TemplateError> {
    let image_disk = format!("/data/images/a/1/disk.{}", image_format.as_str());
    let guest = DomainParams {
        name: "ci-runner-a.1",
        uuid: uuid::Uuid::from_u128(7),
        mac: [1, 2, 3, 0xfe],
        folder: Path::new("/data/virtual/ci-runner-a.1"),
        image_disk: Path::new(&image_disk),
        image_format,
        builds: false,
        cdroms: &[],
        memory_max: MEMORY,
        proof,
        secret_path: Path::new("/data/virtual/ci-runner-a.1/secret"),
        secret: &Secret::new("hunter2"),
        monitor_url: "http://10.0.0.1:8000/?a&b",
    };
    define(template.as_bytes(), &guest)
}

fn defined(proof: GuestAuthMethod) -> (Definition, String) {
    let definition = define_as(proof, TEMPLATE).unwrap();
    let xml = String::from_utf8(definition.xml.clone()).unwrap();
    (definition, xml)
}

fn assert_contains(xml: &str, part: &str) {
    assert!(xml.contains(part), "no {part} in {xml}");
}

#[test]
fn values_of_the_guest_are_replaced_and_the_rest_is_kept() {
    let (_, xml) = defined(GuestAuthMethod::Address);
    for part in [
        "<name>ci-runner-a.1</name>",
        "<uuid>00000000-0000-0000-0000-000000000007</uuid>",
        "<on_poweroff>destroy</on_poweroff>",
        "<on_crash>destroy</on_crash>",
        r#"<mac address="52:54:01:02:03:fe" />"#,
        r#"<mac address="52:54:01:02:03:ff" />"#,
        r#"<memory unit="KiB">262144</memory>"#,
        r#"<memoryBacking><hugepages><page size="1" unit="G" /></hugepages></memoryBacking>"#,
        r#"<qemu:arg value="-usb" />"#,
        r#"xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0""#,
        r#"<source append="on" path="/data/virtual/ci-runner-a.1/console.log" />"#,
        r#"<console type="pty" />"#,
    ] {
        assert_contains(&xml, part);
    }
    assert_eq!(xml.matches("<source network=").count(), 2);
    assert!(!xml.contains("b8:b3:dd"));
}

#[test]
fn every_writable_disk_becomes_an_overlay() {
    let (definition, xml) = defined(GuestAuthMethod::Address);
    let overlay = |number: u8, origin: &str| DiskPlan {
        path: format!("/data/virtual/ci-runner-a.1/disk-{number}.qcow2").into(),
        origin: origin.into(),
        method: DiskMethod::Overlay {
            origin_format: "qcow2".to_owned(),
        },
    };
    let overlays = [
        overlay(0, "/images/boot.qcow2"),
        overlay(1, "/data/images/a/1/disk.qcow2"),
    ];
    assert_eq!(definition.disks, overlays);
    for overlay in overlays {
        assert_contains(
            &xml,
            &format!("<source file=\"{}\" />", overlay.path.display()),
        );
    }
    assert_contains(
        &xml,
        r#"<driver cache="none" io="native" name="qemu" type="qcow2" />"#,
    );
    assert!(!xml.contains("/dev/null") && !xml.contains("boot.qcow2"));
    assert_contains(&xml, r#"<disk device="cdrom" type="block"><target"#);
}

#[test]
fn only_a_raw_image_is_copied() {
    let definition = define_upon(DiskFormat::Raw, GuestAuthMethod::Address, TEMPLATE).unwrap();
    let [boot, image] = &definition.disks[..] else {
        panic!("{:?}", definition.disks);
    };
    assert_eq!(boot.backing_file(), Some(Path::new("/images/boot.qcow2")));
    let copy = DiskPlan {
        path: "/data/virtual/ci-runner-a.1/disk-1.raw".into(),
        origin: "/data/images/a/1/disk.raw".into(),
        method: DiskMethod::Reflink,
    };
    assert_eq!(*image, copy);
    assert_eq!(image.backing_file(), None);
    let xml = String::from_utf8(definition.xml).unwrap();
    let driver = r#"<driver cache="none" io="native" name="qemu" type="raw" />"#;
    let source = r#"<source file="/data/virtual/ci-runner-a.1/disk-1.raw" />"#;
    assert_contains(&xml, &format!("{driver}{source}"));
}

#[test]
fn each_guest_has_its_own_firmware_variables() {
    let (definition, xml) = defined(GuestAuthMethod::Address);
    let path = "/data/virtual/ci-runner-a.1/nvram.fd";
    assert_contains(&xml, &format!("<nvram>{path}</nvram>"));
    let nvram = Nvram {
        path: path.into(),
        template: Some("/images/VARS.fd".into()),
    };
    assert_eq!(definition.nvram, Some(nvram));
    let template = TEMPLATE.replace("<nvram>/images/VARS.fd</nvram>", "");
    let definition = define_as(GuestAuthMethod::Address, &template).unwrap();
    assert_eq!(definition.nvram, None);
}

#[test]
fn the_secret_is_only_where_the_profile_requires_it() {
    let (_, xml) = defined(GuestAuthMethod::Address);
    assert!(!xml.contains("secret") && !xml.contains("hunter2"));

    let (_, xml) = defined(GuestAuthMethod::FwCfg);
    assert_contains(
        &xml,
        "<sysinfo type=\"fwcfg\">\
         <entry file=\"/data/virtual/ci-runner-a.1/secret\" name=\"opt/ci-runners/guest-secret\" />\
         <entry name=\"opt/ci-runners/monitor-url\">http://10.0.0.1:8000/?a&amp;b</entry></sysinfo>",
    );
    assert!(!xml.contains("hunter2"));

    let (_, xml) = defined(GuestAuthMethod::Smbios);
    assert_contains(
        &xml,
        "<sysinfo type=\"smbios\"><oemStrings>\
         <entry>ci-runners:guest-secret=hunter2</entry>\
         <entry>ci-runners:monitor-url=http://10.0.0.1:8000/?a&amp;b</entry></oemStrings></sysinfo>",
    );
    assert_contains(&xml, r#"<smbios mode="sysinfo" />"#);
}

#[test]
fn the_sysinfo_of_a_template_is_kept() {
    let own = "<sysinfo type='fwcfg'><entry name='opt/own'>x</entry></sysinfo></domain>";
    let template = TEMPLATE.replace("</domain>", own);
    let definition = define_as(GuestAuthMethod::FwCfg, &template).unwrap();
    let xml = String::from_utf8(definition.xml).unwrap();
    assert_eq!(xml.matches("<sysinfo").count(), 1);
    assert_contains(&xml, r#"<entry name="opt/own">x</entry><entry file="#);
}

#[test]
fn an_unusable_template_is_refused_with_the_reason() {
    let with = |from: &str, to: &str| TEMPLATE.replace(from, to);
    for (template, problem) in [
        (
            with("<source dev='/dev/null'/>", "<source dev='/dev/sda'/>"),
            "its disk of type `block` would be shared by all guests; use a file, or make it readonly",
        ),
        (
            with("<source dev='/dev/null'/>", "<source file='/a.img'/>"),
            "0 of its disks have no source (or /dev/null); the image takes the place of just one",
        ),
        (
            with("<source file='/images/boot.qcow2'/>", ""),
            "2 of its disks have no source (or /dev/null); the image takes the place of just one",
        ),
        (
            "<network/>".to_owned(),
            "its root is `network`, and not `domain`",
        ),
        (
            with(">262144<", ">1048577<"),
            "its guests have 1048577K of hugepages, and the profile requires only 1G",
        ),
        ("<domain/>".to_owned(), "it has no `memory` for the guest"),
        (
            "<domain><memory>1</memory></domain>".to_owned(),
            "it has no `devices`",
        ),
        ("<domain>".to_owned(), "it is not XML: "),
        (String::new(), "it is not XML: "),
    ] {
        let error = define_as(GuestAuthMethod::FwCfg, &template).unwrap_err();
        assert!(error.to_string().starts_with(problem), "{error}");
    }
}

#[test]
fn the_disk_of_a_build_is_the_image_itself() {
    let guest = DomainParams {
        name: "ci-rebuild-a",
        uuid: uuid::Uuid::from_u128(7),
        mac: [1, 2, 3, 4],
        folder: Path::new("/data/virtual/ci-rebuild-a"),
        image_disk: Path::new("/data/virtual/ci-rebuild-a/disk.qcow2"),
        image_format: DiskFormat::Qcow2,
        builds: true,
        cdroms: &["/deps/setup.iso".into()],
        memory_max: MEMORY,
        proof: GuestAuthMethod::FwCfg,
        secret_path: Path::new("/data/virtual/ci-rebuild-a/secret"),
        secret: &Secret::new("hunter2"),
        monitor_url: "http://10.0.0.1:8000/",
    };
    let definition = define(TEMPLATE.as_bytes(), &guest).unwrap();
    let xml = String::from_utf8(definition.xml).unwrap();
    assert_contains(
        &xml,
        r#"<source file="/data/virtual/ci-rebuild-a/disk.qcow2" />"#,
    );
    assert_contains(&xml, r#"<source file="/deps/setup.iso" />"#);
    let too_many = DomainParams {
        cdroms: &["/a.iso".into(), "/b.iso".into()],
        ..guest
    };
    assert_eq!(
        define(TEMPLATE.as_bytes(), &too_many).unwrap_err(),
        TemplateError::FewDrives(2)
    );
    let backing_files: Vec<_> = definition
        .disks
        .iter()
        .filter_map(DiskPlan::backing_file)
        .collect();
    assert_eq!(
        backing_files,
        [Path::new("/images/boot.qcow2")],
        "other disks are overlays"
    );
}
