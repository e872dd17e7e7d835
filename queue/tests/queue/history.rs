//! What the queue tells of jobs that are over, as answers, as a stream and in its files.

use std::fs;

use serde_json::Value;
use shared::values::UniqueId;

use super::support::{API_TOKEN, Daemon, Fixture, PendingRequest, log, wait_until};

fn names(report: &Value) -> Vec<&str> {
    let events = report["events"].as_array().unwrap().iter();
    events
        .map(|event| event["event"].as_str().unwrap())
        .collect()
}

/// The jobs in a response to this query of the history, by name.
fn history(daemon: &Daemon, query: &str) -> Vec<String> {
    let history = page(daemon, query);
    let jobs = history["jobs"].as_array().unwrap().iter();
    jobs.map(|job| job["unique_id"].as_str().unwrap().to_owned())
        .collect()
}

fn page(daemon: &Daemon, query: &str) -> Value {
    let target = format!("/history.json?{query}");
    daemon.request_as_operator("GET", &target).expect_json(200)
}

/// A job, `job`, that has finished on the runner of the one server, and its ticket.
fn one_finished_job() -> (Fixture<1>, String) {
    let (fixture, ticket) = Fixture::one_delivered_job();
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    monitor.set_reservation_state("job", "used");
    wait_until("the start of the job", || {
        names(&daemon.job("job"))
            .contains(&"job_started")
            .then_some(())
    });
    monitor.set_reservation_state("job", "served");
    daemon.wait_until_job_is_gone("job");
    (fixture, ticket)
}

const WHOLE_STORY: [&str; 6] = [
    "job_enqueued",
    "job_forwarded",
    "job_assigned",
    "job_delivered",
    "job_started",
    "job_finished",
];

#[test]
fn a_job_that_is_over_is_shown_with_its_whole_story() {
    let (fixture, ticket) = one_finished_job();
    let (daemon, url) = (&fixture.daemon, &fixture.monitor().url);
    let with_ticket = daemon.request("GET", &format!("/job/job?token={ticket}"), &[]);
    for report in [daemon.job("job"), with_ticket.expect_json(200)] {
        assert_eq!(report["state"], "finished");
        assert_eq!(report["is_truncated"], false);
        assert_eq!(names(&report), WHOLE_STORY);
        let why = report["why"].as_str().unwrap();
        assert!(why.starts_with("it finished at 20"), "{why}");
        assert!(why.ends_with(&format!(" on {url}")), "{why}");
        let last = &report["events"][5];
        assert_eq!(
            (&last["server"], &last["runner"]),
            (&url[..].into(), &1.into())
        );
        let time = |name: &str| last[name].as_u64().unwrap();
        let times = ["enqueued_at", "assigned_at", "started_at", "at"].map(time);
        assert!(times.is_sorted(), "{times:?}");
        for event in report["events"].as_array().unwrap() {
            assert_eq!(event["qualified_repo"], "servo/servo");
            assert_eq!(event["run_id"], 7);
            assert_eq!(event["profile_key"], "linux");
        }
    }
    let message = daemon
        .take("job", &ticket)
        .assert_refused(404, "unknown_job");
    assert!(message.contains("it finished at 20"), "{message}");
}

#[test]
fn each_event_is_one_line_in_the_log() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let other = fixture.daemon.enqueue("logged");
    fixture.daemon.withdraw("logged", &other);
    fixture.daemon.withdraw("job", &ticket);
    let facts = "unique_id=logged qualified_repo=servo/servo run_id=7 profile_key=linux count=1 by=api_token";
    assert_eq!(log::lines_with(&format!("job_enqueued {facts}")).len(), 1);
    assert_eq!(log::lines_with("job_withdrawn unique_id=logged").len(), 1);
    assert_eq!(
        log::lines_with(
            "audit unique_id=logged action=withdraw authorised_by=ticket client_address=127.0.0.1"
        )
        .len(),
        1
    );
}

