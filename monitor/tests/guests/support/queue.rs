//! A queue as a process, with the settings of a host.

use std::{
    path::Path,
    process::{Child, Command},
};

use super::{Daemon, Host};

/// A queue that runs until it is dropped.
pub struct Queue(Child);

impl Queue {
    /// Starts the queue that `run` has built beside the monitor, with the settings file of a host's
    /// monitor.
    pub fn start(host: &Host) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_monitor")).with_file_name("queue");
        let child = Command::new(program)
            .arg("--config")
            .arg(host.path("monitor.toml"))
            .env("SERVO_CI_MONITOR_API_TOKEN", Daemon::API_TOKEN)
            .env("SERVO_CI_MONITOR_DATA_PATH", host.path("queue-data"))
            .env("RUST_LOG", "error")
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
