//! GitHub's record of a runner, in the shape in which GitHub sends it and our wire passes it on.

use serde::{Deserialize, Serialize};

/// A runner as GitHub knows it. What else GitHub says of it is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// GitHub's id of it, not the runner's own.
    pub id: u64,
    /// The name it was registered under.
    pub name: String,
    /// Whether it is connected to GitHub.
    pub status: RegistrationStatus,
    /// Whether it runs a job.
    pub busy: bool,
    /// Its labels.
    #[serde(default)]
    pub labels: Vec<Label>,
    /// The version of its software, once it has connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Registration {
    /// Whether it carries `label`. GitHub does not tell upper from lower case here.
    pub fn has_label(&self, label: &str) -> bool {
        let mut labels = self.labels.iter();
        labels.any(|own| own.name.eq_ignore_ascii_case(label))
    }
}

/// Whether a runner is connected to GitHub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegistrationStatus {
    /// It is, and takes a job if it is not busy.
    Online,
    /// It is not. Any word we do not know counts as this, so that nothing is given a runner that
    /// may not be there.
    #[serde(other)]
    Offline,
}

/// A word that a job can ask for in `runs-on`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The word itself.
    pub name: String,
}

/// What became of a registration that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Deleted,
    /// It was gone already: a runner that has done its job is removed by GitHub.
    NotThere,
    /// It runs a job, and stays.
    Busy,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_github_sends_is_passed_on_in_six_keys() {
        let sent = json!({
            "id": 23, "name": "ci-runner-linux.7@host", "os": "Linux", "status": "online",
            "busy": true, "ephemeral": true, "runner_group_id": 1, "version": "2.337.0",
            "labels": [{"id": 5, "name": "Self-Hosted", "type": "read-only"}],
        });
        let registration: Registration = serde_json::from_value(sent).unwrap();
        assert_eq!(
            serde_json::to_value(&registration).unwrap(),
            json!({
                "id": 23, "name": "ci-runner-linux.7@host", "status": "online",
                "busy": true, "labels": [{"name": "Self-Hosted"}], "version": "2.337.0",
            })
        );
        assert!(registration.has_label("self-hosted"));
        assert!(!registration.has_label("self"));
    }

    #[test]
    fn whatever_is_not_online_is_offline() {
        for (word, expected) in [
            ("online", RegistrationStatus::Online),
            ("offline", RegistrationStatus::Offline),
            ("hibernating", RegistrationStatus::Offline),
        ] {
            let status: RegistrationStatus =
                serde_json::from_value(Value::String(word.into())).unwrap();
            assert_eq!(status, expected, "{word}");
        }
        assert_eq!(
            serde_json::to_value(RegistrationStatus::Offline).unwrap(),
            "offline"
        );
    }
}
