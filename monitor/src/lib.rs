//! The daemon that keeps one server's pool of single-use GitHub Actions runners.
//!
//! `core` knows and decides; everything else carries its words in and out. ARCHITECTURE.md tells
//! the whole story.

pub mod core;
