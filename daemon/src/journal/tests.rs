//! The journal as a whole, with real files.

mod damage;

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use actix_web::body::to_bytes;
use shared::{
    units::{DAY, Memory},
    values::RunId,
};
use tempfile::TempDir;

use super::*;
use crate::serve::{Draining, drain};

/// How long a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(30);
const FIRST: &str = "job_enqueued";

fn config(folder: &TempDir) -> JournalConfig {
    JournalConfig {
        folder: folder.path().join("queue/journal"),
        limits: JournalSettings::default(),
        log_format: LogFormat::Text,
    }
}

fn open(folder: &TempDir) -> Journal {
    Journal::open(config(folder), Clock::start())
}

/// An event of a job.
fn event(name: &'static str, job: &str, at: Timestamp) -> Entry {
    Entry {
        unique_id: Some(job.parse().unwrap()),
        ..Entry::new(at, name)
    }
}

fn now() -> Timestamp {
    Clock::start().now()
}

/// The start of the current day.
fn today() -> Timestamp {
    let day = DAY.as_secs();
    Timestamp::from_seconds(now().as_seconds() / day * day)
}

fn names(entries: &[Arc<Entry>]) -> Vec<&str> {
    entries.iter().map(|entry| &*entry.event).collect()
}

fn ids(entries: &[Arc<Entry>]) -> Vec<u64> {
    entries.iter().map(|entry| entry.id).collect()
}

/// The files that are read, oldest first.
fn listed(folder: &Path) -> Vec<reading::JournalFile> {
    reading::list(folder, now()).unwrap().files
}

fn file_names(folder: &Path) -> Vec<String> {
    let files = listed(folder).into_iter();
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    files.map(|file| name(file.path)).collect()
}

fn job(name: &str) -> Subject {
    Subject::Job(name.parse().unwrap())
}

async fn story_of(journal: &Journal, name: &str) -> Story {
    journal.story(&job(name), FIRST, true).await.unwrap()
}

#[actix_web::test]
async fn ids_increase_strictly_also_across_restarts_and_when_the_clock_is_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder);
    let at = now();
    for _ in 0..3 {
        journal.record(event("a", "job", at));
    }
    let future = at + Duration::from_secs(3600);
    journal.record(event("b", "job", future));
    journal.record(event("c", "job", at));
    let micros = at.as_micros();
    let last = future.as_micros();
    let expected = [micros, micros + 1, micros + 2, last, last + 1];
    assert_eq!(ids(&story_of(&journal, "job").await.entries), expected);
    journal.flush(DEADLINE);
    drop(journal);

    let journal = open(&folder);
    journal.record(event("d", "job", at));
    let found = story_of(&journal, "job").await.entries;
    assert_eq!(names(&found), ["a", "a", "a", "b", "c", "d"]);
    assert_eq!(found.last().unwrap().id, last + 2);
    journal.flush(DEADLINE);
    drop(journal);
    // Also if no line can be read.
    let folder_of_files = config(&folder).folder;
    for file in listed(&folder_of_files) {
        fs::write(file.path, "damaged\n").unwrap();
    }
    let journal = open(&folder);
    journal.record(event("e", "job", at));
    assert!(story_of(&journal, "job").await.entries[0].id > micros);
}

#[actix_web::test]
async fn a_damaged_or_cut_off_line_costs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder);
    for name in ["a", "b", "c"] {
        journal.record(event(name, "job", now()));
    }
    journal.flush(DEADLINE);
    drop(journal);
    let path = listed(&config(&folder).folder).remove(0).path;
    let text = fs::read_to_string(&path).unwrap();
    let damaged = text.replacen("\"event\":\"b\"", "\"event\":b", 1);
    fs::write(&path, &damaged).unwrap();
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"\n[]\n\xff\xfe\n{\"id\":99999999999999999999,\"event\":\"x\"}\n{\"id\":1,")
        .unwrap();

    let journal = open(&folder);
    assert_eq!(names(&story_of(&journal, "job").await.entries), ["a", "c"]);
    journal.record(event("d", "job", now()));
    journal.flush(DEADLINE);
    drop(journal);
    // The line that was cut off does not damage the next one.
    let story = story_of(&open(&folder), "job").await;
    assert_eq!(names(&story.entries), ["a", "c", "d"]);
}

