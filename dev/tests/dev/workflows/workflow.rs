//! Executes a whole workflow as GitHub does: each job as soon as the jobs that it needs have ended; jobs
//! on hosted runners in this process, jobs on self-hosted runners at the deployment, by their labels.

use std::{collections::BTreeMap, future::Future, pin::Pin, rc::Rc};

use emulator::model::Conclusion;
use serde_json::{Map, Value, json};

use super::{
    deployment::Deployment,
    expression::{Evaluator, as_text},
    files::{read_yaml, repository},
    job::Outputs,
};

/// A job of a workflow that has ended.
#[derive(Clone, Debug)]
pub struct FinishedJob {
    /// `success`, `failure` or `skipped`.
    pub result: &'static str,
    pub outputs: Outputs,
    /// Its log and step summary; for a job that calls a workflow, those of all its jobs.
    pub log: String,
    /// The label of the runner; of each runner, for a job with a matrix.
    pub labels: Vec<String>,
}

/// A run of a workflow that has ended.
pub struct FinishedRun {
    pub jobs: BTreeMap<String, FinishedJob>,
    pub outputs: Outputs,
}

/// A workflow of this repository.
pub fn workflow(name: &str) -> Value {
    read_yaml(&repository().join(".github/workflows").join(name))
}

/// Executes a workflow with these inputs.
pub fn run_workflow(
    deployment: Rc<Deployment>,
    workflow: Value,
    with: Value,
) -> Pin<Box<dyn Future<Output = FinishedRun>>> {
    attempt(deployment, workflow, with, 1, BTreeMap::new())
}

/// Executes the second attempt of a run as "Re-run failed jobs" does: jobs that have succeeded are not run
/// again, and their outputs are used as they are.
pub async fn rerun_failed_jobs(
    deployment: Rc<Deployment>,
    workflow: Value,
    first: &FinishedRun,
) -> FinishedRun {
    let succeeded = first.jobs.iter().filter(|(_, job)| job.result == "success");
    let succeeded = succeeded.map(|(name, job)| (name.clone(), job.clone()));
    attempt(deployment, workflow, json!({}), 2, succeeded.collect()).await
}

/// Executes an attempt, in which some jobs have ended already.
fn attempt(
    deployment: Rc<Deployment>,
    workflow: Value,
    with: Value,
    number: u64,
    mut jobs: BTreeMap<String, FinishedJob>,
) -> Pin<Box<dyn Future<Output = FinishedRun>>> {
    // Boxed, because a job can call a workflow, which has jobs.
    Box::pin(async move {
        let on = &workflow["on"];
        let trigger = on.get("workflow_dispatch").or(on.get("workflow_call"));
        // A workflow for pushes has no inputs.
        let trigger = trigger.cloned().unwrap_or_else(|| json!({"inputs": {}}));
        let mut contexts = contexts(&deployment, &trigger["inputs"], &with);
        contexts["github"]["run_attempt"] = number.to_string().into();
        let all = workflow["jobs"].as_object().unwrap();
        while jobs.len() < all.len() {
            let is_ready = |job: &Value| needs(job).iter().all(|need| jobs.contains_key(need));
            let ready = all
                .iter()
                .filter(|(name, job)| !jobs.contains_key(*name) && is_ready(job));
            let started: Vec<_> = ready
                .map(|(name, job)| {
                    let run = run_job(
                        Rc::clone(&deployment),
                        job.clone(),
                        with_needs(&contexts, job, &jobs),
                    );
                    (name.clone(), actix_web::rt::spawn(run))
                })
                .collect();
            assert!(!started.is_empty(), "no cycle of needs");
            for (name, task) in started {
                jobs.insert(name, task.await.unwrap());
            }
        }
        contexts["jobs"] = needs_context(jobs.iter());
        let evaluator = Evaluator {
            contexts: &contexts,
            status: "success",
        };
        let outputs = trigger.get("outputs").and_then(Value::as_object);
        let outputs = outputs.into_iter().flatten().map(|(name, output)| {
            (
                name.clone(),
                evaluator.fill(output["value"].as_str().unwrap()),
            )
        });
        let outputs = outputs.collect();
        FinishedRun { jobs, outputs }
    })
}

/// The contexts of all jobs of a workflow.
fn contexts(deployment: &Deployment, inputs: &Value, with: &Value) -> Value {
    let mut given = Map::new();
    for (name, input) in inputs.as_object().unwrap() {
        let value = with.get(name).unwrap_or(&input["default"]);
        assert!(
            !value.is_null() || input["required"] != true,
            "{name} is required"
        );
        given.insert(name.clone(), value.clone());
    }
    let vars = json!({"CI_RUNNERS_QUEUE_URL": deployment.queue_url});
    deployment
        .job()
        .contexts(json!({"inputs": given, "vars": vars}))
}

