//! Names under which a server registers its runners: `<prefix>-<profile_key>.<id>@<suffix>`. By them
//! it recognises its own runners among all of GitHub's.

use crate::values::ProfileKey;

/// The parts that all runner names of one server have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerNames {
    /// The setting `libvirt_runner_guest_prefix`.
    pub prefix: String,
    /// The setting `github_api_suffix`, which differs between servers.
    pub suffix: String,
}

/// The parts of a name that identify a runner on its server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunnerName {
    /// The profile of the runner.
    pub profile_key: ProfileKey,
    /// The id of the runner on its server.
    pub id: u64,
}

/// The longest name that GitHub accepts, in characters (reported: actions/runner#1710).
pub const RUNNER_NAME_LENGTH_MAX: usize = 64;
/// Runners of a server are counted; the check of a name's length leaves room for this many.
const LARGE_ID: u64 = 999_999;

impl RunnerNames {
    /// The length of a name of this profile, if it is longer than GitHub accepts. The id of the runner
    /// counts with six digits.
    pub fn excessive_length(&self, profile_key: &ProfileKey) -> Option<usize> {
        let length = self.format(profile_key, LARGE_ID).chars().count();
        (length > RUNNER_NAME_LENGTH_MAX).then_some(length)
    }

    /// The name under which a runner is registered.
    pub fn format(&self, profile_key: &ProfileKey, id: u64) -> String {
        let Self { prefix, suffix } = self;
        format!("{prefix}-{profile_key}.{id}@{suffix}")
    }

    /// The parts of `name`, if [`format`](Self::format) can have produced it. `None` for all other
    /// names: they belong to other servers, programs or people.
    pub fn parse(&self, name: &str) -> Option<RunnerName> {
        let own = name.strip_prefix(&self.prefix)?.strip_prefix('-')?;
        let own = own.strip_suffix(&self.suffix)?.strip_suffix('@')?;
        // The last dot separates the id; the profile key may contain dots.
        let (profile_key, id) = own.rsplit_once('.')?;
        let parsed = RunnerName {
            profile_key: profile_key.parse().ok()?,
            id: id.parse().ok()?,
        };
        // `u64::from_str` also accepts `+7` and `007`.
        (parsed.id.to_string() == id).then_some(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> RunnerNames {
        RunnerNames {
            prefix: "ci-runner".into(),
            suffix: "host.example".into(),
        }
    }

    #[test]
    fn a_name_is_parsed_into_the_parts_it_was_formatted_from() {
        for (profile_key, id, expected) in [
            ("linux", 0, "ci-runner-linux.0@host.example"),
            ("mac-os_13.2", 7, "ci-runner-mac-os_13.2.7@host.example"),
            ("ci-runner-a", 1, "ci-runner-ci-runner-a.1@host.example"),
            (
                "a.5",
                u64::MAX,
                "ci-runner-a.5.18446744073709551615@host.example",
            ),
        ] {
            let profile_key: ProfileKey = profile_key.parse().unwrap();
            let name = names().format(&profile_key, id);
            assert_eq!(name, expected);
            assert_eq!(names().parse(&name), Some(RunnerName { profile_key, id }));
        }
    }

    #[test]
    fn a_name_that_github_would_refuse_is_found() {
        // `ci-runner-`, the key, `.999999@host.example`: 29 characters beside the key.
        for (key_length, expected) in [(1, None), (34, None), (35, Some(65)), (64, Some(94))] {
            let profile_key = "x".repeat(key_length).parse().unwrap();
            assert_eq!(names().excessive_length(&profile_key), expected);
        }
    }

    #[test]
    fn other_names_are_not_parsed() {
        for name in [
            "",
            "laptop",
            "ci-runner-linux.7",
            "ci-runner-linux.7@other.example",
            "ci-runner-linux.7@xhost.example",
            "ci-runner-linux.7host.example",
            "other-linux.7@host.example",
            "xci-runner-linux.7@host.example",
            "ci-runnerlinux.7@host.example",
            "ci-runner-linux@host.example",
            "ci-runner-.7@host.example",
            "ci-runner-..7@host.example",
            "ci-runner-linux.@host.example",
            "ci-runner-linux.+7@host.example",
            "ci-runner-linux.07@host.example",
            "ci-runner-linux.-7@host.example",
            "ci-runner-linux.18446744073709551616@host.example",
            "ci-runner-li nux.7@host.example",
            "ci-runner-@host.example",
        ] {
            assert_eq!(names().parse(name), None, "{name}");
        }
    }
}
