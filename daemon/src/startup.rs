//! What both daemons do around their app: command line, settings, log, listening, end.
//!
//! Owns the exit status and every word that is said before there is a log. Knows nothing of what
//! the app does.

use std::{
    error::Error,
    ffi::OsString,
    fmt::Display,
    io::{self, Write},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::ExitCode,
};

use clap::{CommandFactory, FromArgMatches, Parser};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::signal::unix::{SignalKind, signal};

use github::{AppKeyError, Credentials, CredentialsError};
use shared::settings::{Environment, Settings, SettingsError};

/// Which of the two daemons this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// The one that keeps a server's pool of runners.
    Monitor,
    /// The one that all servers have in common.
    Queue,
}

/// All that an app needs to begin.
#[derive(Debug)]
pub struct Start {
    /// The settings, complete for this daemon. The listeners know the port: the command line may
    /// have named another, or the settings none in particular.
    pub settings: Settings,
    /// One listener for each address of `listen_on`, in that order.
    pub listeners: Vec<TcpListener>,
}

/// Runs a daemon from its command line to its end, on the main thread's own async runtime.
///
/// The exit status is 0 when the app ended well, 1 when it could not listen or failed, and 2 when
/// the command line or the settings are wrong: a supervisor need not try those again.
///
/// `check` says what only this daemon knows to be wrong with its settings, before anything is begun.
pub fn run<A, C, E>(
    daemon: Daemon,
    check: impl FnOnce(&Settings) -> Result<(), C>,
    app: impl FnOnce(Start) -> A,
) -> ExitCode
where
    A: Future<Output = Result<(), E>>,
    C: Error,
    E: Display,
{
    let environment = Environment::from_process();
    let start = match prepare(daemon, std::env::args_os(), &environment, check) {
        Ok(start) => start,
        Err(stop) => {
            stop.print(daemon);
            return ExitCode::from(stop.status());
        }
    };
    log_to_stderr(start.settings.log_filter.as_deref());
    http_client::install_tls();
    match actix_web::rt::System::new().block_on(app(start)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{} failed to {error}", daemon.name());
            ExitCode::FAILURE
        }
    }
}

/// Resolves with the signal's name when the process is asked to end: SIGTERM, as service managers
/// send it, or SIGINT, which is Ctrl-C. From the first poll on, neither ends the process by itself.
///
/// # Errors
/// When the system lets no handler be installed.
pub async fn shutdown_signal() -> io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}

/// Resolves when the process is asked to end, having said so in the log. Where no handler can be
/// installed it never does, and signals end the process at once.
pub async fn until_told_to_stop() {
    match shutdown_signal().await {
        Ok(name) => log::info!("{name}: answering what is held, then ending"),
        Err(error) => {
            log::error!("failed to listen for signals: {error}");
            std::future::pending::<()>().await;
        }
    }
}

/// Why a daemon ends before its app begins; not always because something is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The command line is wrong, or asks for help or the version.
    #[error("{0}")]
    CommandLine(#[from] clap::Error),
    /// The settings were to be checked only, and are right.
    #[error("{} is ok", .0.display())]
    Checked(PathBuf),
    /// The settings are wrong.
    #[error("{0}")]
    Settings(#[from] SettingsError),
    /// The settings are right, and cannot be carried out on this host.
    #[error("failed to {0}")]
    Unfit(String),
    /// The key of the GitHub App cannot be used.
    #[error("failed to {0}")]
    AppKey(#[source] AppKeyError),
    /// An address cannot be listened on.
    #[error(
        "failed to listen on {address}: {source}{}; --port changes the port, and so does {port_key} \
         in the settings; listen_on there changes the address",
        if source.kind() == io::ErrorKind::AddrInUse { " (`ss -ltnp` shows by whom)" } else { "" }
    )]
    Listen {
        /// The first address that failed; none is listened on then.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
        /// The setting that holds the port.
        port_key: &'static str,
    },
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
            // clap says 0 for help and version, and 2 for what is wrong.
            Self::CommandLine(error) => u8::try_from(error.exit_code()).unwrap_or(2),
            Self::Checked(_) => 0,
            Self::Settings(_) | Self::Unfit(_) | Self::AppKey(_) => 2,
            Self::Listen { .. } => 1,
        }
    }

    /// Says why, on standard output if all is well. Where nobody reads, nobody is told.
    fn print(&self, daemon: Daemon) {
        let _ = match self {
            // clap knows whether it speaks to a terminal, and which of the two outputs is right.
            Self::CommandLine(error) => error.print(),
            Self::Checked(_) => writeln!(io::stdout(), "{}: {self}", daemon.name()),
            Self::Settings(_) | Self::Unfit(_) | Self::AppKey(_) | Self::Listen { .. } => {
                writeln!(io::stderr(), "{}: {self}", daemon.name())
            }
        };
    }
}

