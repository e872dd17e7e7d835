//! Which queue or monitor a command is about, and the credentials for it.
//!
//! - `config`: the configuration file with its fleets
//! - `author`: the name under which changes are made
//! - `token`: reads an API token from a file
//! - `diagnosis`: says what is wrong if a request failed because it went to the wrong place
//!
//! For each daemon the first of these that has an address decides: the option `--queue` or `--monitor`, the
//! option `--fleet`, the variable `CI_RUNNERS_QUEUE` or `CI_RUNNERS_MONITOR`, the variable
//! `CI_RUNNERS_FLEET`, the default fleet of the configuration file.

mod author;
mod config;
mod diagnosis;
mod token;

use std::path::{Path, PathBuf};

use http_client::Client;
use shared::{
    operator::Author,
    secret::Secret,
    settings::{BaseUrl, Environment, Proxies},
};

use self::config::{Config, Fleet};
use crate::{
    args::{API_TOKEN_VARIABLE, DaemonArg, FleetArgs, MonitorArg, MonitorName, QueueArg},
    client::{Orders, QueueClient},
    failure::Failure,
};

/// The variables that are read beside those of the daemons and of proxies.
pub const VARIABLES: [&str; 9] = [
    QUEUE_VARIABLE,
    MONITOR_VARIABLE,
    FLEET_VARIABLE,
    CONFIG_VARIABLE,
    author::AUTHOR_VARIABLE,
    author::ACCOUNT_VARIABLES[0],
    author::ACCOUNT_VARIABLES[1],
    "XDG_CONFIG_HOME",
    "HOME",
];
const QUEUE_VARIABLE: &str = "CI_RUNNERS_QUEUE";
const MONITOR_VARIABLE: &str = "CI_RUNNERS_MONITOR";
const FLEET_VARIABLE: &str = "CI_RUNNERS_FLEET";
const CONFIG_VARIABLE: &str = "CI_RUNNERS_CONFIG";

/// One of the two daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A queue.
    Queue,
    /// A monitor.
    Monitor,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Monitor => "monitor",
        }
    }
}

/// A daemon, and what is needed to send requests to it.
#[derive(Clone)]
pub struct Daemon {
    /// What it is expected to be.
    pub kind: Kind,
    /// Its base URL.
    pub url: BaseUrl,
    /// The client for requests.
    pub client: Client,
    /// The name under which changes are made; may be empty.
    pub author: Author,
    environment_token: Option<Secret>,
    token_file: Option<PathBuf>,
}

impl Daemon {
    /// The API token: that of the environment, else that of the fleet.
    ///
    /// # Errors
    /// When there is none, or its file cannot be used.
    pub fn api_token(&self) -> Result<Secret, Failure> {
        match (&self.environment_token, &self.token_file) {
            (Some(token), _) => Ok(token.clone()),
            (None, Some(file)) => token::read(file),
            (None, None) => Err(Failure::NoApiToken),
        }
    }

    /// What operators order there.
    pub fn orders(&self) -> Orders<'_> {
        Orders::new(&self.client, &self.url, &self.author)
    }

    /// The requests of jobs, if it is a queue.
    pub fn jobs(&self) -> QueueClient {
        QueueClient::new(self.client.clone(), self.url.clone()).by(self.author.clone())
    }

    /// Another daemon of the same fleet, with the same credentials.
    pub fn sibling(&self, kind: Kind, url: BaseUrl) -> Self {
        let mut sibling = self.clone();
        (sibling.kind, sibling.url) = (kind, url);
        sibling
    }
}

/// Finds daemons by the options, the environment and the configuration file.
pub struct Addresses<'a> {
    args: &'a FleetArgs,
    /// The option `--author`.
    author: Option<&'a Author>,
    environment: &'a Environment,
}

impl<'a> Addresses<'a> {
    /// The addresses for these options. Changes are made under the name `author`, or a default.
    pub fn new(
        args: &'a FleetArgs,
        author: Option<&'a Author>,
        environment: &'a Environment,
    ) -> Self {
        Self {
            args,
            author,
            environment,
        }
    }

