//! Runs the steps of a composite action or of a job as GitHub's runner does: the `run` of each in a
//! real shell, with its `env`, its `if`, its outputs, and SIGINT when the job is cancelled.
//!
//! Owns what is not ours and cannot run here: checkout does nothing, and an upload goes to the
//! emulator in its own way.

use std::{collections::BTreeMap, fs, future::Future, path::Path, pin::Pin, process::Stdio};

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
    expression::{Names, as_text},
    files::{read_yaml, repository},
};

/// The workflow run of every job here.
pub const RUN_ID: u64 = 123;

/// One job that runs.
pub struct Job {
    /// Where artifacts go.
    pub github: Emulator,
    /// The API's base address.
    pub api_url: String,
    /// The token of the job.
    pub token: String,
    /// The repository it is for.
    pub repo: String,
    /// Whether artifacts can be uploaded.
    pub takes_uploads: bool,
    /// All that was printed.
    pub log: watch::Sender<String>,
    /// Rung once when the job is cancelled.
    pub cancel: Notify,
    /// What the shell then gets: `INT`, as from GitHub, or `KILL`, as when it took too long.
    pub signal: &'static str,
    /// `RUNNER_TEMP`.
    pub folder: TempDir,
}

/// How some steps ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// `success`, `failure` or `cancelled`.
    pub status: &'static str,
    /// What the outputs are made from: `inputs`, `steps` and so on.
    pub contexts: Value,
    /// What was written to the step summary.
    pub summary: String,
}

/// The outputs of an action, a job or a workflow.
pub type Outputs = BTreeMap<String, String>;

impl Ended {
    /// The outputs that these definitions make of it.
    pub fn outputs(&self, definitions: &Value) -> Outputs {
        let names = Names {
            contexts: &self.contexts,
            status: self.status,
        };
        let definitions = definitions.as_object().into_iter().flatten();
        definitions
            .map(|(name, definition)| {
                let text = definition["value"].as_str().or(definition.as_str());
                (
                    name.clone(),
                    names.fill(text.expect("an output has a value")),
                )
            })
            .collect()
    }
}

impl Job {
    /// Runs an action of ours with these inputs.
    pub async fn run_action(&self, name: &str, with: &Map<String, Value>) -> (Ended, Outputs) {
        let folder = repository().join(".github/actions").join(name);
        let action = read_yaml(&folder.join("action.yml"));
        let mut contexts = self.contexts(json!({}));
        for (input, definition) in action["inputs"].as_object().unwrap() {
            let names = Names {
                contexts: &contexts,
                status: "success",
            };
            let given = with
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(input));
            let value = match (given, definition["default"].as_str()) {
                (Some((_, value)), _) => as_text(value),
                (None, Some(default)) => names.fill(default),
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

    /// What expressions know without being told.
    pub fn contexts(&self, more: Value) -> Value {
        let mut contexts = json!({
            "inputs": {}, "steps": {}, "needs": {}, "vars": {}, "matrix": {},
            "github": {"token": self.token, "repository": self.repo, "run_id": RUN_ID},
        });
        for (name, value) in more.as_object().unwrap() {
            contexts[name] = value.clone();
        }
        contexts
    }

    /// Runs steps one after the other. `folder` is where the action lies.
    pub fn run_steps<'a>(
        &'a self,
        steps: &'a Value,
        contexts: Value,
        folder: &'a Path,
    ) -> Pin<Box<dyn Future<Output = Ended> + 'a>> {
        let mut ended = Ended {
            status: "success",
            contexts,
            summary: String::new(),
        };
        // Boxed, because steps can use actions, which have steps.
        Box::pin(async move {
            for step in steps.as_array().unwrap() {
                self.run_step(step, &mut ended, folder).await;
            }
            ended
        })
    }

    async fn run_step(&self, step: &Value, ended: &mut Ended, folder: &Path) {
        let contexts = ended.contexts.clone();
        let names = Names {
            contexts: &contexts,
            status: ended.status,
        };
        let (outcome, outputs) = if !names.allows(step["if"].as_str()) {
            ("skipped", Outputs::new())
        } else if let Some(script) = step["run"].as_str() {
            self.run_shell(script, step, &names, folder, &mut ended.summary)
                .await
        } else {
            let with = step["with"].as_object().into_iter().flatten();
            let with = with.map(|(name, value)| (name.clone(), names.fill(&as_text(value)).into()));
            let with: Map<String, Value> = with.collect();
            let action = step["uses"]
                .as_str()
                .expect("a step runs or uses something");
            self.use_action(action, &with, &mut ended.summary).await
        };
        if let Some(id) = step["id"].as_str() {
            ended.contexts["steps"][id] = json!({"outcome": outcome, "outputs": outputs});
        }
        let is_forgiven = step["continue-on-error"] == true && outcome == "failure";
        if ended.status == "success" && outcome != "skipped" && !is_forgiven {
            ended.status = outcome;
        }
    }

    async fn use_action(
        &self,
        action: &str,
        with: &Map<String, Value>,
        summary: &mut String,
    ) -> (&'static str, Outputs) {
        if let Some((_, ours)) = action.split_once("/.github/actions/") {
            // Other repositories name the commit, too.
            let name = ours.split('@').next().unwrap();
            let (ended, outputs) = self.run_action(name, with).await;
            summary.push_str(&ended.summary);
            return (ended.status, outputs);
        }
        match action.split_once('@').expect("actions are pinned").0 {
            "actions/checkout" => ("success", Outputs::new()),
            "actions/upload-artifact" if self.takes_uploads => ("success", self.upload(with)),
            "actions/upload-artifact" => ("failure", Outputs::new()),
            unknown => panic!("{unknown} is an action that the tests do not know"),
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
        names: &Names<'_>,
        folder: &Path,
        summary: &mut String,
    ) -> (&'static str, Outputs) {
        assert!(
            !script.contains("${{"),
            "values reach a shell as variables: {script}"
        );
        let own = tempfile::tempdir().unwrap();
        let file = |name: &str| own.path().join(name);
        fs::write(file("script"), script).unwrap();
        for name in ["output", "summary"] {
            fs::write(file(name), "").unwrap();
        }
        let mut command = Command::new("bash");
        command
            .args(["--noprofile", "--norc", "-eo", "pipefail"])
            .arg(file("script"))
            .current_dir(own.path())
            .env_remove("GITHUB_TOKEN")
            .env("RUNNER_TEMP", self.folder.path())
            .env("GITHUB_ACTION_PATH", folder)
            .env("GITHUB_API_URL", &self.api_url)
            .env("GITHUB_REPOSITORY", &self.repo)
            .env("GITHUB_RUN_ID", RUN_ID.to_string())
            .env("GITHUB_OUTPUT", file("output"))
            .env("GITHUB_STEP_SUMMARY", file("summary"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for (name, value) in step["env"].as_object().into_iter().flatten() {
            command.env(name, names.fill(&as_text(value)));
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

    /// Runs a command to its end, and interrupts it when the job is cancelled.
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
                let signal = format!("-{}", self.signal);
                let kill = Command::new("kill").args([&signal, &pid]).status();
                assert!(kill.await.unwrap().success());
                run.await;
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
