//! Client for libvirt, by its command line `virsh`.
//!
//! Responsible for the arguments and the timeout of each call. Names are checked against a namespace
//! before they get here, so none begins with a hyphen.

use std::{
    collections::BTreeSet, ffi::OsString, net::Ipv4Addr, path::Path, sync::Arc, time::Duration,
};

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

    /// The address that DHCP has assigned to a machine, once it has.
    pub async fn address(&self, name: &str) -> Result<Option<Ipv4Addr>, ProgramError> {
        let words = ["domifaddr", name, "--source", "lease"];
        let output = self.call(&words, QUERY_TIMEOUT).await?;
        Ok(virsh_output::address(&output))
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