#[test]
fn what_became_of_a_job_is_told_to_those_who_may_know_it() {
    let Fixture {
        daemon,
        monitors: _monitors,
    } = &Fixture::one_server();
    let by_ticket = daemon.enqueue("by-ticket");
    daemon.withdraw("by-ticket", &by_ticket);
    let by_token = daemon.enqueue("by-token");
    daemon.request_as_operator("DELETE", "/job/by-token");
    for (job, ticket, sentence) in [
        (
            "by-ticket",
            &by_ticket,
            "it was withdrawn with its ticket at 20",
        ),
        (
            "by-token",
            &by_token,
            "it was withdrawn with the API token at 20",
        ),
    ] {
        let report = daemon.request("GET", &format!("/job/{job}?token={ticket}"), &[]);
        let report = report.expect_json(200);
        assert_eq!(report["state"], "withdrawn");
        assert!(
            report["why"].as_str().unwrap().starts_with(sentence),
            "{report}"
        );
        assert_eq!(names(&report), ["job_enqueued", "job_withdrawn"]);
        let message = daemon.take(job, ticket).assert_refused(404, "unknown_job");
        assert!(message.contains(sentence), "{message}");
        // Only an operator sees the address of the one who withdrew it.
        let report = daemon.job(job);
        assert_eq!(names(&report), ["job_enqueued", "job_withdrawn", "audit"]);
        assert_eq!(report["events"][2]["client_address"], "127.0.0.1");
    }
    daemon
        .request("GET", "/job/by-token", &[])
        .assert_refused(401, "unauthorised");
    let other = format!("/job/by-token?token={by_ticket}");
    daemon
        .request("GET", &other, &[])
        .assert_refused(403, "wrong_ticket");
    let unseen = daemon.request_as_operator("GET", "/job/unseen");
    let message = unseen.assert_refused(404, "unknown_job");
    assert!(message.contains("never seen"), "{message}");
}

#[test]
fn a_ticket_does_not_show_a_later_job_of_the_same_name() {
    let Fixture {
        daemon,
        monitors: _monitors,
    } = &Fixture::one_server();
    let first = daemon.enqueue("job");
    daemon.withdraw("job", &first);
    let second = daemon.enqueue("job");
    for _ in 0..2 {
        daemon
            .request("GET", &format!("/job/job?token={first}"), &[])
            .assert_refused(404, "unknown_job");
        daemon.withdraw("job", &second);
    }
    assert_eq!(daemon.job("job")["state"], "withdrawn");
}

#[test]
fn the_history_is_filtered_and_paged() {
    let Fixture {
        daemon,
        monitors: _monitors,
    } = &Fixture::one_server();
    for (job, repo, run) in [
        ("a", "servo/servo", 1),
        ("b", "servo/book", 2),
        ("c", "servo/Servo", 3),
    ] {
        let target =
            format!("/profile/linux/enqueue?unique_id={job}&qualified_repo={repo}&run_id={run}");
        let ticket = daemon.request_as_operator("POST", &target).expect_text(200);
        daemon.withdraw(job, &ticket);
    }
    daemon.enqueue("waiting");
    let whole = page(daemon, "");
    let ended_at = |job: usize| whole["jobs"][job]["ended_at"].as_u64().unwrap();
    assert_eq!(whole["next"], Value::Null);
    let first = &whole["jobs"][2];
    assert_eq!(first["outcome"], "withdrawn");
    assert_eq!(
        (&first["assigned_at"], &first["runners"]),
        (&Value::Null, &Value::Array(vec![]))
    );
    let since = format!("since={}", ended_at(1));
    let until = format!("until={}", ended_at(1));
    for (query, expected) in [
        ("", &["c", "b", "a"][..]),
        ("repo=servo/servo", &["c", "a"]),
        ("run_id=2", &["b"]),
        ("profile=linux", &["c", "b", "a"]),
        ("profile=windows", &[]),
        ("outcome=withdrawn", &["c", "b", "a"]),
        ("outcome=finished", &[]),
        (&since, &["c", "b"]),
        (&until, &["b", "a"]),
        ("since=2020-01-01&until=2020-01-02T00:00:00Z", &[]),
        ("limit=2", &["c", "b"]),
    ] {
        assert_eq!(history(daemon, query), expected, "{query}");
    }
    let mut found = Vec::new();
    let mut query = "limit=1".to_owned();
    loop {
        found.extend(history(daemon, &query));
        let Some(next) = page(daemon, &query)["next"].as_u64() else {
            break;
        };
        query = format!("limit=1&before={next}");
    }
    assert_eq!(found, ["c", "b", "a"]);
}