    /// The queue.
    ///
    /// # Errors
    /// When nothing names one, or what does is wrong.
    pub fn queue(&self, arg: &QueueArg) -> Result<Daemon, Failure> {
        if let Some(url) = &arg.queue {
            return self.daemon_at(Kind::Queue, url.clone());
        }
        if self.args.fleet.is_none()
            && let Some(text) = self.environment.get(QUEUE_VARIABLE)
        {
            let url = text.parse().map_err(|error| wrong(QUEUE_VARIABLE, error))?;
            return self.daemon_at(Kind::Queue, url);
        }
        let files = self.files()?;
        let Some((name, fleet)) = files.fleet()? else {
            return Err(files.no_address(Kind::Queue, QUEUE_VARIABLE));
        };
        match &fleet.queue {
            Some(url) => self.daemon_at(Kind::Queue, url.clone()),
            None => Err(Failure::Usage(format!(
                "find the queue: the fleet {name} has none; add queue = \"URL\" to [fleets.{name}] of {}",
                files.path.display()
            ))),
        }
    }

    /// The monitor.
    ///
    /// # Errors
    /// When nothing names one, or what does is wrong.
    pub fn monitor(&self, arg: &MonitorArg) -> Result<Daemon, Failure> {
        let named = match &arg.monitor {
            None if self.args.fleet.is_none() => self
                .environment
                .get(MONITOR_VARIABLE)
                .map(str::parse)
                .transpose()
                .map_err(|error| wrong(MONITOR_VARIABLE, error))?,
            named => named.clone(),
        };
        let url = match named {
            Some(MonitorName::Url(url)) => url,
            Some(MonitorName::Name(name)) => self.files()?.monitor(&name)?,
            None => self.files()?.only_monitor()?,
        };
        self.daemon_at(Kind::Monitor, url)
    }

    /// The queue or the monitor; the queue if both have an address and no option decides.
    ///
    /// # Errors
    /// See [`Self::queue`] and [`Self::monitor`].
    pub fn daemon(&self, arg: &DaemonArg) -> Result<Daemon, Failure> {
        let has = |name| self.args.fleet.is_none() && self.environment.get(name).is_some();
        let is_monitor = match (&arg.queue, &arg.monitor) {
            (_, Some(_)) => true,
            (Some(_), None) => false,
            (None, None) => has(MONITOR_VARIABLE) && !has(QUEUE_VARIABLE),
        };
        match is_monitor {
            true => self.monitor(&MonitorArg {
                monitor: arg.monitor.clone(),
            }),
            false => self.queue(&QueueArg {
                queue: arg.queue.clone(),
            }),
        }
    }

    fn daemon_at(&self, kind: Kind, url: BaseUrl) -> Result<Daemon, Failure> {
        let environment_token = self.environment.get(API_TOKEN_VARIABLE).map(Secret::new);
        let token_file = match environment_token {
            Some(_) => None,
            None => self.files()?.token_file(&url),
        };
        Ok(Daemon {
            kind,
            url,
            client: client(self.environment)?,
            author: author::author(self.author, self.environment, &author::host_name())?,
            environment_token,
            token_file,
        })
    }

    /// The configuration file, and the fleet that is named. A file that is named has to exist.
    fn files(&self) -> Result<ConfigFile, Failure> {
        let variable = |name| self.environment.get(name).map(str::to_owned);
        let named = self.args.config.clone();
        let named = named.or_else(|| variable(CONFIG_VARIABLE).map(PathBuf::from));
        let fleet = self.args.fleet.clone().or_else(|| variable(FLEET_VARIABLE));
        let path = match named
            .clone()
            .or_else(|| config::usual_path(self.environment))
        {
            Some(path) => path,
            None => PathBuf::from("~/.config/ci-runners/config.toml"),
        };
        let config = config::read(&path)?;
        if config.is_none() && named.is_some() {
            let path = path.display();
            return Err(Failure::Usage(format!(
                "read {path}: there is no such file"
            )));
        }
        Ok(ConfigFile {
            path,
            config: config.unwrap_or_default(),
            fleet,
        })
    }
}

/// The configuration file as far as it is needed.
struct ConfigFile {
    path: PathBuf,
    config: Config,
    /// The name of the fleet that an option or variable names.
    fleet: Option<String>,
}

