//! The commands with which operators change what daemons do, and the addresses of daemons.

use std::fs;

use serde_json::Value;

use super::support::*;

#[actix_web::test]
async fn a_job_is_withdrawn_after_a_confirmation() {
    let (_monitor, queue) = one_server().await;
    let url = &queue.url;
    let enqueue = "--profile linux --repo servo/servo --run-id 7 --unique-id a";
    run(&format!("enqueue --queue {url} {enqueue}")).await;
    let refused = run(&format!("withdraw --queue {url} a")).await;
    refused.assert_exit(1, "");
    refused.assert_stderr_has("Withdraw job a (1 runner of linux, waiting)? [y/N]\n");
    assert_eq!(queue.waiting_jobs().await, [public_id("a")]);
    let withdrawn = run(&format!("withdraw --queue {url} a --yes")).await;
    withdrawn.assert_exit(0, "job a: withdrawn\n");
    assert_eq!(queue.waiting_jobs().await, Vec::<String>::new());
    let unknown = run(&format!("withdraw --queue {url} b --yes")).await;
    unknown.assert_exit(4, "");
    unknown.assert_stderr_has("the queue has no such job");
}

#[actix_web::test]
async fn an_address_comes_from_the_environment_or_the_configuration_file() {
    let (monitor, queue) = one_server().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let text = format!(
        "[fleets.test]\nqueue = '{}'\nmonitors = {{ ci1 = '{}' }}\n",
        queue.url, monitor.url
    );
    fs::write(&file, text).unwrap();
    let config = format!("--config {}", file.display());
    let mut with_variable = ci_runners("status");
    with_variable.env("CI_RUNNERS_QUEUE", &queue.url);
    finish(with_variable).await.assert_status(0);
    let status = run(&format!("status {config}")).await;
    status.assert_stdout_has("0 jobs wait");
    let status = run(&format!("{config} status --monitor ci1")).await;
    status.assert_stdout_has("There are no runners.");
    let status = run(&format!("status {config} --fleet tst")).await;
    status.assert_exit(2, "");
    status.assert_stderr_has("find the fleet tst: there are test in ");
}

#[actix_web::test]
async fn the_wrong_daemon_and_an_unknown_profile_are_named() {
    let (monitor, queue) = one_server().await;
    let (monitor, queue) = (&monitor.url, &queue.url);
    let status = run(&format!("status --queue {monitor}")).await;
    status.assert_exit(4, "");
    status.assert_stderr_has("that is a monitor: use --monitor");
    let status = run(&format!("status --monitor {queue}")).await;
    status.assert_stderr_has("that is a queue: use --queue");
    let drain = run(&format!("drain --monitor {queue}")).await;
    drain.assert_exit(4, "");
    drain.assert_stderr_has("that is a queue: use --queue");
    let of_linx = "--profile linx --repo servo/servo --run-id 7";
    for command in ["enqueue", "wait"] {
        let refused = run(&format!("{command} --queue {queue} {of_linx}")).await;
        refused.assert_exit(4, "");
        refused.assert_stderr_has("there is no profile linx; there is linux\n");
    }
}

#[actix_web::test]
async fn a_server_is_drained_and_its_targets_are_overridden() {
    let monitor = PolicyMonitor::start();
    let url = &monitor.url;
    let drained = run(&format!("drain --monitor {url} --note new&disk --wait")).await;
    drained.assert_exit(0, &format!("{url}/: drained by alice@laptop (new&disk)\n"));
    assert_eq!(
        drained.stderr,
        "2 runners are busy or reserved\nno runner is busy\n"
    );
    let status = run(&format!("status --monitor {url}")).await;
    status.assert_stdout_has(
        "The server is drained by alice@laptop since 1970-01-01T00:00:01Z: new&disk\n",
    );
    let undrained = run(&format!("undrain --monitor {url} --json")).await;
    undrained.assert_status(0);
    let ended: Value = serde_json::from_str(&undrained.stdout).unwrap();
    assert_eq!(
        (&ended["note"], &ended["author"]),
        (&"new&disk".into(), &"alice@laptop".into())
    );
    let undrained = run(&format!("undrain --monitor {url}")).await;
    undrained.assert_exit(0, &format!("{url}/: it was not drained\n"));

    let command = |line: &str| format!("override {line} --monitor {url}");
    let set = run(&command("set linux=3 windows=0 --note a&fair --author bob")).await;
    let targets = format!("{url}/: temporary targets linux=3 windows=0");
    set.assert_exit(0, &format!("{targets}\n"));
    let get = run(&command("get --json")).await;
    get.assert_exit(0, "{\"linux\":3,\"windows\":0}\n");
    let get = run(&command("get")).await;
    let since = ", since 1970-01-01T00:00:01Z by bob (a&fair)";
    get.assert_exit(0, &format!("{targets}{since}\n"));
    let status = run(&format!("status --monitor {url}")).await;
    status.assert_stdout_has(
        "Temporary targets of 3 of linux, 0 of windows by bob since 1970-01-01T00:00:01Z: a&fair\n",
    );
    let twice = run(&command("set linux=3 linux=4")).await;
    twice.assert_exit(2, "");
    twice.assert_stderr_has("linux is named twice");
    let cancelled = run(&command("cancel")).await;
    cancelled.assert_exit(0, &format!("{targets} cancelled\n"));
    let get = run(&command("get")).await;
    get.assert_exit(0, &format!("{url}/: no temporary targets\n"));
}

