//! The names under which a server registers its runners, and how they are told from others.
//!
//! Owns the form `<prefix>-<profile_key>.<id>@<suffix>`. Pure.

use crate::values::ProfileKey;

/// The two parts that all runner names of one server have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerNames {
    /// Before the profile: the setting `libvirt_runner_guest_prefix`.
    pub prefix: String,
    /// After the id: the setting `github_api_suffix`, different on each server.
    pub suffix: String,
}

/// What a runner's name says about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunnerName {
    /// The runner's profile.
    pub profile_key: ProfileKey,
    /// The runner's id on its server.
    pub id: u64,
}

impl RunnerNames {
    /// The name under which a runner is registered.
    pub fn format(&self, profile_key: &ProfileKey, id: u64) -> String {
        let Self { prefix, suffix } = self;
        format!("{prefix}-{profile_key}.{id}@{suffix}")
    }

    /// What `name` says, if it is one that [`format`](Self::format) can have made.
    ///
    /// Anything else is foreign: another server's, another program's, a person's.
    pub fn parse(&self, name: &str) -> Option<RunnerName> {
        let own = name.strip_prefix(&self.prefix)?.strip_prefix('-')?;
        let own = own.strip_suffix(&self.suffix)?.strip_suffix('@')?;
        // A profile key may contain dots itself; the last one is ours.
        let (profile_key, id) = own.rsplit_once('.')?;
        let parsed = RunnerName {
            profile_key: profile_key.parse().ok()?,
            id: id.parse().ok()?,
        };
        // `u64::from_str` also takes `+7` and `007`.
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
    fn a_name_gives_back_what_it_was_made_of() {
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
    fn a_foreign_name_is_nobodys() {
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
