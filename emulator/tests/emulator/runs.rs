//! Workflow runs: their jobs, and their cancellation.

use emulator::model::Conclusion;
use serde_json::json;

use super::support::*;

const JOBS: &str = "/repos/acme/widgets/actions/runs/7/jobs";

#[actix_web::test]
async fn a_job_of_a_run_has_githubs_shape() {
    let stage = Stage::new();
    stage.github.emulator.faults().set_clock_skew(0);
    let id = stage.queue("true").0;
    let (status, mut list) = stage.get(JOBS).await;
    let job = list["jobs"][0].as_object_mut().unwrap();
    for key in ["created_at", "started_at"] {
        let at = job.remove(key).unwrap();
        assert_eq!(at.as_str().unwrap().len(), 20, "{key}");
    }
    let url = stage.url("/repos/acme/widgets/actions");
    let expected = json!({"total_count": 1, "jobs": [{
        "id": id, "run_id": 7, "run_attempt": 1, "name": format!("job {id}"),
        "run_url": format!("{url}/runs/7"), "url": format!("{url}/jobs/{id}"),
        "status": "queued", "conclusion": null, "completed_at": null, "labels": ["x"],
        "runner_name": null,
    }]});
    assert_eq!((status, list), (200, expected));
}

#[actix_web::test]
async fn the_jobs_of_a_run_are_listed_over_pages_and_no_others() {
    let stage = Stage::new();
    for _ in 0..101 {
        stage.queue("true");
    }
    let page = format!("{JOBS}?per_page=100&page=2");
    let (_, list) = stage.get(&page).await;
    let count = list["jobs"].as_array().unwrap().len();
    assert_eq!((&list["total_count"], count), (&json!(101), 1));
    let answer = stage.call("GET", &page, None).await;
    assert!(answer.header("link").unwrap().contains("rel=\"prev\""));
    let other = "/repos/acme/widgets/actions/runs/8/jobs";
    let nothing = json!({ "total_count": 0, "jobs": [] });
    assert_eq!(stage.get(other).await, (200, nothing));
}

#[actix_web::test]
async fn a_run_is_cancelled_once() {
    let stage = Stage::new();
    let cancel = "/repos/acme/widgets/actions/runs/7/cancel";
    assert_eq!(stage.json("POST", cancel, None).await.0, 404);
    let job = stage.queue("true");
    assert_eq!(stage.json("POST", cancel, None).await, (202, json!({})));
    let job = stage
        .github
        .emulator
        .model(|model, now| model.job(now, job))
        .unwrap();
    assert_eq!(job.conclusion, Some(Conclusion::Cancelled));
    assert_eq!(stage.json("POST", cancel, None).await.0, 409);
    let (_, list) = stage.get(JOBS).await;
    let ended = (&list["jobs"][0]["status"], &list["jobs"][0]["conclusion"]);
    assert_eq!(ended, (&json!("completed"), &json!("cancelled")));
}
