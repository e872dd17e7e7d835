//! Workflow runs: their jobs, and their cancellation.

use emulator::model::Conclusion;
use serde_json::json;

use super::support::*;

const JOBS: &str = "/repos/acme/widgets/actions/runs/7/jobs";

#[actix_web::test]
async fn a_job_of_a_run_has_githubs_format() {
    let fixture = Fixture::new();
    fixture.emulator().faults().set_clock_skew(0);
    let id = fixture.queue("true").0;
    let (status, mut list) = fixture.get(JOBS).await;
    let job = list["jobs"][0].as_object_mut().unwrap();
    for key in ["created_at", "started_at"] {
        let at = job.remove(key).unwrap();
        assert_eq!(at.as_str().unwrap().len(), 20, "{key}");
    }
    let url = fixture.url("/repos/acme/widgets/actions");
    let web_url = fixture.url("/acme/widgets/actions");
    let check_run_url = fixture.url(&format!("/repos/acme/widgets/check-runs/{id}"));
    let expected = json!({"total_count": 1, "jobs": [{
        "id": id, "node_id": format!("CR_{id}"), "run_id": 7, "run_attempt": 1, "name": format!("job {id}"),
        "run_url": format!("{url}/runs/7"), "url": format!("{url}/jobs/{id}"),
        "status": "queued", "conclusion": null, "completed_at": null, "labels": ["x"],
        "html_url": format!("{web_url}/runs/7/job/{id}"), "check_run_url": check_run_url,
        "head_sha": "0".repeat(40), "head_branch": "main", "workflow_name": "CI",
        "runner_id": null, "runner_name": null, "runner_group_id": null, "runner_group_name": null,
    }]});
    assert_eq!((status, list), (200, expected));
}

#[actix_web::test]
async fn the_jobs_of_a_run_are_listed_on_several_pages() {
    let fixture = Fixture::new();
    for _ in 0..101 {
        fixture.queue("true");
    }
    let page = format!("{JOBS}?per_page=100&page=2");
    let (_, list) = fixture.get(&page).await;
    let count = list["jobs"].as_array().unwrap().len();
    assert_eq!((&list["total_count"], count), (&json!(101), 1));
    let answer = fixture.call("GET", &page, None).await;
    assert!(answer.header("link").unwrap().contains("rel=\"prev\""));
    let other = "/repos/acme/widgets/actions/runs/8/jobs";
    let nothing = json!({ "total_count": 0, "jobs": [] });
    assert_eq!(fixture.get(other).await, (200, nothing));
}

#[actix_web::test]
async fn cancelling_a_run_again_is_a_conflict() {
    let fixture = Fixture::new();
    let cancel = "/repos/acme/widgets/actions/runs/7/cancel";
    assert_eq!(fixture.json("POST", cancel, None).await.0, 404);
    let job = fixture.queue("true");
    assert_eq!(fixture.json("POST", cancel, None).await, (202, json!({})));
    let job = fixture
        .emulator()
        .model(|model, now| model.job(now, job))
        .unwrap();
    assert_eq!(job.conclusion, Some(Conclusion::Cancelled));
    assert_eq!(fixture.json("POST", cancel, None).await.0, 409);
    let (_, list) = fixture.get(JOBS).await;
    let ended = (&list["jobs"][0]["status"], &list["jobs"][0]["conclusion"]);
    assert_eq!(ended, (&json!("completed"), &json!("cancelled")));
}
