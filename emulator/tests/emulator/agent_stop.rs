//! Stopping an agent: no process of its job outlives it.

use std::{path::Path, time::Duration};

use actix_web::rt;
use emulator::{
    agent::{AgentOutcome, StopSignal},
    faults::{Fault, FaultRule, PathMatch},
    model::{Conclusion, ModelSettings},
};
use tokio::{fs::File, io::AsyncReadExt, task::JoinHandle};

use super::{agent_support::*, support::*};

/// A command with a background process, which both run until they are killed. The pipe `alive` is
/// open as long as one of them runs.
const LONG_COMMAND: &str = "exec 9<>alive; sleep 1000 & sleep 1000";

/// Makes the pipe `alive` in `dir`.
async fn make_pipe(dir: &Path) {
    let made = tokio::process::Command::new("mkfifo")
        .arg(dir.join("alive"))
        .status();
    assert!(within(made).await.unwrap().success());
}

/// Returns when a process has opened the pipe for writing. Must be called before that.
fn wait_until_alive(dir: &Path) -> JoinHandle<File> {
    let path = dir.join("alive");
    rt::spawn(async move { File::open(path).await.unwrap() })
}

/// Returns when no process has the pipe open for writing.
async fn wait_until_dead(mut pipe: File) {
    let mut nothing = Vec::new();
    within(pipe.read_to_end(&mut nothing)).await.unwrap();
    assert!(nothing.is_empty());
}

/// What ends a running job.
enum Cause {
    Cancel,
    Stop,
    Timeout,
    Vanish,
    Drop,
}

#[actix_web::test]
async fn a_killed_job_leaves_no_process_behind() {
    for (cause, expected) in [
        (Cause::Cancel, Some(Conclusion::Cancelled)),
        (Cause::Stop, Some(Conclusion::Failure)),
        (Cause::Timeout, Some(Conclusion::Failure)),
        (Cause::Vanish, Some(Conclusion::Failure)),
        (Cause::Drop, None),
    ] {
        let fixture = Fixture::new();
        let dir = tempfile::tempdir().unwrap();
        make_pipe(dir.path()).await;
        let alive = wait_until_alive(dir.path());
        let (sender, stop) = StopSignal::pair();
        let (agent, _monitor) = start(&fixture, |settings| {
            settings.work_dir = Some(dir.path().into());
            settings.stop = stop;
            if let Cause::Timeout = cause {
                settings.job_timeout = Duration::from_secs(1);
            }
        })
        .await;
        let id = fixture.queue(LONG_COMMAND);
        let pipe = within(alive).await.unwrap();
        let ran = AgentOutcome::RanJob {
            job_id: id,
            exit_code: None,
        };
        match cause {
            Cause::Cancel => {
                let emulator = fixture.emulator();
                emulator
                    .model(|model, now| model.cancel_job(now, id))
                    .unwrap();
                assert_eq!(end(agent).await.unwrap(), ran);
            }
            Cause::Stop => {
                sender.send(true).unwrap();
                assert_eq!(end(agent).await.unwrap(), ran);
            }
            Cause::Timeout => assert_eq!(end(agent).await.unwrap(), ran),
            Cause::Vanish => {
                fixture
                    .emulator()
                    .model(|model, now| model.vanish(now, "a"));
                assert_eq!(end(agent).await.unwrap(), AgentOutcome::RegistrationGone);
            }
            Cause::Drop => {
                agent.abort();
                assert!(within(agent).await.unwrap_err().is_cancelled());
            }
        }
        wait_until_dead(pipe).await;
        assert_eq!(job(fixture.emulator(), id).conclusion, expected);
    }
}

#[actix_web::test]
async fn background_processes_end_with_the_job() {
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    make_pipe(dir.path()).await;
    let alive = wait_until_alive(dir.path());
    let (agent, _monitor) = start(&fixture, |settings| {
        settings.work_dir = Some(dir.path().into());
    })
    .await;
    let id = fixture.queue("exec 9<>alive; sleep 1000 & echo done");
    let outcome = end(agent).await.unwrap();
    assert_eq!(
        outcome,
        AgentOutcome::RanJob {
            job_id: id,
            exit_code: Some(0)
        }
    );
    wait_until_dead(within(alive).await.unwrap()).await;
}

#[actix_web::test]
async fn an_idle_agent_that_is_stopped_goes_offline() {
    let fixture = Fixture::new();
    let (sender, stop) = StopSignal::pair();
    let (agent, _monitor) = start(&fixture, |settings| settings.stop = stop).await;
    fixture
        .until(|emulator| runner_status(emulator) == Some(("online", false)))
        .await;
    sender.send(true).unwrap();
    assert_eq!(end(agent).await.unwrap(), AgentOutcome::Stopped);
    assert_eq!(runner_status(fixture.emulator()), Some(("offline", false)));
}

#[actix_web::test]
async fn an_agent_stopped_during_a_request_leaves_no_session_or_job_behind() {
    for (end_of_path, expected) in [("/session", None), ("/start", Some(Conclusion::Failure))] {
        let fixture = Fixture::new();
        let hold = PathMatch::Suffix(end_of_path.into());
        let hold = FaultRule::on("", hold, Fault::HoldAnswer);
        let hold = fixture.emulator().faults().add(hold).unwrap();
        let (sender, stop) = StopSignal::pair();
        let (agent, _monitor) = start(&fixture, |settings| settings.stop = stop).await;
        fixture
            .until(|emulator| runner_status(emulator).is_some_and(|it| it.0 == "online"))
            .await;
        let id = fixture.queue("sleep 1000");
        if expected.is_some() {
            wait_until_running(&fixture, id).await;
        }
        sender.send(true).unwrap();
        assert!(fixture.emulator().faults().release(hold));
        let outcome = end(agent).await.unwrap();
        assert_eq!(
            outcome == AgentOutcome::Stopped,
            expected.is_none(),
            "{outcome:?}"
        );
        assert_eq!(job(fixture.emulator(), id).conclusion, expected);
        assert!(runner_status(fixture.emulator()).is_none_or(|it| it == ("offline", false)));
    }
}

#[actix_web::test]
async fn an_agent_that_dies_goes_offline_after_the_silence_timeout() {
    let model = ModelSettings {
        silence_timeout: Duration::from_secs(2),
        ..ModelSettings::default()
    };
    let fixture = Fixture::with(model);
    let (agent, _monitor) = start(&fixture, |_| {}).await;
    fixture
        .until(|emulator| runner_status(emulator) == Some(("online", false)))
        .await;
    // It is online again only because a poll has arrived and is held.
    fixture.emulator().advance_clock(Duration::from_secs(2));
    fixture
        .until(|emulator| runner_status(emulator) == Some(("online", false)))
        .await;
    agent.abort();
    // A poll that outlived the connection would be held for 20 s, and keep the runner online.
    let offline = fixture.until(|emulator| runner_status(emulator) == Some(("offline", false)));
    let seen = tokio::time::timeout(Duration::from_secs(15), offline).await;
    assert!(seen.is_ok(), "the poll outlived the connection");
}

#[actix_web::test]
async fn an_idle_agent_ends_when_its_registration_vanishes() {
    let fixture = Fixture::new();
    let (agent, _monitor) = start(&fixture, |_| {}).await;
    fixture
        .until(|emulator| runner_status(emulator) == Some(("online", false)))
        .await;
    fixture
        .emulator()
        .model(|model, now| model.vanish(now, "a"));
    assert_eq!(end(agent).await.unwrap(), AgentOutcome::RegistrationGone);
}