#[actix_web::test]
async fn only_the_owner_can_read_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder);
    journal.record(event("a", "job", now()));
    journal.flush(DEADLINE);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = config(&folder).folder;
    assert_eq!(mode(&folder), 0o700);
    let files = listed(&folder);
    assert_eq!(files.len(), 1);
    assert_eq!(mode(&files[0].path), 0o600);
}

#[actix_web::test]
async fn a_disk_that_refuses_to_be_written_delays_nothing_and_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    // A file where the folder would be.
    fs::write(folder.path().join("queue"), "").unwrap();
    let pause = Duration::from_millis(5);
    let journal = Journal::with_pause(config.clone(), Clock::start(), pause);
    journal.record(event(FIRST, "job", now()));
    while journal.status().trouble.is_none() {
        tokio::task::yield_now().await;
    }
    let trouble = journal.status().trouble.unwrap();
    assert!(trouble.contains("Not a directory"), "{trouble}");
    assert!(trouble.contains("queue/journal"), "{trouble}");
    let mut drops = Drops::default();
    assert_eq!(
        cause_of(&journal.status(), &mut drops, now()),
        Some(trouble)
    );
    // Everything goes on.
    assert_eq!(names(&story_of(&journal, "job").await.entries), [FIRST]);

    fs::remove_file(folder.path().join("queue")).unwrap();
    journal.flush(DEADLINE);
    assert_eq!(journal.status(), JournalStatus::default());
    assert_eq!(cause_of(&journal.status(), &mut drops, now()), None);
    drop(journal);
    let journal = Journal::open(config, Clock::start());
    assert_eq!(names(&story_of(&journal, "job").await.entries), [FIRST]);
}

#[test]
fn events_that_are_missing_in_the_files_are_a_problem_for_some_time() {
    let mut drops = Drops::default();
    let status = |dropped_count, trouble: Option<&str>| JournalStatus {
        dropped_count,
        trouble: trouble.map(str::to_owned),
        cleaning_trouble: None,
    };
    let start = Timestamp::from_seconds(1000);
    let mut cause = |status, now| cause_of(&status, &mut drops, now);
    assert_eq!(cause(status(0, None), start), None);
    let expected = "no space; 1 event is missing in its files";
    let found = cause(status(1, Some("no space")), start);
    assert_eq!(found.as_deref(), Some(expected));
    let expected = "3 events are missing in its files";
    assert_eq!(cause(status(3, None), start).as_deref(), Some(expected));
    let later = start + Duration::from_secs(600);
    assert_eq!(cause(status(3, None), later), None);
}

fn limited(folder: &TempDir, age_max: Duration, size_max: u64) -> JournalConfig {
    JournalConfig {
        limits: JournalSettings {
            age_max,
            size_max: Memory::from_bytes(size_max),
        },
        ..config(folder)
    }
}

#[actix_web::test]
async fn each_day_has_a_file_and_days_that_are_too_old_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let config = limited(&folder, DAY * 3, 256 << 20);
    let journal = Journal::open(config.clone(), Clock::start());
    let days: Vec<_> = (0..6_u32).map(|day| today() - DAY * (5 - day)).collect();
    for (index, day) in days.iter().enumerate() {
        journal.record(event("a", &format!("job{index}"), *day));
        journal.record(event("b", &format!("job{index}"), *day));
    }
    journal.flush(DEADLINE);
    drop(journal);
    // The next process removes what is left of the old days.
    let journal = Journal::open(config.clone(), Clock::start());
    journal.record(event("c", "job5", now()));
    journal.flush(DEADLINE);
    let name = |day: &Timestamp| format!("{}.jsonl", day.as_micros());
    // A day that ended less than three days ago has events that are younger than that.
    let expected: Vec<_> = days[2..].iter().map(name).collect();
    let folder = config.folder;
    while file_names(&folder) != expected {
        tokio::task::yield_now().await;
    }
    let story = story_of(&journal, "job5").await;
    assert_eq!(names(&story.entries), ["a", "b", "c"]);
    let old = story_of(&journal, "job1").await;
    assert_eq!(names(&old.entries), [""; 0], "not even from memory");
}