#[actix_web::test]
async fn a_profile_is_paused_and_resumed() {
    let (monitor, queue) = one_server().await;
    monitor.boot(1);
    let url = &queue.url;
    let paused = run(&format!("pause --queue {url} linux --note new&disk")).await;
    paused.assert_exit(0, "linux: paused by alice@laptop (new&disk)\n");
    let enqueue = "--profile linux --repo servo/servo --run-id 7 --unique-id a";
    run(&format!("enqueue --queue {url} {enqueue}")).await;
    assert_eq!(queue.waiting_jobs().await, [public_id("a")]);
    let status = run(&format!("status --queue {url}")).await;
    status.assert_stdout_has("linux is paused by alice@laptop since ");
    status.assert_stdout_has(": new&disk\n");
    let again = run(&format!("pause --queue {url} linux --json")).await;
    again.assert_status(0);
    let pause: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(pause["note"], "");
    assert!(pause["since"].is_u64() && pause["client_address"] == "127.0.0.1");
    let resumed = run(&format!("resume --queue {url} linux --json")).await;
    let resumed: Value = serde_json::from_str(&resumed.stdout).unwrap();
    assert_eq!(resumed, pause);
    wait_until("the job has its runner", async || {
        queue.waiting_jobs().await.is_empty()
    })
    .await;
    let resumed = run(&format!("resume --queue {url} linux")).await;
    resumed.assert_exit(0, "linux: it was not paused\n");
    let unknown = run(&format!("pause --queue {url} linx")).await;
    unknown.assert_exit(4, "");
    unknown.assert_stderr_has("there is no profile linx; there is linux\n");
}

#[actix_web::test]
async fn settings_are_reloaded() {
    let (_monitor, queue) = one_server().await;
    let url = &queue.url;
    let reloaded = run(&format!("reload --queue {url}")).await;
    let text = "no setting has changed; none needs a restart";
    reloaded.assert_exit(0, &format!("{url}/: {text}\n"));
    queue.edit_settings("settle = 0", "settle = 1\njobs_max = 7");
    let reloaded = run(&format!("reload --queue {url}")).await;
    let text = "in force now: queue.jobs_max; after a restart: queue.settle";
    reloaded.assert_exit(0, &format!("{url}/: {text}\n"));
    let reloaded = run(&format!("reload --queue {url} --json")).await;
    reloaded.assert_exit(0, "{\"applied\":[],\"needs_restart\":[\"queue.settle\"]}\n");
    queue.edit_settings("jobs_max = 7", "jobs_max = 'seven'");
    let reloaded = run(&format!("reload --queue {url}")).await;
    reloaded.assert_exit(4, "");
    reloaded.assert_stderr_has("nothing was changed: ");
    reloaded.assert_stderr_has("jobs_max");
}

#[actix_web::test]
async fn an_image_is_rebuilt_and_the_order_is_cancelled() {
    let monitor = PolicyMonitor::start();
    let url = &monitor.url;
    let command = |line: &str| format!("rebuild --monitor {url} {line}");
    let ordered = run(&command("linux --note new&disk")).await;
    let subject = format!("{url}/: image of linux");
    ordered.assert_exit(
        0,
        &format!("{subject}: rebuild ordered by alice@laptop (new&disk)\n"),
    );
    let cancelled = run(&command("linux --cancel --json")).await;
    cancelled.assert_exit(
        0,
        "{\"author\":\"alice@laptop\",\"note\":\"new&disk\",\"since\":1000000}\n",
    );
    let cancelled = run(&command("linux --cancel")).await;
    cancelled.assert_exit(0, &format!("{subject}: no rebuild was ordered\n"));
    let unknown = run(&command("linx")).await;
    unknown.assert_exit(4, "");
    unknown.assert_stderr_has("there is no profile linx; there is linux\n");
    let both = run(&command("linux --cancel --note x")).await;
    both.assert_exit(2, "");
}

