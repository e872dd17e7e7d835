//! Executes the steps of a job or of a composite action as GitHub's runner does: `run` in a shell, with
//! `env`, `if`, outputs, and SIGINT when the job is cancelled.
//!
//! Replaces the actions of others: `actions/checkout` only logs its inputs, `actions/upload-artifact` adds an
//! artifact to the emulator.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    process::Stdio,
    time::Duration,
};

use emulator::{Emulator, model::NewArtifact, zip_of_lines};
use serde_json::{Map, Value, json};
use shared::values::RunId;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Command,
    sync::{Notify, watch},
};

use super::{
    expression::{Evaluator, as_text},
    files::{read_yaml, repository},
};

/// The signals that a cancelled step gets, each with the time after which the next one follows.
/// Source: `ProcessInvoker` of actions/runner.
const CANCELLATION: [(&str, Duration); 3] = [
    ("INT", Duration::from_millis(7500)),
    ("TERM", Duration::from_millis(2500)),
    ("KILL", Duration::from_secs(30)),
];

/// The workflow run of all jobs.
pub const RUN_ID: u64 = 123;
/// The commit of the run.
const COMMIT: &str = "8f6e2e0b7c1d4a5f9e3b2c6d7a8f9e0b1c2d3e4f";
/// The folder of the actions in this repository.
pub const ACTIONS: &str = ".github/actions";

/// A job on a hosted runner.
pub struct Job {
    /// The emulator that receives uploaded artifacts.
    pub github: Emulator,
    /// `GITHUB_API_URL`.
    pub api_url: String,
    /// `GITHUB_TOKEN`.
    pub token: String,
    /// `GITHUB_REPOSITORY`.
    pub repo: String,
    /// Whether uploads of artifacts succeed.
    pub takes_uploads: bool,
    /// The log so far.
    pub log: watch::Sender<String>,
    /// Notified when the job is cancelled.
    pub cancel: Notify,
    /// The first signal of a cancellation: `INT` as from GitHub, or `KILL` as from GitHub after a timeout.
    pub signal: &'static str,
    /// The attempt of the run, from 1 on.
    pub attempt: u64,
    /// The context `github` beyond the usual values.
    pub event: Value,
    /// The context `runner.environment`.
    pub environment: &'static str,
    /// The folder of the actions in this repository: [`ACTIONS`], or `actions`.
    pub actions: &'static str,
    /// The program of `shell: bash`.
    pub shell: PathBuf,
    /// Variables that the machine sets; `None` removes one.
    pub variables: Vec<(&'static str, Option<OsString>)>,
    /// `RUNNER_TEMP`.
    pub folder: TempDir,
}

/// The result of executed steps.
#[derive(Clone, Debug, Default)]
pub struct StepsResult {
    /// `success`, `failure` or `cancelled`.
    pub status: &'static str,
    /// The contexts after the steps: `inputs`, `steps` and so on.
    pub contexts: Value,
    /// The step summary.
    pub summary: String,
}

/// The outputs of an action, a job or a workflow.
pub type Outputs = BTreeMap<String, String>;

impl StepsResult {
    /// The outputs with these definitions.
    pub fn outputs(&self, definitions: &Value) -> Outputs {
        let evaluator = Evaluator {
            contexts: &self.contexts,
            status: self.status,
        };
        let definitions = definitions.as_object().into_iter().flatten();
        definitions
            .map(|(name, definition)| {
                let text = definition["value"].as_str().or(definition.as_str());
                (
                    name.clone(),
                    evaluator.fill(text.expect("an output has a value")),
                )
            })
            .collect()
    }
}

impl Job {
    /// Executes an action of this repository with these inputs.
    pub async fn run_action(
        &self,
        name: &str,
        with: &Map<String, Value>,
    ) -> (StepsResult, Outputs) {
        let folder = repository().join(self.actions).join(name);
        let action = read_yaml(&folder.join("action.yml"));
        let mut contexts = self.contexts(json!({}));
        for (input, definition) in action["inputs"].as_object().unwrap() {
            let evaluator = Evaluator {
                contexts: &contexts,
                status: "success",
            };
            let given = with
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(input));
            let value = match (given, definition["default"].as_str()) {
                (Some((_, value)), _) => as_text(value),
                (None, Some(default)) => evaluator.fill(default),
                (None, None) => panic!("{name}: {input} is required"),
            };
            contexts["inputs"][input] = value.into();
        }
        for given in with.keys() {
            let is_known = contexts["inputs"]
                .as_object()
                .unwrap()
                .keys()
                .any(|input| input.eq_ignore_ascii_case(given));
            assert!(is_known, "{name} has no input {given}");
        }
        let ended = self
            .run_steps(&action["runs"]["steps"], contexts, &folder)
            .await;
        let outputs = ended.outputs(&action["outputs"]);
        (ended, outputs)
    }

