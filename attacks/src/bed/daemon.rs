//! A daemon as a process: its log, its memory, its end.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{BedSettings, Daemons, GITHUB_TOKEN};
use crate::{fake_monitor::API_TOKEN, http::Connection, wait};

/// A running daemon; killed when dropped.
pub struct Daemon {
    pub address: SocketAddr,
    process: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts the executable of this name and waits until it listens.
    pub(super) fn start(
        daemons: &Daemons,
        name: &str,
        address: SocketAddr,
        folder: &Path,
        settings_text: &str,
        settings: &BedSettings<'_>,
    ) -> Self {
        let settings_file = folder.join("monitor.toml");
        let log = folder.join(format!("{name}.log"));
        fs::write(&settings_file, settings_text).expect("the folder can be written to");
        let log_file = fs::File::create(&log).expect("the folder can be written to");
        // A shell, which lowers the limit of the process that it becomes.
        let process = Command::new("sh")
            .args(["-c", "ulimit -S -n \"$1\" && shift && exec \"$@\"", "sh"])
            .arg(settings.open_files_max.to_string())
            .arg(daemons.folder.join(name))
            .arg("--config")
            .arg(&settings_file)
            .current_dir(folder)
            .env("SERVO_CI_MONITOR_API_TOKEN", API_TOKEN)
            .env("GITHUB_TOKEN", GITHUB_TOKEN)
            .env("SERVO_CI_MONITOR_DATA_PATH", folder.join("data"))
            .env_remove("RUST_LOG")
            .envs(settings.environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log_file)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let mut daemon = Self {
            address,
            process,
            log,
        };
        wait::until("the daemon listens", || {
            if let Ok(Some(status)) = daemon.process.try_wait() {
                panic!("{name} ended with {status}: {}", daemon.log());
            }
            Connection::to(address).ok()
        });
        daemon
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        let log = fs::read(&self.log).expect("the log can be read");
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The memory that it uses at most so far, in MB.
    pub fn peak_megabytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("a running process has a status file");
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        let kilobytes: Option<u64> = peak.and_then(|kilobytes| kilobytes.parse().ok());
        kilobytes.expect("the status shows the memory") / 1024
    }
}

/// An address of the loopback interface with a free port.
pub(super) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.expect("loopback has a free port")
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself, which the attack has noticed then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
