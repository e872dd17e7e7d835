//! A daemon as a process: its start, its log, its memory, its disk, its end.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::GITHUB_TOKEN;
use crate::{fake_monitor::API_TOKEN, http::Connection, wait};

/// How the daemons are started, also a second time.
pub struct Launcher {
    /// Where the executables are.
    pub(super) executables: PathBuf,
    /// Where `monitor.toml` is, and what the daemons write.
    pub(super) folder: PathBuf,
    pub(super) environment: Vec<(String, String)>,
    pub(super) open_files_max: u64,
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    pub address: SocketAddr,
    process: Child,
    log: PathBuf,
}

/// Lowers the limit of open files of the process that the shell becomes. A write beyond the limit of
/// [`Daemon::fill_disk`] fails instead of ending that process.
const SCRIPT: &str = "trap '' XFSZ && ulimit -S -n \"$1\" && shift && exec \"$@\"";

impl Launcher {
    /// Starts the executable of this name and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(&self, name: &'static str, address: SocketAddr) -> Daemon {
        self.try_start(name, address).unwrap_or_else(|status| {
            let log = fs::read_to_string(self.log(name)).unwrap_or_default();
            panic!("{name} ended with {status}: {log}")
        })
    }

    /// Starts the executable of this name and waits until it answers, or ends.
    ///
    /// # Errors
    /// How it has ended.
    pub fn try_start(&self, name: &'static str, address: SocketAddr) -> Result<Daemon, ExitStatus> {
        let log = self.log(name);
        let log_file = fs::File::create(&log).expect("the folder can be written to");
        let process = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .arg(self.open_files_max.to_string())
            .arg(self.executables.join(name))
            .arg("--config")
            .arg(self.folder.join("monitor.toml"))
            .current_dir(&self.folder)
            .env("SERVO_CI_MONITOR_API_TOKEN", API_TOKEN)
            .env("GITHUB_TOKEN", GITHUB_TOKEN)
            .env("SERVO_CI_MONITOR_DATA_PATH", self.folder.join("data"))
            .env_remove("RUST_LOG")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log_file)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let mut daemon = Daemon {
            address,
            process,
            log,
        };
        wait::until("the daemon answers", || {
            if let Ok(Some(status)) = daemon.process.try_wait() {
                return Some(Err(status));
            }
            // It may listen before it has read its files.
            let answer =
                Connection::to(address).and_then(|mut it| it.request("GET", "/healthz", ""));
            answer.ok().map(Ok)
        })?;
        Ok(daemon)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }
}

impl Daemon {
    /// What it has logged.
    pub fn log(&self) -> String {
        let log = fs::read(&self.log).expect("the log can be read");
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Ends it at once, as a crash does.
    pub fn stop(&mut self) {
        // It may have ended by itself, which the attack has noticed then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Lets every write to a file fail from now on, as on a full disk, or lets them succeed again.
    pub fn fill_disk(&self, is_full: bool) {
        let id = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw);
        let limit = Rlimit {
            current: is_full.then_some(0),
            maximum: getrlimit(Resource::Fsize).maximum,
        };
        prlimit(id, Resource::Fsize, limit).expect("the limit of an own process can be set");
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

/// The first port that is tried. Systems choose the ports of outgoing connections above 32,768, so that
/// none of those takes one of these before a daemon listens on it.
const FIRST_PORT: u16 = 12_000;
const PORTS: u16 = 18_000;

/// An address of the loopback interface with a free port, another one at each call.
pub(super) fn free_address() -> SocketAddr {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    // Two runs at the same time begin at different ports.
    let first = std::process::id().wrapping_mul(97);
    let mut ports = (0..PORTS).map(|_| {
        let number = first.wrapping_add(CALLS.fetch_add(1, Ordering::Relaxed)) % u32::from(PORTS);
        FIRST_PORT + u16::try_from(number).unwrap_or_default()
    });
    let free = ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    (Ipv4Addr::LOCALHOST, free.expect("loopback has a free port")).into()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}