#[actix_web::test]
async fn files_are_limited_in_size_and_the_oldest_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let config = limited(&folder, DAY * 30, 1 << 20);
    let journal = Journal::open(config.clone(), Clock::start());
    let mut count = 0;
    let mut record = |batches: usize| {
        for _ in 0..batches {
            for _ in 0..100 {
                count += 1;
                let text = "x".repeat(900);
                journal.record_without_log(event("a", "job", now()).fact("text", text));
            }
            journal.flush(DEADLINE);
        }
    };
    record(30);
    // The last ones may be written, but not cleaned up after.
    record(1);
    let files = listed(&config.folder);
    let sizes: Vec<u64> = files
        .iter()
        .map(|file| file.path.metadata().unwrap().len())
        .collect();
    assert!(sizes.len() > 4, "{sizes:?}");
    assert!(
        sizes.iter().sum::<u64>() < (1 << 20) + (300 << 10),
        "{sizes:?}"
    );
    let whole = &sizes[..sizes.len() - 1];
    assert!(whole.iter().all(|size| *size >= 128 << 10), "{sizes:?}");
}

#[actix_web::test]
async fn other_things_in_the_folder_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = limited(&folder, DAY, 1 << 20);
    fs::create_dir_all(&config.folder).unwrap();
    let old = today().as_micros() - 30 * DAY.as_micros() as u64;
    let others = [
        "notes.txt",
        "1.json",
        "x.jsonl",
        "99999999999999999999999.jsonl",
    ];
    for other in others {
        fs::write(config.folder.join(other), "x").unwrap();
    }
    fs::create_dir(config.folder.join(format!("{old}.jsonl"))).unwrap();
    std::os::unix::fs::symlink("/dev/zero", config.folder.join("5.jsonl")).unwrap();
    let journal = Journal::open(config.clone(), Clock::start());
    journal.record(event("a", "job", now()));
    journal.flush(DEADLINE);
    assert_eq!(journal.status(), JournalStatus::default());
    assert_eq!(names(&story_of(&journal, "job").await.entries), ["a"]);
    assert!(
        others
            .iter()
            .all(|other| config.folder.join(other).exists())
    );
}

/// A journal of which only the latest events are in memory, and the number of all.
fn long(folder: &TempDir) -> (Journal, u64) {
    let config = config(folder);
    let journal = Journal::open(config, Clock::start());
    let count = memory::ENTRIES_MAX as u64 + 3000;
    let start = now() - Duration::from_secs(60);
    for index in 0..count {
        let at = start + Duration::from_micros(index);
        let name = match index {
            0 | 5 => FIRST,
            _ => "job_waits",
        };
        let job = if index < 10 { "first" } else { "other" };
        let mut entry = event(name, job, at);
        entry.runner = Some(index % 2);
        entry.run_id = Some(RunId(index));
        journal.record_without_log(entry);
        if index % 5000 == 0 {
            journal.flush(DEADLINE);
        }
    }
    journal.flush(DEADLINE);
    (journal, count)
}

#[actix_web::test]
async fn a_search_goes_on_in_files_where_memory_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, count) = long(&folder);
    assert_eq!(journal.status(), JournalStatus::default());
    let mut found = Vec::new();
    let mut before = None;
    loop {
        let page = journal.search(Filter::default(), before, 10_000).await;
        let page = page.unwrap();
        assert!(page.entries.len() <= LIMIT_MAX);
        found.extend(page.entries.iter().map(|entry| entry.run_id.unwrap().0));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let expected: Vec<u64> = (0..count).rev().collect();
    assert!(found == expected, "{} of {count} found", found.len());

    let filter = Filter {
        run_id: Some(RunId(3)),
        ..Filter::default()
    };
    let page = journal.search(filter, None, 10).await.unwrap();
    assert_eq!((page.entries.len(), page.next), (1, None));
}