#[test]
fn a_wrong_query_of_the_history_is_refused_with_what_is_allowed() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let daemon = &fixture.daemon;
    for wrong in [
        "outcome=lost",
        "limit=0",
        "limit=1001",
        "since=yesterday",
        "before=-1",
        "repo=servo",
        "run_id=x",
    ] {
        let response = daemon.request_as_operator("GET", &format!("/history.json?{wrong}"));
        let message = response.assert_refused(400, "bad_request");
        assert!(message.contains("must be"), "{message}");
    }
    let response = daemon.request_as_operator("GET", "/history.json?repository=servo/servo");
    let message = response.assert_refused(400, "bad_request");
    for named in ["`repository`", "`repo`", "`until`", "`token`"] {
        assert!(message.contains(named), "{message}");
    }
    let forged = format!("Bearer {ticket}x");
    for target in ["/history.json", "/job/job"] {
        let message = daemon
            .request("GET", target, &[])
            .assert_refused(401, "unauthorised");
        assert!(message.contains("API token"), "{message}");
        let message = daemon
            .request("GET", target, &[("authorization", &forged)])
            .assert_refused(403, "wrong_ticket");
        assert!(message.contains("API token"), "{message}");
    }
}

#[test]
fn a_ticket_shows_the_history_of_its_own_job_only() {
    let (fixture, ticket) = one_finished_job();
    let daemon = &fixture.daemon;
    let waiting = daemon.enqueue("waiting");
    let withdrawn = daemon.enqueue("withdrawn");
    daemon
        .request("DELETE", &format!("/job/withdrawn?token={withdrawn}"), &[])
        .expect_text(204);
    let seen = |ticket: &str| {
        let bearer = format!("Bearer {ticket}");
        let by_header = daemon.request("GET", "/history.json", &[("authorization", &bearer)]);
        let target = format!("/history.json?token={ticket}");
        let by_query = daemon.request("GET", &target, &[]).expect_json(200);
        assert_eq!(by_header.expect_json(200), by_query);
        let jobs = by_query["jobs"].as_array().unwrap().clone();
        let name = |job: &Value| job["unique_id"].as_str().unwrap().to_owned();
        jobs.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(seen(&ticket), ["job"]);
    assert_eq!(seen(&withdrawn), ["withdrawn"]);
    assert!(seen(&waiting).is_empty());
    for (condition, count) in [
        ("outcome=finished", 1),
        ("outcome=withdrawn", 0),
        ("repo=other/app", 0),
        ("before=1", 0),
    ] {
        let target = format!("/history.json?token={ticket}&{condition}");
        let history = daemon.request("GET", &target, &[]).expect_json(200);
        assert_eq!(
            history["jobs"].as_array().unwrap().len(),
            count,
            "{condition}"
        );
    }
    assert_eq!(history(daemon, ""), ["withdrawn", "job"]);
}

#[test]
fn a_restart_keeps_the_history() {
    let (fixture, _) = one_finished_job();
    let last_id = fixture.daemon.job("job")["events"][5]["id"]
        .as_u64()
        .unwrap();
    let fixture = fixture.restart();
    let daemon = &fixture.daemon;
    let report = daemon.job("job");
    assert_eq!(names(&report), WHOLE_STORY);
    assert_eq!(report["events"][5]["id"], last_id);
    assert_eq!(history(daemon, ""), ["job"]);
    daemon.wait_until_fresh(1);
    daemon.enqueue("next");
    let next = daemon.job("next")["events"][0]["id"].as_u64().unwrap();
    assert!(next > last_id);
}

#[test]
fn the_story_of_a_job_that_runs_goes_on_after_a_restart_without_its_client() {
    let (fixture, ticket) = Fixture::one_delivered_job();
    let fixture = fixture.restart();
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    let report = daemon.job("job");
    assert_eq!(report["state"], "unknown");
    assert_eq!(names(&report), &WHOLE_STORY[..4]);
    monitor.set_reservation_state("job", "used");
    wait_until("the start of the job", || {
        names(&daemon.job("job"))
            .contains(&"job_started")
            .then_some(())
    });
    monitor.set_reservation_state("job", "served");
    daemon.wait_until_job_is_gone("job");
    // A server reports it as finished for a day, and its ticket may arrive any number of times.
    let fixture = fixture.restart();
    let daemon = &fixture.daemon;
    daemon.wait_until_fresh(1);
    for _ in 0..2 {
        let message = daemon
            .take("job", &ticket)
            .assert_refused(404, "unknown_job");
        assert!(message.contains("it finished at 20"), "{message}");
    }
    let report = daemon.job("job");
    assert_eq!(names(&report), WHOLE_STORY);
    let finished = &report["events"][5];
    assert_eq!(
        (&finished["server"], &finished["runner"]),
        (&fixture.monitor().url[..].into(), &1.into())
    );
    assert!(finished["assigned_at"].is_u64() && finished["started_at"].is_u64());
    assert_eq!(history(daemon, "outcome=finished"), ["job"]);
}

#[test]
fn the_story_of_a_job_whose_runners_expire_after_a_restart_ends() {
    let (fixture, _) = Fixture::one_delivered_job();
    let fixture = fixture.restart();
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    daemon.wait_until_fresh(1);
    assert_eq!(daemon.job("job")["state"], "unknown");
    monitor.change(|state| state.reservations.remove("job"));
    daemon.wait_until_job_is_gone("job");
    let report = daemon.job("job");
    assert_eq!(report["state"], "expired");
    assert!(
        report["why"]
            .as_str()
            .unwrap()
            .contains("went unused until 20"),
        "{report}"
    );
    assert_eq!(history(daemon, "outcome=expired"), ["job"]);
}

#[test]
fn a_damaged_history_costs_only_itself() {
    let (fixture, ticket) = one_finished_job();
    let folder = fixture.daemon.data_file("journal");
    let Fixture {
        mut daemon,
        monitors,
    } = fixture;
    daemon.ask_to_stop();
    daemon.wait_for_end();
    for file in fs::read_dir(&folder).unwrap() {
        fs::write(file.unwrap().path(), b"\xff\x00{\"id\":1,\n[]\n{").unwrap();
    }
    let fixture = Fixture {
        daemon: daemon.restart(),
        monitors,
    };
    let daemon = &fixture.daemon;
    assert_eq!(history(daemon, ""), [""; 0]);
    // Its server reports that it is over.
    daemon.wait_until_fresh(1);
    daemon.assert_unknown("job", &ticket);
    let next = daemon.enqueue("next");
    daemon.withdraw("next", &next);
    assert_eq!(history(daemon, "")[0], "next");
}

#[test]
fn a_disk_that_refuses_the_history_is_a_problem_and_nothing_else() {
    let (fixture, _) = Fixture::one_server_one_job();
    let folder = fixture.daemon.data_file("journal");
    let Fixture {
        mut daemon,
        monitors,
    } = fixture;
    daemon.ask_to_stop();
    daemon.wait_for_end();
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "").unwrap();
    let fixture = Fixture {
        daemon: daemon.restart(),
        monitors,
    };
    let daemon = &fixture.daemon;
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    assert_eq!(daemon.wait_for_problem("journal_not_written"), "journal");
    let (_, cause) = daemon.problems("journal_not_written").remove(0);
    assert!(cause.contains("queue/journal: File exists"), "{cause}");
    fixture.monitor().boot(1);
    assert_eq!(daemon.expect_runners("job", &ticket)["id"], 1);
    assert_eq!(names(&daemon.job("job")), &WHOLE_STORY[..4]);
    fs::remove_file(&folder).unwrap();
    daemon.wait_for_end_of_problem("journal_not_written");
    // What happened meanwhile is not lost.
    let fixture = fixture.restart();
    assert_eq!(names(&fixture.daemon.job("job")), &WHOLE_STORY[..4]);
}

