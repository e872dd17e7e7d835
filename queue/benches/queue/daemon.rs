//! The queue's real binary as a process of its own.

use std::{
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    API_TOKEN,
    load::{Connection, request},
};

/// How often a queue that starts is asked whether it is ready.
const READY_PAUSE: Duration = Duration::from_millis(50);
const READY_TRIES: usize = 400;

/// A running queue; killed when dropped.
pub struct QueueProcess {
    /// Where it listens.
    pub address: SocketAddr,
    process: Child,
    _folder: tempfile::TempDir,
}

/// A take that is held.
pub struct Held(Connection);

impl Held {
    /// Waits for its runner.
    pub fn answer(mut self) {
        let (status, body) = self.0.receive();
        assert_eq!(status, 200, "{body}");
    }
}

impl QueueProcess {
    /// Starts a queue in front of `servers` and waits until it gives out runners.
    pub fn start(servers: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let settings = format!(
            r#"
listen_on = ["127.0.0.1"]
external_base_url = "http://127.0.0.1:8000/"
github_api_scope = "/orgs/delan"
allowed_qualified_repo_prefix = "delan/"
github_api_suffix = "bench"
available_normal_memory = "1G"
[queue]
servers = {servers:?}
settle = 1
jobs_max = 1000000
abandon_after = "1h"
"#
        );
        std::fs::write(folder.path().join("monitor.toml"), settings)
            .expect("the folder can be written to");
        let address = free_address();
        let process = Command::new(env!("CARGO_BIN_EXE_queue"))
            .arg("--port")
            .arg(address.port().to_string())
            .current_dir(folder.path())
            .env("SERVO_CI_MONITOR_API_TOKEN", API_TOKEN)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()
            .expect("the queue can be started");
        let queue = Self {
            address,
            process,
            _folder: folder,
        };
        queue.wait_until(|queue| {
            std::net::TcpStream::connect(queue.address).is_ok()
                && Connection::to(queue.address)
                    .ask(&request("GET", "/readyz", ""))
                    .0
                    == 200
        });
        queue
    }

    /// How much memory it has in use.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))
            .unwrap_or_default();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap_or("0 kB");
        line.trim()
            .trim_end_matches(" kB")
            .parse::<u64>()
            .unwrap_or(0)
            * 1024
    }

    /// Enqueues a job; its name and its ticket.
    pub fn enqueue(&self, unique_id: &str) -> (String, String) {
        let path = format!(
            "/profile/linux/enqueue?unique_id={unique_id}&qualified_repo=delan/servo&run_id=1"
        );
        let request = request(
            "POST",
            &path,
            &format!("Authorization: Bearer {API_TOKEN}\r\n"),
        );
        let (status, ticket) = Connection::to(self.address).ask(&request);
        assert_eq!(status, 200, "{ticket}");
        (unique_id.to_owned(), ticket)
    }

    /// Enqueues so many jobs, at the end of the line.
    pub fn tickets(&self, count: usize) -> Vec<(String, String)> {
        (0..count)
            .map(|number| self.enqueue(&format!("poll-{number}")))
            .collect()
    }

    /// Begins a take that is held for a minute.
    pub fn hold(&self, unique_id: &str, ticket: &str) -> Held {
        let mut connection = Connection::to(self.address);
        connection.send(&request(
            "POST",
            &format!("/take/{unique_id}?token={ticket}"),
            "Prefer: wait=60\r\n",
        ));
        Held(connection)
    }

    /// Waits until the job of this number waits.
    pub fn wait_until_waiting(&self, number: usize) {
        let path = format!("/job/held-{number}");
        let inspect = request(
            "GET",
            &path,
            &format!("Authorization: Bearer {API_TOKEN}\r\n"),
        );
        self.wait_until(|queue| {
            Connection::to(queue.address)
                .ask(&inspect)
                .1
                .contains("\"waiting\"")
        });
    }

    fn wait_until(&self, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..READY_TRIES {
            if is_so(self) {
                return;
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "there is nothing to wait on in another process"
            )]
            std::thread::sleep(READY_PAUSE);
        }
        panic!("the queue did not come to it in time");
    }
}

impl Drop for QueueProcess {
    fn drop(&mut self) {
        // It may have ended by itself, which has been reported by then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a listener has an address")
}