/// Goes from the command line to open listeners, with a look at what `check` finds in between.
///
/// # Errors
/// When there is nothing to run, for whatever reason.
pub fn prepare<C: Error>(
    daemon: Daemon,
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    check: impl FnOnce(&Settings) -> Result<(), C>,
) -> Result<Start, Stop> {
    let command = Options::command().name(daemon.name()).about(daemon.about());
    let options = Options::from_arg_matches(&command.try_get_matches_from(arguments)?)?;
    let settings = Settings::load(&options.config, environment)?;
    let port_in_settings = daemon.port(&settings)?;
    check(&settings).map_err(|error| Stop::Unfit(with_causes(&error)))?;
    if options.check {
        return Err(Stop::Checked(options.config));
    }
    let port = options.port.unwrap_or(port_in_settings);
    let addresses = settings.network.addresses(port);
    let listeners = listen(&addresses).map_err(|(address, source)| Stop::Listen {
        address,
        source,
        port_key: daemon.port_key(),
    })?;
    Ok(Start {
        settings,
        listeners,
    })
}

/// What an error says, and what each error says that caused it.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// What can be said on the command line of a daemon.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
struct Options {
    /// The configuration file; a file .env beside it is read as well
    #[arg(long, value_name = "PATH", default_value = "monitor.toml")]
    config: PathBuf,

    /// Listen on this port, whatever the settings say; 0 takes any port that is free
    #[arg(long)]
    port: Option<u16>,

    /// Load the settings, say whether they are ok, and end
    #[arg(long)]
    check: bool,
}

const AFTER_HELP: &str = "\
Settings:
  monitor.toml.example explains every setting and is a file to start from.
  A variable SERVO_CI_MONITOR_<SETTING> overrides a setting: SERVO_CI_MONITOR_LISTEN_ON='[\"::1\"]',
  SERVO_CI_MONITOR_QUEUE__PORT=8002, SERVO_CI_MONITOR_PROFILES__LINUX__TARGET_COUNT=4.
  Secrets come from the variables GITHUB_TOKEN and SERVO_CI_MONITOR_API_TOKEN. Any variable may
  stand in .env instead. RUST_LOG says what is logged, for example RUST_LOG=debug.

Exit status:
  0  ended as it was asked to
  1  could not listen, or failed later
  2  the command line or a setting is wrong";

impl Daemon {
    /// The name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Monitor => "monitor",
            Self::Queue => "queue",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Monitor => {
                "Keeps a pool of single-use runners for GitHub Actions on this host, and gives \
                 them to jobs. Ends on SIGTERM or Ctrl-C."
            }
            Self::Queue => {
                "Keeps one line of jobs in front of all servers, and gives each job the next \
                 runner that becomes free on any of them. Ends on SIGTERM or Ctrl-C."
            }
        }
    }

    fn port_key(self) -> &'static str {
        match self {
            Self::Monitor => "port",
            Self::Queue => "queue.port",
        }
    }

    /// The port in the settings, once they turn out to hold all that this daemon needs.
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

/// How many connections may wait to be accepted. A restarted queue meets all its clients at once.
const BACKLOG: i32 = 4096;

/// Listens on all addresses or, if one fails, on none; then says which, and why.
fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    let listen_on = |&address: &SocketAddr| {
        let open = || {
            let socket = Socket::new(
                Domain::for_address(address),
                Type::STREAM,
                Some(Protocol::TCP),
            )?;
            // Connections of a process that has just ended do not hold its port.
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        };
        open().map_err(|error| (address, error))
    };
    addresses.iter().map(listen_on).collect()
}

/// What is logged unless RUST_LOG says otherwise.
const DEFAULT_LOG_FILTER: &str = "info,actix_server=warn";

