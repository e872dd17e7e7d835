//! Secrets of the daemons, from the environment or `.env`.
//!
//! Responsible for their form. Errors never contain a secret.

use std::path::PathBuf;

use super::{
    base_url::BaseUrl,
    environment::{
        API_TOKEN, API_TOKEN_OLD, Environment, GITHUB_TOKEN, GITHUB_WEBHOOK_SECRET, QUEUE_TOKEN,
        QUEUE_TOKEN_OLD, SERVER_TOKENS,
    },
    error::SettingsError,
};
use crate::secret::Secret;

/// The placeholder of secrets in `.env.example`.
const EXAMPLE_VALUE: &str = "ChangeMe";
/// The longest token, in bytes.
const LENGTH_MAX: usize = 1024;

/// The secrets of the daemons.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// The API token of both daemons, which the queue also sends to monitors.
    pub api_token: Secret,
    /// Another API token that is accepted, for the time of a rotation. It is never sent.
    pub api_token_old: Option<Secret>,
    /// The tokens that allow only takes, releases and reports: what a queue needs of a monitor. During
    /// a rotation there are two. Only monitors use them.
    pub queue_tokens: Vec<Secret>,
    /// The tokens that a queue sends to these servers instead of the API token. Only queues use them.
    pub server_tokens: Vec<(BaseUrl, Secret)>,
    /// The personal access token for GitHub. A queue needs it for artifact authentication only.
    pub github_token: Option<Secret>,
    /// The secret with which GitHub signs webhooks; without it, webhooks are refused.
    pub github_webhook_secret: Option<Secret>,
    /// The file `.env`, if the token for GitHub comes from it.
    github_token_file: Option<PathBuf>,
}

impl Secrets {
    /// Reads the secrets from the environment.
    ///
    /// # Errors
    /// When the API token is not set, or a secret cannot be used.
    pub fn read(environment: &Environment) -> Result<Self, SettingsError> {
        let api_token = token(environment, API_TOKEN)?.ok_or_else(|| not_set(API_TOKEN))?;
        let api_token_old = token(environment, API_TOKEN_OLD)?;
        let mut queue_tokens = Vec::new();
        for name in [QUEUE_TOKEN, QUEUE_TOKEN_OLD] {
            let Some(queue_token) = token(environment, name)? else {
                continue;
            };
            let api_tokens = [Some(&api_token), api_token_old.as_ref()];
            if api_tokens
                .into_iter()
                .flatten()
                .any(|it| it.matches(queue_token.expose()))
            {
                let problem = "the same as an API token, so it would allow everything; set it to \
                               another value";
                return Err(SettingsError::Secret {
                    name,
                    problem: problem.to_owned(),
                });
            }
            queue_tokens.push(queue_token);
        }
        Ok(Self {
            api_token,
            api_token_old,
            queue_tokens,
            server_tokens: server_tokens(environment)?,
            github_token: token(environment, GITHUB_TOKEN)?,
            github_webhook_secret: token(environment, GITHUB_WEBHOOK_SECRET)?,
            github_token_file: None,
        })
    }

    /// Checks that every token of a server is for one that the queue has.
    ///
    /// # Errors
    /// When there is one for another URL.
    pub(super) fn check_servers(&self, servers: &[BaseUrl]) -> Result<(), SettingsError> {
        let mut tokens = self.server_tokens.iter();
        match tokens.find(|(url, _)| !servers.contains(url)) {
            None => Ok(()),
            Some((url, _)) => Err(SettingsError::Secret {
                name: SERVER_TOKENS,
                problem: format!(
                    "{url} is not among the servers in [queue]; write it as it is there, or leave it out"
                ),
            }),
        }
    }

    /// The token that a queue sends to this server.
    pub fn token_for(&self, server: &BaseUrl) -> &Secret {
        let mut tokens = self.server_tokens.iter();
        let own = tokens.find(|(url, _)| url == server);
        own.map_or(&self.api_token, |(_, token)| token)
    }

    /// The same secrets, of which the token for GitHub comes from `file`.
    pub(super) fn with_github_token_of(self, file: PathBuf) -> Self {
        Self {
            github_token_file: Some(file),
            ..self
        }
    }

    /// Whether the token for GitHub comes from `.env`, so that it can change.
    pub fn is_github_token_from_file(&self) -> bool {
        self.github_token_file.is_some()
    }

    /// The token for GitHub that `.env` contains now; `None` if it does not come from there, or cannot be
    /// read.
    pub fn reread_github_token(&self) -> Option<Secret> {
        let file = self.github_token_file.as_deref()?;
        let environment = Environment::default().or_from_file(file).ok()?;
        token(&environment, GITHUB_TOKEN).ok()?
    }

