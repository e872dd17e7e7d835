//! `enqueue` and `take`.

use serde_json::{Value, json};

use super::support::*;

fn enqueue_at(url: &str, more: &str) -> String {
    format!("enqueue --queue {url} --profile linux --repo servo/servo --run-id 7 {more}")
}

fn take_at(url: &str, unique_id: &str, ticket: &str) -> String {
    let ticket = ticket.trim();
    format!("take --queue {url} --unique-id {unique_id} --ticket {ticket}")
}

#[actix_web::test]
async fn a_ticket_takes_the_runner_of_its_job_again_and_again() {
    let monitor = FakeMonitor::start();
    monitor.free(5);
    let queue = TestQueue::start(&monitor).await;
    let enqueued = run(&enqueue_at(&queue.url, "--unique-id a")).await;
    assert_eq!((enqueued.status, enqueued.stderr.as_str()), (Some(0), ""));
    assert_eq!(enqueued.stdout.lines().count(), 1);

    let take = take_at(&queue.url, "a", &enqueued.stdout);
    until("the runner is taken", async || {
        run(&take).await.status == Some(0)
    })
    .await;
    let taken = run(&take).await;
    assert_eq!(taken.stderr, "");
    let runner: Value = serde_json::from_str(&taken.stdout).unwrap();
    let expected = json!({"id": 5, "runner": {"id": 5}, "label": "runner:5",
        "server": format!("{}/", monitor.url)});
    assert_eq!(runner, expected);

    let mut with_variable = ci_runners(&format!("take --queue {} --unique-id a", queue.url));
    with_variable.env("CI_RUNNERS_TICKET", enqueued.stdout.trim());
    assert_eq!(end_of(with_variable).await.stdout, taken.stdout);
}

#[actix_web::test]
async fn enqueue_says_the_name_it_made_up() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    let enqueued = run(&enqueue_at(&queue.url, "--json")).await;
    let said: Value = serde_json::from_str(&enqueued.stdout).unwrap();
    assert_eq!(said.as_object().unwrap().len(), 2);
    let unique_id = said["unique_id"].as_str().unwrap();
    assert_eq!(queue.jobs_in_line().await, [unique_id]);
    let ticket = said["ticket"].as_str().unwrap();
    let waiting = run(&take_at(&queue.url, unique_id, ticket)).await;
    assert_eq!(waiting.status, Some(6));
}

#[actix_web::test]
async fn a_job_with_a_count_takes_an_array() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    let enqueued = run(&enqueue_at(&queue.url, "--unique-id a --count 2")).await;
    monitor.free(1);
    monitor.free(2);
    let take = take_at(&queue.url, "a", &enqueued.stdout);
    until("the runners are taken", async || {
        run(&take).await.status == Some(0)
    })
    .await;
    let runners: Value = serde_json::from_str(&run(&take).await.stdout).unwrap();
    let labels: Vec<_> = runners
        .as_array()
        .unwrap()
        .iter()
        .map(|runner| runner["label"].as_str().unwrap())
        .collect();
    assert_eq!(labels, ["runner:1", "runner:2"]);
}

#[actix_web::test]
async fn a_job_whose_turn_has_not_come_says_where_it_stands() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    run(&enqueue_at(&queue.url, "--unique-id first")).await;
    let enqueued = run(&enqueue_at(&queue.url, "--unique-id second")).await;
    let ended = run(&take_at(&queue.url, "second", &enqueued.stdout)).await;
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(6), ""));
    assert_eq!(ended.stderr, "waiting: position 2; ask again in 1 s\n");
}

#[actix_web::test]
async fn every_refusal_has_its_status_and_a_sentence() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    let ticket = run(&enqueue_at(&queue.url, "--unique-id a")).await.stdout;
    for (words, status, part) in [
        (
            enqueue_at(&queue.url, "--count 4"),
            4,
            "failed to enqueue the job: all servers together",
        ),
        (
            enqueue_at(&queue.url, "--unique-id a --count 2"),
            4,
            "(already_enqueued)",
        ),
        (
            take_at(&queue.url, "b", &ticket),
            3,
            "failed to take the job's runners: that ticket is for another job (wrong_ticket)",
        ),
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
        let ended = run(&words).await;
        assert_eq!(ended.status, Some(status), "{words}: {ended:?}");
        assert_eq!(ended.stdout, "", "{words}");
        assert!(ended.stderr.contains(part), "{part} is not in {ended:?}");
        assert!(!ended.stderr.contains(ticket.trim()), "{ended:?}");
    }
}

#[actix_web::test]
async fn a_wrong_token_is_not_accepted_and_none_is_missed() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    for (token, status, part) in [
        ("swordfish", 3, "failed to enqueue the job: that is not"),
        ("", 2, "SERVO_CI_MONITOR_API_TOKEN is not set"),
    ] {
        let mut command = ci_runners(&enqueue_at(&queue.url, ""));
        command.env("SERVO_CI_MONITOR_API_TOKEN", token);
        let ended = end_of(command).await;
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(status), ""));
        assert!(ended.stderr.contains(part), "{ended:?}");
        assert!(!ended.stderr.contains("swordfish"), "{ended:?}");
    }
    assert_eq!(queue.jobs_in_line().await, Vec::<String>::new());
}
