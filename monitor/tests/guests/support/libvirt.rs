//! Access to the suite's libvirt and to processes of its guests.

use std::{fs, process::Command};

use super::until;

const PID_FILE: &str = "/run/libvirtd.pid";

/// Runs `virsh`, and returns its output.
pub fn virsh(words: &[&str]) -> String {
    let output = Command::new("virsh").args(words).output().unwrap();
    assert!(
        output.status.success(),
        "virsh {words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Ends a guest, which may end by itself meanwhile.
pub fn end(guest: &str) {
    let ended = Command::new("virsh").args(["destroy", guest]).output();
    assert!(ended.is_ok(), "virsh cannot be run");
}

/// Sends a signal, such as `KILL`, to a process.
pub fn signal(signal: &str, pid: u32) {
    let sent = Command::new("kill")
        .args(["-s", signal, &pid.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// The pid of the QEMU of a guest.
pub fn qemu_pid(guest: &str) -> u32 {
    fs::read_to_string(format!("/run/libvirt/qemu/{guest}.pid"))
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

/// The number of `virsh event` processes.
pub fn event_process_count() -> usize {
    let processes = fs::read_dir("/proc").unwrap();
    let is_event_process = |line: &[u8]| {
        let mut words = line.split(|byte| *byte == 0);
        words.next() == Some(b"virsh") && words.any(|word| word == b"event")
    };
    processes
        .filter_map(|process| fs::read(process.unwrap().path().join("cmdline")).ok())
        .filter(|line| is_event_process(line))
        .count()
}

/// Ends libvirtd and starts it again, as an update of its package does.
pub async fn restart_libvirtd() {
    let pid: u32 = fs::read_to_string(PID_FILE)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    signal("TERM", pid);
    let process = format!("/proc/{pid}/cmdline");
    // A zombie has an empty command line.
    until("libvirtd has ended", || {
        fs::read(&process).is_ok_and(|it| it.is_empty()) || fs::metadata(&process).is_err()
    })
    .await;
    let started = Command::new("libvirtd")
        .args(["--daemon", "--pid-file", PID_FILE])
        .status();
    assert!(started.unwrap().success());
}
