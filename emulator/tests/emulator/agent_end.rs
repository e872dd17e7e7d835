//! How an agent's life can be ended from outside, and that nothing of its job outlives it.

use std::{path::Path, time::Duration};

use actix_web::rt;
use emulator::{
    agent::{AgentOutcome, StopSignal},
    faults::{Fault, FaultRule, PathMatch},
    model::{Conclusion, ModelSettings},
};
use tokio::{fs::File, io::AsyncReadExt, task::JoinHandle};

use super::{guest::*, support::*};

/// A command that starts another one in the background, and ends only by being killed. The pipe
/// `alive` is open for as long as either lives.
const LONG: &str = "exec 9<>alive; sleep 1000 & sleep 1000";

/// Makes the pipe `alive` in `dir`.
async fn make_pipe(dir: &Path) {
    let made = tokio::process::Command::new("mkfifo")
        .arg(dir.join("alive"))
        .status();
    assert!(within(made).await.unwrap().success());
}

/// Ends when somebody has the pipe open for writing. To be called before anybody has.
fn until_alive(dir: &Path) -> JoinHandle<File> {
    let path = dir.join("alive");
    rt::spawn(async move { File::open(path).await.unwrap() })
}

/// Ends when nobody has the pipe open for writing any more.
async fn until_dead(mut pipe: File) {
    let mut nothing = Vec::new();
    within(pipe.read_to_end(&mut nothing)).await.unwrap();
    assert!(nothing.is_empty());
}

/// How a running job can be brought to its end from outside.
enum Cause {
    Cancel,
    Stop,
    TooLong,
    Vanish,
    Drop,
}

#[actix_web::test]
async fn a_killed_job_leaves_nothing_behind() {
    for (cause, expected) in [
        (Cause::Cancel, Some(Conclusion::Cancelled)),
        (Cause::Stop, Some(Conclusion::Failure)),
        (Cause::TooLong, Some(Conclusion::Failure)),
        (Cause::Vanish, Some(Conclusion::Failure)),
        (Cause::Drop, None),
    ] {
        let stage = Stage::new();
        let dir = tempfile::tempdir().unwrap();
        make_pipe(dir.path()).await;
        let alive = until_alive(dir.path());
        let (order, stop) = StopSignal::pair();
        let (agent, _monitor) = start(&stage, |settings| {
            settings.work_dir = Some(dir.path().into());
            settings.stop = stop;
            if let Cause::TooLong = cause {
                settings.job_timeout = Duration::from_secs(1);
            }
        })
        .await;
        let id = stage.queue(LONG);
        let pipe = within(alive).await.unwrap();
        let ran = AgentOutcome::RanJob {
            job_id: id,
            exit_code: None,
        };
        match cause {
            Cause::Cancel => {
                let emulator = &stage.github.emulator;
                emulator
                    .model(|model, now| model.cancel_job(now, id))
                    .unwrap();
                assert_eq!(end(agent).await.unwrap(), ran);
            }
            Cause::Stop => {
                order.send(true).unwrap();
                assert_eq!(end(agent).await.unwrap(), ran);
            }
            Cause::TooLong => assert_eq!(end(agent).await.unwrap(), ran),
            Cause::Vanish => {
                stage
                    .github
                    .emulator
                    .model(|model, now| model.vanish(now, "a"));
                assert_eq!(end(agent).await.unwrap(), AgentOutcome::RegistrationGone);
            }
            Cause::Drop => {
                agent.abort();
                assert!(within(agent).await.unwrap_err().is_cancelled());
            }
        }
        until_dead(pipe).await;
        assert_eq!(job(&stage.github.emulator, id).conclusion, expected);
    }
}

#[actix_web::test]
async fn what_a_job_leaves_in_the_background_ends_with_it() {
    let stage = Stage::new();
    let dir = tempfile::tempdir().unwrap();
    make_pipe(dir.path()).await;
    let alive = until_alive(dir.path());
    let (agent, _monitor) = start(&stage, |settings| {
        settings.work_dir = Some(dir.path().into());
    })
    .await;
    let id = stage.queue("exec 9<>alive; sleep 1000 & echo done");
    let outcome = end(agent).await.unwrap();
    assert_eq!(
        outcome,
        AgentOutcome::RanJob {
            job_id: id,
            exit_code: Some(0)
        }
    );
    until_dead(within(alive).await.unwrap()).await;
}

#[actix_web::test]
async fn an_idle_agent_that_is_told_to_stop_goes_offline() {
    let stage = Stage::new();
    let (order, stop) = StopSignal::pair();
    let (agent, _monitor) = start(&stage, |settings| settings.stop = stop).await;
    stage
        .until(|emulator| runner_status(emulator) == Some(("online", false)))
        .await;
    order.send(true).unwrap();
    assert_eq!(end(agent).await.unwrap(), AgentOutcome::Stopped);
    assert_eq!(
        runner_status(&stage.github.emulator),
        Some(("offline", false))
    );
}

#[actix_web::test]
async fn an_order_to_stop_that_crosses_an_answer_leaves_nothing_behind() {
    for (end_of_path, expected) in [("/session", None), ("/start", Some(Conclusion::Failure))] {
        let stage = Stage::new();
        let hold = PathMatch::Suffix(end_of_path.into());
        let hold = FaultRule::on("", hold, Fault::HoldAnswer);
        let hold = stage.github.emulator.faults().add(hold).unwrap();
        let (order, stop) = StopSignal::pair();
        let (agent, _monitor) = start(&stage, |settings| settings.stop = stop).await;
        stage
            .until(|emulator| runner_status(emulator).is_some_and(|it| it.0 == "online"))
            .await;
        let id = stage.queue("sleep 1000");
        if expected.is_some() {
            until_running(&stage, id).await;
        }
        order.send(true).unwrap();
        assert!(stage.github.emulator.faults().release(hold));
        let outcome = end(agent).await.unwrap();
        assert_eq!(
            outcome == AgentOutcome::Stopped,
            expected.is_none(),
            "{outcome:?}"
        );
        assert_eq!(job(&stage.github.emulator, id).conclusion, expected);
        assert!(runner_status(&stage.github.emulator).is_none_or(|it| it == ("offline", false)));
    }
}

#[actix_web::test]
async fn an_agent_that_dies_is_offline_after_a_while() {
    let model = ModelSettings {
        silence_timeout: Duration::from_secs(2),
        ..ModelSettings::default()
    };
    let stage = Stage::with(model);
    let (agent, _monitor) = start(&stage, |_| {}).await;
    stage
        .until(|emulator| runner_status(emulator) == Some(("online", false)))
        .await;
    // It is online again after a pause only because a poll has arrived and is being held.
    stage.github.emulator.advance_clock(Duration::from_secs(2));
    stage
        .until(|emulator| runner_status(emulator) == Some(("online", false)))
        .await;
    agent.abort();
    // A poll that was left behind would be held for 20 s, and be a sign of life until then.
    let offline = stage.until(|emulator| runner_status(emulator) == Some(("offline", false)));
    let seen = tokio::time::timeout(Duration::from_secs(15), offline).await;
    assert!(seen.is_ok(), "the poll outlived the connection");
}

#[actix_web::test]
async fn an_idle_agent_whose_registration_vanishes_ends() {
    let stage = Stage::new();
    let (agent, _monitor) = start(&stage, |_| {}).await;
    stage
        .until(|emulator| runner_status(emulator) == Some(("online", false)))
        .await;
    stage
        .github
        .emulator
        .model(|model, now| model.vanish(now, "a"));
    assert_eq!(end(agent).await.unwrap(), AgentOutcome::RegistrationGone);
}