impl ConfigFile {
    /// The fleet that is meant; `None` if the file has none, and none is named.
    fn fleet(&self) -> Result<Option<(&str, &Fleet)>, Failure> {
        let fleets = &self.config.fleets;
        let only = || (fleets.len() == 1).then(|| fleets.keys().next()).flatten();
        let name = self.fleet.as_ref();
        let name = name.or(self.config.default_fleet.as_ref()).or_else(only);
        let path = self.path.display();
        match name {
            Some(name) => match fleets.get_key_value(name) {
                Some((name, fleet)) => Ok(Some((name, fleet))),
                None => Err(Failure::Usage(format!(
                    "find the fleet {name}: {}",
                    match fleets.is_empty() {
                        true => format!("{path} has no fleets; add a table [fleets.{name}]"),
                        false => format!("there are {} in {path}", listed(fleets.keys())),
                    }
                ))),
            },
            None if fleets.is_empty() => Ok(None),
            None => Err(Failure::Usage(format!(
                "choose a fleet: there are {} in {path}; name one with --fleet, or set default_fleet",
                listed(fleets.keys())
            ))),
        }
    }

    fn monitor(&self, name: &str) -> Result<BaseUrl, Failure> {
        let Some((fleet, found)) = self.fleet()? else {
            return Err(Failure::Usage(format!(
                "find the monitor {name}: it is neither a URL, such as http://ci1:8000, nor a name in {}, \
                 which has no fleets",
                self.path.display()
            )));
        };
        found.monitors.get(name).cloned().ok_or_else(|| {
            Failure::Usage(format!(
                "find the monitor {name}: the fleet {fleet} has {}",
                listed(found.monitors.keys())
            ))
        })
    }

    fn only_monitor(&self) -> Result<BaseUrl, Failure> {
        let Some((fleet, found)) = self.fleet()? else {
            return Err(self.no_address(Kind::Monitor, MONITOR_VARIABLE));
        };
        let mut monitors = found.monitors.values();
        match (monitors.next(), monitors.next()) {
            (Some(only), None) => Ok(only.clone()),
            _ => Err(Failure::Usage(format!(
                "choose a monitor: the fleet {fleet} has {}; name one with --monitor",
                listed(found.monitors.keys())
            ))),
        }
    }

    /// The file with the token of the fleet, if `url` belongs to that fleet: no token is sent elsewhere.
    fn token_file(&self, url: &BaseUrl) -> Option<PathBuf> {
        let (_, fleet) = self.fleet().ok()??;
        let file = fleet.api_token_file.as_ref()?;
        let folder = self.path.parent().unwrap_or(Path::new(""));
        fleet.has(url).then(|| folder.join(file))
    }

    fn no_address(&self, kind: Kind, variable: &str) -> Failure {
        let (kind, path) = (kind.name(), self.path.display());
        let example = match kind {
            "queue" => "[fleets.NAME] with queue = \"URL\"",
            _ => "[fleets.NAME.monitors] with NAME = \"URL\"",
        };
        Failure::Usage(format!(
            "find the {kind}: give --{kind} URL, set {variable}, or write {example} into {path}"
        ))
    }
}

/// Names for a sentence: `a, b and c`; `none` if there are none.
fn listed<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let mut names: Vec<String> = names
        .into_iter()
        .map(|name| name.as_ref().to_owned())
        .collect();
    match names.pop() {
        None => "none".to_owned(),
        Some(only) if names.is_empty() => only,
        Some(last) => format!("{} and {last}", names.join(", ")),
    }
}

fn wrong(variable: &str, error: impl std::fmt::Display) -> Failure {
    Failure::Usage(format!("read {variable}: {error}"))
}

/// A client that uses the proxies of the environment as the daemons do.
fn client(environment: &Environment) -> Result<Client, Failure> {
    let proxies = Proxies::read(environment).map_err(|error| Failure::Proxy(error.to_string()))?;
    Ok(Client::with_proxies(proxies.but_not_for_loopback()))
}

pub use self::diagnosis::explained;

#[cfg(test)]
mod tests;
