//! Tests of failures on a host, after which nothing may be left over.

use std::fs;

use emulator::model::JobPhase;

use crate::support::{
    Daemon, Host, Profile, event_process_count, mount, qemu_pid, restart_libvirtd, signal, unmount,
    until, virsh,
};

/// A boot script that never fetches the credential.
const HANG: &str = "while :; do sleep 60; done";

#[actix_web::test]
async fn a_guest_that_hangs_is_replaced_after_the_start_timeout() {
    let host = Host::new();
    host.set_boot_script(HANG);
    let profile = Profile {
        more: "monitor_start_timeout = 8",
        ..Profile::default()
    };
    let monitor = Daemon::start(&host, profile);
    monitor
        .until(|dashboard| dashboard.runners.iter().any(|runner| runner.id == 1))
        .await;
    until("the first guest is removed", || {
        !host.machines().contains(&host.guest(0)) && !host.folders().contains(&host.guest(0))
    })
    .await;
}

#[actix_web::test]
async fn a_guest_that_is_killed_from_outside_is_replaced_at_once() {
    let host = Host::new();
    let monitor = Daemon::start(&host, Profile::default());
    monitor.until_idle(&[0]).await;
    signal("KILL", qemu_pid(&host.guest(0)));
    monitor.until_idle(&[1]).await;
    monitor
        .until_logged("runner_ended profile_key=tiny runner=0")
        .await;
    assert_eq!(host.machines(), [host.guest(1)]);
    host.until_only_folder(&host.guest(1)).await;
}

#[actix_web::test]
async fn a_busy_guest_outlives_its_monitor_and_is_adopted() {
    let host = Host::new();
    let monitor = Daemon::start(&host, Profile::default());
    monitor.until_idle(&[0]).await;
    let label = monitor.take("job").await;
    let job = host.queue_job(&label, "until [ -e /tmp/end ]; do sleep 1; done");
    host.until_phase(job, JobPhase::InProgress).await;
    let pid = qemu_pid(&host.guest(0));
    monitor.kill();
    let monitor = Daemon::start(&host, Profile::default());
    monitor
        .until(|dashboard| {
            dashboard
                .profile_runner_counts
                .values()
                .any(|it| it.busy == 1)
        })
        .await;
    assert_eq!(qemu_pid(&host.guest(0)), pid, "the guest was not restarted");
    assert_eq!(host.machines(), [host.guest(0)]);
}

#[actix_web::test]
async fn the_virsh_process_of_a_killed_monitor_ends() {
    let host = Host::new();
    let none = Profile {
        target_count: 0,
        ..Profile::default()
    };
    until("those of other tests have ended", || {
        event_process_count() == 0
    })
    .await;
    let monitor = Daemon::start(&host, none);
    until("the monitor has started it", || event_process_count() == 1).await;
    monitor.kill();
    until("it has ended", || event_process_count() == 0).await;
}

#[actix_web::test]
async fn an_incomplete_creation_of_a_killed_monitor_is_removed() {
    let host = Host::new();
    // Killed at a later point of the creation each time: with a folder, with disks, with a machine.
    for (id, point) in ["", "disk-0.qcow2", "guest.xml", "console.log"]
        .iter()
        .enumerate()
    {
        let monitor = Daemon::start(&host, Profile::default());
        let file = host.path(&format!("data/virtual/ci-runner-tiny.{id}/{point}"));
        until("the creation has reached this point", || file.exists()).await;
        monitor.kill();
        let none = Profile {
            more: "destroy_all_non_busy_runners = true",
            ..Profile::default()
        };
        let monitor = Daemon::start(&host, none);
        monitor
            .until(|dashboard| dashboard.runners.is_empty())
            .await;
        until("nothing is left", || {
            host.folders().is_empty() && host.machines().is_empty()
        })
        .await;
    }
}

#[actix_web::test]
async fn an_incomplete_destruction_of_a_killed_monitor_is_completed() {
    let host = Host::new();
    let monitor = Daemon::start(&host, Profile::default());
    monitor.until_idle(&[0]).await;
    monitor.kill();
    let none = Profile {
        more: "destroy_all_non_busy_runners = true",
        ..Profile::default()
    };
    let monitor = Daemon::start(&host, none);
    // The folder is moved aside before the machine is ended.
    until("the destruction has begun", || {
        host.folders() != [host.guest(0)]
    })
    .await;
    monitor.kill();
    let monitor = Daemon::start(&host, none);
    monitor
        .until(|dashboard| dashboard.runners.is_empty())
        .await;
    until("nothing is left", || {
        host.folders().is_empty() && host.machines().is_empty()
    })
    .await;
}

