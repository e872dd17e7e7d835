//! The runner agent: its credential, its job, and messages that get lost.

use std::{fs, time::Duration};

use actix_web::rt;
use emulator::{
    agent::{self, AgentOutcome, AgentSettings, StopSignal},
    faults::{Fault, FaultRule, PathMatch},
    model::{Conclusion, JobPhase, ModelSettings},
};
use serde_json::json;
use shared::secret::Secret;

use super::{guest::*, support::*};

/// A command that goes on until the file `go` is there.
const WAIT_FOR_GO: &str = "echo out; echo err >&2; until [ -e go ]; do sleep 0.02; done; exit 3";

#[actix_web::test]
async fn a_runner_goes_online_busy_and_away() {
    let stage = Stage::new();
    let dir = tempfile::tempdir().unwrap();
    let (agent, _monitor) = start(&stage, |settings| {
        settings.work_dir = Some(dir.path().into());
    })
    .await;
    let path = format!("{RUNNERS}/1");
    stage
        .until(|emulator| runner_status(emulator) == Some(("online", false)))
        .await;
    assert_eq!(stage.get(&path).await.1["os"], "linux");

    let id = stage.queue(WAIT_FOR_GO);
    until_running(&stage, id).await;
    let (_, busy) = stage.get(&path).await;
    assert_eq!(
        (&busy["status"], &busy["busy"]),
        (&json!("online"), &json!(true))
    );
    let (status, refusal) = stage.json("DELETE", &path, None).await;
    assert_eq!(status, 422);
    let message = refusal["message"].as_str().unwrap();
    assert!(message.contains("currently running a job"), "{message}");

    until_shown(&stage, id, "out\nerr\n").await;
    fs::write(dir.path().join("go"), "").unwrap();
    let outcome = end(agent).await.unwrap();
    assert_eq!(
        outcome,
        AgentOutcome::RanJob {
            job_id: id,
            exit_code: Some(3)
        }
    );
    let done = job(&stage.github.emulator, id);
    assert_eq!(
        (done.phase, done.conclusion),
        (JobPhase::Completed, Some(Conclusion::Failure))
    );
    assert_eq!(
        (done.exit_code, done.output_tail.as_str()),
        (Some(3), "out\nerr\n")
    );
    assert_eq!(done.runner_name.as_deref(), Some("a"));
    assert_eq!(stage.call("GET", &path, None).await.status, 404);
    assert!(stage.listed().await.is_empty());

    // What runners say is no request to GitHub's API.
    let log = stage.github.emulator.requests().all();
    assert!(
        log.iter().all(|entry| entry.path.starts_with("/orgs/")),
        "{log:?}"
    );
}

#[actix_web::test]
async fn a_job_sees_where_it_belongs_and_not_what_is_withheld() {
    let stage = Stage::new();
    let (agent, _monitor) = start(&stage, |settings| {
        settings.withheld_variables.push("GITHUB_RUN_ID".into());
    })
    .await;
    let id = stage.queue("echo $CI $GITHUB_REPOSITORY ${GITHUB_RUN_ID-withheld}; cat");
    let outcome = end(agent).await.unwrap();
    // The command reads nothing from its input, least of all what keeps it alive.
    assert_eq!(
        outcome,
        AgentOutcome::RanJob {
            job_id: id,
            exit_code: Some(0)
        }
    );
    let done = job(&stage.github.emulator, id);
    assert_eq!(done.output_tail, "true acme/widgets withheld\n");
    assert_eq!(done.conclusion, Some(Conclusion::Success));
}

#[actix_web::test]
async fn only_the_end_of_much_output_is_kept() {
    let stage = Stage::new();
    let (agent, _monitor) = start(&stage, |_| {}).await;
    let id = stage.queue("yes 0123456 | head -n 100000; echo end");
    end(agent).await.unwrap();
    let tail = job(&stage.github.emulator, id).output_tail;
    assert_eq!(tail.len(), 64 * 1024);
    assert!(tail.ends_with("0123456\nend\n"));
}

#[actix_web::test]
async fn a_command_that_cannot_be_started_is_a_failed_job() {
    let stage = Stage::new();
    let (agent, _monitor) = start(&stage, |settings| {
        settings.work_dir = Some("/nonexistent".into());
    })
    .await;
    let id = stage.queue("true");
    let outcome = end(agent).await.unwrap();
    assert_eq!(
        outcome,
        AgentOutcome::RanJob {
            job_id: id,
            exit_code: None
        }
    );
    let done = job(&stage.github.emulator, id);
    assert_eq!(done.conclusion, Some(Conclusion::Failure));
    assert!(
        done.output_tail
            .starts_with("the command could not be started: ")
    );
}

