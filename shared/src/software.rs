//! How long GitHub supports a version of the runner software.

use crate::clock::Timestamp;

/// What GitHub knows of a version of the runner software.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// No end is planned: mostly, it is the newest.
    Open,
    /// From then on such runners get no jobs, or cannot be registered; by GitHub's clock.
    Until(Timestamp),
    /// GitHub does not know it, or does not tell: such versions are very old, or GitHub is an
    /// Enterprise Server.
    Unknown,
}
