//! A runner's labels: compared without regard to case, at most a hundred, and some of them fixed.

use serde::Serialize;
use shared::values::InvalidValue;

use super::Refusal;

/// The most labels that one runner can have, and that one job can ask for.
pub const LABEL_COUNT_MAX: usize = 100;
/// Longest name of a label, in bytes.
const LABEL_LENGTH_MAX: usize = 256;
/// What GitHub treats as a description of the machine, in lower case.
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

/// A label as GitHub shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LabelView {
    /// Its number.
    pub id: u64,
    /// Its name, in the spelling it was first given.
    pub name: String,
    /// Whether it can be removed.
    #[serde(rename = "type")]
    pub kind: LabelKind,
}

/// Whether a label can be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelKind {
    /// It describes the machine, and stays.
    ReadOnly,
    /// It was made up by somebody.
    Custom,
}

/// Refuses names that no label can have.
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

/// The labels of one runner, in the order they came.
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

    /// Whether a job that asks for `names` may run here.
    pub(super) fn has_all(&self, names: &[String]) -> bool {
        names.iter().all(|name| self.has(name))
    }

    /// Adds what is not there yet, or nothing if there would be too many.
    pub(super) fn add(
        &mut self,
        names: Vec<String>,
        mut next_id: impl FnMut() -> u64,
    ) -> Result<(), Refusal> {
        let mut grown = self.clone();
        for name in names {
            if grown.has(&name) {
                continue;
            }
            let is_fixed = READ_ONLY
                .iter()
                .any(|fixed| name.eq_ignore_ascii_case(fixed));
            let kind = if is_fixed {
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
            return Err(Refusal::Full { what: "labels" });
        }
        *self = grown;
        Ok(())
    }

    /// Removes one label.
    pub(super) fn remove(&mut self, name: &str) -> Result<(), Refusal> {
        let position = self
            .0
            .iter()
            .position(|label| label.name.eq_ignore_ascii_case(name))
            .ok_or(Refusal::NotFound)?;
        if self.0[position].kind == LabelKind::ReadOnly {
            return Err(Refusal::LabelReadOnly {
                name: self.0[position].name.clone(),
            });
        }
        self.0.remove(position);
        Ok(())
    }

    /// Removes all labels that somebody made up.
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
    fn a_job_needs_all_of_its_labels_in_any_case() {
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
    fn a_label_is_there_once_in_its_first_spelling() {
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
    fn only_labels_that_somebody_made_up_can_be_removed() {
        let mut runner = labels(&["linux", "one", "two", "three"]);
        assert_eq!(runner.remove("ONE"), Ok(()));
        assert_eq!(runner.remove("one"), Err(Refusal::NotFound));
        assert_eq!(
            runner.remove("LINUX"),
            Err(Refusal::LabelReadOnly {
                name: "linux".into()
            })
        );
        runner.remove_custom();
        assert_eq!(runner.view().len(), 1);
    }

    #[test]
    fn too_many_labels_change_nothing() {
        let hundred: Vec<String> = (0..100).map(|n| format!("label-{n}")).collect();
        assert_eq!(check_names(&hundred, 1), Ok(()));
        let mut runner = labels(&["one"]);
        assert_eq!(
            runner.add(hundred.clone(), || 7),
            Err(Refusal::Full { what: "labels" })
        );
        assert_eq!(runner.view().len(), 1);
        assert!(check_names(&[hundred, names(&["more"])].concat(), 1).is_err());
    }

    #[test]
    fn names_that_no_label_can_have_are_refused() {
        assert!(check_names(&[], 1).is_err());
        assert_eq!(check_names(&[], 0), Ok(()));
        for (name, is_taken) in [("", false), ("a\nb", false), ("a b/c:d@e", true)] {
            assert_eq!(
                check_names(&names(&[name]), 1).is_ok(),
                is_taken,
                "{name:?}"
            );
        }
        assert!(check_names(&["x".repeat(256)], 1).is_ok());
        assert!(check_names(&["x".repeat(257)], 1).is_err());
    }
}
