//! What people see: why a job waits, for how long, and the snapshot for dashboards.

use serde_json::json;
use shared::wire::{DelayedRunners, Estimate, JobStatus};

use super::harness::{TestQueue, by_ticket, linux, one_server, request};
use crate::{JobReference, ProfileReport, WaitReason};

fn why(queue: &TestQueue, job: &str) -> WaitReason {
    let jobs = &mut queue.core.jobs();
    let job = jobs
        .find(|it| it.request().spec.unique_id.as_str() == job)
        .unwrap();
    queue.core.wait_reason(queue.now, job)
}

/// Why there is no estimate in a queue that has just been started.
const NO_HISTORY: &str = "no job has finished yet";

#[test]
fn the_wait_reason_follows_the_state_of_the_job() {
    let mut queue = TestQueue::starting(&["a"]);
    queue.report("a", linux(3, &[1]));
    queue.enqueue("large", "linux", 2);
    queue.enqueue("second", "linux", 1);
    queue.enqueue("third", "linux", 1);
    assert_eq!(why(&queue, "large"), WaitReason::StartupGrace);
    queue.end_startup_grace();
    assert_eq!(
        why(&queue, "large"),
        WaitReason::Gathering { idle: 1, needed: 2 }
    );
    assert_eq!(why(&queue, "second"), WaitReason::Behind(1));
    assert_eq!(why(&queue, "third"), WaitReason::Behind(2));
    queue.report("a", linux(3, &[1, 2]));
    let forward = queue.expect_forward("large", "a");
    assert_eq!(why(&queue, "large"), WaitReason::BeingForwarded);
    queue.grant(&forward, &[1, 2]);
    assert_eq!(why(&queue, "large"), WaitReason::HasRunners);
    assert_eq!(why(&queue, "second"), WaitReason::NoneIdle);
    queue.enqueue("big", "linux", 3);
    queue.report("a", linux(2, &[]).holds("large", &[1, 2], &forward));
    assert_eq!(why(&queue, "big"), WaitReason::TooFewReachable { reach: 2 });
    queue.become_unreachable("a");
    assert_eq!(why(&queue, "big"), WaitReason::NoServer);
}

#[test]
fn every_wait_reason_is_a_clause_that_follows_because() {
    for (why, sentence) in [
        (
            WaitReason::StartupGrace,
            "the queue has just started and assigns no runners until waiting clients have returned",
        ),
        (
            WaitReason::NoServer,
            "no server that has this profile is answering",
        ),
        (WaitReason::Behind(1), "1 job is before it"),
        (WaitReason::Behind(2), "2 jobs are before it"),
        (
            WaitReason::NoneIdle,
            "it is next; no runner of this profile is idle",
        ),
        (
            WaitReason::Gathering { idle: 1, needed: 3 },
            "it is next; 1 of the 3 runners it needs are idle",
        ),
        (
            WaitReason::TooFewReachable { reach: 2 },
            "the servers that answer can have at most 2 runners of this profile",
        ),
        (
            WaitReason::BeingForwarded,
            "a server was asked for its runners",
        ),
        (WaitReason::HasRunners, "it has its runners"),
    ] {
        assert_eq!(why.to_string(), sentence);
    }
}

/// What a client reads of its job.
fn explained(queue: &mut TestQueue, job: &str) -> String {
    let operator = JobReference::Operator(job.parse().unwrap());
    queue.inspect(operator).unwrap().why
}

