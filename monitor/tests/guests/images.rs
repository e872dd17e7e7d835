//! Tests of images: builds, rebuilds, and failed builds.

use std::{fs, path::Path, process::Command, time::Duration};

use emulator::model::JobPhase;
use http_client::Method;
use shared::wire::MonitorDashboard;

use crate::support::{Daemon, Host, Profile, mount_xfs, qemu_pid, signal, unmount, until, virsh};

/// A build script that writes to the disk of the image.
pub const WRITE_TO_IMAGE: &str =
    "echo 'guest: builds'; echo 'a mark' | dd of=/dev/vda 2> /dev/null; sync";
/// The first part of a boot script: prints what is on the disk.
const READ_IMAGE: &str = "echo \"guest: finds $(head -c 6 /dev/vda)\"\n";
/// A build script that never powers off.
pub const HANG: &str =
    "echo \"guest: knows $GUEST_SECRET\"; echo 'guest: hangs'; while :; do sleep 60; done";

pub const BLANK: Profile<'_> = Profile {
    target_count: 1,
    image: "build = { size = \"8M\", build_timeout = 60 }",
    more: "",
};

/// Older than any image that a test builds.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn image_age(dashboard: &MonitorDashboard) -> Option<Duration> {
    dashboard.profile_runner_counts.values().next()?.image_age
}

pub fn boot_script() -> String {
    format!("{READ_IMAGE}{}", include_str!("tiny/runner-boot-script"))
}

#[actix_web::test]
async fn an_image_is_built_before_the_first_runner_which_starts_from_it() {
    let host = Host::without_image();
    host.set_build_script(WRITE_TO_IMAGE);
    host.set_boot_script(&boot_script());
    let monitor = Daemon::start(&host, BLANK);
    monitor.until_idle(&[0]).await;
    assert!(host.console(0).contains("guest: finds a mark"));
    assert_eq!(host.images().len(), 1);
    host.until_only_folder(&host.guest(0)).await;
    assert_eq!(host.builders(), [""; 0]);
}

#[actix_web::test]
async fn an_image_contains_the_firmware_variables_and_each_runner_has_a_copy() {
    let mut host = Host::without_image();
    host.use_uefi();
    let print_firmware = "[ -d /sys/firmware/efi ] && echo 'guest: has UEFI'\n";
    host.set_build_script(&format!("{print_firmware}{WRITE_TO_IMAGE}"));
    host.set_boot_script(&format!("{print_firmware}{}", boot_script()));
    let monitor = Daemon::start(&host, BLANK);
    monitor.until_idle(&[0]).await;
    let console = host.console(0);
    assert!(console.contains("guest: has UEFI"), "{console}");
    assert!(console.contains("guest: finds a mark"), "{console}");
    let image = format!("data/images/tiny/{}/nvram.fd", host.images()[0]);
    let own = format!("data/virtual/{}/nvram.fd", host.guest(0));
    let read = |path: &Path| fs::read(path).unwrap();
    let (fresh, image, own) = (
        read(Path::new(Host::UEFI_VARIABLES)),
        read(&host.path(&image)),
        read(&host.path(&own)),
    );
    // The firmware wrote them during the build.
    assert!(fresh != image, "the image has its own variables");
    assert_eq!(fresh.len(), image.len());
    assert_eq!(own.len(), image.len());
}

/// A build script that copies a file on the CD-ROM to the disk of the image.
const COPY_CDROM_TO_IMAGE: &str = "mkdir /mnt && mount -t iso9660 /dev/sr0 /mnt && \
    dd if=/mnt/user-data of=/dev/vda 2> /dev/null && sync || while :; do sleep 60; done";

