//! The jobs of the demo: what each asks for, what it does, and how that should end. Plain data.

use super::hosts::HOSTS;

/// One job.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// Its name, the beginning of its `unique_id`.
    pub name: &'static str,
    /// The profile it asks for.
    pub profile_key: &'static str,
    /// How many runners it needs at once, if it says so.
    pub count: Option<u64>,
    /// Whether it knows the API token.
    pub is_token_right: bool,
    /// What it does on each of its runners, as shell text.
    pub command: &'static str,
    /// How it should end.
    pub expected: Expected,
}

/// How a job should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It gets its runners, and its command exits with this code.
    Exit(i32),
    /// The queue refuses it with this code.
    Refused(&'static str),
}

const fn role(name: &'static str, profile_key: &'static str, command: &'static str) -> Role {
    Role {
        name,
        profile_key,
        count: None,
        is_token_right: true,
        command,
        expected: Expected::Exit(0),
    }
}

/// All jobs, in the order in which they are sent: more than there are runners.
pub const CAST: [Role; 10] = [
    role("build", "linux", "sleep 1; uname -sr"),
    role("docs", "linux", "sleep 1; date -u"),
    role(
        "lint",
        "linux",
        "sleep 1; echo \"$GITHUB_REPOSITORY is tidy\"",
    ),
    Role {
        count: Some(2),
        ..role("pair", "linux", "sleep 1; echo one of two")
    },
    role("unit-tests", "linux", "sleep 1; expr 6 '*' 7"),
    Role {
        expected: Expected::Exit(3),
        ..role("broken-test", "linux", "sleep 1; echo expected 42; exit 3")
    },
    role("mac-build", "macos", "sleep 1; echo built"),
    role("mac-tests", "macos", "sleep 1; echo tested"),
    Role {
        count: Some(5),
        expected: Expected::Refused("unsatisfiable"),
        ..role("too-many", "macos", "")
    },
    Role {
        is_token_right: false,
        expected: Expected::Refused("wrong_token"),
        ..role("stranger", "linux", "")
    },
];

/// How many runners of a profile all hosts keep together.
pub fn target(profile_key: &str) -> usize {
    let profiles = HOSTS.iter().flat_map(|(_, profiles)| *profiles);
    let of_this = profiles.filter(|(key, _)| *key == profile_key);
    of_this.map(|(_, target)| target).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_burst_shows_what_it_promises() {
        let wanted = |key: &str| -> u64 {
            let runs = |role: &&Role| matches!(role.expected, Expected::Exit(_));
            let of_this = CAST.iter().filter(|role| role.profile_key == key);
            of_this
                .filter(runs)
                .map(|role| role.count.unwrap_or(1))
                .sum()
        };
        for key in ["linux", "macos"] {
            assert!(
                wanted(key) as usize > target(key),
                "more {key} jobs than runners"
            );
        }
        let too_many = CAST.iter().find(|role| role.name == "too-many").unwrap();
        assert!(too_many.count.unwrap() as usize > target(too_many.profile_key));
        let pair = CAST.iter().find(|role| role.name == "pair").unwrap();
        assert!(pair.count.unwrap() as usize <= target(pair.profile_key));
        assert!(CAST.iter().any(|role| !role.is_token_right));
    }

    #[test]
    fn no_two_jobs_have_the_same_name() {
        let mut names = CAST.map(|role| role.name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
