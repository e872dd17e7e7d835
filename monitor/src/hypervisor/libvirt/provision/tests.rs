//! Tests of provisioning without a libvirt.

use shared::units::Memory;

use super::*;
use crate::hypervisor::{guest::GuestKind, libvirt::definition::Nvram};

const TEMPLATE: &str = "<domain><memory>1</memory><devices><disk/></devices></domain>";

fn provisioner(data: &Path) -> Provisioner {
    fs::create_dir_all(data.join("profiles/linux")).unwrap();
    Provisioner::new(data.join("images"), data.join("profiles"))
}

fn linux() -> ProfileKey {
    "linux".parse().unwrap()
}

#[test]
fn a_profile_with_an_unusable_template_is_refused_with_the_reason() {
    let data = tempfile::tempdir().unwrap();
    let provisioner = provisioner(data.path());
    let path = data.path().join("profiles/linux/guest.xml");
    let check = || {
        let memory = GuestMemory {
            hugepages_1g: 0,
            normal: Memory::from_bytes(1024),
        };
        let image = ImageSettings::default();
        let checked = super::check(&provisioner.profiles, &linux(), &image, memory);
        checked.map_err(|error| error.to_string())
    };
    assert_eq!(check(), Err(format!("read {}", path.display())));
    fs::write(&path, "<network/>").unwrap();
    assert_eq!(
        check(),
        Err(format!(
            "use {}: its root is `network`, and not `domain`",
            path.display()
        ))
    );
    fs::write(&path, " ".repeat((1 << 20) + 1)).unwrap();
    assert_eq!(check(), Err(format!("read {}", path.display())));
    fs::write(&path, TEMPLATE).unwrap();
    assert_eq!(check(), Ok(()));
}

#[tokio::test]
async fn a_guest_without_an_image_is_refused_until_there_is_one() {
    let data = tempfile::tempdir().unwrap();
    let provisioner = provisioner(data.path());
    let spec = GuestSpec {
        name: "ci-runner-linux.1".to_owned(),
        runner_id: 1,
        profile_key: linux(),
        kind: GuestKind::VirtualMachine(ImageSettings::default()),
        monitor_url: "http://monitor.invalid/".to_owned(),
        secret: Secret::new("hunter2"),
        memory_max: GuestMemory {
            hugepages_1g: 0,
            normal: Memory::from_bytes(1024),
        },
    };
    let folder = Folder::new(data.path(), &spec.name);
    let error = provisioner
        .provision(&folder, &spec, &ImageSettings::default())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "create guest ci-runner-linux.1: profile linux has no image yet"
    );
    assert!(error.is_transient());
}

#[test]
fn only_the_monitors_user_may_read_the_secret() {
    use std::os::unix::fs::PermissionsExt;

    let data = tempfile::tempdir().unwrap();
    let folder = Folder::new(data.path(), "ci-runner-linux.1");
    assert!(folder.create().unwrap());
    let images = data.path().join("images");
    fs::create_dir_all(images.join("linux/1")).unwrap();
    fs::write(images.join("linux/1/disk.qcow2"), "").unwrap();
    let image = images::current(&images, &linux(), DiskFormat::Qcow2);
    let image = image.unwrap().unwrap();
    let template = data.path().join("VARS.fd");
    fs::write(&template, "the profile's").unwrap();
    let definition = Definition {
        xml: b"<domain/>".to_vec(),
        disks: Vec::new(),
        nvram: Some(Nvram {
            path: folder.path().join("nvram.fd"),
            template: Some(template),
        }),
    };
    let write = || {
        write_files(
            &folder,
            &definition,
            &image.nvram(),
            &Secret::new("hunter2"),
        )
    };
    write().unwrap();
    for path in [
        folder.secret_path(),
        folder.definition_path(),
        folder.console_path(),
    ] {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let nvram = folder.path().join("nvram.fd");
    assert_eq!(fs::read_to_string(&nvram).unwrap(), "the profile's");

    fs::write(image.nvram(), "the image's").unwrap();
    folder.retire().unwrap();
    folder.remove().unwrap();
    assert!(folder.create().unwrap());
    write().unwrap();
    assert_eq!(fs::read_to_string(&nvram).unwrap(), "the image's");
}
