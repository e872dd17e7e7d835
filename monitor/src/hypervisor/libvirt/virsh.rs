//! Client for libvirt, by its command line `virsh`.
//!
//! Responsible for the arguments and the timeout of each call. Names are checked against a namespace
//! before they get here, so none begins with a hyphen.

use std::{collections::BTreeSet, ffi::OsString, path::Path, sync::Arc, time::Duration};

use tokio::process::Child;

use super::virsh_output;
use crate::hypervisor::{
    error::HypervisorError,
    namespace::Namespace,
    program::{self, ProgramError},
};

/// Timeout of a query, which normally takes some 20 ms.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of a start or an end of a machine. libvirt gives QEMU 15 s to end before it kills it.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);
/// Duration of one `virsh event`, in seconds. It is started again each time; the limit ends a process
/// that was left behind.
const EVENTS_SECONDS: &str = "600";

/// A libvirt, and the names of our machines in it. Cheap to clone.
#[derive(Clone)]
pub struct Virsh {
    uri: Arc<str>,
    runners: Namespace,
    /// The names of guests that build images.
    builders: Namespace,
}

impl Virsh {
    pub fn new(uri: &str, runners: Namespace, builders: Namespace) -> Self {
        Self {
            uri: uri.into(),
            runners,
            builders,
        }
    }

    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The names of all runners, including those that are being started.
    pub async fn runners(&self) -> Result<BTreeSet<String>, HypervisorError> {
        let words = ["list", "--all", "--name"];
        self.list(&words, |name| self.runners.contains(name))
            .await
            .map_err(|source| HypervisorError::program("list", "the virtual machines", source))
    }

    /// The names of all machines that build images.
    pub async fn builders(&self) -> Result<BTreeSet<String>, HypervisorError> {
        let words = ["list", "--all", "--name"];
        let names = self.list(&words, |name| self.builders.contains(name));
        names.await.map_err(|source| {
            HypervisorError::program("list", "the machines that build images", source)
        })
    }

    /// The names of our machines that are inactive and persistent, so that libvirt keeps them.
    pub async fn inactive(&self) -> Result<BTreeSet<String>, HypervisorError> {
        let words = ["list", "--inactive", "--persistent", "--name"];
        let is_ours = |name: &str| self.runners.contains(name) || self.builders.contains(name);
        self.list(&words, is_ours)
            .await
            .map_err(|source| HypervisorError::program("list", "the inactive machines", source))
    }

    async fn list(
        &self,
        words: &[&str],
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<BTreeSet<String>, ProgramError> {
        let output = self.call(words, QUERY_TIMEOUT).await?;
        let names = virsh_output::names(&output).filter(|name| is_wanted(name));
        Ok(names.map(str::to_owned).collect())
    }

    /// The capabilities and the resources of the host, as XML.
    pub async fn capabilities(&self) -> Result<String, ProgramError> {
        self.call(&["capabilities"], QUERY_TIMEOUT).await
    }

    /// Total and free memory of the host.
    pub async fn memory_statistics(&self) -> Result<String, ProgramError> {
        self.call(&["nodememstats"], QUERY_TIMEOUT).await
    }

    /// The names of all active networks. None of them begins with a hyphen, which virsh would misread.
    pub async fn networks(&self) -> Result<BTreeSet<String>, HypervisorError> {
        let words = ["net-list", "--name"];
        self.list(&words, |name| !name.starts_with('-'))
            .await
            .map_err(|source| HypervisorError::program("list", "the networks", source))
    }

    /// The DHCP leases of a network, as a table.
    pub async fn leases(&self, network: &str) -> Result<String, ProgramError> {
        self.call(&["net-dhcp-leases", network], QUERY_TIMEOUT)
            .await
    }

    /// The interfaces of a machine, as a table.
    pub async fn interfaces(&self, name: &str) -> Result<String, ProgramError> {
        self.call(&["domiflist", name], QUERY_TIMEOUT).await
    }

    /// The state of a machine and its reason, such as `paused (I/O error)`.
    pub async fn state(&self, name: &str) -> Result<String, ProgramError> {
        self.call(&["domstate", name, "--reason"], QUERY_TIMEOUT)
            .await
    }

    /// Starts the transient machine that a file defines.
    pub async fn create(&self, definition: &Path) -> Result<(), ProgramError> {
        let arguments = self.arguments(&["create"], [definition.as_os_str().to_owned()]);
        program::call("virsh", &arguments, CHANGE_TIMEOUT)
            .await
            .map(drop)
    }

    /// Ends a machine at once.
    pub async fn destroy(&self, name: &str) -> Result<(), ProgramError> {
        self.call(&["destroy", name], CHANGE_TIMEOUT)
            .await
            .map(drop)
    }

    /// Removes the definition of an inactive machine. Its disks are kept.
    pub async fn undefine(&self, name: &str) -> Result<(), ProgramError> {
        let words = [
            "undefine",
            name,
            "--managed-save",
            "--snapshots-metadata",
            "--nvram",
        ];
        self.call(&words, QUERY_TIMEOUT).await.map(drop)
    }

    /// Writes a screenshot of a machine to a file.
    pub async fn screenshot(&self, name: &str, path: &Path) -> Result<(), ProgramError> {
        let arguments = self.arguments(&["screenshot", name], [path.as_os_str().to_owned()]);
        program::call("virsh", &arguments, QUERY_TIMEOUT)
            .await
            .map(drop)
    }

    /// Starts a process that writes one line for each lifecycle event of a machine. The calling thread
    /// has to live as long as the monitor.
    pub fn events(&self) -> std::io::Result<Child> {
        let words = [
            "event",
            "--event",
            "lifecycle",
            "--loop",
            "--timeout",
            EVENTS_SECONDS,
        ];
        program::start_bound_to_thread("virsh", &self.arguments(&words, []))
    }

    /// Starts a process that writes one line for each machine that QEMU shuts down, with the cause. The
    /// calling thread has to live as long as the monitor.
    pub fn shutdown_events(&self) -> std::io::Result<Child> {
        let words = [
            "qemu-monitor-event",
            "--event",
            "SHUTDOWN",
            "--loop",
            "--timeout",
            EVENTS_SECONDS,
        ];
        program::start_bound_to_thread("virsh", &self.arguments(&words, []))
    }

    pub fn is_runner(&self, name: &str) -> bool {
        self.runners.contains(name)
    }

    async fn call(&self, words: &[&str], timeout: Duration) -> Result<String, ProgramError> {
        program::call("virsh", &self.arguments(words, []), timeout).await
    }

    fn arguments(&self, words: &[&str], more: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
        let connect = ["--connect", &self.uri].into_iter();
        let words = connect.chain(words.iter().copied()).map(OsString::from);
        words.chain(more).collect()
    }
}
