//! Settings of both daemons: read once at the start into plain values, which are then passed as
//! arguments. No other module reads the environment.
//!
//! - `environment`: the variables of the process and of `.env`; `env_file`: the format of `.env`
//! - `source`: the settings file, and the variables that override it
//! - `fingerprint`: which settings differ between two readings
//! - `table`, `kind`: from a key to a value, or to a sentence that explains what is wrong with it
//! - `network`, `github`, `pool`, `host`, `mirrors`, `profile`, `queue`, `policy`, `secrets`: the settings
//! - `journal`: the settings of the journal and of the log
//! - `image`: the settings in the folder of a profile, which only the monitor reads
//! - `proxies`: the proxies of outgoing requests
//! - `base_url`, `github_scope`: types of values that only settings have
//!
//! What each setting does is explained in `monitor.toml.example`.

mod base_url;
mod env_file;
mod environment;
mod error;
mod fingerprint;
mod github;
mod github_scope;
mod host;
mod image;
mod journal;
mod kind;
mod mirrors;
mod network;
mod policy;
mod pool;
mod profile;
mod proxies;
mod queue;
mod secrets;
mod source;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

pub use self::table::User;
pub use self::{
    base_url::{BaseUrl, InvalidBaseUrl},
    environment::Environment,
    error::{Place, SettingsError},
    github::{GithubAppSettings, GithubSettings},
    github_scope::{GithubScope, InvalidGithubScope},
    host::HostSettings,
    image::{BuildSettings, ConfigIso, DiskFormat, GuestAuthMethod, ImageSettings},
    journal::{JournalSettings, LogFormat},
    mirrors::{MAIN_REPO_NAME, MirrorSettings},
    network::NetworkSettings,
    pool::{PoolSettings, ReservationLabels},
    profile::{GuestDriver, ProfileSettings},
    proxies::{Proxies, Proxy},
    queue::QueueSettings,
    secrets::Secrets,
};
use self::{fingerprint::Fingerprint, source::Source, table::Table};
use crate::values::ProfileKey;

/// All settings of both daemons on one host.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The settings file that was read.
    pub file: PathBuf,
    /// From the environment, like the next six fields.
    pub secrets: Secrets,
    /// Proxies for outgoing requests.
    pub proxies: Proxies,
    /// Folder for state that survives a restart.
    pub data_path: PathBuf,
    /// Folder whose files guests may download.
    pub image_deps_dir: Option<PathBuf>,
    /// Folder that contains `profiles/<profile_key>/`.
    pub lib_monitor_dir: Option<PathBuf>,
    /// URI of the libvirt that runs the virtual machines.
    pub libvirt_uri: String,
    /// Log filter in the syntax of `env_logger`; `None` for the default.
    pub log_filter: Option<String>,
    /// The form of the log.
    pub log_format: LogFormat,
    /// Limits of the journal.
    pub journal: JournalSettings,
    /// Addresses, ports and URLs.
    pub network: NetworkSettings,
    /// Access to GitHub, and artifact authentication.
    pub github: GithubSettings,
    /// Intervals, timeouts and switches of the monitor.
    pub pool: PoolSettings,
    /// Resources of the host, and names of guests.
    pub host: HostSettings,
    /// The git repositories that are served to guests, by name, besides `main_repo_path`.
    pub mirrors: BTreeMap<String, MirrorSettings>,
    /// The profiles of this server.
    pub profiles: BTreeMap<ProfileKey, ProfileSettings>,
    /// The profiles that were left out because of their settings, and what is wrong with them, in one
    /// sentence each.
    pub unusable_profiles: BTreeMap<String, String>,
    /// The table `[queue]`, if there is one.
    pub queue: Option<QueueSettings>,
    /// The keys that only one daemon uses.
    users: BTreeMap<&'static str, User>,
    /// The variables that it was read with.
    environment: Environment,
    fingerprint: Fingerprint,
}

