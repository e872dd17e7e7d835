//! From the command line to the running daemon, and to its exit status.
//!
//! Responsible for the order of these steps, the reasons to stop before the daemon runs, and the exit
//! status. Not responsible for what the daemon does.
//!
//! | module | contents |
//! | --- | --- |
//! | `command_line` | options and help |
//! | `listening` | the listeners |
//! | `logging` | the log |
//! | `outgoing` | what outgoing requests depend on: proxies, root certificates |
//! | `signals` | SIGTERM, Ctrl-C and SIGHUP |

mod command_line;
mod listening;
mod logging;
mod outgoing;
mod signals;

use std::{
    error::Error,
    ffi::OsString,
    fmt::Display,
    io::{self, Write},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use github::{AppKeyError, Credentials, CredentialsError};
use shared::{
    format::with_causes,
    settings::{Environment, Settings, SettingsError},
};

use crate::{
    connections::raise_descriptor_limit,
    log_output,
    private_file::{self, ExposedKey},
};
use command_line::Options;
pub use listening::watch_addresses;
pub(crate) use signals::hangups;
pub use signals::until_signalled;

/// Which of the two daemons this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// Keeps the pool of runners of one server.
    Monitor,
    /// The job queue in front of all servers.
    Queue,
}

/// What settings are checked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckMode {
    /// For an operator (`--check`): everything that is wrong is an error.
    Everything,
    /// For a start: only what leaves the daemon nothing to do is an error. What concerns a single profile
    /// becomes a problem, and the daemon does the rest.
    Start,
}

/// What a daemon starts with.
#[derive(Debug)]
pub struct Start {
    /// Settings that are valid and complete for this daemon. The port of the listeners may differ:
    /// the command line overrides it, and port 0 selects a free one.
    pub settings: Settings,
    /// One listener for each address of `listen_on`, in that order.
    pub listeners: Vec<TcpListener>,
}

/// Runs a daemon from its command line to its end, in an async runtime on this thread.
///
/// `check` finds errors in the settings that only this daemon can find, and returns warnings; `app` is the
/// daemon itself.
///
/// The exit status is 0 after a regular end, 1 when the daemon could not listen or failed, and 2 when
/// the command line or the settings are invalid, so that a supervisor need not try again.
pub fn run<A, C, E>(
    daemon: Daemon,
    check: impl FnOnce(&Settings, CheckMode) -> Result<Vec<String>, C>,
    app: impl FnOnce(Start) -> A,
) -> ExitCode
where
    A: Future<Output = Result<(), E>>,
    C: Error,
    E: Display,
{
    signals::expect_hangups();
    // Whatever the supervisor has set: files with secrets have restrictive modes of their own, and QEMU, as
    // another user, has to reach the disks of its guests.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    raise_descriptor_limit();
    let environment = Environment::from_process();
    let prepared = prepare(daemon, std::env::args_os(), &environment, check);
    let started = prepared.and_then(|prepared| {
        let settings = &prepared.settings;
        logging::start(
            daemon.name(),
            settings.log_filter.as_deref(),
            settings.log_format,
        );
        prepared.listen(daemon, std::thread::park_timeout)
    });
    let status = match started {
        Ok(start) => {
            http_client::install_tls();
            outgoing::log(&start.settings);
            if let Some(warning) = env_file_warning(&start.settings) {
                log::warn!("{warning}");
            }
            match actix_web::rt::System::new().block_on(app(start)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    log::error!("{} failed to {error}", daemon.name());
                    ExitCode::FAILURE
                }
            }
        }
        Err(stop) => {
            stop.print(daemon);
            ExitCode::from(stop.status())
        }
    };
    log_output::flush(LAST_LINES_TIMEOUT);
    status
}