#[actix_web::test]
async fn the_remains_of_a_power_failure_are_removed() {
    let host = Host::new();
    let monitor = Daemon::start(&host, Profile::default());
    monitor.until_idle(&[0]).await;
    monitor.kill();
    signal("KILL", qemu_pid(&host.guest(0)));
    // A persistent machine with one of our names.
    let xml = host.path("kept.xml");
    let kept = "<domain type='qemu'><name>ci-runner-tiny.77</name><memory unit='MiB'>64</memory>\
                <os><type>hvm</type></os></domain>";
    fs::write(&xml, kept).unwrap();
    virsh(&["define", xml.to_str().unwrap()]);
    // Folders of unknown guests, and one outside the namespace.
    for name in [
        "ci-runner-tiny.55",
        ".ended-ci-runner-tiny.56",
        "build-ci-runner-tiny",
    ] {
        host.write(&format!("data/virtual/{name}/disk-0.qcow2"), "");
    }
    host.write("data/virtual/ci-other-tiny.1/disk-0.qcow2", "");
    let monitor = Daemon::start(&host, Profile::default());
    monitor
        .until(|dashboard| {
            dashboard
                .profile_runner_counts
                .values()
                .any(|it| it.idle == 1)
        })
        .await;
    until("the remains are removed", || {
        host.folders().len() == 2 && host.machines().len() == 1
    })
    .await;
    assert_eq!(host.folders(), ["ci-other-tiny.1", &host.machines()[0]]);
}

#[actix_web::test]
async fn guests_and_jobs_continue_after_a_restart_of_libvirtd() {
    let host = Host::new();
    let monitor = Daemon::start(&host, Profile::default());
    monitor.until_idle(&[0]).await;
    restart_libvirtd().await;
    let label = monitor.take("job").await;
    let job = host.queue_job(&label, "true");
    host.until_phase(job, JobPhase::Completed).await;
    monitor.until_idle(&[1]).await;
    assert_eq!(host.machines(), [host.guest(1)]);
}

#[actix_web::test]
async fn creations_fail_while_the_disk_is_full_and_then_continue() {
    let host = Host::new();
    let folder = host.path("data/virtual");
    fs::create_dir_all(&folder).unwrap();
    mount(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"], &folder);
    let monitor = Daemon::start(&host, Profile::default());
    until("a creation has failed", || {
        monitor.log().contains("failed to create a disk of guest")
    })
    .await;
    mount(&["-o", "remount,size=64m"], &folder);
    let ids = |it: &shared::wire::MonitorDashboard| {
        it.runners
            .iter()
            .map(|runner| runner.id)
            .collect::<Vec<_>>()
    };
    let dashboard = monitor
        .until(|dashboard| {
            let counts = dashboard.profile_runner_counts.values().next();
            counts.is_some_and(|counts| counts.idle == 1) && ids(dashboard).len() == 1
        })
        .await;
    host.until_only_folder(&host.guest(ids(&dashboard)[0]))
        .await;
    drop(monitor);
    host.end_machines();
    unmount(&folder);
}

#[actix_web::test]
async fn two_monitors_on_one_host_do_not_touch_each_others_guests() {
    let one = Host::new();
    let other = Host::with_prefix("ci-other");
    let first = Daemon::start_on(8000, &one, Profile::default());
    let second = Daemon::start_on(8001, &other, Profile::default());
    first.until_idle(&[0]).await;
    second.until_idle(&[0]).await;
    let none = Profile {
        more: "destroy_all_non_busy_runners = true",
        ..Profile::default()
    };
    first.kill();
    let first = Daemon::start_on(8000, &one, none);
    first.until(|dashboard| dashboard.runners.is_empty()).await;
    assert_eq!(one.machines(), [""; 0]);
    assert_eq!(other.machines(), ["ci-other-tiny.0"]);
    second.until_idle(&[0]).await;
}
