//! The guests of the other system's monitor. In place of virtual machines they are agents of the emulator, where
//! the driver of our monitor looks for its guests: in place of libvirt's list of domains.

use std::{fs, os::unix::process::CommandExt, path::Path, process::Stdio};

/// Records its own process as the driver does, then runs the command.
const SCRIPT: &str = r#"
{ cat /proc/sys/kernel/random/boot_id; cat "/proc/$$/stat"; } > leader.new
mv leader.new leader
cd work
exec "$@"
"#;

/// Starts a guest. It asks the monitor at `monitor_url` for its JIT configuration, with its name as its secret.
pub fn start(data: &Path, name: &str, monitor_url: &str) {
    let folder = data.join("guests").join(name);
    fs::create_dir_all(folder.join("work")).unwrap();
    let mut command = std::process::Command::new("sh");
    command
        .args(["-ec", SCRIPT, "sh", env!("CARGO_BIN_EXE_ci-runners-dev")])
        .args(["agent", "--give-up-after", "2s"])
        .current_dir(&folder)
        .env("CI_RUNNERS_GUEST_NAME", name)
        .env("CI_RUNNERS_GUEST_FOLDER", folder.canonicalize().unwrap())
        .env("CI_RUNNERS_GUEST_SECRET", name)
        .env("CI_RUNNERS_MONITOR_URL", monitor_url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    let mut child = command.spawn().unwrap();
    // Otherwise it would seem to run for as long as this process does.
    std::thread::spawn(move || child.wait());
}

/// The names of the guests that run, as `virsh list --name` prints those of domains.
pub fn names(data: &Path) -> Vec<String> {
    let folders = fs::read_dir(data.join("guests")).unwrap().flatten();
    let names = folders.map(|folder| folder.file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with("ci-runner-"))
        .collect()
}
