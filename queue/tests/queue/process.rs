//! The queue as a process of its own, whose standard error is in every state that a supervisor can leave
//! it in.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, ChildStderr, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::support::{API_TOKEN, FakeMonitor, Response, TIMEOUT, http, wait_until};

/// A running queue, which is killed when this is dropped.
struct Process {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &TempDir) -> Command {
    let settings = "listen_on = [\"127.0.0.1\"]\n\
                    external_base_url = \"http://127.0.0.1:8000/\"\n\
                    github_api_scope = \"/orgs/servo\"\n\
                    github_api_suffix = \"test\"\n\
                    allowed_qualified_repo_prefix = \"servo/\"\n\
                    available_normal_memory = \"16G\"\n\
                    [queue]\nservers = [\"http://127.0.0.1:9\"]\nport = 0\n";
    fs::write(folder.path().join("monitor.toml"), settings).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_queue"));
    command
        .current_dir(folder.path())
        .env("SERVO_CI_MONITOR_API_TOKEN", API_TOKEN)
        // Every request is logged then.
        .env("RUST_LOG", "trace")
        .stdin(Stdio::null());
    command
}

/// A queue whose standard error is a pipe, and its reading end.
fn start() -> (Process, BufReader<ChildStderr>) {
    let mut process = start_with(Stdio::piped());
    let log = process.child.stderr.take().unwrap();
    (process, BufReader::new(log))
}

#[test]
fn the_log_can_be_json_with_the_fields_of_each_event() {
    let monitor = FakeMonitor::start();
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let mut command = command(&folder);
    command.arg(format!("--port={}", address.port()));
    command.env("SERVO_CI_MONITOR_LOG_FORMAT", "json");
    command.env(
        "SERVO_CI_MONITOR_QUEUE__SERVERS",
        format!("[{:?}]", monitor.url),
    );
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut process = Process {
        child,
        address,
        folder,
    };
    let log = process.child.stderr.take().unwrap();
    wait_until("the queue", || TcpStream::connect(address).ok());
    let bearer = format!("Bearer {API_TOKEN}");
    let target = "/profile/linux/enqueue?unique_id=job&qualified_repo=servo/servo&run_id=7";
    wait_until("the job to be accepted", || {
        let headers = [("authorization", &*bearer)];
        let response = http::send(address, "POST", target, &headers).response();
        (response.status == 200).then_some(())
    });
    for line in BufReader::new(log).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        for field in ["time", "level", "target"] {
            assert!(line[field].is_string(), "{line}");
        }
        if line["event"] == "job_enqueued" {
            assert_eq!(
                (&line["unique_id"], &line["run_id"], &line["by"]),
                (&"job".into(), &7.into(), &"api_token".into())
            );
            return;
        }
        assert!(line["message"].is_string(), "{line}");
    }
    panic!("the event is not logged");
}

fn start_with(standard_error: impl Into<Stdio>) -> Process {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let port = format!("--port={}", address.port());
    let child = command(&folder).arg(port).stderr(standard_error).spawn();
    let process = Process {
        child: child.unwrap(),
        address,
        folder,
    };
    wait_until("the queue", || TcpStream::connect(address).ok());
    process
}

/// Reads the log until a line contains `part`.
fn until_logged(log: &mut BufReader<ChildStderr>, part: &str) {
    for line in log.lines() {
        if line.unwrap().contains(part) {
            return;
        }
    }
    panic!("the log ended before a line with {part:?}");
}

fn hang_up(process: &Process) {
    let mut kill = Command::new("kill");
    kill.arg("-HUP").arg(process.child.id().to_string());
    assert!(kill.status().unwrap().success());
}