#[actix_web::test]
async fn a_story_begins_with_the_last_first_event_also_if_that_is_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, count) = long(&folder);
    let story = story_of(&journal, "first").await;
    let runs: Vec<u64> = story
        .entries
        .iter()
        .map(|it| it.run_id.unwrap().0)
        .collect();
    assert_eq!((runs, story.is_truncated), ((5..10).collect(), false));
    let unknown = story_of(&journal, "unknown").await;
    assert_eq!((unknown.entries.len(), unknown.is_truncated), (0, true));
    let runner = journal.story(&Subject::Runner(1), "none", true).await;
    let runner = runner.unwrap();
    assert!(runner.entries.len() >= LIMIT_MAX && runner.is_truncated);
    let last = runner.entries.last().unwrap().run_id.unwrap().0;
    assert!(last >= count - 2, "the newest events are shown");
}

#[actix_web::test]
async fn every_condition_of_a_filter_counts() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder);
    let at = |second| today() + Duration::from_secs(second);
    let full = |second: u64, name, repo: &str, profile: &str| Entry {
        qualified_repo: Some(repo.parse().unwrap()),
        run_id: Some(RunId(second)),
        profile_key: Some(profile.parse().unwrap()),
        runner: Some(second),
        ..event(name, &format!("job{second}"), at(second))
    };
    journal.record(full(1, "a", "servo/servo", "linux"));
    journal.record(full(2, "b", "Servo/Servo", "windows"));
    journal.record(full(3, "a", "servo/book", "linux"));
    journal.record(Entry::new(at(4), "c"));
    journal.flush(DEADLINE);
    let all = Filter::default;
    let cases: [(Filter, &[u64]); 9] = [
        (all(), &[4, 3, 2, 1]),
        (
            Filter {
                qualified_repo: Some("servo/SERVO".parse().unwrap()),
                ..all()
            },
            &[2, 1],
        ),
        (
            Filter {
                profile_key: Some("linux".parse().unwrap()),
                ..all()
            },
            &[3, 1],
        ),
        (
            Filter {
                run_id: Some(RunId(3)),
                ..all()
            },
            &[3],
        ),
        (
            Filter {
                runner: Some(2),
                ..all()
            },
            &[2],
        ),
        (
            Filter {
                unique_id: Some("job1".parse().unwrap()),
                ..all()
            },
            &[1],
        ),
        (
            Filter {
                events: vec!["a", "c"],
                ..all()
            },
            &[4, 3, 1],
        ),
        (
            Filter {
                since: Some(at(2)),
                until: Some(at(3)),
                ..all()
            },
            &[3, 2],
        ),
        (
            Filter {
                since: Some(at(4)),
                until: Some(at(3)),
                ..all()
            },
            &[],
        ),
    ];
    for (filter, expected) in cases {
        let seconds = |page: Page| {
            let since = |entry: &Arc<Entry>| entry.at.since(today()).as_secs();
            page.entries.iter().map(since).collect::<Vec<_>>()
        };
        let found = journal.search(filter.clone(), None, 100).await.unwrap();
        assert_eq!(seconds(found), expected, "{filter:?}");
        let in_files = journal.search_files(filter.clone(), u64::MAX, 100).await;
        assert_eq!(seconds(in_files.unwrap()), expected, "{filter:?}");
    }
}

#[actix_web::test]
async fn a_page_reads_a_limited_part_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let config = limited(&folder, DAY * 30, 1 << 40);
    let journal = Journal::open(config.clone(), Clock::start());
    for day in (0..4).rev() {
        journal.record(event("a", "job", today() - DAY * day));
    }
    journal.flush(DEADLINE);
    let page = |filter: Filter, before| {
        search::search_folder(&config.folder, &filter, now(), before, 100, 1)
    };
    let mut before = u64::MAX;
    for _ in 0..3 {
        let found = page(Filter::default(), before);
        assert_eq!(found.entries.len(), 1);
        before = found.next.unwrap();
    }
    let last = page(Filter::default(), before);
    assert_eq!((last.entries.len(), last.next), (1, None));
    // Files of days before the time that is asked for are not read.
    let filter = Filter {
        since: Some(today()),
        ..Filter::default()
    };
    let found = page(filter, u64::MAX);
    assert_eq!((found.entries.len(), found.next), (1, None));
}

