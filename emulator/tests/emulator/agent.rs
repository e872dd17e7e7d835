//! The runner agent: its JIT configuration, its job, and lost messages.

use std::{fs, time::Duration};

use actix_web::rt;
use emulator::{
    agent::{self, AgentOutcome, AgentSettings, StopSignal},
    faults::{Fault, FaultRule, PathMatch},
    model::{Conclusion, JobPhase, ModelSettings},
};
use serde_json::json;
use shared::secret::Secret;

use super::{agent_support::*, support::*};

/// A command that runs until the file `go` exists.
const WAIT_FOR_GO: &str = "echo out; echo err >&2; until [ -e go ]; do sleep 0.02; done; exit 3";

#[actix_web::test]
async fn a_runner_is_online_then_busy_then_removed() {
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    let (agent, _monitor) = start(&fixture, |settings| {
        settings.work_dir = Some(dir.path().into());
    })
    .await;
    let path = format!("{RUNNERS}/1");
    fixture
        .until(|emulator| runner_status(emulator) == Some(("online", false)))
        .await;
    assert_eq!(fixture.get(&path).await.1["os"], "linux");

    let id = fixture.queue(WAIT_FOR_GO);
    wait_until_running(&fixture, id).await;
    let (_, busy) = fixture.get(&path).await;
    assert_eq!(
        (&busy["status"], &busy["busy"]),
        (&json!("online"), &json!(true))
    );
    let (status, refusal) = fixture.json("DELETE", &path, None).await;
    assert_eq!(status, 422);
    let message = refusal["message"].as_str().unwrap();
    assert!(message.contains("currently running a job"), "{message}");

    wait_for_output(&fixture, id, "out\nerr\n").await;
    fs::write(dir.path().join("go"), "").unwrap();
    let outcome = end(agent).await.unwrap();
    assert_eq!(
        outcome,
        AgentOutcome::RanJob {
            job_id: id,
            exit_code: Some(3)
        }
    );
    let done = job(fixture.emulator(), id);
    assert_eq!(
        (done.phase, done.conclusion),
        (JobPhase::Completed, Some(Conclusion::Failure))
    );
    assert_eq!(
        (done.exit_code, done.output_tail.as_str()),
        (Some(3), "out\nerr\n")
    );
    assert_eq!(done.runner_name.as_deref(), Some("a"));
    assert_eq!(fixture.call("GET", &path, None).await.status, 404);
    assert!(fixture.listed().await.is_empty());

    // The requests of agents are not part of GitHub's API, and are not logged.
    let log = fixture.emulator().requests().all();
    assert!(
        log.iter().all(|entry| entry.path.starts_with("/orgs/")),
        "{log:?}"
    );
}

#[actix_web::test]
async fn a_job_has_githubs_variables_and_not_the_removed_ones() {
    let fixture = Fixture::new();
    let (agent, _monitor) = start(&fixture, |settings| {
        settings.removed_variables.push("GITHUB_RUN_ID".into());
    })
    .await;
    let id = fixture.queue("echo $CI $GITHUB_REPOSITORY ${GITHUB_RUN_ID-removed}; cat");
    let outcome = end(agent).await.unwrap();
    // The standard input of the command is empty, and not the pipe of the watchdog.
    assert_eq!(
        outcome,
        AgentOutcome::RanJob {
            job_id: id,
            exit_code: Some(0)
        }
    );
    let done = job(fixture.emulator(), id);
    assert_eq!(done.output_tail, "true acme/widgets removed\n");
    assert_eq!(done.conclusion, Some(Conclusion::Success));
}

#[actix_web::test]
async fn only_the_end_of_a_long_output_is_kept() {
    let fixture = Fixture::new();
    let (agent, _monitor) = start(&fixture, |_| {}).await;
    let id = fixture.queue("yes 0123456 | head -n 100000; echo end");
    end(agent).await.unwrap();
    let tail = job(fixture.emulator(), id).output_tail;
    assert_eq!(tail.len(), 64 * 1024);
    assert!(tail.ends_with("0123456\nend\n"));
}

#[actix_web::test]
async fn a_command_that_cannot_be_started_is_a_failed_job() {
    let fixture = Fixture::new();
    let (agent, _monitor) = start(&fixture, |settings| {
        settings.work_dir = Some("/nonexistent".into());
    })
    .await;
    let id = fixture.queue("true");
    let outcome = end(agent).await.unwrap();
    assert_eq!(
        outcome,
        AgentOutcome::RanJob {
            job_id: id,
            exit_code: None
        }
    );
    let done = job(fixture.emulator(), id);
    assert_eq!(done.conclusion, Some(Conclusion::Failure));
    assert!(
        done.output_tail
            .starts_with("the command could not be started: ")
    );
}

