//! Where settings come from, layered: the configuration file, and over it the environment; or the
//! file of a profile, alone.
//!
//! Owns the reading of the files and the names of the variables that override it. Knows nothing of
//! what a setting may hold; defaults stand with each setting.

use std::{
    fs::File,
    io::{
        self,
        ErrorKind::{NotADirectory, NotFound},
        Read,
    },
    path::{Path, PathBuf},
};

use figment::{
    Error, Figment, Metadata, Profile, Provider,
    providers::{Format, Toml},
    value::{Dict, Map, Tag, Value},
};

use super::{
    environment::{
        API_TOKEN, API_TOKEN_OLD, DATA_PATH, Environment, PREFIX, QUEUE_TOKEN, QUEUE_TOKEN_OLD,
        SERVER_TOKENS,
    },
    error::{Place, SettingsError},
};

/// Variables with the prefix that are not settings.
pub(super) const NOT_SETTINGS: [&str; 6] = [
    API_TOKEN,
    API_TOKEN_OLD,
    QUEUE_TOKEN,
    QUEUE_TOKEN_OLD,
    SERVER_TOKENS,
    DATA_PATH,
];
/// The largest file that is read, in bytes.
const FILE_LENGTH_MAX: u64 = 1 << 20;
/// The only secret setting: the value of its variable is text, even if it looks like a number.
const SECRET_KEY: [&str; 2] = ["queue", "ticket_key"];

/// All settings with their origins.
pub(super) struct Source {
    file: PathBuf,
    figment: Figment,
    /// The document that explains the settings.
    pub(super) explained_in: &'static str,
}

impl Source {
    /// Reads the settings file, overridden by the environment.
    pub(super) fn read(file: &Path, environment: &Environment) -> Result<Self, SettingsError> {
        let text = read_text(file)?.ok_or_else(|| SettingsError::NoFile {
            file: file.to_owned(),
        })?;
        let entries = parse(file, &text)?;
        let profile_keys: Vec<String> = entries
            .get("profiles")
            .and_then(Value::as_dict)
            .map(|profiles| profiles.keys().cloned().collect())
            .unwrap_or_default();

        let mut source = Self::of_file(file, entries, "monitor.toml.example");
        // One layer for each variable, so that figment knows the variable of each value.
        for (name, value) in environment.prefixed() {
            if !NOT_SETTINGS.contains(&name) {
                let layer = override_by(name, value, &profile_keys)?;
                source.figment = source.figment.merge(layer);
            }
        }
        Ok(source)
    }

    /// Reads a file that variables do not override; `None` if it does not exist.
    pub(super) fn read_alone(
        file: &Path,
        explained_in: &'static str,
    ) -> Result<Option<Self>, SettingsError> {
        let Some(text) = read_text(file)? else {
            return Ok(None);
        };
        let entries = parse(file, &text)?;
        Ok(Some(Self::of_file(file, entries, explained_in)))
    }

    fn of_file(file: &Path, entries: Dict, explained_in: &'static str) -> Self {
        let origin = file.display().to_string();
        Self {
            file: file.to_owned(),
            figment: Figment::from(Layer { origin, entries }),
            explained_in,
        }
    }

    /// All settings, as one table.
    pub(super) fn entries(&self) -> Dict {
        self.figment
            .find_value("")
            .ok()
            .and_then(Value::into_dict)
            .expect("layers are tables that were already read")
    }

    /// The setting `key` with the origin of the value with this tag; without a value, with the file.
    pub(super) fn place(&self, tag: Option<Tag>, key: Vec<String>) -> Place {
        let metadata = tag.and_then(|tag| self.figment.get_metadata(tag));
        let origin = match metadata {
            Some(metadata) => metadata.name.clone().into_owned(),
            None => self.file.display().to_string(),
        };
        Place { origin, key }
    }
}

/// Reads a text file of limited size; `None` if it does not exist.
pub(super) fn read_text(file: &Path) -> Result<Option<String>, SettingsError> {
    let read = || {
        let mut text = String::new();
        // One byte more than allowed, to notice a longer file.
        let limit = FILE_LENGTH_MAX + 1;
        let length = File::open(file)?.take(limit).read_to_string(&mut text)?;
        if length as u64 == limit {
            return Err(io::Error::other("larger than 1 MiB"));
        }
        Ok(text)
    };
    match read() {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(None),
        Err(source) => Err(SettingsError::Unreadable {
            file: file.to_owned(),
            source,
        }),
    }
}

fn parse(file: &Path, text: &str) -> Result<Dict, SettingsError> {
    Toml::from_str(text).map_err(|error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        SettingsError::NotToml {
            file: file.to_owned(),
            line,
            column,
            reason: error.message().replace('\n', ", "),
        }
    })
}