#[actix_web::test]
async fn the_configuration_of_a_build_is_in_a_drive_that_is_empty_in_runners() {
    let host = Host::without_image();
    // A symbolic link, as in profiles that share a file.
    host.write("lib/profiles/other/user-data", "a mark of the profile");
    fs::create_dir_all(host.path("lib/profiles/tiny")).unwrap();
    let link = host.path("lib/profiles/tiny/user-data");
    std::os::unix::fs::symlink("../other/user-data", link).unwrap();
    host.set_build_script(COPY_CDROM_TO_IMAGE);
    let empty = "dd if=/dev/sr0 of=/dev/null 2> /dev/null || echo 'guest: has no CD-ROM'\n";
    host.set_boot_script(&format!("{empty}{}", boot_script()));
    let profile = Profile {
        image: "build = { size = \"8M\", build_timeout = 60, \
                config_iso = { label = \"CIDATA\", files = [\"user-data\"] } }",
        ..BLANK
    };
    let monitor = Daemon::start(&host, profile);
    monitor.until_idle(&[0]).await;
    let console = host.console(0);
    assert!(console.contains("guest: finds a mark"), "{console}");
    assert!(console.contains("guest: has no CD-ROM"), "{console}");
}

#[actix_web::test]
async fn an_old_image_is_rebuilt_while_its_runners_keep_working() {
    let host = Host::without_image();
    host.put_image("2020-01-01T00-00-00Z");
    host.put_base("disk.qcow2");
    host.set_build_script(WRITE_TO_IMAGE);
    host.set_boot_script(&boot_script());
    let profile = Profile {
        image: "build = { size = \"16M\", base = \"disk.qcow2\", build_timeout = 60 }",
        ..BLANK
    };
    let monitor = Daemon::start(&host, profile);
    until("there is a new image", || host.images().len() == 2).await;
    let is_new = |age: Duration| age < YEAR;
    monitor
        .until(|dashboard| image_age(dashboard).is_some_and(is_new))
        .await;
    monitor.until_idle(&[0]).await;
    assert!(
        !host.console(0).contains("a mark"),
        "it starts from the old image"
    );
    let label = monitor.take("job").await;
    let job = host.queue_job(&label, "true");
    host.until_phase(job, JobPhase::Completed).await;
    monitor.until_idle(&[1]).await;
    assert!(host.console(1).contains("guest: finds a mark"));
}

#[actix_web::test]
async fn a_build_that_exceeds_its_timeout_fails_and_the_last_good_image_stays() {
    let host = Host::without_image();
    host.put_image("2020-01-01T00-00-00Z");
    host.set_build_script(HANG);
    let profile = Profile {
        image: "build = { size = \"8M\", build_timeout = 15 }",
        ..BLANK
    };
    let monitor = Daemon::start(&host, profile);
    let failed = host.path("data/images/tiny/.failed/console.log");
    let printed = monitor.until_console("tiny", "guest: hangs").await;
    assert!(printed.contains("guest: knows [secret]"), "{printed}");
    assert!(!failed.exists(), "the build still runs");
    until("the build has failed", || failed.exists()).await;
    until("the guest is removed", || host.builders().is_empty()).await;
    let console = fs::read_to_string(&failed).unwrap();
    assert!(console.contains("guest: hangs"), "{console}");
    assert_eq!(host.images(), ["2020-01-01T00-00-00Z"]);
    let dashboard = monitor.until_idle(&[0]).await;
    assert!(image_age(&dashboard).unwrap() > YEAR);
    let metrics = monitor.call(Method::GET, "metrics").await;
    let metrics = metrics.text().unwrap();
    let gauge = "image_built_timestamp_seconds{profile=\"tiny\"} ";
    assert!(metrics.contains(gauge), "{metrics}");
    host.until_only_folder(&host.guest(0)).await;
    let screen = monitor
        .call(Method::GET, "profile/tiny/screenshot.png")
        .await;
    assert_eq!(screen.status, 200);
    assert_eq!(screen.header("content-type"), Some("image/png"));
    let page = monitor.call(Method::GET, "").await;
    let page = page.text().unwrap();
    let failure = "has not powered off within 15 s (1 in a row)";
    assert!(page.contains(failure), "{page}");
    assert!(page.contains("profile/tiny/console.log"), "{page}");
    let console = monitor.call(Method::GET, "profile/tiny/console.log").await;
    assert_eq!(console.status, 200);
    let console = console.text().unwrap();
    assert!(console.contains("guest: hangs"), "{console}");
    assert!(console.contains("guest: knows [secret]"), "{console}");
}

