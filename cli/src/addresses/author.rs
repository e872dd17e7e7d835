//! The name under which changes are made: what pages show as the author of a drain or a pause.

use shared::{
    operator::{AUTHOR_LENGTH_MAX, Author},
    settings::Environment,
};

use super::wrong;
use crate::failure::Failure;

pub(super) const AUTHOR_VARIABLE: &str = "CI_RUNNERS_AUTHOR";
/// The variables with the name of the account, of which the first that is set is used.
pub(super) const ACCOUNT_VARIABLES: [&str; 2] = ["USER", "LOGNAME"];

/// The name: that of the option, else that of the variable, else the account and this host, such as
/// `alice@laptop`.
///
/// # Errors
/// When the variable has no valid name.
pub(super) fn author(
    option: Option<&Author>,
    environment: &Environment,
    host_name: &str,
) -> Result<Author, Failure> {
    if let Some(author) = option {
        return Ok(author.clone());
    }
    if let Some(text) = environment.get(AUTHOR_VARIABLE) {
        return text.parse().map_err(|error| wrong(AUTHOR_VARIABLE, error));
    }
    let mut accounts = ACCOUNT_VARIABLES.iter();
    let account = accounts.find_map(|name| environment.get(name));
    let name = account.map_or_else(String::new, |account| format!("{account}@{host_name}"));
    let name: String = name.chars().take(AUTHOR_LENGTH_MAX).collect();
    Ok(name.parse().unwrap_or_default())
}

/// The name of this host; empty if it has none.
pub(super) fn host_name() -> String {
    let names = rustix::system::uname();
    names.nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(option: Option<&str>, variables: &[(&str, &str)]) -> String {
        let option = option.map(|text| text.parse().unwrap());
        let environment = variables.iter().copied().collect();
        match author(option.as_ref(), &environment, "laptop") {
            Ok(author) => author.as_str().to_owned(),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn the_first_source_of_a_name_decides() {
        let account = [("USER", "alice"), ("LOGNAME", "bob")];
        let all = [("CI_RUNNERS_AUTHOR", "Alice K."), account[0], account[1]];
        assert_eq!(name(Some("ci bot"), &all), "ci bot");
        assert_eq!(name(Some(""), &all), "");
        assert_eq!(name(None, &all), "Alice K.");
        assert_eq!(name(None, &account), "alice@laptop");
        assert_eq!(name(None, &account[1..]), "bob@laptop");
        assert_eq!(name(None, &[]), "");
    }

    #[test]
    fn a_name_that_is_too_long_is_refused_if_it_was_chosen() {
        let long = "a".repeat(101);
        let refused = name(None, &[("CI_RUNNERS_AUTHOR", &long)]);
        assert!(
            refused.contains("CI_RUNNERS_AUTHOR: author must be at most 100"),
            "{refused}"
        );
        assert_eq!(name(None, &[("USER", &long)]), long[..100]);
    }
}