#[actix_web::test]
async fn a_stream_continues_after_the_last_event_that_its_client_has() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder);
    for name in ["a", "b", "c"] {
        journal.record(event(name, "job", now()));
    }
    let all = ids(&story_of(&journal, "job").await.entries);
    let mut new = journal.subscribe(None, 10);
    assert_eq!((new.backlog.len(), new.has_gap), (0, false));
    for (last_id, expected, has_gap) in [
        (all[0], &["b", "c"][..], false),
        (all[2], &[], false),
        // Of an earlier journal, or forgotten: what is there, after a note that something is missing.
        (all[0] - 1, &["a", "b", "c"], true),
        (0, &["a", "b", "c"], true),
        (u64::MAX, &[], false),
    ] {
        let subscription = journal.subscribe(Some(last_id), 10);
        assert_eq!(names(&subscription.backlog), expected, "{last_id}");
        assert_eq!(subscription.has_gap, has_gap, "{last_id}");
    }
    journal.record(event("d", "job", now()));
    assert!(new.receiver.recv().await.is_ok());
}

fn stream(journal: &Journal, places: &StreamPlaces, draining: &Draining) -> EventStream {
    EventStream {
        journal: journal.clone(),
        places: places.clone(),
        draining: draining.clone(),
        is_authorised: true,
        last_event_id: None,
    }
}

#[actix_web::test]
async fn a_client_that_is_too_slow_is_disconnected() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder);
    let (_drain, draining) = drain();
    let places = StreamPlaces::default();
    let response = stream(&journal, &places, &draining).respond().unwrap();
    for _ in 0..=STREAM_LAG_MAX {
        journal.record_without_log(event("a", "job", now()));
    }
    let sent = to_bytes(response.into_body()).await.unwrap();
    assert_eq!(&*sent, b":\n\n");
}

#[actix_web::test]
async fn the_number_of_streams_is_limited_and_strangers_have_places_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder);
    let (_drain, draining) = drain();
    let places = StreamPlaces::default();
    let open_stream = |is_authorised| {
        let stream = stream(&journal, &places, &draining);
        let stream = EventStream {
            is_authorised,
            ..stream
        };
        stream.respond()
    };
    let mut open = Vec::new();
    while let Ok(response) = open_stream(false) {
        open.push(response);
        assert!(open.len() <= 100);
    }
    assert_eq!(open.len(), 100);
    assert!(open_stream(true).is_ok());
    open.pop();
    assert!(open_stream(false).is_ok());
}

#[actix_web::test]
async fn strangers_are_sent_a_limited_number_of_past_events() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder);
    let audit = || Entry::audit(now(), "withdraw", "api_token", "192.0.2.1");
    for _ in 0..600 {
        journal.record_without_log(event("job_enqueued", "job", now()));
    }
    for _ in 0..150 {
        journal.record_without_log(audit());
    }
    let (drain, draining) = drain();
    let places = StreamPlaces::default();
    let mut sent = Vec::new();
    for is_authorised in [false, true] {
        let stream = EventStream {
            is_authorised,
            last_event_id: Some(1),
            ..stream(&journal, &places, &draining)
        };
        sent.push(stream.respond().unwrap());
    }
    drop(drain);
    for (response, (jobs, audits)) in sent.into_iter().zip([(350, 0), (600, 150)]) {
        let text = to_bytes(response.into_body()).await.unwrap();
        let text = str::from_utf8(&text).unwrap();
        assert!(text.starts_with("event: gap\n"), "{text:.100}");
        assert!(text.ends_with("\n\n:\n\n"));
        assert_eq!(text.matches("event: job_enqueued\n").count(), jobs);
        assert_eq!(text.matches("event: audit\n").count(), audits);
    }
}

#[actix_web::test]
async fn searches_in_files_without_the_api_token_are_few() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder);
    let start = now();
    for _ in 0..10 {
        assert_eq!(journal.pay_for_light_search(start), Ok(()));
    }
    assert_eq!(journal.pay_for_light_search(start), Err(search::Busy));
    let later = start + Duration::from_secs(1);
    assert_eq!(journal.pay_for_light_search(later), Ok(()));
    assert_eq!(journal.pay_for_light_search(later), Err(search::Busy));
    let story = journal.story(&job("unseen"), FIRST, true).await;
    assert!(story.is_ok(), "an operator is not limited");
    let hour_later = start + Duration::from_secs(3600);
    for expected in [Ok(()), Ok(())] {
        assert_eq!(journal.pay_for_light_search(hour_later), expected);
    }
}
