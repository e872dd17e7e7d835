//! What to do next, and why: the difference between what should be and what is.
//!
//! Planning changes nothing. The same state gives the same plan, and once a plan has been executed
//! there is nothing left to plan. Nothing is planned for a runner that an effect is in flight for.
//!
//! Read `plan` first: it lists the actions and the order in which the other modules decide.

pub mod creations;
pub mod demand;
pub mod destructions;
pub mod eviction;
pub mod labels;
pub mod plan;
pub mod reason;
pub mod rebuilds;
