//! Registration of a runner at GitHub, in the JSON of GitHub's API and of our own.

use serde::{Deserialize, Serialize};

/// The registration of a runner at GitHub. Other fields that GitHub sends are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Registration {
    /// The id of the registration, not that of the runner on its server.
    pub id: u64,
    /// The name under which the runner is registered.
    pub name: String,
    /// Whether the runner is connected to GitHub.
    pub status: RegistrationStatus,
    /// Whether the runner is running a job.
    pub busy: bool,
    /// The labels that jobs can put into `runs-on`.
    #[serde(default)]
    pub labels: Vec<Label>,
    /// The version of the runner software; `None` until it has connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Registration {
    /// Whether it has `label`. Like GitHub, ignores upper and lower case.
    pub fn has_label(&self, label: &str) -> bool {
        let mut labels = self.labels.iter();
        labels.any(|own| own.name.eq_ignore_ascii_case(label))
    }
}

/// Whether a runner is connected to GitHub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RegistrationStatus {
    /// Connected.
    Online,
    /// Not connected. Unknown values count as this, so that no job is assigned a runner that may not
    /// exist.
    #[serde(other)]
    Offline,
}

/// A label that a job can put into `runs-on`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Label {
    /// The text of the label.
    pub name: String,
}

/// The outcome of deleting a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It has been deleted.
    Deleted,
    /// It did not exist: GitHub removes the registration of a runner whose job has ended.
    NotThere,
    /// GitHub refused, because the runner is running a job.
    Busy,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_registration_of_github_is_written_with_six_keys() {
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
    fn every_status_but_online_is_offline() {
        for (status, expected) in [
            ("online", RegistrationStatus::Online),
            ("offline", RegistrationStatus::Offline),
            ("hibernating", RegistrationStatus::Offline),
        ] {
            let parsed: RegistrationStatus =
                serde_json::from_value(Value::String(status.into())).unwrap();
            assert_eq!(parsed, expected, "{status}");
        }
        assert_eq!(
            serde_json::to_value(RegistrationStatus::Offline).unwrap(),
            "offline"
        );
    }
}