/// How long the end of the process waits for its last lines to be read from standard error.
const LAST_LINES_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a process ends before the daemon runs; not always an error.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The command line is invalid, or asks for help or the version.
    #[error("{0}")]
    CommandLine(#[from] clap::Error),
    /// The settings were only to be checked (`--check`), and are valid.
    #[error("{} is ok", file.display())]
    Checked {
        /// The file with the settings.
        file: PathBuf,
        /// What is valid and hardly intended: sentences.
        warnings: Vec<String>,
    },
    /// The settings are invalid.
    #[error("{0}")]
    Settings(#[from] SettingsError),
    /// The settings are valid, but this host does not meet them.
    #[error("failed to {0}")]
    Unfit(String),
    /// The key of the GitHub App cannot be used.
    #[error("failed to {0}")]
    AppKey(#[source] AppKeyError),
    /// Other users can read or change a file with a key.
    #[error("failed to {0}")]
    ExposedKey(#[from] ExposedKey),
    /// The daemon cannot listen on an address.
    #[error(
        "failed to listen on {address}: {source}{}; change the port with --port or with {port_key} \
         in the settings, the address with listen_on",
        hint(source)
    )]
    Listen {
        /// The first address that failed. The process does not listen on the others either.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
        /// The setting that contains the port.
        port_key: &'static str,
    },
}

/// What the error of a system call does not say about an address that cannot be listened on.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => " (`ss -ltnp` shows by which process)",
        io::ErrorKind::PermissionDenied => {
            " (ports below 1024 need the capability CAP_NET_BIND_SERVICE)"
        }
        _ => "",
    }
}

impl From<CredentialsError> for Stop {
    fn from(error: CredentialsError) -> Self {
        match error {
            CredentialsError::Key(error) => Self::AppKey(error),
            CredentialsError::Settings(error) => Self::Settings(error),
        }
    }
}

impl Stop {
    /// The exit status of the process.
    pub fn status(&self) -> u8 {
        match self {
            // 0 for help and version, 2 for an invalid command line.
            Self::CommandLine(error) => u8::try_from(error.exit_code()).unwrap_or(2),
            Self::Checked { .. } => 0,
            Self::Settings(_) | Self::Unfit(_) | Self::AppKey(_) | Self::ExposedKey(_) => 2,
            Self::Listen { .. } => 1,
        }
    }

    /// Prints the reason, to standard output if it is no error. A closed output is ignored.
    fn print(&self, daemon: Daemon) {
        let _ = match self {
            // clap selects the output, and whether to use colour.
            Self::CommandLine(error) => error.print(),
            Self::Checked { warnings, .. } => {
                for warning in outgoing::warnings().iter().chain(warnings) {
                    let _ = writeln!(io::stderr(), "{}: warning: {warning}", daemon.name());
                }
                writeln!(io::stdout(), "{}: {self}", daemon.name())
            }
            Self::Settings(_)
            | Self::Unfit(_)
            | Self::AppKey(_)
            | Self::ExposedKey(_)
            | Self::Listen { .. } => {
                log_output::write_line(&format!("{}: {self}", daemon.name()));
                Ok(())
            }
        };
    }
}

/// What a daemon needs before it can listen.
#[derive(Debug)]
struct Prepared {
    settings: Settings,
    addresses: Vec<SocketAddr>,
}

impl Prepared {
    /// Opens the listeners. What may change by itself is waited for, a limited time, with `pause`.
    fn listen(self, daemon: Daemon, pause: impl FnMut(Duration)) -> Result<Start, Stop> {
        let listeners = listening::listen_when_possible(&self.addresses, pause);
        let listeners = listeners.map_err(|(address, source)| Stop::Listen {
            address,
            source,
            port_key: daemon.port_key(),
        })?;
        Ok(Start {
            settings: self.settings,
            listeners,
        })
    }
}

