//! The settings of both daemons: read once at the start into plain values, and passed in from
//! there. Nothing is read a second time, and nothing elsewhere reads the environment.
//!
//! - `environment`: the variables of the process and of `.env`
//! - `source`: the configuration file, and the variables that override it
//! - `table`, `kind`: from a key to a value, or to a sentence that says what is wrong with it
//! - `network`, `github`, `pool`, `host`, `profile`, `queue`, `secrets`: which settings there are
//! - `image`: which there are in a profile's folder, for the monitor alone
//! - `base_url`, `github_scope`: values that only settings have
//!
//! What each setting means to who sets it is explained in `monitor.toml.example`.

mod base_url;
mod environment;
mod error;
mod github;
mod github_scope;
mod host;
mod image;
mod kind;
mod network;
mod pool;
mod profile;
mod queue;
mod secrets;
mod source;
mod table;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub use self::{
    base_url::{BaseUrl, InvalidBaseUrl},
    environment::Environment,
    error::{Place, SettingsError},
    github::{GithubAppSettings, GithubSettings},
    github_scope::{GithubScope, InvalidGithubScope},
    host::HostSettings,
    image::{BuildSettings, ConfigIso, DiskFormat, GuestProof, ImageSettings},
    network::NetworkSettings,
    pool::{PoolSettings, ReservationLabels},
    profile::{GuestDriver, ProfileSettings},
    queue::QueueSettings,
    secrets::Secrets,
};
use self::{source::Source, table::Table};
use crate::values::ProfileKey;

/// All settings of both daemons on one host.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The configuration file that was read.
    pub file: PathBuf,
    /// What must not be shown. From the environment, as are the next five.
    pub secrets: Secrets,
    /// Where the daemons keep what must survive a restart.
    pub data_path: PathBuf,
    /// The folder whose files guests may fetch.
    pub image_deps_dir: Option<PathBuf>,
    /// The folder that holds `profiles/<profile_key>/`.
    pub lib_monitor_dir: Option<PathBuf>,
    /// Which libvirt makes the virtual machines, as an URI of libvirt.
    pub libvirt_uri: String,
    /// What to log, in the language of `env_logger`.
    pub log_filter: Option<String>,
    /// Where the daemons listen, and where others reach them.
    pub network: NetworkSettings,
    /// Where GitHub is, and whose word from there is believed.
    pub github: GithubSettings,
    /// How the monitor keeps its pool.
    pub pool: PoolSettings,
    /// What the host has for its guests.
    pub host: HostSettings,
    /// The kinds of runner that are kept here.
    pub profiles: BTreeMap<ProfileKey, ProfileSettings>,
    /// The settings of the queue, where there are any.
    pub queue: Option<QueueSettings>,
}

impl Settings {
    /// Reads the configuration file, the file `.env` beside it and the variables in `environment`.
    ///
    /// # Errors
    /// The first thing that is wrong, in one sentence.
    pub fn load(file: &Path, environment: &Environment) -> Result<Self, SettingsError> {
        let environment = environment
            .clone()
            .or_from_file(&file.with_file_name(".env"))?;
        let source = Source::read(file, &environment)?;
        let mut top = Table::root(&source);
        let network = network::read_network(&mut top)?;
        let github = github::read_github(&mut top)?;
        let pool = pool::read_pool(&mut top)?;
        let host = host::read_host(&mut top)?;
        let common = profile::Common {
            github: &github,
            reservation_labels: pool.reservation_labels,
        };
        let profiles = profile::read_profiles(&mut top, &common)?;
        let queue = queue::read_queue(&mut top)?;
        top.finish()?;
        let path = |name| environment.get(name).map(PathBuf::from);
        Ok(Self {
            file: file.to_owned(),
            secrets: Secrets::read(&environment)?,
            data_path: path(environment::DATA_PATH).unwrap_or_else(|| "./data".into()),
            image_deps_dir: path(environment::IMAGE_DEPS_DIR),
            lib_monitor_dir: path(environment::LIB_MONITOR_DIR),
            libvirt_uri: environment
                .get(environment::LIBVIRT_URI)
                .unwrap_or("qemu:///system")
                .to_owned(),
            log_filter: environment.get(environment::LOG_FILTER).map(str::to_owned),
            network,
            github,
            pool,
            host,
            profiles,
            queue,
        })
    }

    /// The settings of the queue, for a daemon that cannot do without.
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
