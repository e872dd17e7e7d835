//! What people are shown: why a job waits, for how long still, and everything at once.

use serde_json::json;
use shared::wire::{Estimate, JobStatus};

use super::{
    scene::{Scene, ticket},
    word::linux,
};
use crate::{
    events::{JobReference, Why},
    job::Claims,
};

fn why(scene: &Scene, job: &str) -> Why {
    let jobs = &mut scene.queue.jobs();
    let job = jobs
        .find(|it| it.request().spec.unique_id.as_str() == job)
        .unwrap();
    scene.queue.why(scene.now, job)
}

#[test]
fn everybody_is_told_why_they_wait() {
    let mut scene = Scene::just_started(&["a"]);
    scene.report("a", linux(3, &[1]));
    scene.enqueue("gang", "linux", 2);
    scene.enqueue("second", "linux", 1);
    scene.enqueue("third", "linux", 1);
    assert_eq!(why(&scene, "gang"), Why::Settling);
    scene.settle();
    assert_eq!(why(&scene, "gang"), Why::Gathering { idle: 1, wanted: 2 });
    assert_eq!(why(&scene, "second"), Why::Behind(1));
    assert_eq!(why(&scene, "third"), Why::Behind(2));
    scene.report("a", linux(3, &[1, 2]));
    let forward = scene.forwarded("gang", "a");
    assert_eq!(why(&scene, "gang"), Why::BeingForwarded);
    scene.grant(&forward, &[1, 2]);
    assert_eq!(why(&scene, "gang"), Why::HasRunners);
    assert_eq!(why(&scene, "second"), Why::NoneIdle);
    scene.enqueue("big", "linux", 3);
    scene.report("a", linux(2, &[]).holds("gang", &[1, 2], forward.attempt));
    assert_eq!(why(&scene, "big"), Why::TooFewReachable { reachable: 2 });
    scene.go_down("a");
    assert_eq!(why(&scene, "big"), Why::NoServer);
}

#[test]
fn every_reason_is_a_sentence_that_follows_because() {
    for (why, sentence) in [
        (
            Why::Settling,
            "the queue has just started and lets everybody get back in line first",
        ),
        (
            Why::NoServer,
            "no server that has this profile is answering",
        ),
        (Why::Behind(1), "one job is before it"),
        (Why::Behind(2), "2 jobs are before it"),
        (
            Why::NoneIdle,
            "it is next; every runner of this profile is in use",
        ),
        (
            Why::Gathering { idle: 1, wanted: 3 },
            "it is next; 1 of the 3 runners it needs are idle",
        ),
        (
            Why::TooFewReachable { reachable: 2 },
            "the servers that answer can have no more than 2 runners of this profile",
        ),
        (
            Why::BeingForwarded,
            "a server is being asked for its runners",
        ),
        (Why::HasRunners, "it has its runners"),
    ] {
        assert_eq!(why.to_string(), sentence);
    }
}

#[test]
fn a_job_can_be_looked_at_from_its_first_moment_to_its_last() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[]));
    scene.enqueue("other", "linux", 1);
    scene.pass(1);
    let claims = scene.enqueue("gang", "linux", 2);
    scene.pass(7);
    let waiting = JobStatus {
        unique_id: "gang".parse().unwrap(),
        profile_key: "linux".parse().unwrap(),
        count: 2,
        state: "waiting".to_owned(),
        waited_seconds: 7,
        position: Some(2),
        ahead: Some(1),
        estimate: None,
        why: "one job is before it".to_owned(),
    };
    assert_eq!(scene.inspect(ticket(&claims)), Ok(waiting.clone()));
    let operator = JobReference::Operator("gang".parse().unwrap());
    assert_eq!(scene.inspect(operator.clone()), Ok(waiting.clone()));

    scene
        .try_withdraw(JobReference::Operator("other".parse().unwrap()))
        .unwrap();
    scene.report("a", linux(2, &[1, 2]));
    let forward = scene.forwarded("gang", "a");
    let forwarding = JobStatus {
        state: "forwarding".to_owned(),
        position: Some(1),
        ahead: Some(0),
        why: "a server is being asked for its runners".to_owned(),
        ..waiting
    };
    assert_eq!(scene.inspect(operator.clone()), Ok(forwarding.clone()));
    scene.grant(&forward, &[1, 2]);
    let reserved = JobStatus {
        state: "reserved".to_owned(),
        position: None,
        ahead: None,
        why: "it has its runners".to_owned(),
        ..forwarding
    };
    assert_eq!(scene.inspect(operator.clone()), Ok(reserved.clone()));
    assert_eq!(scene.get(&claims), [1, 2]);
    let delivered = JobStatus {
        state: "delivered".to_owned(),
        ..reserved
    };
    assert_eq!(scene.inspect(operator), Ok(delivered));
}

