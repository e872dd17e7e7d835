//! The labels of a runner: compared without regard to case, at most 100, some of them read-only.

use serde::Serialize;
use shared::values::InvalidValue;

use super::ModelError;

/// The maximum number of labels of a runner, and of labels that a job requires.
pub const LABEL_COUNT_MAX: usize = 100;
/// Maximum length of a label, in bytes.
const LABEL_LENGTH_MAX: usize = 256;
/// The labels that GitHub treats as read-only, in lower case.
const READ_ONLY: [&str; 8] = [
    "self-hosted",
    "linux",
    "windows",
    "macos",
    "x64",
    "x86",
    "arm",
    "arm64",
];

/// A label in the format of GitHub's API description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LabelView {
    pub id: u64,
    /// In the spelling in which it was added first.
    pub name: String,
    #[serde(rename = "type")]
    pub kind: LabelKind,
}

/// Whether a label can be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelKind {
    /// It describes the machine and cannot be removed.
    ReadOnly,
    Custom,
}

/// Rejects invalid label names, and lists with more than 100 or fewer than `count_min` of them.
pub(super) fn check_names(names: &[String], count_min: usize) -> Result<(), InvalidValue> {
    if !(count_min..=LABEL_COUNT_MAX).contains(&names.len()) {
        return Err(InvalidValue {
            field: "labels",
            allowed: if count_min == 0 {
                "at most 100 names"
            } else {
                "1 to 100 names"
            },
        });
    }
    let is_name = |name: &String| {
        (1..=LABEL_LENGTH_MAX).contains(&name.len()) && !name.contains(|c: char| c.is_control())
    };
    names.iter().all(is_name).then_some(()).ok_or(InvalidValue {
        field: "labels",
        allowed: "names of 1 to 256 bytes without control characters",
    })
}

/// The labels of a runner, in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels(Vec<LabelView>);

impl Labels {
    pub(super) fn view(&self) -> Vec<LabelView> {
        self.0.clone()
    }

    fn has(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|label| label.name.eq_ignore_ascii_case(name))
    }

    /// Whether a job that requires `names` can run on this runner.
    pub(super) fn has_all(&self, names: &[String]) -> bool {
        names.iter().all(|name| self.has(name))
    }

    /// Adds the labels that are missing, or none of them if there would be too many.
    pub(super) fn add(
        &mut self,
        names: Vec<String>,
        mut next_id: impl FnMut() -> u64,
    ) -> Result<(), ModelError> {
        let mut grown = self.clone();
        for name in names {
            if grown.has(&name) {
                continue;
            }
            let is_read_only = READ_ONLY
                .iter()
                .any(|read_only| name.eq_ignore_ascii_case(read_only));
            let kind = if is_read_only {
                LabelKind::ReadOnly
            } else {
                LabelKind::Custom
            };
            grown.0.push(LabelView {
                id: next_id(),
                name,
                kind,
            });
        }
        if grown.0.len() > LABEL_COUNT_MAX {
            return Err(ModelError::Full { what: "labels" });
        }
        *self = grown;
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> Result<(), ModelError> {
        let position = self
            .0
            .iter()
            .position(|label| label.name.eq_ignore_ascii_case(name))
            .ok_or(ModelError::NotFound)?;
        if self.0[position].kind == LabelKind::ReadOnly {
            return Err(ModelError::LabelReadOnly {
                name: self.0[position].name.clone(),
            });
        }
        self.0.remove(position);
        Ok(())
    }

    /// Removes all labels that are not read-only.
    pub(super) fn remove_custom(&mut self) {
        self.0.retain(|label| label.kind == LabelKind::ReadOnly);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn labels(of: &[&str]) -> Labels {
        let mut labels = Labels::default();
        let mut id = 0;
        labels
            .add(names(of), || {
                id += 1;
                id
            })
            .unwrap();
        labels
    }

    #[test]
    fn a_runner_must_have_all_labels_of_a_job_in_any_case() {
        let runner = labels(&["Linux", "runner:1", "GPU"]);
        for (wanted, fits) in [
            (vec!["linux"], true),
            (vec!["RUNNER:1", "gpu"], true),
            (vec!["linux", "gpu", "runner:1"], true),
            (vec!["linux", "arm64"], false),
            (vec!["runner"], false),
        ] {
            assert_eq!(runner.has_all(&names(&wanted)), fits, "{wanted:?}");
        }
    }

    #[test]
    fn a_repeated_label_keeps_its_first_spelling() {
        let view = labels(&["Self-Hosted", "self-hosted", "fast", "FAST"]).view();
        let shown: Vec<_> = view
            .iter()
            .map(|label| (label.id, label.name.as_str(), label.kind))
            .collect();
        assert_eq!(
            shown,
            [
                (1, "Self-Hosted", LabelKind::ReadOnly),
                (2, "fast", LabelKind::Custom)
            ]
        );
    }

    #[test]
    fn read_only_labels_cannot_be_removed() {
        let mut runner = labels(&["linux", "one", "two", "three"]);
        assert_eq!(runner.remove("ONE"), Ok(()));
        assert_eq!(runner.remove("one"), Err(ModelError::NotFound));
        assert_eq!(
            runner.remove("LINUX"),
            Err(ModelError::LabelReadOnly {
                name: "linux".into()
            })
        );
        runner.remove_custom();
        assert_eq!(runner.view().len(), 1);
    }

    #[test]
    fn adding_too_many_labels_changes_nothing() {
        let hundred: Vec<String> = (0..100).map(|n| format!("label-{n}")).collect();
        assert_eq!(check_names(&hundred, 1), Ok(()));
        let mut runner = labels(&["one"]);
        assert_eq!(
            runner.add(hundred.clone(), || 7),
            Err(ModelError::Full { what: "labels" })
        );
        assert_eq!(runner.view().len(), 1);
        assert!(check_names(&[hundred, names(&["more"])].concat(), 1).is_err());
    }

    #[test]
    fn invalid_label_names_are_rejected() {
        assert!(check_names(&[], 1).is_err());
        assert_eq!(check_names(&[], 0), Ok(()));
        for (name, is_valid) in [("", false), ("a\nb", false), ("a b/c:d@e", true)] {
            assert_eq!(
                check_names(&names(&[name]), 1).is_ok(),
                is_valid,
                "{name:?}"
            );
        }
        assert!(check_names(&["x".repeat(256)], 1).is_ok());
        assert!(check_names(&["x".repeat(257)], 1).is_err());
    }
}
