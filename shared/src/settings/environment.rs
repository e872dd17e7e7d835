//! The variables that the daemons read: those of the process, and below them those of `.env`.
//!
//! Owns the one look at the process environment, which it never changes. What a variable means is
//! said elsewhere.

use std::{collections::BTreeMap, fmt, path::Path};

use super::{error::SettingsError, source};

/// Every variable that belongs to the daemons begins so, but for [`OTHER_NAMES`].
pub(super) const PREFIX: &str = "SERVO_CI_MONITOR_";

/// The token of both daemons' API. Not a setting, although it has the prefix.
pub(super) const API_TOKEN: &str = "SERVO_CI_MONITOR_API_TOKEN";
/// The folder for data. Not a setting either.
pub(super) const DATA_PATH: &str = "SERVO_CI_MONITOR_DATA_PATH";
/// The token for GitHub.
pub(super) const GITHUB_TOKEN: &str = "GITHUB_TOKEN";
/// What GitHub signs webhooks with.
pub(super) const GITHUB_WEBHOOK_SECRET: &str = "GITHUB_WEBHOOK_SECRET";
/// The folder whose files guests may fetch.
pub(super) const IMAGE_DEPS_DIR: &str = "IMAGE_DEPS_DIR";
/// The folder that holds the profiles' folders.
pub(super) const LIB_MONITOR_DIR: &str = "LIB_MONITOR_DIR";
/// Which libvirt to use. Libvirt's own name for it.
pub(super) const LIBVIRT_URI: &str = "LIBVIRT_DEFAULT_URI";
/// What to log.
pub(super) const LOG_FILTER: &str = "RUST_LOG";

/// The variables without the prefix that are read.
const OTHER_NAMES: [&str; 6] = [
    GITHUB_TOKEN,
    GITHUB_WEBHOOK_SECRET,
    IMAGE_DEPS_DIR,
    LIB_MONITOR_DIR,
    LIBVIRT_URI,
    LOG_FILTER,
];

/// Variables by name. Some of the values are secrets, so only the names can be printed.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process, as far as the daemons have a use for them. Bytes that are
    /// not UTF-8 are replaced, and then refused where the value is used.
    pub fn from_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((
                    name.into_string().ok()?,
                    value.to_string_lossy().into_owned(),
                ))
            })
            .filter(|(name, _)| name.starts_with(PREFIX) || OTHER_NAMES.contains(&name.as_str()))
            .collect()
    }

    /// The value of a variable; one that is set to nothing counts as not set.
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

    /// These variables, and those of the file at `path` that are not among them. A file that is
    /// not there holds none.
    pub(super) fn or_from_file(mut self, path: &Path) -> Result<Self, SettingsError> {
        let Some(text) = source::read_text(path)? else {
            return Ok(self);
        };
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        for assignment in dotenvy::from_read_iter(text.as_bytes()) {
            let (name, value) = assignment.map_err(|error| SettingsError::NotAssignment {
                file: path.to_owned(),
                line: line_of(&error, text),
            })?;
            self.0.entry(name).or_insert(value);
        }
        Ok(self)
    }
}

/// The number of the line that could not be read. The error only has the line itself.
fn line_of(error: &dotenvy::Error, text: &str) -> usize {
    let before = match error {
        dotenvy::Error::LineParse(line, _) => text.find(line.as_str()).unwrap_or(0),
        _ => 0,
    };
    text[..before].matches('\n').count() + 1
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

    /// What `variables` and a file of this `text` give together.
    fn with_file(variables: &[(&str, &str)], text: &str) -> Result<Environment, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        fs::write(&file, text).unwrap();
        let environment: Environment = variables.iter().copied().collect();
        environment.or_from_file(&file)
    }

    #[test]
    fn the_process_wins_over_the_file() {
        let text = "\u{feff}# both secrets\nGITHUB_TOKEN='from file'\n\nexport A=b # c\n";
        let environment = with_file(&[("GITHUB_TOKEN", "from process")], text).unwrap();
        assert_eq!(environment.get("GITHUB_TOKEN"), Some("from process"));
        assert_eq!(environment.get("A"), Some("b"));
        let environment = with_file(&[], text).unwrap();
        assert_eq!(environment.get("GITHUB_TOKEN"), Some("from file"));
    }

    #[test]
    fn a_file_that_is_not_there_holds_nothing() {
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
    fn a_line_that_is_no_assignment_is_named_but_not_repeated() {
        for (text, line) in [
            ("hunter2", 1),
            ("A=b\n\nhunter2\nC=d\n", 3),
            ("A=b\nB='hunter2\nC=d\n", 2),
            ("A=b\nB=hunter2 hunter3\n", 2),
        ] {
            let error = with_file(&[], text).unwrap_err().to_string();
            let expected = format!(".env: line {line}: not of the form NAME=value");
            assert!(error.ends_with(&expected), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_variable_that_is_set_to_nothing_is_not_set() {
        let environment = Environment::from_iter([("A", "")]);
        assert_eq!(environment.get("A"), None);
        assert_eq!(environment.get("B"), None);
    }

    #[test]
    fn only_names_are_printed() {
        let environment = Environment::from_iter([("GITHUB_TOKEN", "hunter2")]);
        assert_eq!(format!("{environment:?}"), r#"{"GITHUB_TOKEN"}"#);
    }

    #[test]
    fn the_process_environment_is_read_for_our_names_only() {
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
