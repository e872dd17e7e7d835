//! Profiles and folders that something is missing from, without a libvirt.

use super::*;
use crate::hypervisor::Means;

const TEMPLATE: &str = "<domain><memory>1</memory><devices><disk/></devices></domain>";

fn materials(data: &Path) -> Materials {
    fs::create_dir_all(data.join("profiles/linux")).unwrap();
    Materials {
        images: data.join("images").into(),
        profiles: data.join("profiles").into(),
    }
}

fn linux() -> ProfileKey {
    "linux".parse().unwrap()
}

#[test]
fn a_profile_is_refused_for_what_is_wrong_with_its_template() {
    let data = tempfile::tempdir().unwrap();
    let materials = materials(data.path());
    let path = data.path().join("profiles/linux/guest.xml");
    let check = || {
        let memory = Memory::from_bytes(1024);
        let image = ImageSettings::default();
        let checked = super::check(&materials.profiles, &linux(), &image, memory);
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
    let materials = materials(data.path());
    let spec = GuestSpec {
        name: "ci-runner-linux.1".to_owned(),
        runner_id: 1,
        profile_key: linux(),
        means: Means::Machine(ImageSettings::default()),
        monitor_url: "http://monitor.invalid/".to_owned(),
        secret: Secret::new("hunter2"),
        memory_max: Memory::from_bytes(1024),
    };
    let folder = Folder::new(data.path(), &spec.name);
    let error = materials
        .furnish(&folder, &spec, &ImageSettings::default())
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
    assert!(folder.make().unwrap());
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
        nvram: Some(super::super::definition::Nvram {
            path: folder.path().join("nvram.fd"),
            template: Some(template),
        }),
    };
    let written = || {
        write_files(
            &folder,
            &definition,
            &image.nvram(),
            &Secret::new("hunter2"),
        )
    };
    written().unwrap();
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
    assert!(folder.make().unwrap());
    written().unwrap();
    assert_eq!(fs::read_to_string(&nvram).unwrap(), "the image's");
}
