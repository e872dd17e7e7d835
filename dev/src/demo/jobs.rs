//! The jobs of the demo: what each asks for, what it executes, and its expected end. Data only.

use super::servers::SERVERS;

/// A job of the demo.
#[derive(Clone, Copy, Debug)]
pub struct DemoJob {
    /// Its `unique_id`.
    pub name: &'static str,
    pub profile_key: &'static str,
    /// How many runners it asks for at once; `None` enqueues it without a count.
    pub count: Option<u64>,
    /// Whether it is enqueued with the right API token.
    pub is_token_right: bool,
    /// The shell command that it executes on each of its runners.
    pub command: &'static str,
    pub expected: Expected,
}

/// How a job is expected to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It gets its runners, and its command exits with this code.
    Exit(i32),
    /// The queue refuses it with this code.
    Refused(&'static str),
}

const fn job(name: &'static str, profile_key: &'static str, command: &'static str) -> DemoJob {
    DemoJob {
        name,
        profile_key,
        count: None,
        is_token_right: true,
        command,
        expected: Expected::Exit(0),
    }
}

/// All jobs, in the order in which they are sent: more than there are runners.
pub const JOBS: [DemoJob; 10] = [
    job("build", "linux", "sleep 1; uname -sr"),
    job("docs", "linux", "sleep 1; date -u"),
    job(
        "lint",
        "linux",
        "sleep 1; echo \"$GITHUB_REPOSITORY is tidy\"",
    ),
    DemoJob {
        count: Some(2),
        ..job("pair", "linux", "sleep 1; echo one of two")
    },
    job("unit-tests", "linux", "sleep 1; expr 6 '*' 7"),
    DemoJob {
        expected: Expected::Exit(3),
        ..job("broken-test", "linux", "sleep 1; echo expected 42; exit 3")
    },
    job("mac-build", "macos", "sleep 1; echo built"),
    job("mac-tests", "macos", "sleep 1; echo tested"),
    DemoJob {
        count: Some(5),
        expected: Expected::Refused("unsatisfiable"),
        ..job("too-many", "macos", "")
    },
    DemoJob {
        is_token_right: false,
        expected: Expected::Refused("wrong_token"),
        ..job("wrong-token", "linux", "")
    },
];

/// The number of runners of a profile that all servers keep together.
pub fn target(profile_key: &str) -> usize {
    let profiles = SERVERS.iter().flat_map(|(_, profiles)| *profiles);
    let of_this = profiles.filter(|(key, _)| *key == profile_key);
    of_this.map(|(_, target)| target).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str) -> &'static DemoJob {
        JOBS.iter().find(|job| job.name == name).unwrap()
    }

    #[test]
    fn the_jobs_show_a_queue_a_gang_and_both_refusals() {
        let requested = |key: &str| -> u64 {
            JOBS.iter()
                .filter(|job| job.profile_key == key && matches!(job.expected, Expected::Exit(_)))
                .map(|job| job.count.unwrap_or(1))
                .sum()
        };
        for key in ["linux", "macos"] {
            assert!(requested(key) as usize > target(key), "{key} jobs wait");
        }
        let (too_many, pair) = (find("too-many"), find("pair"));
        assert!(too_many.count.unwrap() as usize > target(too_many.profile_key));
        assert!(pair.count.unwrap() as usize <= target(pair.profile_key));
        assert!(!find("wrong-token").is_token_right);
    }

    #[test]
    fn names_are_unique() {
        let mut names = JOBS.map(|job| job.name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
