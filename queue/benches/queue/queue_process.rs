//! The queue's executable as a process of its own.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    fake_monitor::{API_TOKEN, FakeMonitor},
    http::{Connection, request},
    load::{self, Outcome, Until},
    options::Binary,
};

/// Pause between two checks of a condition in another process, and how many there are.
const CHECK_PAUSE: Duration = Duration::from_millis(50);
const CHECKS_MAX: usize = 400;
/// Connections over which jobs are enqueued when it is not measured.
const CONNECTIONS: usize = 16;

/// A running queue; killed when dropped.
pub struct QueueProcess {
    pub name: String,
    pub address: SocketAddr,
    process: Child,
    _folder: tempfile::TempDir,
}

/// A job, as its client knows it.
#[derive(Clone)]
pub struct Job {
    pub unique_id: String,
    pub ticket: String,
}

impl QueueProcess {
    /// Starts a queue in front of these monitors and waits until it hands out runners.
    pub fn start(binary: &Binary, monitors: &[FakeMonitor]) -> Self {
        let servers: Vec<&str> = monitors
            .iter()
            .map(|monitor| monitor.url.as_str())
            .collect();
        let folder = tempfile::tempdir().expect("a temporary folder can be created");
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
        let process = Command::new(&binary.path)
            .arg("--port")
            .arg(address.port().to_string())
            .current_dir(folder.path())
            .env("SERVO_CI_MONITOR_API_TOKEN", API_TOKEN)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()
            .expect("the queue can be started");
        let queue = Self {
            name: binary.name.clone(),
            address,
            process,
            _folder: folder,
        };
        queue.wait_until("it is ready", |queue| {
            let is_listening = TcpStream::connect(queue.address).is_ok();
            let ready = request("GET", "/readyz", "");
            is_listening && Connection::to(queue.address).request(&ready).status() == 200
        });
        queue
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Enqueues a job.
    pub fn enqueue(&self, unique_id: &str) -> Job {
        let mut connection = Connection::to(self.address);
        let response = connection.request(&enqueue_request(unique_id));
        assert_eq!(response.status(), 200, "{}", response.body());
        Job {
            unique_id: unique_id.to_owned(),
            ticket: response.body().to_owned(),
        }
    }

    /// Enqueues so many jobs and forgets their tickets.
    pub fn enqueue_many(&self, prefix: &str, count: usize, connections: usize) -> Outcome {
        load::run(
            self.address,
            connections,
            Until::Sent(count),
            200,
            |number| enqueue_request(&format!("{prefix}-{number}")),
        )
    }

    /// Withdraws the jobs that `enqueue_many` enqueued.
    pub fn withdraw_many(&self, prefix: &str, count: usize) {
        load::run(
            self.address,
            CONNECTIONS,
            Until::Sent(count),
            204,
            |number| request("DELETE", &format!("/job/{prefix}-{number}"), &bearer()),
        );
    }

    /// Begins a take that is held for a minute.
    pub fn hold(&self, job: &Job) -> Connection {
        let mut connection = Connection::to(self.address);
        connection.send(&take_request(job, "Prefer: wait=60\r\n"));
        connection
    }

    /// Waits until a request that was sent before this is held: an answer that came later proves
    /// that each thread has read what arrived before.
    pub fn wait_until_waiting(&self, job: &Job) {
        let inspect = request("GET", &format!("/job/{}", job.unique_id), &bearer());
        self.wait_until("the job waits", |queue| {
            let mut connection = Connection::to(queue.address);
            connection.request(&inspect).body().contains("\"waiting\"")
        });
    }

    fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..CHECKS_MAX {
            if is_so(self) {
                return;
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "there is nothing to wait on in another process"
            )]
            std::thread::sleep(CHECK_PAUSE);
        }
        panic!("waited {:?} until {what}", CHECK_PAUSE * CHECKS_MAX as u32);
    }
}

/// The bytes of an enqueue.
pub fn enqueue_request(unique_id: &str) -> Vec<u8> {
    let path = format!(
        "/profile/linux/enqueue?unique_id={unique_id}&qualified_repo=delan/servo&run_id=1234567"
    );
    request("POST", &path, &bearer())
}

/// The bytes of a take.
pub fn take_request(job: &Job, headers: &str) -> Vec<u8> {
    let path = format!("/take/{}?token={}", job.unique_id, job.ticket);
    request("POST", &path, headers)
}

fn bearer() -> String {
    format!("Authorization: Bearer {API_TOKEN}\r\n")
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a listener has an address")
}

impl Drop for QueueProcess {
    fn drop(&mut self) {
        // It may have ended by itself, which has been reported by then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