#[test]
fn the_files_contain_no_secret() {
    let (fixture, ticket) = one_finished_job();
    let Fixture { mut daemon, .. } = fixture;
    daemon.ask_to_stop();
    daemon.wait_for_end();
    let mut text = String::new();
    for file in fs::read_dir(daemon.data_file("journal")).unwrap() {
        text.push_str(&fs::read_to_string(file.unwrap().path()).unwrap());
    }
    assert!(text.contains("\"unique_id\":\"job\""));
    let signature = ticket.rsplit('.').next().unwrap();
    for secret in [signature, API_TOKEN, "runner:", "reserved-for"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

/// Opens the stream of events, and waits until it has begun.
fn events(daemon: &Daemon, headers: &[(&str, &str)]) -> PendingRequest {
    let mut stream = daemon.send("GET", "/events", headers);
    let head = stream.read_until(":\n\n");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    stream
}

#[test]
fn a_stream_shows_events_as_they_happen_and_strangers_only_what_pages_show() {
    let Fixture {
        daemon,
        monitors: _monitors,
    } = &Fixture::one_server();
    let bearer = format!("Bearer {API_TOKEN}");
    let mut operator = events(daemon, &[("authorization", &bearer)]);
    let mut stranger = events(daemon, &[]);
    let ticket = daemon.enqueue("secret-name");
    daemon.withdraw("secret-name", &ticket);
    daemon.enqueue("last");
    let public_id = |job: &str| job.parse::<UniqueId>().unwrap().public_id().to_string();
    let seen = operator.read_until("\"unique_id\":\"last\"");
    for part in [
        "event: job_enqueued\ndata: {",
        "\"unique_id\":\"secret-name\"",
        "event: job_withdrawn\n",
        "event: audit\n",
        "\"client_address\":\"127.0.0.1\"",
    ] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    let seen = stranger.read_until(&public_id("last"));
    assert!(seen.contains(&public_id("secret-name")), "{seen}");
    assert!(seen.contains("event: job_withdrawn\n"), "{seen}");
    for part in ["secret-name", "audit", "127.0.0.1"] {
        assert!(!seen.contains(part), "{part}: {seen}");
    }
    let wrong = [("authorization", "Bearer wrong")];
    daemon
        .request("GET", "/events", &wrong)
        .assert_refused(403, "wrong_token");
}

#[test]
fn a_stream_continues_after_the_last_event_of_its_client_also_after_a_restart() {
    let (fixture, _) = Fixture::one_server_one_job();
    let first = fixture.daemon.job("job")["events"][0]["id"].to_string();
    fixture.daemon.enqueue("second");
    let fixture = fixture.restart();
    let daemon = &fixture.daemon;
    let bearer = format!("Bearer {API_TOKEN}");
    let authorised = ("authorization", &*bearer);
    for (last_id, has_gap, has_first) in [(&*first, false, false), ("1", true, true)] {
        let mut stream = daemon.send("GET", "/events", &[authorised, ("last-event-id", last_id)]);
        let seen = stream.read_until(":\n\n");
        assert_eq!(seen.contains("event: gap\n"), has_gap, "{seen}");
        assert_eq!(seen.contains("\"unique_id\":\"job\""), has_first, "{seen}");
        assert!(seen.contains("\"unique_id\":\"second\""), "{seen}");
    }
    for wrong in ["x", "-1", "18446744073709551616", ""] {
        daemon
            .request("GET", "/events", &[authorised, ("last-event-id", wrong)])
            .assert_refused(400, "bad_request");
    }
}

#[test]
fn streams_end_when_the_queue_stops() {
    let mut fixture = Fixture::one_server();
    let stream = events(&fixture.daemon, &[]);
    fixture.daemon.ask_to_stop();
    fixture.daemon.wait_for_end();
    assert_eq!(stream.rest(), "\r\n0\r\n\r\n", "the response is complete");
}

#[test]
fn after_a_restart_it_is_known_from_the_journal_how_long_jobs_take() {
    let (fixture, _) = one_finished_job();
    let fixture = fixture.restart();
    fixture.daemon.wait_until_fresh(1);
    fixture.daemon.enqueue("next");
    let status = fixture.daemon.job("next");
    assert_eq!(status["state"], "waiting");
    assert!(status["estimate"]["p50_seconds"].is_u64(), "{status}");
}