#[actix_web::test]
async fn an_agent_waits_for_its_jit_configuration() {
    let fixture = Fixture::new();
    let (_, jit_config) = fixture.register("a", &["x"]).await;
    let monitor = FakeMonitor::new(&[404, 503, 500, 429], jit_config);
    let agent = rt::spawn(agent::run(settings(&monitor.url)));
    let id = fixture.queue("true");
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
async fn an_agent_fails_without_a_jit_configuration() {
    let short_timeout = |url: &str| AgentSettings {
        jit_config_timeout: Duration::from_millis(100),
        ..settings(url)
    };
    let refusing = FakeMonitor::new(&[403], Secret::new(""));
    let silent = FakeMonitor::new(&[404; 100], Secret::new(""));
    let garbled = FakeMonitor::new(&[], Secret::new("hunter2"));
    let unreachable = closed_port().unwrap();
    for (url, expected) in [
        (
            &refusing.url,
            "fetch the runner's JIT configuration: the status was 403 Forbidden",
        ),
        (
            &silent.url,
            "fetch the runner's JIT configuration: the status was 404 Not Found",
        ),
        (
            &garbled.url,
            "decode the JIT configuration: it is not one of this emulator's",
        ),
        (&unreachable, "reach "),
    ] {
        let error = within(agent::run(short_timeout(url)))
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
async fn an_agent_can_be_stopped_while_it_waits_for_its_jit_configuration() {
    let silent = FakeMonitor::new(&[404; 100], Secret::new(""));
    let (sender, stop) = StopSignal::pair();
    let agent = rt::spawn(agent::run(AgentSettings {
        stop,
        ..settings(&silent.url)
    }));
    drop(sender);
    assert_eq!(end(agent).await.unwrap(), AgentOutcome::Stopped);
}

#[actix_web::test]
async fn a_job_runs_once_although_messages_are_lost() {
    // Short, because a session whose response was lost blocks the next one until it is silent.
    let model = ModelSettings {
        silence_timeout: Duration::from_millis(500),
        ..ModelSettings::default()
    };
    let fixture = Fixture::with(model);
    let mut rules = Vec::new();
    for end in ["/session", "/poll", "/start", "/renew", "/complete"] {
        for fault in [Fault::DropRequest, Fault::status(503), Fault::DropAnswer] {
            let rule = FaultRule::on("POST", PathMatch::Suffix(end.into()), fault).next(1);
            rules.push(fixture.emulator().faults().add(rule).unwrap());
        }
    }
    let (agent, _monitor) = start(&fixture, |_| {}).await;
    let dir = tempfile::tempdir().unwrap();
    let counted = dir.path().join("count");
    let id = fixture.queue(&format!("echo once >> {}; sleep 0.2", counted.display()));
    let outcome = end(agent).await.unwrap();
    assert_eq!(
        outcome,
        AgentOutcome::RanJob {
            job_id: id,
            exit_code: Some(0)
        }
    );
    assert_eq!(fs::read_to_string(counted).unwrap(), "once\n");
    let done = job(fixture.emulator(), id);
    assert_eq!(done.conclusion, Some(Conclusion::Success));
    let hits = rules
        .iter()
        .map(|&id| fixture.emulator().faults().hit_count(id));
    assert_eq!(hits.sum::<u32>(), 15);
}

#[actix_web::test]
async fn an_agent_fails_when_github_is_unreachable_for_too_long() {
    let fixture = Fixture::new();
    let rule = FaultRule::on("", PathMatch::Suffix("/poll".into()), Fault::status(502));
    fixture.emulator().faults().add(rule).unwrap();
    let timeout = Duration::from_millis(100);
    let (agent, _monitor) =
        start(&fixture, |settings| settings.unreachable_timeout = timeout).await;
    let error = end(agent).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "poll for a job: the status was 502 Bad Gateway"
    );
    assert!(error.is_transient());
}

#[actix_web::test]
async fn a_job_that_is_cancelled_before_its_start_is_not_run() {
    let fixture = Fixture::new();
    let hold = FaultRule::on("", PathMatch::Suffix("/start".into()), Fault::HoldRequest);
    let hold = fixture.emulator().faults().add(hold).unwrap();
    let (agent, _monitor) = start(&fixture, |_| {}).await;
    let first = fixture.queue("echo first");
    fixture
        .until(|emulator| emulator.faults().hit_count(hold) == 1)
        .await;
    fixture
        .emulator()
        .model(|model, now| model.cancel_job(now, first))
        .unwrap();
    let second = fixture.queue("echo second");
    assert!(fixture.emulator().faults().release(hold));
    let outcome = end(agent).await.unwrap();
    assert_eq!(
        outcome,
        AgentOutcome::RanJob {
            job_id: second,
            exit_code: Some(0)
        }
    );
    assert_eq!(job(fixture.emulator(), first).output_tail, "");
}
