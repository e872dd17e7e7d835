//! Holds our GitHub client, the monitor and the emulator to GitHub's own description of its API.
//!
//! Between them stands a proxy (`proxy.js`, around the library of Prism) that knows the OpenAPI
//! description which GitHub publishes. So the emulator, on which all other tests stand, is not
//! merely what we believe GitHub to be. Not part of `cargo test`, because it needs Node.js and
//! packages from npm; `contract/run` fetches them and runs it.
//!
//! Owns that proxy's process and what it finds. The tests are in `tests/contract`.

mod proxy;

pub use proxy::{Finding, Proxy, ProxyError, Severity};
