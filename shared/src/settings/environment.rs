//! Environment variables that the daemons and the command line read: those of the process, and with lower
//! priority those of `.env`.
//!
//! Responsible for the only access to the environment of the process, which is never changed.

use std::{collections::BTreeMap, fmt, path::Path};

use super::{
    env_file,
    error::SettingsError,
    proxies::{HTTP_PROXY, HTTPS_PROXY, NO_PROXY},
    source,
    table::User,
};

/// Prefix of all variables of the daemons, except [`OTHER_NAMES`].
pub(super) const PREFIX: &str = "SERVO_CI_MONITOR_";

/// The API token of both daemons. Not a setting, although it has the prefix.
pub(super) const API_TOKEN: &str = "SERVO_CI_MONITOR_API_TOKEN";
/// Another API token that is accepted while tokens are rotated. Not a setting either.
pub(super) const API_TOKEN_OLD: &str = "SERVO_CI_MONITOR_API_TOKEN_OLD";
/// The token of a monitor that its queue uses instead of the API token. Not a setting either.
pub(super) const QUEUE_TOKEN: &str = "SERVO_CI_MONITOR_QUEUE_TOKEN";
/// Another token of the queue that a monitor accepts while tokens are rotated. Not a setting either.
pub(super) const QUEUE_TOKEN_OLD: &str = "SERVO_CI_MONITOR_QUEUE_TOKEN_OLD";
/// The tokens that a queue sends to single servers. Not a setting either.
pub(super) const SERVER_TOKENS: &str = "SERVO_CI_MONITOR_SERVER_TOKENS";
/// The data folder. Not a setting either.
pub(super) const DATA_PATH: &str = "SERVO_CI_MONITOR_DATA_PATH";
/// The personal access token for GitHub.
pub(super) const GITHUB_TOKEN: &str = "GITHUB_TOKEN";
/// The secret with which GitHub signs webhooks.
pub(super) const GITHUB_WEBHOOK_SECRET: &str = "GITHUB_WEBHOOK_SECRET";
/// The folder whose files guests may download.
pub(super) const IMAGE_DEPS_DIR: &str = "IMAGE_DEPS_DIR";
/// The folder that contains the folders of the profiles.
pub(super) const LIB_MONITOR_DIR: &str = "LIB_MONITOR_DIR";
/// The URI of libvirt, in the variable that libvirt itself reads.
pub(super) const LIBVIRT_URI: &str = "LIBVIRT_DEFAULT_URI";
/// The log filter.
pub(super) const LOG_FILTER: &str = "RUST_LOG";

/// The variables without the prefix that are read, in addition to those of proxies.
const OTHER_NAMES: [&str; 6] = [
    GITHUB_TOKEN,
    GITHUB_WEBHOOK_SECRET,
    IMAGE_DEPS_DIR,
    LIB_MONITOR_DIR,
    LIBVIRT_URI,
    LOG_FILTER,
];

/// The variables that only one daemon uses.
pub(super) const USERS: [(&str, User); 7] = [
    (QUEUE_TOKEN, User::Monitor),
    (QUEUE_TOKEN_OLD, User::Monitor),
    (GITHUB_WEBHOOK_SECRET, User::Monitor),
    (IMAGE_DEPS_DIR, User::Monitor),
    (LIB_MONITOR_DIR, User::Monitor),
    (LIBVIRT_URI, User::Monitor),
    (SERVER_TOKENS, User::Queue),
];

/// Variables by name. Some values are secrets, so `Debug` shows only the names.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

fn is_read(name: &str) -> bool {
    let of_proxies = HTTPS_PROXY.iter().chain(&HTTP_PROXY).chain(&NO_PROXY);
    name.starts_with(PREFIX) || of_proxies.chain(&OTHER_NAMES).any(|known| *known == name)
}

impl Environment {
    /// The variables of this process that the daemons use. Bytes that are not UTF-8 are replaced;
    /// such a value is refused where it is used.
    pub fn from_process() -> Self {
        Self::from_process_with(&[])
    }

