//! The process of the proxy: start, findings, end.

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

/// A violation of GitHub's description.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Finding {
    /// Whether it contradicts the description, or is missing from it.
    pub severity: Severity,
    /// The request, such as `GET /orgs/acme/actions/runners?page=1`.
    pub request: String,
    /// The part of the request or response, and what is wrong with it.
    pub message: String,
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Severity {
    /// It contradicts the description, and was not forwarded.
    Error,
    /// The description does not contain it, such as an unlisted status. It was forwarded.
    Warning,
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Its base URL without trailing slash.
    pub url: String,
    child: Child,
    findings: JoinHandle<Result<Vec<Finding>, ProxyError>>,
}

/// Why the proxy cannot be used. The text is a fragment that follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// Node.js is missing, or communication with it failed.
    #[error("run node, which has to be version 18 or later: {0}")]
    Node(#[from] io::Error),
    /// It ended before it listened. Its error is on standard error.
    #[error("start the proxy; contract/run installs what it needs")]
    Start,
    /// It printed something other than findings.
    #[error("parse the findings of the proxy: {0}")]
    InvalidOutput(#[from] serde_json::Error),
}

impl Proxy {
    /// Starts a proxy in front of the GitHub at `upstream`, a base URL without trailing slash. It
    /// listens when this returns.
    ///
    /// # Errors
    /// When Node.js or its packages are missing.
    pub async fn start(upstream: &str) -> Result<Self, ProxyError> {
        let mut child = Command::new("node")
            .arg(folder().join("proxy.js"))
            .arg(upstream)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().expect("stdout was set to a pipe");
        let mut lines = BufReader::new(stdout).lines();
        let url = lines.next_line().await?.ok_or(ProxyError::Start)?;
        Ok(Self {
            url,
            child,
            // Read continuously: otherwise the pipe would fill, and both processes would wait for
            // each other.
            findings: tokio::spawn(read(lines)),
        })
    }

    /// Stops the proxy and returns its findings, in order.
    ///
    /// # Errors
    /// When it printed something other than findings.
    pub async fn end(mut self) -> Result<Vec<Finding>, ProxyError> {
        drop(self.child.stdin.take());
        self.child.wait().await?;
        self.findings.await.map_err(io::Error::other)?
    }
}

/// The folder of the proxy and its packages.
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
