//! Checks our GitHub client, the monitor and the emulator against the OpenAPI description that GitHub
//! publishes.
//!
//! A proxy between them (`proxy.js`, which uses Prism) validates every request and response. So the
//! emulator, on which all other tests rely, is known to behave as GitHub documents. Not part of
//! `cargo test`, because it needs Node.js and packages from npm; `contract/run` installs them and runs
//! the tests in `tests/contract`.
//!
//! Responsible for the process of the proxy and for its findings.

mod proxy;

pub use proxy::{Finding, Proxy, ProxyError, Severity};