#[test]
fn a_waiting_job_is_explained_by_what_the_runners_do() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(5, &[1]));
    queue.report("b", linux(2, &[]));
    let running = queue.enqueue("running", "linux", 1);
    let forward = queue.expect_forward("running", "a");
    queue.grant(&forward, &[1]);
    queue.take_runners(&running);
    queue.report("a", linux(5, &[]).runs("running", &[1], &forward));
    queue.advance(300);
    let in_use = |linux: &mut ProfileReport| {
        (linux.busy, linux.reserved, linux.starting) = (2, 1, 1);
        linux.existing = 4;
    };
    let held = linux(5, &[]).runs("running", &[1], &forward);
    queue.report("a", held.with_linux(in_use));
    queue.enqueue("next", "linux", 1);
    queue.enqueue("last", "linux", 2);
    let causes = "no runner of this profile is idle: 2 are busy (the longest with servo/servo run 7, assigned \
                  5 min ago), 1 is reserved, 1 is starting, 1 is still to be created";
    assert_eq!(
        explained(&mut queue, "next"),
        format!("it is next; {causes}")
    );
    assert_eq!(
        explained(&mut queue, "last"),
        format!("1 job is before it, of which servo/servo run 7 is next; {causes}")
    );
    // The page has the causes once, at the first job.
    let view = queue.core.view(queue.now);
    let whys: Vec<&str> = view.profiles[0].jobs.iter().map(|job| &*job.why).collect();
    assert_eq!(
        whys,
        [&*format!("it is next; {causes}"), "1 job is before it"]
    );
}

#[test]
fn runners_that_servers_do_not_offer_stay_in_the_totals_and_are_explained() {
    let mut queue = TestQueue::with(&["a", "b", "c"]);
    let drained_at_a = |linux: &mut ProfileReport| {
        linux.missing = 3;
        linux.missing_because = "the server is drained".to_owned();
    };
    queue.report("a", linux(0, &[]).with_linux(drained_at_a));
    queue.report("b", linux(2, &[7]));
    queue.report("c", linux(1, &[]));
    queue.become_unreachable("b");
    queue.advance(90);
    queue.enqueue("next", "linux", 1);
    let drained = "a keeps fewer runners than it could: the server is drained";
    assert_eq!(
        explained(&mut queue, "next"),
        format!(
            "it is next; no runner of this profile is idle: 3 are missing because {drained}, \
             2 are missing because b does not answer (last seen 2 min ago)"
        )
    );
    let view = queue.core.view(queue.now);
    let profile = &view.profiles[0];
    assert_eq!((profile.target, profile.missing, profile.idle), (6, 5, 0));
    let servers = view.servers.iter().map(|server| &server.profiles[0]);
    let shown: Vec<_> = servers
        .map(|profile| (profile.target, profile.missing, profile.idle))
        .collect();
    assert_eq!(shown, [(3, 3, 0), (2, 2, 0), (1, 0, 0)]);
    let because = &view.servers[0].profiles[0].missing_because;
    assert_eq!(because.as_deref(), Some(drained));

    // Those that still work are not missing.
    let ending = |linux: &mut ProfileReport| {
        drained_at_a(linux);
        (linux.busy, linux.reserved) = (1, 1);
    };
    queue.report("a", linux(0, &[]).with_linux(ending));
    let profile = &queue.core.view(queue.now).profiles[0];
    assert_eq!((profile.target, profile.missing), (6, 3));
    queue.report("a", linux(0, &[]).with_linux(drained_at_a));

    queue.become_unreachable("c");
    assert_eq!(
        explained(&mut queue, "next"),
        format!(
            "no server that has this profile is answering: 3 are missing because {drained}, 2 are missing \
             because b does not answer (last seen 2 min ago), 1 is missing because c does not answer (last seen 0 s ago)"
        )
    );
}

#[test]
fn runners_that_a_server_refused_to_assign_are_explained() {
    let mut queue = one_server(2, &[1]);
    queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.refuse(&forward);
    assert_eq!(
        explained(&mut queue, "job"),
        "it is next; no runner of this profile is idle: 1 is idle at a, which refused to assign them (it has \
         none) and is asked again in 1 s"
    );
    let view = queue.core.view(queue.now);
    assert_eq!(view.servers[0].profiles[0].idle, 0);
}

#[test]
fn a_job_that_is_passed_over_does_not_explain_the_wait_of_others() {
    let mut queue = one_server(2, &[]);
    queue.enqueue("large", "linux", 2);
    queue.enqueue("small", "linux", 1);
    queue.report("a", linux(1, &[]));
    assert_eq!(
        explained(&mut queue, "large"),
        "the servers that answer can have at most 1 runner of this profile"
    );
    assert_eq!(
        explained(&mut queue, "small"),
        "it is next; no runner of this profile is idle"
    );
}

