//! A drained server: it keeps no runners, because an operator wants to work on it.

use serde::{Deserialize, Serialize};
use shared::clock::Timestamp;

/// Since when a server is drained, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// When it began, in microseconds since the Unix epoch.
    pub since: Timestamp,
    /// What the operator gave as the reason, in printable characters; may be empty.
    pub note: String,
}