#[actix_web::test]
async fn a_runner_is_destroyed() {
    let monitor = PolicyMonitor::start();
    let destroy = format!("destroy-runner --monitor {} 8", monitor.url);
    let refused = run(&destroy).await;
    refused.assert_exit(1, "");
    refused.assert_stderr_has("Destroy runner 8 (not on the dashboard)? [y/N]\n");
    let destroyed = run(&format!("{destroy} --yes --force --json")).await;
    destroyed.assert_exit(0, "{\"destroyed\":true,\"force\":true,\"id\":8}\n");
}

/// Each command that changes something, after its address.
const CHANGES: [(&str, &[&str]); 2] = [
    (
        "queue",
        &["pause linux", "resume linux", "withdraw a --yes", "reload"],
    ),
    (
        "monitor",
        &[
            "drain",
            "undrain",
            "override set linux=1",
            "override cancel",
            "rebuild linux",
            "rebuild linux --cancel",
            "destroy-runner 8 --yes",
        ],
    ),
];

#[actix_web::test]
async fn a_wrong_token_changes_nothing_and_a_missing_one_is_named() {
    let (_monitor, queue) = one_server().await;
    let monitor = PolicyMonitor::start();
    let enqueue = "--profile linux --repo servo/servo --run-id 7 --unique-id a";
    run(&format!("enqueue --queue {} {enqueue}", queue.url)).await;
    for (kind, commands) in CHANGES {
        let url = match kind {
            "queue" => &queue.url,
            _ => &monitor.url,
        };
        for command in commands {
            let line = format!("{command} --{kind} {url}");
            let mut wrong = ci_runners(&line);
            wrong.env("SERVO_CI_MONITOR_API_TOKEN", "wrong");
            finish(wrong).await.assert_exit(3, "");
            let mut missing = ci_runners(&line);
            missing.env_remove("SERVO_CI_MONITOR_API_TOKEN");
            let missing = finish(missing).await;
            missing.assert_exit(2, "");
            missing.assert_stderr_has("SERVO_CI_MONITOR_API_TOKEN is not set");
        }
    }
    assert_eq!(queue.waiting_jobs().await, [public_id("a")]);
    let status = run(&format!("status --queue {} --json", queue.url)).await;
    assert!(!status.stdout.contains("paused"), "{status:?}");
    let drain = run(&format!("undrain --monitor {} --json", monitor.url)).await;
    drain.assert_exit(0, "null\n");
}

#[actix_web::test]
async fn the_events_of_a_runner_are_shown_and_followed_to_its_end() {
    let monitor = PolicyMonitor::start();
    let url = &monitor.url;
    let logs = run(&format!("logs --monitor {url} 7")).await;
    logs.assert_exit(
        0,
        "Runner 7 of linux: busy\n\nTIME                  EVENT           FACTS\n\
         1970-01-01T00:00:01Z  runner_created  reason=below_target\n",
    );
    let followed = run(&format!("logs --monitor {url} 7 --follow --json")).await;
    followed.assert_status(0);
    let events = followed.stdout.lines();
    let events: Vec<Value> = events.map(|it| serde_json::from_str(it).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str()).collect();
    let expected = ["runner_created", "runner_ended", "runner_destroyed"];
    assert_eq!(names, expected.map(Some));
    // The first stream breaks off; the second one begins after what the first one had.
    assert!(
        followed.stderr.ends_with("reading them again\n"),
        "{followed:?}"
    );
    let unknown = run(&format!("logs --monitor {url} 8")).await;
    unknown.assert_exit(4, "");
}

#[actix_web::test]
async fn completions_and_manual_pages_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let completions = run(&format!("completions {shell}")).await;
        completions.assert_status(0);
        completions.assert_stdout_has("destroy-runner");
    }
    let page = run("man wait").await;
    page.assert_status(0);
    page.assert_stdout_has(".TH ci-runners-wait 1");
    page.assert_stdout_has("max\\-wait");
    // Lines of examples are not joined.
    page.assert_stdout_has(".SH EXAMPLES AND EXIT STATUS\n.nf\nExamples:\n");
    assert!(!page.stdout.contains(".SH EXTRA"), "{page:?}");
    let unknown = run("man weight").await;
    unknown.assert_exit(2, "");
    unknown.assert_stderr_has("there is no such command");
    let folder = tempfile::tempdir().unwrap();
    let all = run(&format!("man --folder {}", folder.path().display())).await;
    all.assert_exit(0, "");
    for page in [
        "ci-runners.1",
        "ci-runners-top.1",
        "ci-runners-override-set.1",
    ] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
}