#[test]
fn a_server_with_two_urls_counts_once() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(2, &[]).of_instance("one"));
    queue.report("b", linux(2, &[]).of_instance("one"));
    let shown = |queue: &TestQueue| {
        let view = queue.core.view(queue.now);
        (view.profiles[0].target, view.profiles[0].missing)
    };
    assert_eq!(shown(&queue), (2, 0));
    queue.become_unreachable("a");
    assert_eq!(shown(&queue), (2, 0));
    queue.become_unreachable("b");
    assert_eq!(shown(&queue), (2, 2));
}

#[test]
fn a_job_can_be_inspected_in_every_state() {
    let mut queue = one_server(2, &[]);
    queue.enqueue("other", "linux", 1);
    queue.advance(1);
    let ticket = queue.enqueue("large", "linux", 2);
    queue.advance(7);
    let waiting = JobStatus {
        unique_id: "large".parse().unwrap(),
        profile_key: "linux".parse().unwrap(),
        count: 2,
        state: "waiting".to_owned(),
        lane: None,
        waited_seconds: 7,
        position: Some(2),
        ahead: Some(1),
        estimate: None,
        no_estimate_because: Some(NO_HISTORY.to_owned()),
        why: "1 job is before it, of which servo/servo run 7 is next; no runner of this profile is idle".to_owned(),
    };
    assert_eq!(queue.inspect(by_ticket(&ticket)), Ok(waiting.clone()));
    let operator = JobReference::Operator("large".parse().unwrap());
    assert_eq!(queue.inspect(operator.clone()), Ok(waiting.clone()));

    queue
        .try_withdraw(JobReference::Operator("other".parse().unwrap()))
        .unwrap();
    queue.report("a", linux(2, &[1, 2]));
    let forward = queue.expect_forward("large", "a");
    let forwarding = JobStatus {
        state: "forwarding".to_owned(),
        position: Some(1),
        ahead: Some(0),
        estimate: Some(Estimate {
            p50_seconds: 0,
            p90_seconds: 0,
        }),
        no_estimate_because: None,
        why: "a server was asked for its runners".to_owned(),
        ..waiting
    };
    assert_eq!(queue.inspect(operator.clone()), Ok(forwarding.clone()));
    queue.grant(&forward, &[1, 2]);
    let reserved = JobStatus {
        state: "reserved".to_owned(),
        position: None,
        ahead: None,
        estimate: None,
        why: "it has its runners".to_owned(),
        ..forwarding
    };
    assert_eq!(queue.inspect(operator.clone()), Ok(reserved.clone()));
    assert_eq!(queue.take_runners(&ticket), [1, 2]);
    let delivered = JobStatus {
        state: "delivered".to_owned(),
        ..reserved
    };
    assert_eq!(queue.inspect(operator), Ok(delivered));
}