#[test]
fn the_wait_is_estimated_from_how_often_a_runner_came_free() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(9, &[]));
    let tickets: Vec<Claims> = (0..8)
        .map(|job| scene.enqueue(&format!("job-{job}"), "linux", 1))
        .collect();
    let calls: Vec<_> = tickets
        .iter()
        .map(|ticket| scene.take_held(ticket, 600))
        .collect();
    for (runner, call) in (1..=4).zip(&calls) {
        assert_eq!(
            scene
                .inspect(ticket(&tickets[7]))
                .unwrap()
                .estimate
                .is_some(),
            runner > 2
        );
        scene.report("a", linux(9, &[runner]));
        let job = format!("job-{}", runner - 1);
        let forward = scene.forwarded(&job, "a");
        scene.grant(&forward, &[runner]);
        assert_eq!(scene.got(*call), [runner]);
        scene.report("a", linux(9, &[]).holds(&job, &[runner], forward.attempt));
        scene.pass(60);
    }
    // One runner a minute; a minute has just passed. Three are before the last one.
    for (job, seconds) in [(4, 0), (5, 60), (7, 180)] {
        let estimate = Estimate {
            p50_seconds: seconds,
            p90_seconds: seconds,
        };
        assert_eq!(
            scene.wait(&tickets[job]).estimate,
            Some(estimate),
            "job-{job}"
        );
    }
}

#[test]
fn the_view_shows_lines_and_servers_and_no_ticket() {
    let mut scene = Scene::with(&["http://a/", "http://b/"]);
    scene.report("http://a/", linux(3, &[1]).and("windows", 1, &[]));
    scene.enqueue("served", "linux", 1);
    let forward = scene.forwarded("served", "http://a/");
    scene.grant(&forward, &[1]);
    let held = linux(3, &[1]).and("windows", 1, &[]);
    scene.report("http://a/", held.holds("served", &[1], forward.attempt));
    scene.pass(1);
    let mut request = super::scene::request("first", "linux", 2);
    request.spec.run_id = shared::values::RunId(u64::MAX);
    scene.try_enqueue(request).unwrap();
    scene.pass(3);
    scene.enqueue("second", "linux", 1);
    let view = serde_json::to_value(scene.queue.view(scene.now)).unwrap();
    let expected = json!({
        "is_settled": true,
        "waiting_count": 2,
        "served_count": 1,
        "profiles": [
            {"profile_key": "linux", "target": 3, "idle": 0, "waiting_count": 2, "jobs": [
                {"unique_id": "first", "count": 2, "qualified_repo": "servo/servo", "run_id": u64::MAX,
                    "waited_seconds": 3, "estimate": null,
                    "why": "it is next; 0 of the 2 runners it needs are idle"},
                {"unique_id": "second", "count": 1, "qualified_repo": "servo/servo", "run_id": 7,
                    "waited_seconds": 0, "estimate": null, "why": "one job is before it"},
            ]},
            {"profile_key": "windows", "target": 1, "idle": 0, "waiting_count": 0, "jobs": []},
        ],
        "servers": [
            {"name": "http://a/", "health": "fresh", "age_seconds": 0, "profiles": [
                {"profile_key": "linux", "target": 3, "idle": 1},
                {"profile_key": "windows", "target": 1, "idle": 0},
            ]},
            {"name": "http://b/", "health": "down", "age_seconds": null, "profiles": []},
        ],
    });
    assert_eq!(view, expected);
}

#[test]
fn the_view_of_a_long_line_stays_short() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    for job in 0..300 {
        scene.enqueue(&format!("job-{job}"), "linux", 1);
    }
    let view = scene.queue.view(scene.now);
    let [profile] = &view.profiles[..] else {
        panic!("one profile is known");
    };
    assert_eq!((profile.waiting_count, profile.jobs.len()), (300, 200));
    assert_eq!(profile.jobs[199].unique_id.as_str(), "job-199");
}