    /// The token for GitHub, for a daemon that requires it.
    ///
    /// # Errors
    /// When it is not set.
    pub fn require_github_token(&self) -> Result<&Secret, SettingsError> {
        self.github_token
            .as_ref()
            .ok_or_else(|| not_set(GITHUB_TOKEN))
    }
}

fn not_set(name: &'static str) -> SettingsError {
    let problem = "not set; set it in the environment, or in a file .env beside the settings \
                   file, as .env.example shows";
    SettingsError::Secret {
        name,
        problem: problem.to_owned(),
    }
}

/// Reads `<URL>=<token>` for each server, separated by blanks.
fn server_tokens(environment: &Environment) -> Result<Vec<(BaseUrl, Secret)>, SettingsError> {
    let entries = environment.get(SERVER_TOKENS).unwrap_or_default();
    let mut tokens: Vec<(BaseUrl, Secret)> = Vec::new();
    for (index, entry) in entries.split_ascii_whitespace().enumerate() {
        let invalid = |problem: String| SettingsError::Secret {
            name: SERVER_TOKENS,
            problem: format!("entry {}: {problem}", index + 1),
        };
        let parts = entry.split_once('=');
        let Some((url, secret)) = parts.filter(|(_, secret)| !secret.is_empty()) else {
            return Err(invalid(
                "not of the form <URL of a server>=<token>; separate entries by blanks".to_owned(),
            ));
        };
        // Not shown: what stands there may be a token.
        let url: BaseUrl = url.parse().map_err(|_| {
            invalid(
                "the part before = is not an http or https URL such as https://ci0.example.org"
                    .to_owned(),
            )
        })?;
        if tokens.iter().any(|(known, _)| *known == url) {
            return Err(invalid(format!(
                "{url} has two tokens; leave one of them out"
            )));
        }
        let secret = usable(secret).map_err(invalid)?;
        tokens.push((url, secret));
    }
    Ok(tokens)
}

fn token(environment: &Environment, name: &'static str) -> Result<Option<Secret>, SettingsError> {
    let value = environment.get(name);
    let token = value.map(usable).transpose();
    token.map_err(|problem| SettingsError::Secret { name, problem })
}

