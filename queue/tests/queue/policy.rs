//! A scheduling policy, from the outside.

use emulator::{EmulatorSettings, model::NewArtifact, zip_of_lines};
use serde_json::json;
use shared::{secret::Secret, values::RunId};

use super::support::{Daemon, FakeMonitor, Fixture};

const POLICY: &str = "settle = 0\n[queue.policy]\nrunners_per_repo_max = 1\n[queue.policy.lanes.release]\nrank = 1\n\
                      [[queue.policy.rules]]\nlane = \"release\"\nbranch = \"release/*\"\n";
const GITHUB_TOKEN: &str = "hunter3-opens-github";

fn enqueue(daemon: &Daemon, job: &str, repo: &str, more: &str) -> String {
    let target =
        format!("/profile/linux/enqueue?unique_id={job}&qualified_repo={repo}&run_id=7{more}");
    daemon.request_as_operator("POST", &target).expect_text(200)
}

#[test]
fn position_and_reason_follow_the_policy() {
    let fixture = Fixture::<1>::start(POLICY);
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    enqueue(daemon, "main", "servo/servo", "&branch=main");
    let branch = "&branch=release/1&event=push&workflow=.github/workflows/ci.yml@refs/heads/x";
    let release = enqueue(daemon, "release", "servo/other", branch);
    let status = daemon.job("main");
    assert_eq!(
        (&status["position"], &status["lane"]),
        (&json!(2), &json!("default"))
    );
    let why = status["why"].as_str().unwrap();
    let expected = "1 job of lane release is before it, of which servo/other run 7 is next";
    assert!(why.starts_with(expected), "{why}");
    assert_eq!(daemon.job("release")["events"][0]["lane"], "release");
    monitor.boot(1);
    daemon.expect_runners("release", &release);

    enqueue(daemon, "second", "servo/other", branch);
    let why = "its repository already uses 1 of 1 runners of this profile";
    assert_eq!(daemon.job("second")["why"], why);
    // A change is in force after a reload.
    daemon.edit_settings("runners_per_repo_max = 1", "runners_per_repo_max = 2");
    let reloaded = daemon
        .request_as_operator("POST", "/reload")
        .expect_json(200);
    let applied = json!({"applied": ["queue.policy.runners_per_repo_max"], "needs_restart": []});
    assert_eq!(reloaded, applied);
    assert_ne!(daemon.job("second")["why"], why);
}

#[test]
fn a_mistake_in_the_facts_of_a_run_is_refused() {
    let fixture = Fixture::one_server();
    let target =
        "/profile/linux/enqueue?unique_id=job&qualified_repo=servo/servo&run_id=7&branch=a%0Ab";
    let response = fixture.daemon.request_as_operator("POST", target);
    let message = response.assert_refused(400, "bad_request");
    let expected = "branch, event and workflow must be 1 to 255 bytes without control characters";
    assert!(message.contains(expected), "{message}");
    // Not known, such as the branch of a tag.
    enqueue(&fixture.daemon, "job", "servo/servo", "&branch=");
}

/// GitHub, which shows each run as a push to main, decides on the lane, not what a stranger claims.
#[test]
fn github_tells_of_the_run_of_a_client_without_the_token() {
    let github = emulator::spawn(EmulatorSettings::new(Secret::new(GITHUB_TOKEN))).unwrap();
    let monitor = FakeMonitor::start();
    let settings = format!(
        "{POLICY}[queue.policy.lanes.main]\n[[queue.policy.rules]]\nlane = \"main\"\nbranch = \"main\"\n\
         event = \"push\"\nworkflow = \"ci.yml\"\n"
    );
    let access = Some((github.base_url.as_str(), GITHUB_TOKEN));
    let daemon = Daemon::start_with_github(&[&monitor], &settings, access);
    daemon.wait_until_fresh(1);
    let lines = [
        "unique_id=job",
        "qualified_repo=servo/servo",
        "run_id=7",
        "self_hosted_image_name=linux",
    ];
    let artifact = NewArtifact {
        repo: "servo/servo".parse().unwrap(),
        run_id: RunId(7),
        name: "servo-ci-runners_job".to_owned(),
        content: zip_of_lines(lines.map(str::to_owned)),
    };
    let add = |model: &mut emulator::model::Model, now| model.add_artifact(now, artifact);
    github.emulator.model(add).unwrap();
    let target = "/enqueue?unique_id=job&qualified_repo=servo/servo&run_id=7&branch=release/1";
    daemon.request("POST", target, &[]).expect_text(200);
    assert_eq!(daemon.job("job")["lane"], "main");
}
