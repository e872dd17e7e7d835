//! What is wrong if a request failed because of its address or because of the name of a profile.
//!
//! Asks the daemon what it is, after a failure only.

use serde_json::Value;
use shared::{error::Code, values::ProfileKey};

use super::{Daemon, Kind, listed};
use crate::{
    client::{RequestError, dashboard},
    failure::Failure,
    output::printable,
};

/// The most profiles that are named, and the longest name in characters.
const NAMED_MAX: usize = 20;
const NAME_MAX: usize = 64;

/// `failure` of a request to `daemon`, or a better one, if it follows from what that daemon is. `profiles` are
/// those that the request asked for.
pub async fn explained(failure: Failure, daemon: &Daemon, profiles: &[&ProfileKey]) -> Failure {
    let Failure::Request(error) = &failure else {
        return failure;
    };
    let unknown = [Code::Unsatisfiable, Code::UnknownProfile].map(Code::as_str);
    let may_be_unknown = unknown.contains(&error.code());
    let may_be_other = match error {
        RequestError::Http(_) => error.is_foreign(),
        RequestError::Refused(_) => {
            [Code::NotFound.as_str(), Code::MethodNotAllowed.as_str()].contains(&error.code())
        }
    };
    if !may_be_unknown && !may_be_other {
        return failure;
    }
    let Ok(response) = dashboard(&daemon.client, &daemon.url).await else {
        return failure;
    };
    let shown = response.json::<Value>().unwrap_or_default();
    let message = match may_be_unknown {
        true => profiles
            .iter()
            .find_map(|it| unknown_profile(&shown, it.as_str())),
        false => other_kind(&shown, daemon),
    };
    message.map_or(failure, Failure::WrongName)
}

/// The message if the dashboard is that of the other daemon.
fn other_kind(dashboard: &Value, daemon: &Daemon) -> Option<String> {
    let is = if dashboard["profile_runner_counts"].is_object() {
        Kind::Monitor
    } else if dashboard["servers"].is_array() {
        Kind::Queue
    } else {
        return None;
    };
    (is != daemon.kind).then(|| {
        let (is, expected) = (is.name(), daemon.kind.name());
        format!(
            "use {} as a {expected}: that is a {is}: use --{is}, or another command",
            daemon.url
        )
    })
}

/// The message if the dashboard of a queue or a monitor lacks the profile.
fn unknown_profile(dashboard: &Value, profile: &str) -> Option<String> {
    let keys: Vec<&str> = match &dashboard["profile_runner_counts"] {
        Value::Object(counts) => counts.keys().map(String::as_str).collect(),
        _ => {
            let profiles = dashboard["profiles"].as_array()?.iter();
            let profiles = profiles.filter(|it| it["target"].as_u64().is_some_and(|it| it > 0));
            profiles
                .filter_map(|it| it["profile_key"].as_str())
                .collect()
        }
    };
    let keys = keys.into_iter().map(|key| printable(key, NAME_MAX));
    let mut known: Vec<String> = keys.collect();
    if known.iter().any(|key| key == profile) || known.is_empty() {
        return None;
    }
    known.truncate(NAMED_MAX);
    let verb = if known.len() == 1 { "is" } else { "are" };
    Some(format!(
        "find the profile {profile}: there is no profile {profile}; there {verb} {}",
        listed(&known)
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_unknown_profile_is_answered_with_those_that_there_are() {
        let profile = |key: &str, target| json!({"profile_key": key, "target": target});
        let profiles = [profile("linux", 2), profile("linx", 0), profile("macos", 1)];
        let dashboard = json!({"profiles": profiles});
        assert_eq!(
            unknown_profile(&dashboard, "linx").unwrap(),
            "find the profile linx: there is no profile linx; there are linux and macos"
        );
        assert_eq!(unknown_profile(&dashboard, "linux"), None);
        let monitor = json!({"profile_runner_counts": {"linux": {}, "macos": {}}});
        assert!(
            unknown_profile(&monitor, "linx")
                .unwrap()
                .ends_with("linux and macos")
        );
        assert_eq!(unknown_profile(&monitor, "linux"), None);
        assert_eq!(unknown_profile(&json!({"profiles": []}), "linux"), None);
        assert_eq!(unknown_profile(&Value::Null, "linux"), None);
    }
}
