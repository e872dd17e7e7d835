//! Requests of our client and of the monitor to the emulated GitHub, through the proxy that validates
//! them; and GitHub's own examples of webhooks. `contract/run` starts these tests.

#![expect(
    clippy::unwrap_used,
    reason = "a failure here is a failure of the test"
)]

mod apps;
mod calls;
mod life;
mod support;
mod webhooks;
mod wrong;
