//! `ci-runners enqueue` and `ci-runners take`.

use serde_json::Value;

use super::support::*;

fn enqueue_at(url: &str, more: &str) -> String {
    format!("enqueue --queue {url} --profile linux --repo servo/servo --run-id 7 {more}")
}

fn take_at(url: &str, unique_id: &str, ticket: &str) -> String {
    let ticket = ticket.trim();
    format!("take --queue {url} --unique-id {unique_id} --ticket {ticket}")
}

/// Takes until the job has its runners.
async fn take_runners(take: &str) -> Finished {
    wait_until("the job has its runners", async || {
        run(take).await.status == Some(0)
    })
    .await;
    run(take).await
}

#[actix_web::test]
async fn a_repeated_take_returns_the_same_runner() {
    let (monitor, queue) = one_server().await;
    monitor.boot(1);
    let enqueued = run(&enqueue_at(&queue.url, "--unique-id a")).await;
    assert_eq!((enqueued.status, enqueued.stderr.as_str()), (Some(0), ""));
    assert_eq!(enqueued.stdout.lines().count(), 1);

    let taken = take_runners(&take_at(&queue.url, "a", &enqueued.stdout)).await;
    assert_eq!(taken.stderr, "");
    let runner: Value = serde_json::from_str(&taken.stdout).unwrap();
    assert_eq!(runner["label"], "runner:1");
    assert_eq!(runner["server"], monitor.url.as_str());
    // The JSON is printed as it arrived, with everything that the monitor says about the runner.
    assert_eq!(runner["runner"]["guest_name"], "ci-runner-linux.1");

    let mut with_variable = ci_runners(&format!("take --queue {} --unique-id a", queue.url));
    with_variable.env("CI_RUNNERS_TICKET", enqueued.stdout.trim());
    finish(with_variable).await.assert_exit(0, &taken.stdout);
}

#[actix_web::test]
async fn enqueue_with_json_prints_the_random_name() {
    let (_monitor, queue) = one_server().await;
    let enqueued = run(&enqueue_at(&queue.url, "--json")).await;
    let printed: Value = serde_json::from_str(&enqueued.stdout).unwrap();
    assert_eq!(printed.as_object().unwrap().len(), 2);
    let unique_id = printed["unique_id"].as_str().unwrap();
    assert_eq!(queue.waiting_jobs().await, [public_id(unique_id)]);
    let ticket = printed["ticket"].as_str().unwrap();
    let waiting = run(&take_at(&queue.url, unique_id, ticket)).await;
    waiting.assert_status(6);
}

#[actix_web::test]
async fn a_job_with_a_count_takes_an_array() {
    let (monitor, queue) = one_server().await;
    let enqueued = run(&enqueue_at(&queue.url, "--unique-id a --count 2")).await;
    monitor.boot(2);
    let taken = take_runners(&take_at(&queue.url, "a", &enqueued.stdout)).await;
    let runners: Value = serde_json::from_str(&taken.stdout).unwrap();
    let labels: Vec<_> = runners
        .as_array()
        .unwrap()
        .iter()
        .map(|runner| runner["label"].as_str().unwrap())
        .collect();
    assert_eq!(labels, ["runner:1", "runner:2"]);
}

#[actix_web::test]
async fn a_take_of_a_waiting_job_prints_its_position() {
    let (_monitor, queue) = one_server().await;
    run(&enqueue_at(&queue.url, "--unique-id first")).await;
    let enqueued = run(&enqueue_at(&queue.url, "--unique-id second")).await;
    let taken = run(&take_at(&queue.url, "second", &enqueued.stdout)).await;
    taken.assert_exit(6, "");
    assert_eq!(
        taken.stderr,
        "waiting: position 2, estimated wait: unknown, because no job has finished yet; retry in 1 s\n"
    );
}

