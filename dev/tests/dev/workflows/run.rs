//! Runs a whole workflow as GitHub does: its jobs as soon as those that they need are over, those on
//! hosted runners here, those on self-hosted ones on the site's, by the labels they ask for.

use std::{collections::BTreeMap, future::Future, pin::Pin, rc::Rc};

use emulator::model::Conclusion;
use serde_json::{Map, Value, json};

use super::{
    expression::{Names, as_text},
    files::{read_yaml, repository},
    site::Site,
    step::Outputs,
};

/// How a job ended: `success`, `failure` or `skipped`.
#[derive(Clone, Debug)]
pub struct JobEnd {
    pub result: &'static str,
    pub outputs: Outputs,
    /// What it printed and summed up; of a job that calls a workflow, all of its jobs.
    pub said: String,
}

/// How a workflow ended.
pub struct RunEnd {
    pub jobs: BTreeMap<String, JobEnd>,
    pub outputs: Outputs,
}

/// A workflow of ours.
pub fn workflow(name: &str) -> Value {
    read_yaml(&repository().join(".github/workflows").join(name))
}

/// Runs a workflow with these inputs.
pub fn run_workflow(
    site: Rc<Site>,
    workflow: Value,
    with: Value,
) -> Pin<Box<dyn Future<Output = RunEnd>>> {
    // Boxed, because a job can call a workflow, which has jobs.
    Box::pin(async move {
        let on = &workflow["on"];
        let trigger = on.get("workflow_dispatch").or(on.get("workflow_call"));
        // What begins at a push has no inputs.
        let trigger = trigger.cloned().unwrap_or_else(|| json!({"inputs": {}}));
        let contexts = contexts(&site, &trigger["inputs"], &with);
        let mut jobs: BTreeMap<String, JobEnd> = BTreeMap::new();
        let all = workflow["jobs"].as_object().unwrap();
        while jobs.len() < all.len() {
            let is_ready = |job: &Value| needs(job).iter().all(|need| jobs.contains_key(need));
            let ready = all
                .iter()
                .filter(|(name, job)| !jobs.contains_key(*name) && is_ready(job));
            let started: Vec<_> = ready
                .map(|(name, job)| {
                    let run = run_job(
                        Rc::clone(&site),
                        job.clone(),
                        with_needs(&contexts, job, &jobs),
                    );
                    (name.clone(), actix_web::rt::spawn(run))
                })
                .collect();
            assert!(!started.is_empty(), "jobs need each other");
            for (name, task) in started {
                jobs.insert(name, task.await.unwrap());
            }
        }
        let mut contexts = contexts;
        contexts["jobs"] = shown(jobs.iter());
        let names = Names {
            contexts: &contexts,
            status: "success",
        };
        let outputs = trigger.get("outputs").and_then(Value::as_object);
        let outputs = outputs
            .into_iter()
            .flatten()
            .map(|(name, output)| (name.clone(), names.fill(output["value"].as_str().unwrap())));
        let outputs = outputs.collect();
        RunEnd { jobs, outputs }
    })
}

/// What all jobs of the workflow know.
fn contexts(site: &Site, inputs: &Value, with: &Value) -> Value {
    let mut given = Map::new();
    for (name, input) in inputs.as_object().unwrap() {
        let value = with.get(name).unwrap_or(&input["default"]);
        assert!(
            !value.is_null() || input["required"] != true,
            "{name} is required"
        );
        given.insert(name.clone(), value.clone());
    }
    let vars = json!({"CI_RUNNERS_QUEUE_URL": site.queue_url});
    site.job().contexts(json!({"inputs": given, "vars": vars}))
}

fn needs(job: &Value) -> Vec<String> {
    match &job["needs"] {
        Value::String(need) => vec![need.clone()],
        Value::Array(needs) => needs.iter().map(as_text).collect(),
        _ => Vec::new(),
    }
}

fn with_needs(contexts: &Value, job: &Value, jobs: &BTreeMap<String, JobEnd>) -> Value {
    let mut contexts = contexts.clone();
    let needs = needs(job);
    contexts["needs"] = shown(jobs.iter().filter(|(name, _)| needs.contains(name)));
    contexts
}

fn shown<'a>(jobs: impl Iterator<Item = (&'a String, &'a JobEnd)>) -> Value {
    let shown = jobs.map(|(name, end)| {
        (
            name.clone(),
            json!({"result": end.result, "outputs": end.outputs}),
        )
    });
    Value::Object(shown.collect())
}

async fn run_job(site: Rc<Site>, job: Value, contexts: Value) -> JobEnd {
    let needed = contexts["needs"].as_object().unwrap();
    let is_well = needed.values().all(|need| need["result"] == "success");
    let names = Names {
        contexts: &contexts,
        status: if is_well { "success" } else { "failure" },
    };
    if !names.allows(job["if"].as_str()) {
        return JobEnd {
            result: "skipped",
            outputs: Outputs::new(),
            said: String::new(),
        };
    }
    if let Some(called) = job["uses"].as_str() {
        let with = job["with"].as_object().unwrap().iter();
        let with = with.map(|(name, value)| (name.clone(), names.fill(&as_text(value)).into()));
        let called = workflow(called.rsplit('/').next().unwrap());
        let end = run_workflow(site, called, Value::Object(with.collect())).await;
        let is_failed = end.jobs.values().any(|job| job.result == "failure");
        return JobEnd {
            result: if is_failed { "failure" } else { "success" },
            outputs: end.outputs,
            said: end.jobs.values().map(|job| job.said.as_str()).collect(),
        };
    }
    let mut end = JobEnd {
        result: "success",
        outputs: Outputs::new(),
        said: String::new(),
    };
    for (index, matrix) in combinations(&job, &names).into_iter().enumerate() {
        let mut contexts = contexts.clone();
        contexts["matrix"] = matrix;
        contexts["strategy"] = json!({"job-index": index});
        let part = run_on_runner(&site, &job, contexts).await;
        end.said.push_str(&part.said);
        end.outputs.extend(part.outputs);
        if part.result != "success" {
            end.result = part.result;
        }
    }
    end
}

/// What `matrix` means in each of the jobs that one with a matrix stands for. Ours have one key.
fn combinations(job: &Value, names: &Names<'_>) -> Vec<Value> {
    let Some(matrix) = job["strategy"]["matrix"].as_object() else {
        return vec![json!({})];
    };
    let (key, values) = matrix.iter().next().unwrap();
    let values = names.value_of(values.as_str().unwrap());
    let values = values.as_array().expect("a matrix has a list").clone();
    values
        .into_iter()
        .map(|value| json!({key: value}))
        .collect()
}

async fn run_on_runner(site: &Site, job: &Value, contexts: Value) -> JobEnd {
    let names = Names {
        contexts: &contexts,
        status: "success",
    };
    let label = names.fill(job["runs-on"].as_str().unwrap());
    if !label.starts_with("ubuntu-") {
        let steps = job["steps"].as_array().unwrap().iter();
        let script: Vec<&str> = steps.map(|step| step["run"].as_str().unwrap()).collect();
        let ran = site.run_job(&label, &script.join("\n")).await;
        let is_well = ran.conclusion == Some(Conclusion::Success);
        return JobEnd {
            result: if is_well { "success" } else { "failure" },
            outputs: Outputs::new(),
            said: ran.output_tail,
        };
    }
    let runner = site.job();
    let ended = runner
        .run_steps(&job["steps"], contexts, &repository())
        .await;
    JobEnd {
        result: ended.status,
        outputs: ended.outputs(&job["outputs"]),
        said: runner.log.borrow().clone() + &ended.summary,
    }
}
