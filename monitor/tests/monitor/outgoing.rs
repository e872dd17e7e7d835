//! The real process behind a proxy, and with broken root certificates.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use tempfile::TempDir;

/// How long the process may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A folder with settings in which GitHub is at `github_api_url`, and `certificates/` with a broken
/// file.
fn folder(github_api_url: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let settings = format!(
        r#"
        listen_on = ["127.0.0.1"]
        port = 0
        external_base_url = "http://127.0.0.1:8000/"
        github_api_url = "{github_api_url}"
        github_api_scope = "/orgs/acme"
        github_api_suffix = "host"
        allowed_qualified_repo_prefix = "acme/"
        available_normal_memory = "64G"
        "#
    );
    fs::write(folder.path().join("monitor.toml"), settings).unwrap();
    let certificates = folder.path().join("certificates");
    fs::create_dir(&certificates).unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nhunter2!\n-----END CERTIFICATE-----\n";
    fs::write(certificates.join("broken.pem"), broken).unwrap();
    std::os::unix::fs::symlink("endless.pem", certificates.join("endless.pem")).unwrap();
    folder
}

fn monitor(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_monitor"));
    command
        .arg("--config")
        .arg(folder.join("monitor.toml"))
        .env("GITHUB_TOKEN", "token")
        .env("SERVO_CI_MONITOR_API_TOKEN", "token-of-the-tests")
        .env("SERVO_CI_MONITOR_DATA_PATH", folder.join("data"))
        .env("SSL_CERT_DIR", folder.join("certificates"))
        .env_remove("SSL_CERT_FILE");
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command
}

/// A process that is killed at the end of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the process; returns it with the lines of its log.
fn start(command: &mut Command) -> (Running, mpsc::Receiver<String>) {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    (Running(child), lines)
}

fn wait_for_line(lines: &mpsc::Receiver<String>, wanted: &str) {
    let mut seen = Vec::new();
    while !seen
        .last()
        .is_some_and(|line: &String| line.contains(wanted))
    {
        match lines.recv_timeout(TIMEOUT) {
            Ok(line) => seen.push(line),
            Err(error) => panic!("no line with {wanted:?}: {error}: {seen:#?}"),
        }
    }
}

/// Accepts connections, answers each with 403, and sends the first line of each request.
fn proxy() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut beginning = [0; 1024];
            let length = stream.read(&mut beginning).unwrap();
            let text = String::from_utf8_lossy(&beginning[..length]);
            let _ = sender.send(text.lines().next().unwrap_or_default().to_owned());
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
        }
    });
    (address, requests)
}

#[test]
fn github_is_asked_through_the_proxy_of_the_environment() {
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let folder = folder("https://api.github.test");
        let (address, requests) = proxy();
        let mut command = monitor(folder.path());
        command.env(name, format!("http://user:hunter2@{address}"));
        let (_running, lines) = start(&mut command);
        let expected =
            format!("requests to GitHub go through the proxy http://{address}, as {name} says");
        wait_for_line(&lines, &expected);
        let request = requests.recv_timeout(TIMEOUT).unwrap();
        assert_eq!(request, "CONNECT api.github.test:443 HTTP/1.1", "{name}");
    }
}

#[test]
fn the_proxy_may_be_set_in_the_file_and_has_exceptions() {
    let (github, requests_to_github) = proxy();
    let (address, requests) = proxy();
    let folder = folder(&format!("https://{github}"));
    let text = format!("https_proxy=http://{address}\nno_proxy=127.0.0.0/8\n");
    fs::write(folder.path().join(".env"), text).unwrap();
    let (_running, _lines) = start(&mut monitor(folder.path()));
    // The beginning of a TLS handshake.
    requests_to_github.recv_timeout(TIMEOUT).unwrap();
    assert!(requests.try_recv().is_err());
}

#[test]
fn an_invalid_proxy_is_refused_with_the_remedy() {
    let folder = folder("https://api.github.test");
    let output = monitor(folder.path())
        .arg("--check")
        .env("HTTPS_PROXY", "socks5://user:hunter2@127.0.0.1:1080")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.starts_with("monitor: HTTPS_PROXY: "), "{text}");
    assert!(text.contains("http://proxy.example:3128"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn broken_root_certificates_are_warned_of_and_end_nothing() {
    let folder = folder("https://api.github.test");
    let output = monitor(folder.path()).arg("--check").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    for expected in ["endless.pem", "it is left out", "none can be used"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let mut printed = String::new();
    let _ = (&output.stdout[..]).read_to_string(&mut printed);
    assert!(printed.ends_with("is ok\n"), "{printed}");

    let (_running, lines) = start(&mut monitor(folder.path()));
    wait_for_line(&lines, "it is left out");
    wait_for_line(&lines, "monitor listens on");
}

#[test]
fn a_name_that_github_would_refuse_is_refused_with_the_remedy() {
    let folder = folder("https://api.github.test");
    let file = folder.path().join("monitor.toml");
    for (suffix_length, status) in [(20, 0), (40, 2)] {
        let suffix = "s".repeat(suffix_length);
        let settings = fs::read_to_string(&file).unwrap();
        let profile = "[profiles.linux-of-a-long-name]\ntarget_count = 1\ngithub_runner_label = \"linux\"\n\
                       requires_normal_memory = \"1G\"\nguest = { driver = \"command\", command = [\"true\"] }\n";
        let text = settings.replace("\"host\"", &format!("{suffix:?}")) + profile;
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("monitor.toml"), text).unwrap();
        fs::create_dir(scratch.path().join("certificates")).unwrap();
        let output = monitor(scratch.path()).arg("--check").output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{text}");
        let is_refused = text.contains("shorten github_api_suffix");
        assert_eq!(is_refused, status == 2, "{text}");
    }
}
