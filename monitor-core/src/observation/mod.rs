//! Which polls are due, and what their answers change.

pub mod poll;
