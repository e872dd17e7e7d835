//! Support period of a version of the runner software.

use crate::clock::Timestamp;

/// How long GitHub supports a version of the runner software.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Without a planned end: mostly the newest version.
    Open,
    /// Until this time, by GitHub's clock. Then such runners get no jobs or cannot be registered.
    Until(Timestamp),
    /// Unknown to GitHub: a very old version, or GitHub is an Enterprise Server, which has no such
    /// list.
    Unknown,
}
