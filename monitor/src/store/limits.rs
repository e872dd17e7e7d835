//! Limits of the store.

/// Maximum size of a snapshot, in bytes. Normal ones have some kilobytes.
pub const SNAPSHOT_SIZE_MAX: u64 = 64 << 20;

/// Maximum number of callers that wait for a write. Reached only if the disk hangs.
pub const WAITER_COUNT_MAX: usize = 10_000;