impl Settings {
    /// Reads the settings file, the file `.env` in its folder and the variables in `environment`.
    ///
    /// # Errors
    /// The first invalid or missing setting, in one sentence.
    pub fn load(file: &Path, environment: &Environment) -> Result<Self, SettingsError> {
        let (settings, errors) = Self::read(file, environment)?;
        match errors.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(settings),
        }
    }

    /// The same, but a profile whose settings are invalid is left out as long as there is another one: a
    /// daemon that is started again with a mistake in one profile continues with the others.
    ///
    /// # Errors
    /// The first invalid or missing setting that affects more than one of several profiles.
    pub fn load_usable(file: &Path, environment: &Environment) -> Result<Self, SettingsError> {
        let (mut settings, errors) = Self::read(file, environment)?;
        for (key, error) in errors {
            if settings.profiles.is_empty() {
                return Err(error);
            }
            settings.unusable_profiles.insert(key, error.to_string());
        }
        Ok(settings)
    }

    /// Reads the same files again, with the variables of the first reading.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn reread(&self) -> Result<Self, SettingsError> {
        Self::load(&self.file, &self.environment)
    }

    /// The names of the settings, and of the variables that are none, whose values differ from those in `other`:
    /// such as `profiles.linux.target_count`. The token for GitHub is never among them.
    pub fn differences(&self, other: &Self) -> BTreeSet<String> {
        self.fingerprint.differences(&other.fingerprint)
    }

    /// Whether this daemon uses the setting, or the variable that is none, with a name of [`Self::differences`]. That
    /// follows from where it is read.
    pub fn is_used_by(&self, user: User, name: &str) -> bool {
        let of_variable = environment::USERS.iter().find(|(key, _)| *key == name);
        let key = name.split('.').next().unwrap_or_default();
        let only = of_variable.map(|(_, user)| user).or(self.users.get(key));
        only.is_none_or(|only| *only == user)
    }

    /// Whether a setting of the table with this name is set, such as `profiles.linux`.
    pub fn has_table(&self, name: &str) -> bool {
        self.fingerprint.has_table(name)
    }

    /// Reads everything; the errors of single profiles are returned beside the others.
    fn read(
        file: &Path,
        environment: &Environment,
    ) -> Result<(Self, Vec<(String, SettingsError)>), SettingsError> {
        let env_file = file.with_file_name(".env");
        let is_token_of_process = environment.get(environment::GITHUB_TOKEN).is_some();
        let given = environment;
        let environment = environment.clone().or_from_file(&env_file)?;
        let source = Source::read(file, &environment)?;
        let mut top = Table::root(&source);
        let network = network::read_network(&mut top)?;
        let journal = journal::read_journal(&mut top)?;
        let log_format = journal::read_log_format(&mut top)?;
        let github = github::read_github(&mut top)?;
        let pool = top.only_for(User::Monitor, pool::read_pool)?;
        let host = top.only_for(User::Monitor, host::read_host)?;
        let mirrors = top.only_for(User::Monitor, |top| {
            mirrors::read_mirrors(top, host.main_repo_path.is_some())
        })?;
        let common = profile::Common {
            github: &github,
            reservation_labels: pool.reservation_labels,
        };
        let profiles = top.only_for(User::Monitor, |top| profile::read_profiles(top, &common))?;
        let queue = top.only_for(User::Queue, queue::read_queue)?;
        let users = top.users();
        top.finish()?;
        let path = |name| environment.get(name).map(PathBuf::from);
        let secrets = Secrets::read(&environment)?;
        if let Some(queue) = &queue {
            secrets.check_servers(&queue.servers)?;
        }
        let settings = Self {
            file: file.to_owned(),
            secrets: match secrets {
                secrets if is_token_of_process => secrets,
                secrets => secrets.with_github_token_of(env_file),
            },
            proxies: Proxies::read(&environment)?,
            data_path: path(environment::DATA_PATH).unwrap_or_else(|| "./data".into()),
            image_deps_dir: path(environment::IMAGE_DEPS_DIR),
            lib_monitor_dir: path(environment::LIB_MONITOR_DIR),
            libvirt_uri: environment
                .get(environment::LIBVIRT_URI)
                .unwrap_or("qemu:///system")
                .to_owned(),
            log_filter: environment.get(environment::LOG_FILTER).map(str::to_owned),
            log_format,
            journal,
            network,
            github,
            pool,
            host,
            mirrors,
            profiles: profiles.usable,
            unusable_profiles: BTreeMap::new(),
            queue,
            environment: given.clone(),
            users,
            fingerprint: Fingerprint::of(&source, &environment),
        };
        Ok((settings, profiles.errors))
    }

    /// The settings of the queue, for a daemon that requires them.
    ///
    /// # Errors
    /// When there is no table `[queue]`.
    pub fn require_queue(&self) -> Result<&QueueSettings, SettingsError> {
        self.queue.as_ref().ok_or_else(|| SettingsError::Missing {
            place: Place {
                origin: self.file.display().to_string(),
                key: vec!["queue".to_owned()],
            },
            allowed: "a table [queue] with the servers of the queue".to_owned(),
            explained_in: "monitor.toml.example",
        })
    }
}