/// Line and column, both counted from 1, of the character that begins at byte `offset`.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

/// The layer of one variable. After the prefix, its name is the key of the setting in upper case, with
/// `__` between a table and its entry.
fn override_by(name: &str, value: &str, profile_keys: &[String]) -> Result<Layer, SettingsError> {
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    let lower_case = rest.to_ascii_lowercase();
    let key: Vec<String> = match rest.strip_prefix("PROFILES__") {
        Some(rest) => key_in_profile(rest, profile_keys).ok_or_else(|| SettingsError::Unknown {
            place: Place {
                origin: name.to_owned(),
                key: lower_case.split("__").map(str::to_owned).collect(),
            },
            allowed: profile_keys
                .iter()
                .map(|key| format!("{PREFIX}PROFILES__{}__*", as_variable(key)))
                .collect(),
        })?,
        None => lower_case.split("__").map(str::to_owned).collect(),
    };
    let value = if key == SECRET_KEY {
        Value::from(value)
    } else {
        // Anything that does not look like a number, boolean, list or table is text.
        value.parse().unwrap_or_else(|never| match never {})
    };
    let (last, tables) = key.split_last().expect("splitting gives at least one part");
    let innermost = Dict::from([(last.clone(), value)]);
    let entries = tables.iter().rev().fold(innermost, |inner, table| {
        Dict::from([(table.clone(), Value::from(inner))])
    });
    Ok(Layer {
        origin: name.to_owned(),
        entries,
    })
}

/// The key that `rest` refers to, such as `SERVO_WINDOWS10__TARGET_COUNT`. Profile keys may contain
/// characters that names of variables cannot, so they are looked up among those in the file.
/// `None` if it refers to no profile, or to several.
fn key_in_profile(rest: &str, profile_keys: &[String]) -> Option<Vec<String>> {
    let mut matches = profile_keys.iter().filter_map(|key| {
        let setting = rest.strip_prefix(&as_variable(key))?.strip_prefix("__")?;
        Some((key, setting))
    });
    let (key, setting) = matches.next()?;
    if matches.next().is_some() {
        return None;
    }
    let setting = setting.to_ascii_lowercase();
    let parts = ["profiles", key].into_iter().chain(setting.split("__"));
    Some(parts.map(str::to_owned).collect())
}

/// A profile key as part of the name of a variable: `servo-windows10` becomes `SERVO_WINDOWS10`.
fn as_variable(key: &str) -> String {
    key.replace(|character: char| !character.is_ascii_alphanumeric(), "_")
        .to_ascii_uppercase()
}

/// Settings with one origin.
struct Layer {
    origin: String,
    entries: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.entries.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_lines_and_characters_from_one() {
        let text = "a\né = x\n";
        for (offset, expected) in [
            (0, (1, 1)),
            (1, (1, 2)),
            (2, (2, 1)),
            (4, (2, 2)),
            (text.len(), (3, 1)),
            (99, (3, 1)),
        ] {
            assert_eq!(position(text, offset), expected, "{offset}");
        }
    }

    #[test]
    fn a_variable_refers_to_a_profile_whatever_characters_its_key_has() {
        let keys = ["linux", "servo-windows10", "a.b", "a__b"].map(str::to_owned);
        for (rest, expected) in [
            ("LINUX__TARGET_COUNT", Some("profiles linux target_count")),
            ("LINUX__GUEST__DRIVER", Some("profiles linux guest driver")),
            (
                "SERVO_WINDOWS10__TARGET_COUNT",
                Some("profiles servo-windows10 target_count"),
            ),
            ("A_B__X", Some("profiles a.b x")),
            ("A__B__X", Some("profiles a__b x")),
            ("LINUX", None),
            ("LINUX_TARGET_COUNT", None),
            ("MACOS__TARGET_COUNT", None),
        ] {
            let key = key_in_profile(rest, &keys).map(|key| key.join(" "));
            assert_eq!(key.as_deref(), expected, "{rest}");
        }
    }

    #[test]
    fn a_variable_that_could_refer_to_two_profiles_refers_to_none() {
        let keys = ["a-b", "a.b"].map(str::to_owned);
        assert_eq!(key_in_profile("A_B__TARGET_COUNT", &keys), None);
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let limit = usize::try_from(FILE_LENGTH_MAX).unwrap();
        std::fs::write(&file, vec![b'#'; limit]).unwrap();
        assert_eq!(read_text(&file).unwrap().unwrap().len(), limit);
        std::fs::write(&file, vec![b'#'; limit + 1]).unwrap();
        assert_eq!(
            read_text(&file).unwrap_err().to_string(),
            format!("{}: cannot be read: larger than 1 MiB", file.display())
        );
    }
}