    /// The variables of this process that the daemons use, and those with one of these names.
    pub fn from_process_with(names: &[&str]) -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((
                    name.into_string().ok()?,
                    value.to_string_lossy().into_owned(),
                ))
            })
            .filter(|(name, _)| is_read(name) || names.contains(&name.as_str()))
            .collect()
    }

    /// The value of a variable; an empty one counts as not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// All variables that are set and begin with [`PREFIX`]: name and value.
    pub(super) fn prefixed(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.0.keys().filter(|name| name.starts_with(PREFIX));
        names.filter_map(|name| Some((name.as_str(), self.get(name)?)))
    }

    /// The variables that are set and are no settings, such as secrets and folders: name and value. The token
    /// for GitHub is left out, because it is read again where it is used.
    pub(super) fn others(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.0.keys().filter(|name| {
            let is_setting =
                name.starts_with(PREFIX) && !source::NOT_SETTINGS.contains(&name.as_str());
            !is_setting && *name != GITHUB_TOKEN && is_read(name)
        });
        names.filter_map(|name| Some((name.as_str(), self.get(name)?)))
    }

    /// These variables, and those of the file at `path` that are not among them. The file need not
    /// exist.
    pub(super) fn or_from_file(mut self, path: &Path) -> Result<Self, SettingsError> {
        let Some(text) = source::read_text(path)? else {
            return Ok(self);
        };
        let assignments =
            env_file::parse(&text).map_err(|invalid| SettingsError::NotAssignment {
                file: path.to_owned(),
                line: invalid.line,
                problem: invalid.problem,
            })?;
        for (name, value) in assignments {
            self.0.entry(name).or_insert(value);
        }
        Ok(self)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let variables = variables.into_iter();
        Self(
            variables
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// `variables` together with a file that contains `text`.
    fn with_file(variables: &[(&str, &str)], text: &str) -> Result<Environment, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        fs::write(&file, text).unwrap();
        let environment: Environment = variables.iter().copied().collect();
        environment.or_from_file(&file)
    }

    #[test]
    fn variables_of_the_process_override_the_file() {
        let text = "\u{feff}# both secrets\nGITHUB_TOKEN='from file'\n\nexport A=b # c\n";
        let environment = with_file(&[("GITHUB_TOKEN", "from process")], text).unwrap();
        assert_eq!(environment.get("GITHUB_TOKEN"), Some("from process"));
        assert_eq!(environment.get("A"), Some("b"));
        let environment = with_file(&[], text).unwrap();
        assert_eq!(environment.get("GITHUB_TOKEN"), Some("from file"));
    }

    #[test]
    fn the_file_need_not_exist() {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment::from_iter([("A", "b")]);
        let environment = environment
            .or_from_file(&folder.path().join(".env"))
            .unwrap();
        assert_eq!(environment.get("A"), Some("b"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = Environment::default()
            .or_from_file(folder.path())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{}: cannot be read: Is a directory (os error 21)",
                folder.path().display()
            )
        );
    }

    #[test]
    fn a_line_that_is_no_assignment_is_named_but_not_shown() {
        for (text, expected) in [
            (
                "A=b\n\nhunter2\nC=d\n",
                ".env: line 3: not of the form NAME=value",
            ),
            (
                "A=b\nB='hunter2\nC=d\n",
                ".env: line 2: the quote at the start of the value is not closed",
            ),
        ] {
            let error = with_file(&[], text).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let environment = Environment::from_iter([("A", "")]);
        assert_eq!(environment.get("A"), None);
        assert_eq!(environment.get("B"), None);
    }

    #[test]
    fn debug_shows_only_names() {
        let environment = Environment::from_iter([("GITHUB_TOKEN", "hunter2")]);
        assert_eq!(format!("{environment:?}"), r#"{"GITHUB_TOKEN"}"#);
    }

    #[test]
    fn only_our_variables_of_the_process_are_read() {
        // `cargo test` sets PATH and CARGO; neither is a name of ours.
        let environment = Environment::from_process();
        assert_eq!(environment.get("PATH"), None);
        assert!(
            environment
                .0
                .keys()
                .all(|name| name.starts_with(PREFIX) || OTHER_NAMES.contains(&name.as_str()))
        );
    }
}