/// A build script that writes half of what it should and reboots.
const REBOOT: &str = "echo 'a mark' | dd of=/dev/vda 2> /dev/null; sync; reboot -f";

/// What is done to a guest, by its name.
type EndGuest = fn(&str);

/// Only a guest that powers itself off has built its image, however else it ends.
#[actix_web::test]
async fn a_guest_that_ends_for_another_reason_has_built_no_image() {
    let half_made = format!("{WRITE_TO_IMAGE}; {HANG}");
    let ends: [(&str, EndGuest, &str); 4] = [
        // The template has on_reboot=destroy.
        (REBOOT, |_| (), "the guest has rebooted"),
        (
            &half_made,
            |guest| signal("KILL", qemu_pid(guest)),
            "QEMU has ended without a shutdown",
        ),
        (
            &half_made,
            |guest| drop(virsh(&["destroy", guest])),
            "the guest was ended by the host",
        ),
        // libvirt reports that as a shutdown.
        (
            &half_made,
            |guest| signal("TERM", qemu_pid(guest)),
            "the guest was ended by the host",
        ),
    ];
    for (script, end, cause) in ends {
        let host = Host::without_image();
        host.set_build_script(script);
        let monitor = Daemon::start(&host, BLANK);
        if script != REBOOT {
            until("the image is half made", || {
                let consoles = host
                    .builders()
                    .into_iter()
                    .map(|name| host.console_of(&name));
                consoles
                    .into_iter()
                    .any(|console| console.contains("guest: hangs"))
            })
            .await;
            end(&host.builders()[0]);
        }
        let failed = host.path("data/images/tiny/.failed");
        until("the build has ended", || {
            failed.exists() || !host.images().is_empty()
        })
        .await;
        assert_eq!(host.images(), [""; 0], "{cause}");
        let failure = format!("failed to build the image of build-ci-runner-tiny: {cause}");
        until("the failure is logged", || monitor.log().contains(&failure)).await;
        until("the guest is removed", || host.folders().is_empty()).await;
    }
}

#[actix_web::test]
async fn a_rebuild_of_a_killed_monitor_is_removed_before_guests_are_created() {
    let host = Host::without_image();
    host.set_build_script(HANG);
    let monitor = Daemon::start(&host, BLANK);
    until("the rebuild has begun", || host.builders().len() == 1).await;
    monitor.kill();
    let none = Profile {
        more: "destroy_all_non_busy_runners = true",
        ..BLANK
    };
    let monitor = Daemon::start(&host, none);
    monitor
        .until(|dashboard| dashboard.runners.is_empty())
        .await;
    assert_eq!(host.builders(), [""; 0]);
    assert_eq!(host.folders(), [""; 0]);
    assert_eq!(host.images(), [""; 0]);
}

#[actix_web::test]
async fn raw_disks_of_runners_share_blocks_with_the_image() {
    let host = Host::without_image();
    mount_xfs(&host.path("xfs"), &host.path("data"));
    host.put_base("disk.qcow2");
    host.set_build_script(WRITE_TO_IMAGE);
    host.set_boot_script(&boot_script());
    let profile = Profile {
        target_count: 2,
        image: "disks = \"raw\"\n[build]\nsize = \"16M\"\nbase = \"disk.qcow2\"\nbuild_timeout = 60",
        ..BLANK
    };
    let monitor = Daemon::start(&host, profile);
    monitor.until_idle(&[0, 1]).await;
    let image = format!("data/images/tiny/{}/disk.raw", host.images()[0]);
    assert_eq!(fs::metadata(host.path(&image)).unwrap().len(), 16 << 20);
    for id in [0, 1] {
        assert!(host.console(id).contains("guest: finds a mark"));
        let disk = host.path(&format!("data/virtual/{}/disk-0.raw", host.guest(id)));
        let extents = Command::new("filefrag").arg("-v").arg(&disk).output();
        let extents = String::from_utf8(extents.unwrap().stdout).unwrap();
        assert!(extents.contains("shared"), "{extents}");
    }
    drop(monitor);
    host.end_machines();
    unmount(&host.path("data"));
}
