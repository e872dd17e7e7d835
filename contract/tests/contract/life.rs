//! A real monitor, authenticated as a GitHub App and with a clock ahead of GitHub's, and the whole life
//! of a runner.

use contract::Severity;
use emulator::model::{JobPhase, NewJob};
use http_client::Method;
use shared::{values::RunId, wire::TakenRunner};

use crate::support::{Monitor, ProxiedGithub, in_time, silent};

const RUNNERS: &str = "/orgs/acme/actions/runners";

#[actix_web::test]
async fn a_runner_is_registered_taken_used_and_replaced() {
    let stage = ProxiedGithub::new().await;
    // So the first JWT of the App is from the future, and rejected.
    stage.github.emulator.faults().set_clock_skew(-90);
    let more = "reservation_labels = \"on_take\"";
    let monitor = Monitor::start(&stage, 1, more).await;
    let emulator = &stage.github.emulator;

    let take = "profile/linux/take?unique_id=job&qualified_repo=acme/app&run_id=7";
    let taken = monitor.call(Method::POST, take).await;
    assert_eq!(taken.status, 200, "{:?}", taken.text());
    let taken: TakenRunner = taken.json().unwrap();
    let job = NewJob {
        repo: "acme/app".parse().unwrap(),
        run_id: RunId(7),
        labels: vec![taken.label.unwrap()],
        command: "true".into(),
    };
    let job = emulator.model(|model, now| model.queue_job(now, job).unwrap());
    let phase = |it: &emulator::Emulator| it.model(|model, now| model.job(now, job)).unwrap().phase;
    let done = emulator.until(|it| phase(it) == JobPhase::Completed);
    in_time("the job to be done", done).await;

    let dashboard = monitor.until_idle(1).await;
    assert_eq!(dashboard.runners[0].id, taken.id + 1);
    // A runner in excess of the target, whose registration is deleted.
    for (method, path, count) in [
        (Method::POST, "policy/override?linux=2", 2),
        (Method::DELETE, "policy/override", 1),
    ] {
        assert_eq!(monitor.call(method, path).await.status, 200);
        monitor.until_idle(count).await;
    }
    monitor.stop().await;

    for (method, path, count) in [
        ("POST", "/app/installations/9/access_tokens", 2),
        ("POST", "/orgs/acme/actions/runners/generate-jitconfig", 3),
    ] {
        assert_eq!(emulator.requests().count(method, path), count, "{path}");
    }
    let asked = emulator.requests().all();
    let is_asked = |method: &str, end: &str| {
        let is_it =
            |entry: &&emulator::RequestEntry| entry.method == method && entry.path.ends_with(end);
        asked.iter().any(|entry| is_it(&entry))
    };
    assert!(is_asked("POST", "/labels"), "{asked:?}");
    assert!(is_asked("DELETE", ""), "{asked:?}");

    let findings = stage.findings().await;
    let confirmed = format!("GET {RUNNERS}?per_page=100&page=1");
    let confirmed = silent(&confirmed, 304, "200");
    assert!(findings.contains(&confirmed), "{findings:?}");
    for finding in findings {
        // GitHub has already removed the registration of the runner whose job has ended.
        let is_gone = finding.message == silent("", 404, "204,422").message;
        let is_expected = finding == confirmed || is_gone;
        assert!(
            finding.severity == Severity::Warning && is_expected,
            "{finding:?}"
        );
    }
}
