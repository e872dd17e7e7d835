//! Tests of the lifecycle of a runner without failures.

use std::path::Path;

use emulator::model::JobPhase;
use http_client::Method;
use shared::wire::MonitorDashboard;

use crate::support::{Daemon, Host, Profile, until};

#[actix_web::test]
async fn a_runner_boots_runs_its_job_powers_off_and_is_replaced() {
    let host = Host::new();
    let monitor = Daemon::start(&host, Profile::default());
    monitor.until_idle(&[0]).await;
    let has_address =
        |dashboard: &MonitorDashboard| dashboard.runners[0].runner.ipv4_address.is_some();
    let dashboard = monitor.until(has_address).await;
    let runner = &dashboard.runners[0].runner;
    assert_eq!(runner.guest_name.as_deref(), Some("ci-runner-tiny.0"));
    let address = runner.ipv4_address.unwrap();
    assert_eq!(address.octets()[..3], [192, 168, 100]);
    assert_eq!(host.machines(), ["ci-runner-tiny.0"]);
    assert_eq!(host.folders(), ["ci-runner-tiny.0"]);

    let url = dashboard.runners[0].screenshot_url.as_deref();
    assert_eq!(
        url,
        Some("http://192.168.100.1:8000/runner/0/screenshot.png")
    );
    for (path, status) in [
        ("runner/0/screenshot.png", 200),
        ("runner/0/screenshot/now", 200),
        ("runner/7/screenshot.png", 404),
        ("runner/x/screenshot/now", 404),
        ("profile/tiny/screenshot.png", 404),
        ("profile/none/screenshot.png", 404),
    ] {
        let answer = monitor.call(Method::GET, path).await;
        assert_eq!(answer.status, status, "{path}");
        let is_png = answer.body.starts_with(b"\x89PNG\r\n");
        assert_eq!(is_png, status == 200, "{path}");
    }

    let label = monitor.take("job").await;
    let job = host.queue_job(&label, "echo from the job > /dev/console");
    host.until_phase(job, JobPhase::Completed).await;
    monitor.until_idle(&[1]).await;
    assert_eq!(host.machines(), ["ci-runner-tiny.1"]);
    until("the disks of the first runner are removed", || {
        host.folders() == ["ci-runner-tiny.1"]
    })
    .await;
    let log = "/var/log/libvirt/qemu/ci-runner-tiny.0.log";
    assert!(!Path::new(log).exists(), "QEMU's log is removed");
    // Neither the credential nor the secret may be logged.
    assert!(!monitor.log().contains("eyJ"), "a credential is in the log");
}

#[actix_web::test]
async fn a_capacity_above_that_of_the_host_is_warned_of() {
    let mut host = Host::new();
    host.memory = "900T";
    let monitor = Daemon::start(&host, Profile::default());
    monitor.until_idle(&[0]).await;
    let page = monitor.call(Method::GET, "").await;
    let page = page.text().unwrap().to_owned();
    for text in [page, monitor.log()] {
        let (_, rest) = text.split_once("available_normal_memory is 900T").unwrap();
        let mut words = rest.split([' ', ':', ';', ',']);
        let mebibytes = words.find_map(|word| word.strip_suffix('M')?.parse::<u64>().ok());
        assert!(mebibytes.unwrap() > 512, "{rest:.200}");
        assert!(!text.contains("available_1g_hugepages is"), "{text}");
    }
}