/// A token as it is written, or what is wrong with it.
fn usable(value: &str) -> Result<Secret, String> {
    let problem = if value.trim().is_empty() {
        "contains only blanks; set it to the token".to_owned()
    } else if value.trim().eq_ignore_ascii_case(EXAMPLE_VALUE) {
        format!("still {EXAMPLE_VALUE}, as in the example; set it to a value of your own")
    } else if value.len() > LENGTH_MAX || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        // Other characters cannot be sent in a header.
        format!("[secret], allowed: 1 to {LENGTH_MAX} visible ASCII characters without blanks")
    } else {
        return Ok(Secret::new(value));
    };
    Err(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Secrets, String> {
        let environment: Environment = variables.iter().copied().collect();
        Secrets::read(&environment).map_err(|error| error.to_string())
    }

    const NOT_SET: &str = "not set; set it in the environment, or in a file .env beside the \
                           settings file, as .env.example shows";

    #[test]
    fn usable_secrets_are_taken_as_they_are() {
        let longest = "x".repeat(LENGTH_MAX);
        for value in ["a", "ghp_0123/+=~", "change", &longest] {
            let secrets = read(&[(API_TOKEN, value), (GITHUB_TOKEN, value)]).unwrap();
            assert!(secrets.api_token.matches(value));
            assert!(secrets.require_github_token().unwrap().matches(value));
        }
    }

    #[test]
    fn unusable_secrets_are_refused_and_not_repeated() {
        let blanks = "contains only blanks; set it to the token";
        let example = "still ChangeMe, as in the example; set it to a value of your own";
        let other = "[secret], allowed: 1 to 1024 visible ASCII characters without blanks";
        let too_long = "x".repeat(LENGTH_MAX + 1);
        for (value, problem) in [
            (" ", blanks),
            ("\t\n", blanks),
            ("ChangeMe", example),
            (" changeme\n", example),
            ("hunter 2", other),
            ("hunter2\n", other),
            ("hünter2", other),
            (&too_long, other),
        ] {
            let error = read(&[(API_TOKEN, value)]).unwrap_err();
            assert_eq!(error, format!("SERVO_CI_MONITOR_API_TOKEN: {problem}"));
            let error = read(&[(API_TOKEN, "a"), (GITHUB_TOKEN, value)]).unwrap_err();
            assert_eq!(error, format!("GITHUB_TOKEN: {problem}"));
        }
    }

    #[test]
    fn a_second_api_token_is_optional_and_has_the_same_form() {
        let secrets = read(&[(API_TOKEN, "new")]).unwrap();
        assert!(secrets.api_token_old.is_none());
        let secrets = read(&[(API_TOKEN, "new"), (API_TOKEN_OLD, "old")]).unwrap();
        assert!(secrets.api_token.matches("new"));
        assert!(secrets.api_token_old.unwrap().matches("old"));
        let error = read(&[(API_TOKEN, "new"), (API_TOKEN_OLD, "hunter 2")]).unwrap_err();
        assert!(
            error.starts_with("SERVO_CI_MONITOR_API_TOKEN_OLD: [secret]"),
            "{error}"
        );
    }

    #[test]
    fn a_queue_may_have_a_token_of_its_own_that_is_no_api_token() {
        let api = [(API_TOKEN, "api"), (API_TOKEN_OLD, "older")];
        assert!(read(&api).unwrap().queue_tokens.is_empty());
        let read = |variables: &[(&str, &str)]| read(&[&api, variables].concat());
        let secrets = read(&[(QUEUE_TOKEN, "new"), (QUEUE_TOKEN_OLD, "old")]).unwrap();
        assert!(secrets.queue_tokens[0].matches("new") && secrets.queue_tokens[1].matches("old"));
        for (name, value) in [(QUEUE_TOKEN, "api"), (QUEUE_TOKEN_OLD, "older")] {
            assert_eq!(
                read(&[(name, value)]).unwrap_err(),
                format!(
                    "{name}: the same as an API token, so it would allow everything; set it to another value"
                )
            );
        }
    }

    #[test]
    fn each_server_may_have_a_token_of_its_own() {
        let read = |value: &str| read(&[(API_TOKEN, "api"), (SERVER_TOKENS, value)]);
        let secrets = read(" http://a:8000=one==\n  http://b/ci/=two ").unwrap();
        let tokens = secrets.server_tokens.iter();
        let tokens: Vec<_> = tokens
            .map(|(url, it)| (url.as_str(), it.expose()))
            .collect();
        assert_eq!(
            tokens,
            [("http://a:8000/", "one=="), ("http://b/ci/", "two")]
        );
        for (server, token) in [
            ("http://a:8000", "one=="),
            ("http://b/ci", "two"),
            ("http://c", "api"),
        ] {
            let server = server.parse().unwrap();
            assert_eq!(secrets.token_for(&server).expose(), token, "{server:?}");
        }
        assert!(!format!("{secrets:?}").contains("two"));
        for (value, problem) in [
            (
                "hunter2",
                "entry 1: not of the form <URL of a server>=<token>; separate entries by blanks",
            ),
            (
                "http://a=x http://b=",
                "entry 2: not of the form <URL of a server>=<token>; separate entries by blanks",
            ),
            (
                "hunter2=http://a",
                "entry 1: the part before = is not an http or https URL such as https://ci0.example.org",
            ),
            (
                "http://a=x http://a/=y",
                "entry 2: http://a/ has two tokens; leave one of them out",
            ),
            (
                "http://a=ChangeMe",
                "entry 1: still ChangeMe, as in the example; set it to a value of your own",
            ),
            (
                "http://a=h\u{fc}nter2",
                "entry 1: [secret], allowed: 1 to 1024 visible ASCII characters without blanks",
            ),
        ] {
            let error = read(value).unwrap_err();
            assert_eq!(error, format!("SERVO_CI_MONITOR_SERVER_TOKENS: {problem}"));
        }
    }

    #[test]
    fn the_api_token_is_required() {
        for variables in [&[][..], &[(API_TOKEN, "")], &[(GITHUB_TOKEN, "a")]] {
            let error = read(variables).unwrap_err();
            assert_eq!(error, format!("SERVO_CI_MONITOR_API_TOKEN: {NOT_SET}"));
        }
    }

    #[test]
    fn only_who_needs_the_token_for_github_misses_it() {
        for variables in [
            &[(API_TOKEN, "a")][..],
            &[(API_TOKEN, "a"), (GITHUB_TOKEN, "")],
        ] {
            let secrets = read(variables).unwrap();
            assert!(secrets.github_token.is_none());
            let error = secrets.require_github_token().unwrap_err();
            assert_eq!(error.to_string(), format!("GITHUB_TOKEN: {NOT_SET}"));
        }
    }
}
