//! The action `runner-select` behind proxies that answer with pages of their own. A job that may have its
//! runners is not given up because of them.

use emulator::{EmulatorSettings, EmulatorThread};
use serde_json::json;
use shared::secret::Secret;

use super::{
    Done, RunningAction,
    deployment::{GITHUB_TOKEN, job_at},
    scripted_queue::{Response, ScriptedQueue},
    start_action,
};

const PAGE: &str =
    "<html>\n<head><title>502 Bad Gateway</title></head>\n<body>nginx</body>\n</html>\n";

fn github() -> EmulatorThread {
    emulator::spawn(EmulatorSettings::new(Secret::new(GITHUB_TOKEN))).unwrap()
}

fn page(status: u16) -> Response {
    (status, None, PAGE.to_owned())
}

fn ticket() -> Response {
    (200, None, "a.b.c".to_owned())
}

fn runners() -> Response {
    let runners = json!([{"id": 1, "runner": {}, "label": "runner:1"}]);
    (200, None, runners.to_string())
}

fn start_select(
    github: &EmulatorThread,
    responses: Vec<Response>,
    unreachable_after: &str,
) -> (RunningAction, ScriptedQueue) {
    let queue = ScriptedQueue::start(responses);
    let with = json!({
        "queue-url": queue.url, "github-hosted-runner-label": "ubuntu-latest",
        "self-hosted-image-name": "linux", "max-wait": "50s", "unreachable-after": unreachable_after,
    });
    (start_action(job_at(github), "runner-select", with), queue)
}

async fn select(responses: Vec<Response>, unreachable_after: &str) -> (Done, Vec<String>) {
    let github = github();
    let (running, queue) = start_select(&github, responses, unreachable_after);
    (running.finish().await, queue.requests())
}

#[actix_web::test]
async fn the_page_of_a_proxy_is_neither_a_ticket_nor_a_refusal_nor_runners() {
    let pages = [
        page(502),
        page(503),
        page(504),
        page(520),
        // A proxy whose backend restarts can answer with these as well.
        page(404),
        page(403),
        page(411),
        page(302),
        (404, None, "404 page not found\n".to_owned()),
        (200, None, PAGE.to_owned()),
        (200, None, "<html></html>".to_owned()),
        (200, None, String::new()),
    ];
    let github = github();
    // At once, because each of them pauses for seconds.
    let running = pages.map(|page| {
        let responses = vec![page.clone(), ticket(), page.clone(), runners()];
        (page, start_select(&github, responses, "40s"))
    });
    for ((status, _, body), (running, queue)) in running {
        let done = running.finish().await;
        let requests = queue.requests();
        assert_eq!(
            done.outputs["selected-runner-label"], "runner:1",
            "{status} {body}: {}",
            done.log
        );
        let expected = [
            "POST enqueue",
            "POST enqueue",
            "POST take wait=2",
            "POST take wait=20",
        ];
        assert_eq!(requests, expected, "{status} {body}");
    }
}

#[actix_web::test]
async fn runners_after_the_page_of_a_proxy_are_found() {
    let (_, _, runners) = runners();
    let (done, requests) = select(
        vec![ticket(), (200, None, PAGE.to_owned() + &runners)],
        "20s",
    )
    .await;
    assert_eq!(
        done.outputs["selected-runner-label"], "runner:1",
        "{}",
        done.log
    );
    assert_eq!(requests.len(), 2);
}

#[actix_web::test]
async fn a_queue_that_asks_to_retry_is_asked_again_for_a_limited_time() {
    let busy = |code: &str| {
        let body = json!({"code": code, "message": "later"});
        (503, Some(0), body.to_string())
    };
    // The queue is not sure yet whether a server has these runners; the artifact is not listed yet.
    let responses = vec![
        busy("not_ready"),
        busy("no_capacity"),
        busy("a_new_code"),
        ticket(),
        runners(),
    ];
    let (done, _) = select(responses, "20s").await;
    assert_eq!(
        done.outputs["selected-runner-label"], "runner:1",
        "{}",
        done.log
    );

    let later = (503, Some(1), busy("not_ready").2);
    let (done, requests) = select(vec![later; 9], "2s").await;
    assert_eq!(
        done.outputs["fallback-reason"], "unreachable",
        "{}",
        done.log
    );
    done.assert_log_has("the queue was unreachable for ");
    done.assert_log_has(" s: later");
    assert!((2..=4).contains(&requests.len()), "{requests:?}");
}

#[actix_web::test]
async fn a_page_that_stays_leads_to_hosted_runners() {
    let mut responses = vec![ticket()];
    responses.extend(vec![page(403); 9]);
    let (done, requests) = select(responses, "2s").await;
    assert_eq!(
        done.outputs["fallback-reason"], "unreachable",
        "{}",
        done.log
    );
    done.assert_log_has("the queue was unreachable for ");
    done.assert_log_has(" s: the response was HTTP 403");
    assert_eq!(requests.last().unwrap(), "DELETE job");
}

#[actix_web::test]
async fn a_queue_that_has_moved_is_named() {
    for status in [301, 308] {
        let (done, requests) = select(vec![page(status)], "20s").await;
        assert_eq!(done.outputs["fallback-reason"], "refused", "{}", done.log);
        done.assert_log_has("queue-url redirects to another address");
        assert_eq!(requests, ["POST enqueue"]);
    }
}