/// Sends the log to standard error, in colour if that is a terminal.
fn log_to_stderr(filter: Option<&str>) {
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(filter.unwrap_or(DEFAULT_LOG_FILTER));
    // Fails if there is a log already, which is then as good.
    let _ = builder.try_init();
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, fs, net::TcpStream, path::Path, process::Command};

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

    /// A folder with settings that are complete for both daemons, and the file in it.
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
        prepare(daemon, arguments, &environment, all_is_well)
    }

    fn all_is_well(_: &Settings) -> Result<(), Infallible> {
        Ok(())
    }

    #[test]
    fn what_only_the_daemon_knows_to_be_wrong_ends_it_with_status_2_even_if_only_checked() {
        let (_folder, file) = folder();
        let environment = Environment::from_iter([API_TOKEN, GITHUB_TOKEN]);
        for more in [&[][..], &["--check"]] {
            let arguments = ["monitor", "--config", file.to_str().unwrap()];
            let arguments = arguments.iter().chain(more).map(OsString::from);
            let refuse = |settings: &Settings| {
                assert_eq!(settings.file, file);
                Err(io::Error::other(io::Error::other("no such thing")))
            };
            let stop = prepare(Daemon::Monitor, arguments, &environment, refuse).unwrap_err();
            assert_eq!(stop.to_string(), "failed to no such thing");
            assert_eq!(stop.status(), 2);
        }
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
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
    fn a_daemon_that_is_prepared_listens_where_the_settings_say() {
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
    fn each_daemon_has_the_port_of_its_own_setting_or_of_the_command_line() {
        let (_folder, file) = folder();
        // All three ports are taken, so that the refusal names the one that was chosen.
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
    fn a_check_says_ok_and_opens_nothing() {
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
    fn wrong_settings_end_a_daemon_with_status_2_even_if_only_checked() {
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
    fn each_daemon_asks_for_what_only_it_needs() {
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
            prepare(daemon, arguments, &environment, all_is_well).unwrap_err()
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
    fn help_and_version_end_well_and_a_wrong_command_line_does_not() {
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
            let stop = prepare(Daemon::Monitor, arguments, &environment, all_is_well).unwrap_err();
            assert_eq!(stop.status(), status, "{argument}");
            assert!(stop.to_string().contains(part), "{stop}");
        }
    }

    #[test]
    fn if_one_address_fails_none_is_listened_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap();
        // Nobody else in this process has an address of this host part, so its port stays free.
        let free = TcpListener::bind("127.0.0.2:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let (address, error) = listen(&[free, taken]).unwrap_err();
        assert_eq!((address, error.kind()), (taken, io::ErrorKind::AddrInUse));
        assert!(TcpListener::bind(free).is_ok(), "{free} was let go");
    }

    #[test]
    fn a_port_is_free_again_as_soon_as_its_daemon_has_ended() {
        // An address that no other test has, so that nobody else takes the port in between.
        let first = listen(&["127.0.0.3:0".parse().unwrap()]).unwrap();
        let address = first[0].local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        // The side that closes first keeps the connection for a while, as if it still had it.
        let (connection, _) = first[0].accept().unwrap();
        drop((connection, client, first));
        assert!(listen(&[address]).is_ok());
    }

    #[test]
    fn a_taken_address_is_named_with_what_changes_it() {
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
                     -ltnp` shows by whom); --port changes the port, and so does {key} in the \
                     settings; listen_on there changes the address"
                )
            );
            assert_eq!(stop.status(), 1);
        }
    }

    #[test]
    fn an_address_of_another_host_is_named_too() {
        let (_folder, file) = folder();
        // An address for documentation (RFC 5737) is no host's own.
        fs::write(
            &file,
            SETTINGS.replace("[\"127.0.0.1\"]", "[\"192.0.2.1\"]"),
        )
        .unwrap();
        let stop = prepare_with(Daemon::Monitor, &file, &[]).unwrap_err();
        assert_eq!(
            stop.to_string(),
            "failed to listen on 192.0.2.1:0: Cannot assign requested address (os error 99); \
             --port changes the port, and so does port in the settings; listen_on there changes \
             the address"
        );
    }

    /// Both signals in one test: a signal reaches everybody who listens in this process.
    #[tokio::test]
    async fn both_signals_ask_for_the_end() {
        for name in ["SIGTERM", "SIGINT"] {
            let send = async {
                let kill = format!("kill -{} {}", &name[3..], std::process::id());
                Command::new("sh").args(["-c", &kill]).status()
            };
            // The first poll installs the handlers; without them the test would not survive.
            let (signal, sent) = tokio::join!(biased; shutdown_signal(), send);
            assert!(sent.unwrap().success());
            assert_eq!(signal.unwrap(), name);
        }
    }
}
