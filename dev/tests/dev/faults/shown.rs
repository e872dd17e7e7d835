//! What a daemon shows of its problems: on its page, in `ci-runners status`, `/readyz`, metrics and log.

use std::{fs, path::PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::support::*;

/// A daemon whose problems are looked at.
pub struct Daemon {
    /// `monitor` or `queue`.
    pub kind: &'static str,
    /// Without a slash at the end.
    pub url: String,
    /// The file with its log.
    pub log: PathBuf,
}

impl Daemon {
    /// A monitor of the fleet.
    pub fn monitor(fleet: &Fleet, index: usize, name: &str) -> Self {
        Self {
            kind: "monitor",
            url: fleet.monitor_urls[index].clone(),
            log: fleet.folder.path().join(name).join("log"),
        }
    }

    /// The queue of the fleet.
    pub fn queue(fleet: &Fleet) -> Self {
        Self {
            kind: "queue",
            url: fleet.queue_url.clone(),
            log: fleet.folder.path().join("queue/log"),
        }
    }

    /// The body at `path`, and the status; empty and 0 if there is no response.
    pub async fn body(&self, path: &str) -> (u16, String) {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--max-time",
            "10",
            "--write-out",
            "\n%{http_code}",
        ]);
        curl.arg(format!("{}/{path}", self.url));
        let output = finish(curl).await.stdout;
        let (body, status) = output.rsplit_once('\n').unwrap_or_default();
        (status.parse().unwrap_or(0), body.to_owned())
    }

    /// The body of `/readyz`, and its status.
    pub async fn ready(&self) -> (u16, Value) {
        let (status, body) = self.body("readyz").await;
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    /// The output of `ci-runners status`.
    pub async fn status(&self) -> String {
        let arguments = format!("status --{} {}", self.kind, self.url);
        let finished = finish(cli::testing::command(executable("ci-runners"), &arguments)).await;
        finished.stdout + &finished.stderr
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The problem of this kind in the body of `/readyz`.
    async fn problem(&self, code: &str) -> Option<Value> {
        let (_, body) = self.ready().await;
        let problems = body["problems"].as_array()?;
        problems.iter().find(|it| it["code"] == code).cloned()
    }

    /// Waits until a problem of this kind is shown everywhere, with cause and remedy. Returns it.
    pub async fn wait_for_problem(&self, code: &str) -> Value {
        let is_shown = async || {
            let Some(problem) = self.problem(code).await else {
                return false;
            };
            let (cause, remedy) = (&problem["cause"], &problem["remedy"]);
            let texts = [cause, remedy].map(|text| text.as_str().unwrap_or_default().to_owned());
            let is_in = |shown: &str, is_html: bool| {
                shown.contains(code)
                    && texts.iter().all(|text| match is_html {
                        true => shown.contains(&escaped(text)),
                        false => shown.contains(text),
                    })
            };
            let value = format!("ci_runners_{}_problem{{code=\"{code}\"", self.kind);
            let log = self.log();
            let mut lines = log.lines();
            is_in(&self.body("").await.1, true)
                && is_in(&self.status().await, false)
                && self.body("metrics").await.1.contains(&value)
                && lines.any(|line| line.contains("problem: ") && is_in(line, false))
        };
        wait_until(&format!("{code} is shown everywhere"), is_shown).await;
        let problem = self.problem(code).await;
        problem.expect("it does not end before its cause does")
    }

    /// Waits until no problem of this kind is shown, and the log has a line about its end.
    pub async fn wait_for_end_of_problem(&self, code: &str) {
        let end = format!("({code})");
        let is_gone = async || {
            let (_, page) = self.body("").await;
            let log = self.log();
            let mut lines = log.lines();
            !page.is_empty()
                && !page.contains(code)
                && self.problem(code).await.is_none()
                && lines.any(|line| line.contains("no longer a problem: ") && line.ends_with(&end))
        };
        wait_until(&format!("{code} ends"), is_gone).await;
        let value = format!("problem{{code=\"{code}\"");
        assert!(!self.body("metrics").await.1.contains(&value));
        assert!(!self.status().await.contains(code));
    }
}

/// A text as pages contain it: what is between backticks is code there.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let text = text.replace('>', "&gt;").replace('"', "&quot;");
    let parts = text
        .split('`')
        .enumerate()
        .map(|(index, part)| match index % 2 {
            1 => format!("<code>{part}</code>"),
            _ => part.to_owned(),
        });
    parts.collect()
}