#[test]
fn the_view_shows_queues_and_servers_and_no_ticket() {
    let mut queue = TestQueue::with(&["http://a/", "http://b/"]);
    queue.report("http://a/", linux(3, &[1]).and("windows", 1, &[]));
    queue.enqueue("assigned", "linux", 1);
    let forward = queue.expect_forward("assigned", "http://a/");
    queue.grant(&forward, &[1]);
    let held = linux(3, &[1]).and("windows", 1, &[]);
    queue.report("http://a/", held.holds("assigned", &[1], &forward));
    queue.advance(1);
    let mut request = request("first", "linux", 2);
    request.spec.run_id = shared::values::RunId(u64::MAX);
    queue.try_enqueue(request).unwrap();
    queue.advance(3);
    queue.enqueue("second", "linux", 1);
    let view = serde_json::to_value(queue.core.view(queue.now)).unwrap();
    let expected = json!({
        "is_dispatching": true,
        "waiting_count": 2,
        "assigned_count": 1,
        "profiles": [
            {"profile_key": "linux", "target": 3, "missing": 0, "idle": 0, "starting": 0, "reserved": 0, "busy": 0, "waiting_count": 2, "jobs": [
                {"public_id": "a7937b64b8caa58f", "count": 2, "qualified_repo": "servo/servo", "run_id": u64::MAX,
                    "waited_seconds": 3, "client_silent_seconds": 3, "estimate": null, "no_estimate_because": NO_HISTORY,
                    "why": "it is next; 0 of the 2 runners it needs are idle"},
                {"public_id": "16367aacb67a4a01", "count": 1, "qualified_repo": "servo/servo", "run_id": 7,
                    "waited_seconds": 0, "client_silent_seconds": 0, "estimate": null, "no_estimate_because": NO_HISTORY, "why": "1 job is before it"},
            ]},
            {"profile_key": "windows", "target": 1, "missing": 0, "idle": 0, "starting": 0, "reserved": 0, "busy": 0, "waiting_count": 0, "jobs": []},
        ],
        "assigned": [
            {"public_id": "2ebb9294801961cd", "profile_key": "linux", "count": 1, "qualified_repo": "servo/servo", "run_id": 7,
                "waited_seconds": 0, "assigned_at": 1_000_005_000_000_u64, "started_at": null,
                "runners": [{"server": "http://a/", "runner": 1}]},
        ],
        "servers": [
            {"name": "http://a/", "health": "fresh", "age_seconds": 0, "profiles": [
                {"profile_key": "linux", "target": 3, "idle": 0, "missing": 0, "missing_because": null},
                {"profile_key": "windows", "target": 1, "idle": 0, "missing": 0, "missing_because": null},
            ]},
            {"name": "http://b/", "health": "down", "age_seconds": null, "profiles": []},
        ],
        "problems": [],
    });
    assert_eq!(view, expected);
}

#[test]
fn the_view_counts_waiting_and_assigned_jobs() {
    let mut queue = one_server(3, &[1, 2, 3]);
    for (job, runner) in [("first", 1), ("second", 2), ("third", 3)] {
        queue.enqueue(job, "linux", 1);
        let forward = queue.expect_forward(job, "a");
        queue.grant(&forward, &[runner]);
    }
    queue.enqueue("fourth", "linux", 1);
    queue.enqueue("fifth", "linux", 1);
    let view = queue.core.view(queue.now);
    assert_eq!((view.waiting_count, view.assigned_count), (2, 3));
}

#[test]
fn the_view_shows_at_most_200_jobs_of_a_profile() {
    let mut queue = one_server(1, &[]);
    for job in 0..300 {
        queue.enqueue(&format!("job-{job}"), "linux", 1);
    }
    let view = queue.core.view(queue.now);
    let [profile] = &view.profiles[..] else {
        panic!("one profile is known");
    };
    assert_eq!((profile.waiting_count, profile.jobs.len()), (300, 200));
    assert_eq!(profile.jobs[199].public_id.to_string(), "f271ac87ce15cc8f");
}

#[test]
fn what_delays_runners_that_start_or_are_still_to_be_created_is_part_of_the_reason() {
    let mut queue = TestQueue::with(&["a"]);
    let report = |queue: &mut TestQueue, count: usize| {
        let change = move |linux: &mut ProfileReport| {
            (linux.target, linux.existing, linux.starting) = (3, 2, 2);
            linux.delayed = Some(DelayedRunners {
                count,
                reason: "it cannot use GitHub".to_owned(),
            });
        };
        queue.report("a", linux(3, &[]).with_linux(change));
    };
    report(&mut queue, 0);
    queue.enqueue("job", "linux", 1);
    let none =
        "it is next; no runner of this profile is idle: 2 are starting, 1 is still to be created";
    let because = "delayed at a because it cannot use GitHub";
    for (count, delayed) in [
        (0, String::new()),
        (1, format!(", 1 of them is {because}")),
        (3, format!(", 3 of them are {because}")),
    ] {
        report(&mut queue, count);
        let view = queue.core.view(queue.now);
        assert_eq!(view.profiles[0].jobs[0].why, none.to_owned() + &delayed);
        assert_eq!(view.profiles[0].target, 3);
    }
}