#[test]
fn sighup_reloads_the_settings_and_a_mistake_is_a_problem() {
    let (process, mut log) = start();
    let file = process.folder.path().join("monitor.toml");
    let valid = fs::read_to_string(&file).unwrap();
    let reload = |text: &str| {
        fs::write(&file, text).unwrap();
        hang_up(&process);
    };
    reload(&format!("{valid}jobs_max = 7\n"));
    until_logged(
        &mut log,
        "in force now: queue.jobs_max; after a restart: none",
    );
    reload(&format!("{valid}jobs_max = 'seven'\n"));
    until_logged(&mut log, "settings_not_reloaded");
    assert_eq!(process.get("/healthz").status, 200);
    let stories = fs::read_dir(process.folder.path().join("data/queue/journal")).unwrap();
    let journal = stories.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let journal = journal.collect::<String>();
    assert!(
        journal.contains("\"action\":\"reload\",\"authorised_by\":\"signal\""),
        "{journal}"
    );
}

/// A queue that `script` starts: its arguments are the program and the port.
fn start_in_shell(folder: TempDir, address: SocketAddr, script: &str) -> Process {
    let queue = command(&folder);
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(queue.get_program());
    shell.arg(address.port().to_string());
    for (name, value) in queue.get_envs() {
        shell.env(name, value.unwrap());
    }
    let child = shell
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .spawn();
    let process = Process {
        child: child.unwrap(),
        address,
        folder,
    };
    wait_until("the queue", || TcpStream::connect(address).ok());
    process
}

impl Process {
    fn get(&self, target: &str) -> Response {
        http::send(self.address, "GET", target, &[]).response()
    }