#[actix_web::test]
async fn every_error_has_its_exit_status_and_a_sentence() {
    let (_monitor, queue) = one_server().await;
    let ticket = run(&enqueue_at(&queue.url, "--unique-id a")).await.stdout;
    for (arguments, status, part) in [
        (
            enqueue_at(&queue.url, "--count 4"),
            4,
            "failed to enqueue the job: ",
        ),
        (enqueue_at(&queue.url, "--count 4"), 4, "(unsatisfiable)"),
        (
            enqueue_at(&queue.url, "--unique-id a --count 2"),
            4,
            "(already_enqueued)",
        ),
        (
            take_at(&queue.url, "b", &ticket),
            3,
            "failed to take the job's runners: ",
        ),
        (take_at(&queue.url, "b", &ticket), 3, "(wrong_ticket)"),
        (take_at(&queue.url, "a", "x"), 3, "(wrong_ticket)"),
        (
            enqueue_at("http://127.0.0.1:1", ""),
            5,
            "failed to reach http://127.0.0.1:1/profile/linux/enqueue: Connection refused",
        ),
        (
            take_at("http://127.0.0.1:1", "a", "x"),
            5,
            "failed to reach",
        ),
        (enqueue_at("nowhere", ""), 2, "a base URL is"),
    ] {
        let finished = run(&arguments).await;
        finished.assert_exit(status, "");
        finished.assert_stderr_has(part);
        assert!(!finished.stderr.contains(ticket.trim()), "{finished:?}");
    }
}

#[actix_web::test]
async fn a_wrong_or_missing_token_is_reported_and_not_printed() {
    let (_monitor, queue) = one_server().await;
    for (token, status, part) in [
        ("swordfish", 3, "(wrong_token)"),
        ("", 2, "SERVO_CI_MONITOR_API_TOKEN is not set"),
    ] {
        let mut command = ci_runners(&enqueue_at(&queue.url, ""));
        command.env("SERVO_CI_MONITOR_API_TOKEN", token);
        let finished = finish(command).await;
        finished.assert_exit(status, "");
        finished.assert_stderr_has(part);
        assert!(!finished.stderr.contains("swordfish"), "{finished:?}");
    }
    assert_eq!(queue.waiting_jobs().await, Vec::<String>::new());
}

#[actix_web::test]
async fn job_shows_what_has_happened_and_history_what_is_over() {
    let (_monitor, queue) = one_server().await;
    let url = &queue.url;
    let enqueued = run(&enqueue_at(url, "--unique-id a")).await;
    let ticket = enqueued.stdout.trim();
    for authorised in [String::new(), format!(" --ticket {ticket}")] {
        let job = run(&format!("job --queue {url} a{authorised}")).await;
        assert_eq!((job.status, job.stderr.as_str()), (Some(0), ""));
        job.assert_stdout_has("needs   1 runner of linux\nstate   waiting, position 1");
        job.assert_stdout_has("  job_enqueued  ");
        job.assert_stdout_has("by=api_token");
        let json = run(&format!("job --queue {url} a --json{authorised}")).await;
        let json: Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(json["events"][0]["event"], "job_enqueued");
    }
    let unknown = run(&format!("job --queue {url} b")).await;
    unknown.assert_exit(4, "");
    unknown.assert_stderr_has("never seen");

    let all = "--repo servo/servo --run-id 7 --profile linux --outcome finished --since 2026-01-01 \
               --until 2026-01-02T00:00:00Z --limit 1 --before 9";
    let history = run(&format!("history --queue {url} {all}")).await;
    history.assert_status(0);
    history.assert_stdout_has("ENDED  OUTCOME  JOB");
    let json = run(&format!("history --queue {url} --json")).await;
    json.assert_exit(0, "{\"jobs\":[],\"next\":null}\n");
    let wrong = run(&format!("history --queue {url} --since yesterday")).await;
    wrong.assert_exit(2, "");
    wrong.assert_stderr_has("a time must be such as");
}
