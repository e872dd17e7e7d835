//! The core as a whole: scenes that are told in sentences, and a random world against a model.
//!
//! Every scene asserts everything that comes out of the queue; what is left over fails the test.

mod clients;
mod effects;
mod invariants;
mod scene;
mod word;

mod forwarding;
mod gangs;
mod grants;
mod idempotence;
mod inherited;
mod limits;
mod order;
mod presence;
mod property;
mod restart;
mod servers;
mod unwanted;
mod views;
