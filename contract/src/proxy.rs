//! The proxy as a process: its start, what it finds, its end.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
};

/// Something that does not agree with GitHub's description.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Finding {
    /// Whether it goes against the description, or the description is silent about it.
    pub severity: Severity,
    /// The question, as in `GET /orgs/acme/actions/runners?page=1`.
    pub request: String,
    /// Which part of the question or the answer, and what is wrong with it.
    pub message: String,
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Severity {
    /// The description says otherwise. It was not passed on.
    Error,
    /// The description does not say, as of a status that it does not list. It was passed on.
    Warning,
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Its address, without a slash at the end.
    pub url: String,
    child: Child,
    findings: JoinHandle<Result<Vec<Finding>, ProxyError>>,
}

/// Why there is no proxy, or no word from it. The text follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// There is no Node.js, or it cannot be talked to.
    #[error("run node, which has to be version 18 or later: {0}")]
    Node(#[from] io::Error),
    /// It ended before it listened. What it said is on standard error.
    #[error("start the proxy; contract/run installs what it needs")]
    Start,
    /// It printed something else than findings.
    #[error("understand what the proxy found: {0}")]
    Nonsense(#[from] serde_json::Error),
}

impl Proxy {
    /// Starts one in front of the GitHub at `upstream`, an address without a slash at the end. It
    /// listens when this returns.
    ///
    /// # Errors
    /// When Node.js or its packages are not there.
    pub async fn start(upstream: &str) -> Result<Self, ProxyError> {
        let mut child = Command::new("node")
            .arg(folder().join("proxy.js"))
            .arg(upstream)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().expect("it was asked for above");
        let mut lines = BufReader::new(stdout).lines();
        let url = lines.next_line().await?.ok_or(ProxyError::Start)?;
        Ok(Self {
            url,
            child,
            // Read at once, or the pipe fills and the proxy waits for us while we wait for it.
            findings: tokio::spawn(read(lines)),
        })
    }

    /// Stops it, and says what it has found, in order.
    ///
    /// # Errors
    /// When it said what it should not.
    pub async fn end(mut self) -> Result<Vec<Finding>, ProxyError> {
        drop(self.child.stdin.take());
        self.child.wait().await?;
        self.findings.await.map_err(io::Error::other)?
    }
}

/// Where the proxy and its packages are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

async fn read(mut lines: Lines<BufReader<ChildStdout>>) -> Result<Vec<Finding>, ProxyError> {
    let mut findings = Vec::new();
    while let Some(line) = lines.next_line().await? {
        findings.push(serde_json::from_str(&line)?);
    }
    Ok(findings)
}
