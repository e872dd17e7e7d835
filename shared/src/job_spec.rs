//! Identity of a job, as it travels from client to queue to monitor.

use serde::{Deserialize, Serialize};

use crate::values::{Count, ProfileKey, QualifiedRepo, RunId, UniqueId};

/// Which job, and which runners it needs. Two requests with equal specs are for the same job.
///
/// Where JSON contains these fields among others, this struct is embedded with `#[serde(flatten)]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobSpec {
    /// Name of the job, chosen by its client: the idempotency key of all requests for it.
    pub unique_id: UniqueId,
    /// Kind of runner.
    pub profile_key: ProfileKey,
    /// Number of runners, assigned all at once.
    pub count: Count,
    /// Repository that the job belongs to.
    pub qualified_repo: QualifiedRepo,
    /// Workflow run that the job belongs to.
    pub run_id: RunId,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_has_the_keys_that_existing_files_and_peers_use() {
        let spec = JobSpec {
            unique_id: "job".parse().unwrap(),
            profile_key: "linux".parse().unwrap(),
            count: Count::ONE,
            qualified_repo: "servo/servo".parse().unwrap(),
            run_id: RunId(7),
        };
        let expected = json!({
            "unique_id": "job", "profile_key": "linux", "count": 1, "qualified_repo": "servo/servo", "run_id": 7,
        });
        assert_eq!(serde_json::to_value(&spec).unwrap(), expected);
        assert_eq!(serde_json::from_value::<JobSpec>(expected).unwrap(), spec);
    }
}