    /// The number of dropped lines in the metrics.
    fn dropped_count(&self) -> u64 {
        let metrics = self.get("/metrics").expect_text(200);
        let name = "ci_runners_queue_log_lines_dropped_total ";
        let mut lines = metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix(name));
        value.expect("the metric exists").parse().unwrap()
    }

    /// Sends requests until lines of the log are dropped.
    fn until_lines_are_dropped(&self) {
        wait_until("dropped lines", || {
            for _ in 0..50 {
                assert_eq!(self.get("/healthz").status, 200);
            }
            (self.dropped_count() > 0).then_some(())
        });
    }

    /// Asserts that every kind of request is answered.
    fn assert_serves(&self) {
        for (method, target, status) in [
            ("GET", "/", 200),
            ("GET", "/dashboard.json", 200),
            ("GET", "/dashboard.txt", 200),
            ("GET", "/healthz", 200),
            ("GET", "/nowhere", 404),
            ("POST", "/profile/linux/enqueue?unique_id=a", 401),
        ] {
            let response = http::send(self.address, method, target, &[]).response();
            assert_eq!(response.status, status, "{method} {target}: {response:?}");
        }
    }

    fn problem_codes(&self) -> Vec<String> {
        let dashboard: Value = self.get("/dashboard.json").expect_json(200);
        let problems = dashboard["problems"].as_array().unwrap().iter();
        let codes = problems.map(|problem| problem["code"].as_str().unwrap().to_owned());
        codes.collect()
    }

    /// Asserts that the process ends regularly when it is asked to.
    fn assert_ends(mut self) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").arg(id).status().unwrap();
        assert!(asked.success());
        let status = wait_until("the end of the queue", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

#[test]
fn a_log_that_nothing_reads_never_blocks_the_queue() {
    let (process, mut log) = start();
    process.until_lines_are_dropped();
    process.assert_serves();
    let problem = "log_lines_dropped".to_owned();
    wait_until("the problem", || {
        process.problem_codes().contains(&problem).then_some(())
    });

    // Once it is read again, one line tells what is missing.
    let missing = wait_until("the line about missing lines", || {
        // Many at a time: each call yields the processor, which takes long on a busy machine.
        (0..1000).find_map(|_| {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the queue has ended");
            line.contains(" of the log are missing here")
                .then_some(line)
        })
    });
    assert!(
        missing.contains("WARN  queue::daemon::log_output] "),
        "{missing}"
    );
    let reader = std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
    process.assert_ends();
    reader.join().unwrap().unwrap();
}

/// Requests that any client can send, with the cause under which each is counted.
const STRANGERS: &[(&str, &str)] = &[
    ("GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n", "not_found"),
    ("PUT / HTTP/1.1\r\nhost: a\r\n\r\n", "method_not_allowed"),
    (
        "POST /profile/linux/enqueue?unique_id=a HTTP/1.1\r\nhost: a\r\n\r\n",
        "unauthorised",
    ),
    (
        "POST /profile/linux/enqueue HTTP/1.1\r\nhost: a\r\nauthorization: Bearer x\r\n\r\n",
        "wrong_token",
    ),
    (
        "POST /take/a?token=x HTTP/1.1\r\nhost: a\r\n\r\n",
        "wrong_ticket",
    ),
    (
        "POST /enqueue?unique_id=a&qualified_repo=evil/a&run_id=1 HTTP/1.1\r\nhost: a\r\n\r\n",
        "not_authorised",
    ),
    ("POST /enqueue HTTP/1.1\r\nhost: a\r\n\r\n", "bad_request"),
    ("\x16\x03\x01\0 no HTTP\r\n\r\n", "malformed_http"),
    ("GET / HTTP/9.9\r\n\r\n", "malformed_http"),
    (
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "malformed_http",
    ),
];

#[test]
fn strangers_do_not_fill_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let mut command = command(&folder);
    command
        .env_remove("RUST_LOG")
        .env("GITHUB_TOKEN", "a-token-for-tests");
    let port = format!("--port={}", address.port());
    let child = command.arg(port).stderr(Stdio::piped()).spawn();
    let mut process = Process {
        child: child.unwrap(),
        address,
        folder,
    };
    let mut log = process.child.stderr.take().unwrap();
    wait_until("the queue", || TcpStream::connect(address).ok());
    for _ in 0..40 {
        for (request, _) in STRANGERS {
            http::send_bytes(address, request.as_bytes()).hang_up_or_response();
        }
    }
    let metrics = process.get("/metrics").expect_text(200);
    for (_, cause) in STRANGERS {
        let name = format!("ci_runners_queue_refused_total{{cause=\"{cause}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        let count: u64 = line
            .unwrap_or_else(|| panic!("{cause}: {metrics}"))
            .parse()
            .unwrap();
        assert!(count >= 40, "{cause} {count}");
    }
    process.assert_ends();
    let mut text = String::new();
    log.read_to_string(&mut text).unwrap();
    let lines = text.lines().count();
    assert!(lines < 20, "{lines} lines: {text}");
    assert!(
        text.contains(" events since the last such line: "),
        "{text}"
    );
}

#[test]
fn idle_strangers_leave_room_for_clients() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    // Descriptors for 192 connections.
    let script = "ulimit -n 256; exec \"$0\" \"--port=$1\"";
    let process = start_in_shell(folder, address, script);
    let mut strangers = Vec::new();
    for number in 0..500 {
        let mut stream = TcpStream::connect(address).unwrap();
        match number % 3 {
            0 => {}
            // The head of a request that never ends.
            1 => drop(stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx: ")),
            // A connection that is kept after a response.
            _ => drop(stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")),
        }
        strangers.push(stream);
        if number % 50 == 0 {
            process.assert_serves();
        }
    }
    for _ in 0..20 {
        process.assert_serves();
    }
    let metrics = process.get("/metrics").expect_text(200);
    let closed = "ci_runners_queue_refused_total{cause=\"connections_closed_for_others\"}";
    assert!(metrics.contains(closed), "{metrics}");
    assert!(!metrics.contains("connection_not_accepted"), "{metrics}");
    process.assert_ends();
}

#[test]
fn long_heads_of_many_strangers_leave_memory_for_clients() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let process = start_in_shell(folder, address, "exec \"$0\" \"--port=$1\"");
    // 30 MB together.
    let part = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(100_000));
    let strangers: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            // The queue may close the connection in the middle.
            let _ = stream.write_all(part.as_bytes());
            stream
        })
        .collect();
    let closed = "ci_runners_queue_refused_total{cause=\"request_heads_too_long\"}";
    wait_until("closed connections", || {
        process
            .get("/metrics")
            .expect_text(200)
            .contains(closed)
            .then_some(())
    });
    process.assert_serves();
    drop(strangers);
    // Once they have gone, a long head is received again.
    let path = format!("/nowhere?{}", "y".repeat(20_000));
    wait_until("a response to a long request", || {
        let response = http::send(address, "GET", &path, &[]).response_or_end();
        response.is_some_and(|it| it.status == 404).then_some(())
    });
    process.assert_ends();
}