    /// The contexts of expressions, with `more` added.
    pub fn contexts(&self, more: Value) -> Value {
        let mut contexts = json!({
            "inputs": {}, "steps": {}, "needs": {}, "vars": {}, "matrix": {},
            "github": {"token": self.token, "repository": self.repo, "run_id": RUN_ID,
                "run_attempt": self.attempt.to_string(), "event_name": "push"},
            "runner": {"environment": self.environment},
        });
        for (name, value) in self.event.as_object().unwrap() {
            contexts["github"][name] = value.clone();
        }
        for (name, value) in more.as_object().unwrap() {
            contexts[name] = value.clone();
        }
        contexts
    }

    /// Executes steps one after the other. `folder` is the directory of the action.
    pub fn run_steps<'a>(
        &'a self,
        steps: &'a Value,
        contexts: Value,
        folder: &'a Path,
    ) -> Pin<Box<dyn Future<Output = StepsResult> + 'a>> {
        let mut ended = StepsResult {
            status: "success",
            contexts,
            summary: String::new(),
        };
        // Boxed, because a step can use an action, which has steps.
        Box::pin(async move {
            for step in steps.as_array().unwrap() {
                self.run_step(step, &mut ended, folder).await;
            }
            ended
        })
    }

    async fn run_step(&self, step: &Value, ended: &mut StepsResult, folder: &Path) {
        let contexts = ended.contexts.clone();
        let evaluator = Evaluator {
            contexts: &contexts,
            status: ended.status,
        };
        let (outcome, outputs) = if !evaluator.allows(step["if"].as_str()) {
            ("skipped", Outputs::new())
        } else if let Some(script) = step["run"].as_str() {
            self.run_shell(script, step, &evaluator, folder, &mut ended.summary)
                .await
        } else {
            let with = step["with"].as_object().into_iter().flatten();
            let with =
                with.map(|(name, value)| (name.clone(), evaluator.fill(&as_text(value)).into()));
            let with: Map<String, Value> = with.collect();
            let action = step["uses"]
                .as_str()
                .expect("a step runs or uses something");
            self.use_action(action, &with, &mut ended.summary).await
        };
        if let Some(id) = step["id"].as_str() {
            ended.contexts["steps"][id] = json!({"outcome": outcome, "outputs": outputs});
        }
        let may_fail = step["continue-on-error"] == true && outcome == "failure";
        if ended.status == "success" && outcome != "skipped" && !may_fail {
            ended.status = outcome;
        }
    }

    async fn use_action(
        &self,
        action: &str,
        with: &Map<String, Value>,
        summary: &mut String,
    ) -> (&'static str, Outputs) {
        if let Some((_, ours)) = action.split_once(&format!("/{}/", self.actions)) {
            // Workflows of other repositories append the commit.
            let name = ours.split('@').next().unwrap();
            let (ended, outputs) = self.run_action(name, with).await;
            summary.push_str(&ended.summary);
            return (ended.status, outputs);
        }
        match action.split_once('@').expect("actions are pinned").0 {
            "actions/checkout" => {
                let with = Value::Object(with.clone());
                self.log
                    .send_modify(|log| log.push_str(&format!("actions/checkout with {with}\n")));
                ("success", Outputs::new())
            }
            "actions/upload-artifact" if self.takes_uploads => ("success", self.upload(with)),
            "actions/upload-artifact" => ("failure", Outputs::new()),
            unknown => panic!("the tests do not implement the action {unknown}"),
        }
    }

    fn upload(&self, with: &Map<String, Value>) -> Outputs {
        let path = with["path"].as_str().unwrap();
        let new = NewArtifact {
            repo: self.repo.parse().unwrap(),
            run_id: RunId(RUN_ID),
            name: with["name"].as_str().unwrap().to_owned(),
            content: zip_of_lines(fs::read_to_string(path).unwrap().lines()),
        };
        let artifact = self.github.model(|model, now| model.add_artifact(now, new));
        let id = artifact.unwrap().id.to_string();
        Outputs::from([("artifact-id".to_owned(), id)])
    }

    async fn run_shell(
        &self,
        script: &str,
        step: &Value,
        evaluator: &Evaluator<'_>,
        folder: &Path,
        summary: &mut String,
    ) -> (&'static str, Outputs) {
        assert!(
            !script.contains("${{"),
            "values have to be passed as variables: {script}"
        );
        let own = tempfile::tempdir().unwrap();
        let file = |name: &str| own.path().join(name);
        fs::write(file("script"), script).unwrap();
        for name in ["output", "summary"] {
            fs::write(file(name), "").unwrap();
        }
        // Tests in the background of a shell ignore SIGINT, and a shell cannot handle a signal that it was
        // started to ignore.
        let mut command = Command::new("/usr/bin/env");
        command
            .arg("--default-signal=INT,TERM")
            .arg(&self.shell)
            .args(["--noprofile", "--norc", "-eo", "pipefail"])
            .arg(file("script"))
            .current_dir(own.path())
            .env_remove("GITHUB_TOKEN")
            .env("RUNNER_TEMP", self.folder.path())
            .env("GITHUB_ACTION_PATH", folder)
            .env("GITHUB_API_URL", &self.api_url)
            .env("GITHUB_REPOSITORY", &self.repo)
            .env("GITHUB_RUN_ID", RUN_ID.to_string())
            .env("GITHUB_RUN_ATTEMPT", self.attempt.to_string())
            .env("GITHUB_SHA", COMMIT)
            .env("GITHUB_WORKSPACE", own.path())
            .env("GITHUB_SERVER_URL", "https://github.com")
            .env("GITHUB_OUTPUT", file("output"))
            .env("GITHUB_STEP_SUMMARY", file("summary"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for (name, value) in step["env"].as_object().into_iter().flatten() {
            command.env(name, evaluator.fill(&as_text(value)));
        }
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let outcome = self.watch(command).await;
        summary.push_str(&fs::read_to_string(file("summary")).unwrap());
        let lines = fs::read_to_string(file("output")).unwrap();
        let outputs = lines.lines().map(|line| {
            let (name, value) = line.split_once('=').expect("an output is name=value");
            (name.to_owned(), value.to_owned())
        });
        (outcome, outputs.collect())
    }

    /// Runs a command until it exits, and signals it when the job is cancelled.
    async fn watch(&self, mut command: Command) -> &'static str {
        let mut child = command.spawn().unwrap();
        let pid = child.id().unwrap().to_string();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let logged = async { tokio::join!(self.append(stdout), self.append(stderr)) };
        let run = async { tokio::join!(child.wait(), logged).0.unwrap() };
        tokio::pin!(run);
        tokio::select! {
            status = &mut run => if status.success() { "success" } else { "failure" },
            () = self.cancel.notified() => {
                let signals = CANCELLATION.iter().skip_while(|(name, _)| *name != self.signal);
                for (signal, timeout) in signals {
                    let signal = format!("-{signal}");
                    let kill = Command::new("kill").args([&signal, &pid]).status();
                    assert!(kill.await.unwrap().success());
                    if tokio::time::timeout(*timeout, &mut run).await.is_ok() {
                        break;
                    }
                }
                "cancelled"
            }
        }
    }

    async fn append(&self, output: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(output).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            self.log.send_modify(|log| {
                log.push_str(&line);
                log.push('\n');
            });
        }
    }
}
