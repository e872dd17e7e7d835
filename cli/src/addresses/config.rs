//! The configuration file of the command line: fleets by name, each with its queue, its monitors and the
//! file that holds its API token.
//!
//! Responsible for its form and its place. An error never shows a line of the file, because the value of a
//! key that does not exist might be a token.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, de::Error as _};
use shared::settings::{BaseUrl, Environment};

use crate::failure::Failure;

/// The largest configuration file, in bytes.
const LENGTH_MAX: u64 = 256 * 1024;

/// The content of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The fleet that is meant if none is named and there are several.
    #[serde(default)]
    pub default_fleet: Option<String>,
    /// All fleets by name.
    #[serde(default)]
    pub fleets: BTreeMap<String, Fleet>,
}

/// One queue and the monitors behind it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// The queue.
    #[serde(default, deserialize_with = "base_url")]
    pub queue: Option<BaseUrl>,
    /// The monitors by name.
    #[serde(default, deserialize_with = "base_urls")]
    pub monitors: BTreeMap<String, BaseUrl>,
    /// The file that holds the API token. A relative path begins at the folder of the configuration file.
    #[serde(default)]
    pub api_token_file: Option<PathBuf>,
}

impl Fleet {
    /// Whether `url` is one of its daemons.
    pub fn has(&self, url: &BaseUrl) -> bool {
        self.queue.as_ref() == Some(url) || self.monitors.values().any(|known| known == url)
    }
}

/// The usual place of the file; `None` if the environment has no home.
pub fn usual_path(environment: &Environment) -> Option<PathBuf> {
    let folder = match environment.get("XDG_CONFIG_HOME") {
        // The specification says to ignore a relative path.
        Some(folder) if Path::new(folder).is_absolute() => PathBuf::from(folder),
        _ => Path::new(environment.get("HOME")?).join(".config"),
    };
    Some(folder.join("ci-runners/config.toml"))
}

/// Reads the file at `path`; `None` if there is none.
///
/// # Errors
/// When it cannot be read, or has another form. The error names the line.
pub fn read(path: &Path) -> Result<Option<Config>, Failure> {
    let failed = |cause: String| Failure::Usage(format!("read {}: {cause}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    let mut text = String::new();
    let read = file.take(LENGTH_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > LENGTH_MAX {
        return Err(failed(format!("it is longer than {LENGTH_MAX} bytes")));
    }
    parse(&text).map(Some).map_err(failed)
}

fn parse(text: &str) -> Result<Config, String> {
    let config: Config = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        match before {
            Some(before) => {
                let line = before.matches('\n').count() + 1;
                format!("line {line}: {}", error.message())
            }
            None => error.message().to_owned(),
        }
    })?;
    match &config.default_fleet {
        Some(name) if !config.fleets.contains_key(name) => Err(format!(
            "default_fleet is {name}, and there is no table [fleets.{name}]"
        )),
        _ => Ok(config),
    }
}

fn base_url<'de, D: Deserializer<'de>>(value: D) -> Result<Option<BaseUrl>, D::Error> {
    let text = String::deserialize(value)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

fn base_urls<'de, D: Deserializer<'de>>(value: D) -> Result<BTreeMap<String, BaseUrl>, D::Error> {
    let texts = BTreeMap::<String, String>::deserialize(value)?;
    let urls = texts.into_iter().map(|(name, text)| {
        let url = text.parse().map_err(D::Error::custom)?;
        Ok((name, url))
    });
    urls.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_fleets_with_a_queue_monitors_and_a_token_file() {
        let text = r#"
            default_fleet = "b"
            [fleets.a]
            queue = "https://queue.example.org"
            api_token_file = "token"
            [fleets.a.monitors]
            ci1 = "http://ci1:8000"
            [fleets.b]
        "#;
        let config = parse(text).unwrap();
        let fleet = &config.fleets["a"];
        let queue = fleet.queue.as_ref().unwrap();
        assert_eq!(queue.as_str(), "https://queue.example.org/");
        assert_eq!(fleet.monitors["ci1"].as_str(), "http://ci1:8000/");
        assert!(fleet.has(queue) && fleet.has(&fleet.monitors["ci1"]));
        assert!(!fleet.has(&"http://ci2:8000".parse().unwrap()));
        assert_eq!(fleet.api_token_file.as_deref(), Some(Path::new("token")));
    }

    #[test]
    fn an_error_names_the_line_and_shows_no_value() {
        for (text, part) in [
            (
                "[fleets.a]\napi_token = 'swordfish'\n",
                "line 2: unknown field `api_token`",
            ),
            (
                "[fleets.a]\nqueue = 'swordfish'\n",
                "line 2: a base URL is an http or https URL",
            ),
            (
                "[fleets.a.monitors]\na = 'swordfish'\n",
                "a base URL is an http or https URL",
            ),
            ("swordfish", "line 1: "),
            ("default_fleet = 'b'", "there is no table [fleets.b]"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("swordfish"), "{text}: {error}");
        }
    }

    #[test]
    fn the_usual_path_is_below_the_configuration_folder() {
        let path = |variables: &[(&str, &str)]| {
            usual_path(&variables.iter().copied().collect::<Environment>())
        };
        let expected = |folder: &str| Some(Path::new(folder).join("ci-runners/config.toml"));
        let home = ("HOME", "/home/a");
        assert_eq!(path(&[home]), expected("/home/a/.config"));
        assert_eq!(path(&[home, ("XDG_CONFIG_HOME", "/x")]), expected("/x"));
        let relative = [home, ("XDG_CONFIG_HOME", "x")];
        assert_eq!(path(&relative), expected("/home/a/.config"));
        assert_eq!(path(&[]), None);
    }
}