/// Goes from the command line to valid settings, and calls `check` with them.
///
/// # Errors
/// When there is a reason not to run the daemon.
fn prepare<C: Error>(
    daemon: Daemon,
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    check: impl FnOnce(&Settings, CheckMode) -> Result<Vec<String>, C>,
) -> Result<Prepared, Stop> {
    let options = Options::parse(daemon, arguments)?;
    let (settings, mode) = if options.check {
        let settings = Settings::load(&options.config, environment)?;
        (settings, CheckMode::Everything)
    } else {
        let settings = Settings::load_usable(&options.config, environment)?;
        (settings, CheckMode::Start)
    };
    check_app_key(&settings)?;
    let port_in_settings = daemon.port(&settings)?;
    let warnings = check(&settings, mode).map_err(|error| Stop::Unfit(with_causes(&error)))?;
    if options.check {
        return Err(Stop::Checked {
            file: options.config,
            warnings,
        });
    }
    let port = options.port.unwrap_or(port_in_settings);
    let addresses = settings.network.addresses(port);
    Ok(Prepared {
        settings,
        addresses,
    })
}

/// Checks who can read the key of the GitHub App. Whether there is one is checked later.
fn check_app_key(settings: &Settings) -> Result<(), ExposedKey> {
    let Some(app) = &settings.github.github_app else {
        return Ok(());
    };
    match app.key_file.metadata() {
        Ok(metadata) => private_file::check(&app.key_file, &metadata),
        Err(_) => Ok(()),
    }
}

/// A warning about the file with the secrets of the environment.
fn env_file_warning(settings: &Settings) -> Option<String> {
    private_file::warning(&settings.file.with_file_name(".env"))
}

