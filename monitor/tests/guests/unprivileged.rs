//! Tests of a monitor that is not root: as with the Debian package, its account may only use libvirt.

use std::fs;

use emulator::model::JobPhase;
use http_client::Method;

use crate::{
    images::{BLANK, HANG, WRITE_TO_IMAGE, boot_script},
    support::{Daemon, Host, Profile, until},
};

const ACCOUNT: Option<&str> = Some("ci-runners");

#[actix_web::test]
async fn a_monitor_that_is_not_root_builds_images_and_replaces_runners() {
    let mut host = Host::without_image();
    host.account = ACCOUNT;
    host.set_build_script(WRITE_TO_IMAGE);
    host.set_boot_script(&boot_script());
    let monitor = Daemon::start(&host, BLANK);
    monitor.until_idle(&[0]).await;
    assert!(host.console(0).contains("guest: finds a mark"));
    let screen = monitor.call(Method::GET, "runner/0/screenshot/now").await;
    assert_eq!(screen.status, 200);
    let label = monitor.take("job").await;
    let job = host.queue_job(&label, "true");
    host.until_phase(job, JobPhase::Completed).await;
    monitor.until_idle(&[1]).await;
    until("the disks of the first runner are removed", || {
        host.folders() == [host.guest(1)]
    })
    .await;
    assert_eq!(host.machines(), [host.guest(1)]);
    let log = monitor.log();
    assert!(!log.contains("ermission denied"), "{log}");
}

#[actix_web::test]
async fn a_monitor_that_is_not_root_keeps_the_console_of_a_failed_build() {
    let mut host = Host::without_image();
    host.account = ACCOUNT;
    host.set_build_script(HANG);
    let profile = Profile {
        image: "build = { size = \"8M\", build_timeout = 15 }",
        ..BLANK
    };
    let _monitor = Daemon::start(&host, profile);
    let failed = host.path("data/images/tiny/.failed/console.log");
    until("the build has failed", || failed.exists()).await;
    until("the guest and its folder are removed", || {
        host.builders().is_empty() && host.folders().is_empty()
    })
    .await;
    let console = fs::read_to_string(&failed).unwrap();
    assert!(console.contains("guest: hangs"), "{console}");
}
