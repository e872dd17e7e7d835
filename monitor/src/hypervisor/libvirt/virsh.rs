//! The calls to libvirt, by its command line.
//!
//! Owns which call is made for what, and how long each may take. A name is passed on only after it
//! was checked against our namespace; it never begins with a hyphen.

use std::{ffi::OsString, net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use tokio::process::Child;

use super::answers;
use crate::hypervisor::{
    namespace::Namespace,
    program::{self, ProgramError},
};

/// How long a question may take. They are answered in some 20 ms where all is well.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a machine may take to be started, or to be ended. QEMU has 15 s to end politely, and
/// then is killed.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);
/// For how long one call listens to events, in seconds. It is made again and again; but whatever
/// becomes of it, it ends by itself.
const LISTENING_SECONDS: &str = "600";

/// A libvirt, and whose machines in it are ours. Cheap to clone.
#[derive(Clone)]
pub struct Virsh {
    uri: Arc<str>,
    /// Those of runners.
    namespace: Namespace,
    /// Those of guests that build images.
    builders: Namespace,
}

impl Virsh {
    /// The libvirt at `uri`, and in it the runners of `namespace` and those that build images.
    pub fn new(uri: &str, namespace: Namespace, builders: Namespace) -> Self {
        Self {
            uri: uri.into(),
            namespace,
            builders,
        }
    }

    /// The names of all runners, also of those that are just being started.
    pub async fn names(&self) -> Result<Vec<String>, ProgramError> {
        let words = ["list", "--all", "--name"];
        self.list(&words, |name| self.namespace.contains(name))
            .await
    }

    /// The names of all machines that build images.
    pub async fn builders(&self) -> Result<Vec<String>, ProgramError> {
        let words = ["list", "--all", "--name"];
        self.list(&words, |name| self.builders.contains(name)).await
    }

    /// The names of those machines of ours that libvirt would keep although they do not run.
    pub async fn kept_names(&self) -> Result<Vec<String>, ProgramError> {
        let words = ["list", "--inactive", "--persistent", "--name"];
        let is_ours = |name: &str| self.namespace.contains(name) || self.builders.contains(name);
        self.list(&words, is_ours).await
    }

    async fn list(
        &self,
        words: &[&str],
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, ProgramError> {
        let answer = self.call(words, QUESTION_TIMEOUT).await?;
        let names = answers::names(&answer).filter(|name| is_wanted(name));
        Ok(names.map(str::to_owned).collect())
    }

    /// What libvirt and its host can do, and what the host has, as XML.
    pub async fn capabilities(&self) -> Result<String, ProgramError> {
        self.call(&["capabilities"], QUESTION_TIMEOUT).await
    }

    /// How much memory the host has, and how much of it is free.
    pub async fn memory_statistics(&self) -> Result<String, ProgramError> {
        self.call(&["nodememstats"], QUESTION_TIMEOUT).await
    }

    /// The address that DHCP has given to a machine, once it has.
    pub async fn address(&self, name: &str) -> Result<Option<Ipv4Addr>, ProgramError> {
        let words = ["domifaddr", name, "--source", "lease"];
        let answer = self.call(&words, QUESTION_TIMEOUT).await?;
        Ok(answers::address(&answer))
    }

    /// Starts the machine that is defined in a file.
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

    /// Makes libvirt forget a machine that does not run. Disks are left alone.
    pub async fn undefine(&self, name: &str) -> Result<(), ProgramError> {
        let words = [
            "undefine",
            name,
            "--managed-save",
            "--snapshots-metadata",
            "--nvram",
        ];
        self.call(&words, QUESTION_TIMEOUT).await.map(drop)
    }

    /// Writes what is on the screen of a machine to a file.
    pub async fn screenshot(&self, name: &str, path: &Path) -> Result<(), ProgramError> {
        let arguments = self.arguments(&["screenshot", name], [path.as_os_str().to_owned()]);
        program::call("virsh", &arguments, QUESTION_TIMEOUT)
            .await
            .map(drop)
    }

    /// Begins to listen to what happens to machines, one line for each event. The thread that calls
    /// this has to live as long as the monitor.
    pub fn listen(&self) -> std::io::Result<Child> {
        let words = [
            "event",
            "--event",
            "lifecycle",
            "--loop",
            "--timeout",
            LISTENING_SECONDS,
        ];
        program::start_as_our_own("virsh", &self.arguments(&words, []))
    }

    /// Whether a machine of this name is a runner of ours.
    pub fn is_ours(&self, name: &str) -> bool {
        self.namespace.contains(name)
    }

    async fn call(&self, words: &[&str], patience: Duration) -> Result<String, ProgramError> {
        program::call("virsh", &self.arguments(words, []), patience).await
    }

    fn arguments(&self, words: &[&str], more: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
        let connect = ["--connect", &self.uri].into_iter();
        let words = connect.chain(words.iter().copied()).map(OsString::from);
        words.chain(more).collect()
    }
}