fn needs(job: &Value) -> Vec<String> {
    match &job["needs"] {
        Value::String(need) => vec![need.clone()],
        Value::Array(needs) => needs.iter().map(as_text).collect(),
        _ => Vec::new(),
    }
}

fn with_needs(contexts: &Value, job: &Value, jobs: &BTreeMap<String, FinishedJob>) -> Value {
    let mut contexts = contexts.clone();
    let needs = needs(job);
    contexts["needs"] = needs_context(jobs.iter().filter(|(name, _)| needs.contains(name)));
    contexts
}

fn needs_context<'a>(jobs: impl Iterator<Item = (&'a String, &'a FinishedJob)>) -> Value {
    let needs_context = jobs.map(|(name, end)| {
        (
            name.clone(),
            json!({"result": end.result, "outputs": end.outputs}),
        )
    });
    Value::Object(needs_context.collect())
}

async fn run_job(deployment: Rc<Deployment>, job: Value, contexts: Value) -> FinishedJob {
    let needed = contexts["needs"].as_object().unwrap();
    let is_successful = needed.values().all(|need| need["result"] == "success");
    let evaluator = Evaluator {
        contexts: &contexts,
        status: if is_successful { "success" } else { "failure" },
    };
    if !evaluator.allows(job["if"].as_str()) {
        return FinishedJob {
            result: "skipped",
            outputs: Outputs::new(),
            log: String::new(),
            labels: Vec::new(),
        };
    }
    if let Some(called) = job["uses"].as_str() {
        let with = job["with"].as_object().unwrap().iter();
        let with = with.map(|(name, value)| (name.clone(), evaluator.fill(&as_text(value)).into()));
        let called = workflow(called.rsplit('/').next().unwrap());
        let end = run_workflow(deployment, called, Value::Object(with.collect())).await;
        let is_failed = end.jobs.values().any(|job| job.result == "failure");
        return FinishedJob {
            result: if is_failed { "failure" } else { "success" },
            outputs: end.outputs,
            log: end.jobs.values().map(|job| job.log.as_str()).collect(),
            labels: Vec::new(),
        };
    }
    let mut end = FinishedJob {
        result: "success",
        outputs: Outputs::new(),
        log: String::new(),
        labels: Vec::new(),
    };
    for (index, matrix) in combinations(&job, &evaluator).into_iter().enumerate() {
        let mut contexts = contexts.clone();
        contexts["matrix"] = matrix;
        contexts["strategy"] = json!({"job-index": index});
        let part = run_on_runner(&deployment, &job, contexts).await;
        end.log.push_str(&part.log);
        end.labels.extend(part.labels);
        end.outputs.extend(part.outputs);
        if part.result != "success" {
            end.result = part.result;
        }
    }
    end
}

/// The context `matrix` of each job that a job with a matrix expands to. Our matrices have one key.
fn combinations(job: &Value, evaluator: &Evaluator<'_>) -> Vec<Value> {
    let Some(matrix) = job["strategy"]["matrix"].as_object() else {
        return vec![json!({})];
    };
    let (key, values) = matrix.iter().next().unwrap();
    let values = evaluator.value_of(values.as_str().unwrap());
    let values = values.as_array().expect("a matrix has a list").clone();
    values
        .into_iter()
        .map(|value| json!({key: value}))
        .collect()
}

async fn run_on_runner(deployment: &Deployment, job: &Value, contexts: Value) -> FinishedJob {
    let evaluator = Evaluator {
        contexts: &contexts,
        status: "success",
    };
    let label = evaluator.fill(job["runs-on"].as_str().unwrap());
    if !label.starts_with("ubuntu-") {
        let steps = job["steps"].as_array().unwrap().iter();
        let script: Vec<&str> = steps.map(|step| step["run"].as_str().unwrap()).collect();
        let ran = deployment.run_job(&label, &script.join("\n")).await;
        let is_successful = ran.conclusion == Some(Conclusion::Success);
        return FinishedJob {
            result: if is_successful { "success" } else { "failure" },
            outputs: Outputs::new(),
            log: ran.output_tail,
            labels: vec![label],
        };
    }
    let runner = deployment.job();
    let ended = runner
        .run_steps(&job["steps"], contexts, &repository())
        .await;
    FinishedJob {
        result: ended.status,
        outputs: ended.outputs(&job["outputs"]),
        log: runner.log.borrow().clone() + &ended.summary,
        labels: vec![label],
    }
}