#[test]
fn requests_that_are_sent_without_waiting_are_answered_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let script = "RUST_LOG=info exec \"$0\" \"--port=$1\"";
    let process = start_in_shell(folder, address, script);
    let count = 3000;
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let requests: String = (0..count)
            .map(|number| {
                let path = if number % 10 == 9 { "/" } else { "/healthz" };
                let close = if number == count - 1 {
                    "connection: close\r\n"
                } else {
                    ""
                };
                format!("GET {path} HTTP/1.1\r\nhost: a\r\n{close}\r\n")
            })
            .collect();
        writer.write_all(requests.as_bytes()).unwrap();
    });
    let mut responses = Vec::new();
    stream.read_to_end(&mut responses).unwrap();
    sender.join().unwrap();
    let text = String::from_utf8(responses).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), count);
    assert_eq!(text.matches("alive\n").count(), count - count / 10);
    process.assert_ends();
}

#[test]
fn a_log_that_nothing_reads_does_not_keep_the_queue_from_ending() {
    let (process, log) = start();
    process.until_lines_are_dropped();
    process.assert_ends();
    drop(log);
}

#[test]
fn a_log_whose_reader_has_gone_costs_only_lines() {
    let (process, log) = start();
    // What a restart of journald does: writing fails with EPIPE from now on.
    drop(log);
    process.until_lines_are_dropped();
    process.assert_serves();
    process.assert_ends();
}

#[test]
fn a_full_disk_below_the_log_costs_only_lines() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let process = start_with(full.unwrap());
    process.until_lines_are_dropped();
    process.assert_serves();
    process.assert_ends();
}

#[test]
fn a_queue_without_standard_error_works() {
    let folder = tempfile::tempdir().unwrap();
    let script = "exec \"$0\" \"--port=$1\" 2>&-";
    let process = start_in_shell(folder, free_address(), script);
    process.assert_serves();
    assert!(process.folder.path().join("data").exists());
    process.assert_ends();
}

#[test]
fn the_umask_of_the_supervisor_has_no_effect() {
    for umask in ["077", "000"] {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let script = format!("umask {umask}; exec \"$0\" \"--port=$1\"");
        let process = start_in_shell(folder, address, &script);
        let id = process.child.id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        assert!(status.contains("Umask:\t0022"), "{umask}: {status}");
    }
}

#[test]
fn a_queue_waits_for_its_predecessor_to_release_the_port() {
    let predecessor = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = predecessor.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut child = command(&folder)
        .arg(format!("--port={}", address.port()))
        .env("RUST_LOG", "info")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let process = Process {
        child,
        address,
        folder,
    };
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    let waiting = format!("waiting to listen on {address}: Address already in use");
    assert!(line.contains(&waiting), "{line}");
    // A reload during the start does not end it, and is not lost.
    let file = process.folder.path().join("monitor.toml");
    let settings = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{settings}jobs_max = 7\n")).unwrap();
    hang_up(&process);
    drop(predecessor);
    wait_until("the queue", || {
        let connected = TcpStream::connect(address).ok()?;
        connected.set_read_timeout(Some(TIMEOUT)).unwrap();
        Some(())
    });
    process.assert_serves();
    until_logged(&mut log, "in force now: queue.jobs_max;");
}

/// An address with a port that was free a moment ago.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