impl Daemon {
    /// The name of the program: `monitor` or `queue`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Monitor => "monitor",
            Self::Queue => "queue",
        }
    }

    fn port_key(self) -> &'static str {
        match self {
            Self::Monitor => "port",
            Self::Queue => "queue.port",
        }
    }

    /// The port in the settings, if they contain all that this daemon needs.
    fn port(self, settings: &Settings) -> Result<u16, Stop> {
        match self {
            Self::Monitor => {
                Credentials::required(settings)?;
                Ok(settings.network.port)
            }
            Self::Queue => {
                Credentials::of(settings)?;
                Ok(settings.require_queue()?.port)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, fs, os::unix::fs::PermissionsExt, path::Path};

    use tempfile::TempDir;

    use super::*;

    const SETTINGS: &str = r#"
        listen_on = ["127.0.0.1"]
        port = 0
        external_base_url = "http://127.0.0.1:8000/"
        github_api_scope = "/orgs/servo"
        github_api_suffix = "ci0"
        allowed_qualified_repo_prefix = "servo/"
        available_normal_memory = "16G"
        [queue]
        servers = ["http://127.0.0.1:8000"]
        port = 0
    "#;
    const API_TOKEN: (&str, &str) = ("SERVO_CI_MONITOR_API_TOKEN", "hunter2");
    const GITHUB_TOKEN: (&str, &str) = ("GITHUB_TOKEN", "hunter3");

    /// A folder with a settings file that is complete for both daemons, and that file.
    fn folder() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("monitor.toml");
        fs::write(&file, SETTINGS).unwrap();
        (folder, file)
    }

    /// Prepares a daemon with all secrets and these arguments, after `--config <file>`.
    fn prepare_with(daemon: Daemon, file: &Path, more: &[&str]) -> Result<Start, Stop> {
        let environment = Environment::from_iter([API_TOKEN, GITHUB_TOKEN]);
        let arguments = [daemon.name(), "--config", file.to_str().unwrap()];
        let arguments = arguments.iter().chain(more).map(OsString::from);
        let prepared = prepare(daemon, arguments, &environment, accept)?;
        prepared.listen(daemon, |_| {})
    }

    fn accept(_: &Settings, _: CheckMode) -> Result<Vec<String>, Infallible> {
        Ok(Vec::new())
    }

    #[test]
    fn an_error_that_only_the_daemon_finds_ends_it_with_status_2_with_and_without_check() {
        let (_folder, file) = folder();
        let environment = Environment::from_iter([API_TOKEN, GITHUB_TOKEN]);
        for (more, expected) in [
            (&[][..], CheckMode::Start),
            (&["--check"], CheckMode::Everything),
        ] {
            let arguments = ["monitor", "--config", file.to_str().unwrap()];
            let arguments = arguments.iter().chain(more).map(OsString::from);
            let refuse = |settings: &Settings, mode| {
                assert_eq!((&settings.file, mode), (&file, expected));
                Err(io::Error::other(io::Error::other("no such thing")))
            };
            let stop = prepare(Daemon::Monitor, arguments, &environment, refuse).unwrap_err();
            assert_eq!(stop.to_string(), "failed to no such thing");
            assert_eq!(stop.status(), 2);
        }
    }

    #[test]
    fn an_error_is_shown_with_its_causes() {
        let inner = io::Error::from(io::ErrorKind::NotFound);
        let error = SettingsError::Unreadable {
            file: "a".into(),
            source: inner,
        };
        assert_eq!(
            with_causes(&error),
            "a: cannot be read: entity not found: entity not found"
        );
    }

    #[test]
    fn a_prepared_daemon_listens_on_the_addresses_of_the_settings() {
        let (_folder, file) = folder();
        for daemon in [Daemon::Monitor, Daemon::Queue] {
            let start = prepare_with(daemon, &file, &[]).unwrap();
            assert_eq!(start.settings.file, file);
            let [listener] = &start.listeners[..] else {
                panic!("one address, one listener");
            };
            let address = listener.local_addr().unwrap();
            assert_eq!(address.ip(), start.settings.network.listen_on[0]);
            assert_ne!(address.port(), 0);
            assert!(TcpListener::bind(address).is_err(), "the port is taken");
        }
    }

    #[test]
    fn the_port_is_that_of_the_command_line_or_of_the_daemons_own_setting() {
        let (_folder, file) = folder();
        // All three ports are taken, so that the error names the one that was selected.
        let taken = [0; 3].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
        let ports = taken
            .each_ref()
            .map(|taken| taken.local_addr().unwrap().port());
        let [monitor, queue, other] = ports;
        let settings = SETTINGS
            .replacen("port = 0", &format!("port = {monitor}"), 1)
            .replacen("port = 0", &format!("port = {queue}"), 1);
        fs::write(&file, settings).unwrap();
        let port = |daemon, more: &[&str]| match prepare_with(daemon, &file, more) {
            Err(Stop::Listen { address, .. }) => address.port(),
            other => panic!("the port is taken, and yet {other:?}"),
        };
        assert_eq!(port(Daemon::Monitor, &[]), monitor);
        assert_eq!(port(Daemon::Queue, &[]), queue);
        for daemon in [Daemon::Monitor, Daemon::Queue] {
            assert_eq!(port(daemon, &["--port", &other.to_string()]), other);
        }
    }

    #[test]
    fn the_key_of_an_app_that_others_can_read_stops_both_daemons() {
        let (folder, file) = folder();
        let key = folder.path().join("app.pem");
        fs::copy("../github/src/tests/keys/pkcs1.pem", &key).unwrap();
        let app = format!("[github_app]\nid = 7\ninstallation_id = 9\nkey_file = {key:?}\n");
        fs::write(&file, format!("{SETTINGS}\n{app}")).unwrap();
        let set_mode = |mode| {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        };
        for daemon in [Daemon::Monitor, Daemon::Queue] {
            for more in [&[][..], &["--check"]] {
                set_mode(0o640);
                let stop = prepare_with(daemon, &file, more).unwrap_err();
                assert_eq!(stop.status(), 2);
                let remedy = format!("run `chmod 600 {}`", key.display());
                assert!(stop.to_string().contains(&remedy), "{stop}");
            }
            set_mode(0o600);
            let stop = prepare_with(daemon, &file, &["--check"]).unwrap_err();
            assert!(matches!(stop, Stop::Checked { .. }), "{stop}");
        }
    }

    #[test]
    fn a_check_of_valid_settings_opens_no_port() {
        let (_folder, file) = folder();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port().to_string();
        for daemon in [Daemon::Monitor, Daemon::Queue] {
            let stop = prepare_with(daemon, &file, &["--check", "--port", &port]).unwrap_err();
            assert_eq!(stop.to_string(), format!("{} is ok", file.display()));
            assert_eq!(stop.status(), 0);
        }
    }

    #[test]
    fn invalid_settings_end_a_daemon_with_status_2_with_and_without_check() {
        let (_folder, file) = folder();
        let settings = SETTINGS.replace("\"16G\"", "16");
        fs::write(&file, settings).unwrap();
        for more in [&[][..], &["--check"]] {
            let stop = prepare_with(Daemon::Monitor, &file, more).unwrap_err();
            assert_eq!(stop.status(), 2);
            let sentence = stop.to_string();
            let start = format!(
                "{}: available_normal_memory: found number 16",
                file.display()
            );
            assert!(sentence.starts_with(&start), "{sentence}");
        }
    }

    #[test]
    fn each_daemon_requires_only_what_it_uses() {
        let (_folder, file) = folder();
        let without_queue = SETTINGS.split("[queue]").next().unwrap();
        fs::write(&file, without_queue).unwrap();
        assert!(prepare_with(Daemon::Monitor, &file, &[]).is_ok());
        let stop = prepare_with(Daemon::Queue, &file, &["--check"]).unwrap_err();
        assert!(
            stop.to_string().contains("monitor.toml: queue: missing"),
            "{stop}"
        );
        assert_eq!(stop.status(), 2);

        fs::write(&file, SETTINGS).unwrap();
        let environment = Environment::from_iter([API_TOKEN]);
        let prepare_without_github = |daemon: Daemon| {
            let arguments = [daemon.name(), "--check", "--config", file.to_str().unwrap()];
            let arguments = arguments.map(OsString::from);
            prepare(daemon, arguments, &environment, accept).unwrap_err()
        };
        assert_eq!(prepare_without_github(Daemon::Queue).status(), 0);
        let stop = prepare_without_github(Daemon::Monitor);
        assert!(
            stop.to_string().starts_with("GITHUB_TOKEN: not set; "),
            "{stop}"
        );
        assert_eq!(stop.status(), 2);
    }

    #[test]
    fn help_and_version_have_status_0_and_an_invalid_command_line_status_2() {
        for (argument, status, part) in [
            ("--help", 0, "monitor.toml.example explains every setting"),
            ("--help", 0, "Keeps a pool of single-use runners"),
            ("--help", 0, "--config <PATH>"),
            (
                "--version",
                0,
                concat!("monitor ", env!("CARGO_PKG_VERSION")),
            ),
            ("--colour", 2, "unexpected argument '--colour'"),
            ("--port=65536", 2, "65536 is not in 0..=65535"),
        ] {
            let arguments = ["monitor", argument].map(OsString::from);
            let environment = Environment::default();
            let stop = prepare(Daemon::Monitor, arguments, &environment, accept).unwrap_err();
            assert_eq!(stop.status(), status, "{argument}");
            assert!(stop.to_string().contains(part), "{stop}");
        }
    }

    #[test]
    fn an_address_in_use_is_named_with_the_settings_that_change_it() {
        let (_folder, file) = folder();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        for (daemon, key) in [(Daemon::Monitor, "port"), (Daemon::Queue, "queue.port")] {
            let port = address.port().to_string();
            let stop = prepare_with(daemon, &file, &["--port", &port]).unwrap_err();
            assert_eq!(
                stop.to_string(),
                format!(
                    "failed to listen on {address}: Address already in use (os error 98) (`ss \
                     -ltnp` shows by which process); change the port with --port or with {key} in \
                     the settings, the address with listen_on"
                )
            );
            assert_eq!(stop.status(), 1);
        }
    }

    #[test]
    fn an_address_that_this_host_lacks_does_not_keep_a_daemon_from_starting() {
        let (_folder, file) = folder();
        // Addresses for documentation (RFC 5737) belong to no host.
        fs::write(
            &file,
            SETTINGS.replace("[\"127.0.0.1\"]", "[\"192.0.2.1\"]"),
        )
        .unwrap();
        let start = prepare_with(Daemon::Monitor, &file, &[]).unwrap();
        let listener = start.listeners[0].local_addr().unwrap();
        assert_eq!(listener.ip().to_string(), "192.0.2.1");
    }
}
