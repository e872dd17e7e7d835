//! The guest names that belong to this monitor.
//!
//! Responsible for the form of a name. Every name is checked here before it becomes part of a path or
//! reaches a hypervisor, so that no name leads out of its folder or to a guest of another program.

use std::sync::Arc;

use super::error::HypervisorError;

/// Maximum length in bytes: a name plus the extension of its log has to be a valid file name.
const NAME_LENGTH_MAX: usize = 200;

/// The names that begin with a prefix and a hyphen. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Namespace {
    prefix: Arc<str>,
}

impl Namespace {
    /// The namespace of a prefix, which has the same characters as the names.
    pub fn new(prefix: &str) -> Result<Self, HypervisorError> {
        // Names that begin with a dot are the driver's own files.
        let is_valid = is_name(prefix) && !prefix.starts_with('.');
        is_valid
            .then(|| Self {
                prefix: prefix.into(),
            })
            .ok_or_else(|| HypervisorError::InvalidPrefix {
                prefix: prefix.to_owned(),
            })
    }

    /// Whether a name is in the namespace.
    pub fn contains(&self, name: &str) -> bool {
        is_name(name)
            && name
                .strip_prefix(&*self.prefix)
                .and_then(|rest| rest.strip_prefix('-'))
                .is_some_and(|rest| !rest.is_empty())
    }

    /// Refuses a name outside the namespace.
    pub fn check(&self, name: &str) -> Result<(), HypervisorError> {
        self.contains(name)
            .then_some(())
            .ok_or_else(|| HypervisorError::InvalidName {
                prefix: self.prefix.to_string(),
            })
    }
}

fn is_name(text: &str) -> bool {
    (1..=NAME_LENGTH_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_the_prefix_are_in_the_namespace() {
        let namespace = Namespace::new("ci-runner").unwrap();
        let longest = format!("ci-runner-{}", "x".repeat(NAME_LENGTH_MAX - 10));
        for name in ["ci-runner-linux.1", "ci-runner-a_B.7@host-1", &longest] {
            assert!(namespace.contains(name), "{name}");
            assert!(namespace.check(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn every_other_name_is_refused() {
        let namespace = Namespace::new("ci-runner").unwrap();
        let too_long = format!("ci-runner-{}", "x".repeat(NAME_LENGTH_MAX - 9));
        for name in [
            "",
            "ci-runner",
            "ci-runner-",
            "ci-runner2-linux.1",
            "ci-template-linux",
            "../ci-runner-linux.1",
            "ci-runner-../../etc",
            "ci-runner-a/b",
            "ci-runner-a b",
            "ci-runner-a\0",
            "ci-runner-\u{e9}",
            &too_long,
        ] {
            assert!(!namespace.contains(name), "{name:?}");
            let refusal = namespace.check(name).unwrap_err();
            assert!(!refusal.is_transient());
            assert!(refusal.to_string().contains("`ci-runner-`"), "{refusal}");
        }
    }

    #[test]
    fn a_prefix_that_cannot_begin_a_name_is_refused() {
        for prefix in ["", "..", ".hidden", "a/b", "a b"] {
            let refusal = Namespace::new(prefix).map(drop).unwrap_err();
            assert!(!refusal.is_transient(), "{prefix:?}");
        }
    }
}