#[actix_web::test]
async fn a_credential_is_waited_for() {
    let stage = Stage::new();
    let (_, credential) = stage.register("a", &["x"]).await;
    let monitor = Monitor::with(&[404, 503, 500, 429], credential);
    let agent = rt::spawn(agent::run(settings(&monitor.url)));
    let id = stage.queue("true");
    let outcome = end(agent).await.unwrap();
    assert_eq!(
        outcome,
        AgentOutcome::RanJob {
            job_id: id,
            exit_code: Some(0)
        }
    );
}

#[actix_web::test]
async fn a_credential_that_does_not_come_is_an_error() {
    let patient = |url: &str| AgentSettings {
        credential_timeout: Duration::from_millis(100),
        ..settings(url)
    };
    let refusing = Monitor::with(&[403], Secret::new(""));
    let silent = Monitor::with(&[404; 100], Secret::new(""));
    let garbled = Monitor::with(&[], Secret::new("hunter2"));
    let nobody = closed_port().unwrap();
    for (url, expected) in [
        (
            &refusing.url,
            "fetch the runner's credential: the answer was 403 Forbidden",
        ),
        (
            &silent.url,
            "fetch the runner's credential: the answer was 404 Not Found",
        ),
        (
            &garbled.url,
            "decode the jit configuration: it is not one of this emulator's",
        ),
        (&nobody, "reach "),
    ] {
        let error = within(agent::run(patient(url)))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(
            !error.contains("hunter2") && !error.contains("guest"),
            "{error}"
        );
    }
}

#[actix_web::test]
async fn an_agent_can_be_stopped_while_it_waits_for_its_credential() {
    let silent = Monitor::with(&[404; 100], Secret::new(""));
    let (order, stop) = StopSignal::pair();
    let agent = rt::spawn(agent::run(AgentSettings {
        stop,
        ..settings(&silent.url)
    }));
    drop(order);
    assert_eq!(end(agent).await.unwrap(), AgentOutcome::Stopped);
}

#[actix_web::test]
async fn lost_messages_cost_neither_the_job_nor_the_runner() {
    // Short, because a session whose opening was lost stands in the way until it is silent.
    let model = ModelSettings {
        silence_timeout: Duration::from_millis(500),
        ..ModelSettings::default()
    };
    let stage = Stage::with(model);
    let mut rules = Vec::new();
    for end in ["/session", "/poll", "/start", "/renew", "/complete"] {
        for fault in [Fault::DropRequest, Fault::status(503), Fault::DropAnswer] {
            let rule = FaultRule::on("POST", PathMatch::Suffix(end.into()), fault).next(1);
            rules.push(stage.github.emulator.faults().add(rule).unwrap());
        }
    }
    let (agent, _monitor) = start(&stage, |_| {}).await;
    let dir = tempfile::tempdir().unwrap();
    let counted = dir.path().join("count");
    let id = stage.queue(&format!("echo once >> {}; sleep 0.2", counted.display()));
    let outcome = end(agent).await.unwrap();
    assert_eq!(
        outcome,
        AgentOutcome::RanJob {
            job_id: id,
            exit_code: Some(0)
        }
    );
    assert_eq!(fs::read_to_string(counted).unwrap(), "once\n");
    let done = job(&stage.github.emulator, id);
    assert_eq!(done.conclusion, Some(Conclusion::Success));
    let hits = rules
        .iter()
        .map(|&id| stage.github.emulator.faults().hit_count(id));
    assert_eq!(hits.sum::<u32>(), 15);
}

#[actix_web::test]
async fn an_agent_gives_up_when_github_is_out_of_reach_for_too_long() {
    let stage = Stage::new();
    let rule = FaultRule::on("", PathMatch::Suffix("/poll".into()), Fault::status(502));
    stage.github.emulator.faults().add(rule).unwrap();
    let patience = Duration::from_millis(100);
    let (agent, _monitor) = start(&stage, |settings| settings.unreachable_timeout = patience).await;
    let error = end(agent).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "poll for a job: the answer was 502 Bad Gateway"
    );
    assert!(error.is_transient());
}

#[actix_web::test]
async fn a_job_that_goes_elsewhere_before_it_is_started_is_not_run() {
    let stage = Stage::new();
    let hold = FaultRule::on("", PathMatch::Suffix("/start".into()), Fault::HoldRequest);
    let hold = stage.github.emulator.faults().add(hold).unwrap();
    let (agent, _monitor) = start(&stage, |_| {}).await;
    let first = stage.queue("echo first");
    stage
        .until(|emulator| emulator.faults().hit_count(hold) == 1)
        .await;
    stage
        .github
        .emulator
        .model(|model, now| model.cancel_job(now, first))
        .unwrap();
    let second = stage.queue("echo second");
    assert!(stage.github.emulator.faults().release(hold));
    let outcome = end(agent).await.unwrap();
    assert_eq!(
        outcome,
        AgentOutcome::RanJob {
            job_id: second,
            exit_code: Some(0)
        }
    );
    assert_eq!(job(&stage.github.emulator, first).output_tail, "");
}
