//! What happens to files behind the back of the journal: removal, damage, other owners.

use std::process::{Command, Stdio};

use super::*;

/// One line of a file.
fn line(id: u64, name: &str, at: Timestamp) -> String {
    let line = Entry {
        id,
        event: name.to_owned().into(),
        ..event("", "job", at)
    };
    line.to_json() + "\n"
}

/// Writes a file of the journal.
fn write(config: &JournalConfig, first_id: u64, text: &str) -> PathBuf {
    fs::create_dir_all(&config.folder).unwrap();
    let path = config.folder.join(format!("{first_id}.jsonl"));
    fs::write(&path, text).unwrap();
    path
}

fn record(journal: &Journal, name: &'static str) {
    journal.record_without_log(event(name, "job", now()));
    journal.flush(DEADLINE);
}

/// The id of an event that happens some days later.
fn id_in(days: u32) -> u64 {
    (now() + DAY * days).as_micros()
}

/// The names of the events that a new process finds.
async fn names_after_restart(config: &JournalConfig) -> Vec<String> {
    let journal = Journal::open(config.clone(), Clock::start());
    let story = story_of(&journal, "job").await;
    let names = names(&story.entries).into_iter();
    names.map(str::to_owned).collect()
}

#[actix_web::test]
async fn files_can_be_removed_moved_or_emptied_while_the_daemon_runs() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let journal = Journal::open(config.clone(), Clock::start());
    let file = || listed(&config.folder).remove(0).path;
    record(&journal, "a");
    fs::remove_file(file()).unwrap();
    record(&journal, "b");
    fs::rename(file(), folder.path().join("elsewhere")).unwrap();
    record(&journal, "c");
    fs::remove_dir_all(&config.folder).unwrap();
    record(&journal, "d");
    // Another file with the same name.
    let path = file();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "").unwrap();
    record(&journal, "e");
    record(&journal, "f");
    assert_eq!(journal.status(), JournalStatus::default());
    assert_eq!(names_after_restart(&config).await, ["e", "f"]);
    let open = OpenOptions::new().write(true).open(file()).unwrap();
    open.set_len(0).unwrap();
    record(&journal, "g");
    assert_eq!(names_after_restart(&config).await, ["g"]);
}

#[actix_web::test]
async fn an_id_that_is_years_ahead_is_damage_and_the_history_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let first = today().as_micros() + 1;
    for id in [id_in(366 * 20), 1 << 53, u64::MAX, first - 1] {
        let text = line(first, "a", now()) + &line(id, "far", now());
        let path = write(&config, first, &text);
        let former = reading::read_newest(&config.folder, now(), 10).unwrap();
        assert_eq!(former.last_id, first, "{id}");
        assert_eq!(former.warnings(&config.folder).len(), 1, "{id}");
        let journal = Journal::open(config.clone(), Clock::start());
        record(&journal, "b");
        drop(journal);
        assert_eq!(names_after_restart(&config).await, ["a", "b"], "{id}");
        for file in listed(&config.folder) {
            fs::remove_file(file.path).unwrap();
        }
        assert!(!path.exists());
    }
    // A clock that was ahead by less than that is believed, and all later events can be read.
    let ahead = id_in(366 * 5);
    write(&config, first, &line(first, "a", now()));
    write(&config, ahead, &line(ahead, "ahead", now()));
    let journal = Journal::open(config.clone(), Clock::start());
    record(&journal, "b");
    record(&journal, "c");
    let expected = ["a", "ahead", "b", "c"];
    assert_eq!(names_after_restart(&config).await, expected);
}

#[test]
fn a_line_with_a_wrong_id_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let first = now().as_micros() - 1000;
    let lines = [0, 10, 20, 1, 30].map(|offset| line(first + offset, "a", now()));
    write(&config, first, &lines.concat());
    let all = Filter::default();
    let page = search::search_folder(&config.folder, &all, now(), u64::MAX, 10, 1000);
    let offsets: Vec<_> = page.entries.iter().map(|it| it.id - first).collect();
    assert_eq!(offsets, [30, 20, 10, 1, 0]);
}

#[actix_web::test]
async fn files_with_names_in_the_future_are_removed_by_age_and_size_as_others() {
    let folder = tempfile::tempdir().unwrap();
    let config = limited(&folder, DAY * 3, 1 << 20);
    let text = "x".repeat(600 << 10) + "\n";
    let old = write(&config, id_in(400), &line(id_in(400), "old", now()));
    let old_ignored = write(&config, u64::MAX, "x");
    for path in [&old, &old_ignored] {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        let days_ago = (now() - DAY * 5).to_system_time();
        file.set_modified(days_ago).unwrap();
    }
    let young_id = id_in(401);
    let young = write(&config, young_id, &line(young_id, "young", now()));
    let large = [id_in(36_000), id_in(36_001)].map(|id| write(&config, id, &text));
    let former = reading::read_newest(&config.folder, now(), 10).unwrap();
    let warnings = former.warnings(&config.folder);
    let begin = "3 files of the journal in ";
    assert!(
        warnings.len() == 1 && warnings[0].starts_with(begin),
        "{warnings:?}"
    );
    let journal = Journal::open(config.clone(), Clock::start());
    record(&journal, "new");
    while large[0].exists() || old.exists() || old_ignored.exists() {
        tokio::task::yield_now().await;
    }
    assert!(young.exists() && large[1].exists());
    assert_eq!(names_after_restart(&config).await, ["young", "new"]);
}

#[actix_web::test]
async fn what_happened_after_the_clock_was_ahead_is_found_by_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let ahead = id_in(400);
    let text = line(ahead, "a", now()) + &line(ahead + 1, "b", now() + DAY);
    write(&config, ahead, &text);
    let filter = Filter {
        until: Some(now()),
        ..Filter::default()
    };
    let journal = Journal::open(config, Clock::start());
    let page = journal.search_files(filter, u64::MAX, 10).await.unwrap();
    assert_eq!(names(&page.entries), ["a"]);
}

#[test]
fn a_file_that_cannot_be_removed_keeps_no_other_and_is_tried_again_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let config = limited(&folder, DAY * 3, 1 << 20);
    let old = |days: u32| write(&config, (today() - DAY * days).as_micros(), "x\n");
    let paths = [9, 8, 7].map(old);
    let pause = Duration::from_secs(5);
    let mut files = Files::new(config.folder.clone(), config.limits, pause);
    let mut clean = |now, is_stuck: bool| {
        // No permission stops a test that runs as root.
        files.clean_with(now, |path| match path == paths[0] && is_stuck {
            true => Err(std::io::ErrorKind::PermissionDenied.into()),
            false => fs::remove_file(path),
        })
    };
    let start = now();
    let error = clean(start, true).unwrap().unwrap_err().to_string();
    let name = paths[0].display();
    let expected = format!("failed to remove 1 old file, such as {name}: permission denied");
    assert_eq!(error, expected);
    let exist = paths.each_ref().map(|path| path.exists());
    assert_eq!(exist, [true, false, false]);
    assert!(clean(start + pause / 2, true).is_none());
    assert!(clean(start + pause, true).unwrap().is_err());
    assert!(clean(start + pause * 2, false).unwrap().is_ok());
    assert!(!paths[0].exists());
    assert!(clean(start + pause * 3, false).is_none());
    assert_eq!(files.cleaning_pause(), None);
}

#[test]
fn writing_does_not_end_the_problem_that_files_are_not_removed() {
    let outbox = Outbox::default();
    outbox.cleaned(Some("immutable".to_owned()));
    outbox.push(Arc::new(event("a", "job", now())));
    outbox.done(1);
    let status = outbox.status();
    let troubles = (status.trouble, status.cleaning_trouble);
    assert_eq!(troubles, (None, Some("immutable".to_owned())));
    outbox.cleaned(None);
    assert_eq!(outbox.status(), JournalStatus::default());
}

#[actix_web::test]
async fn a_newest_file_that_cannot_be_opened_is_followed_by_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let path = write(&config, today().as_micros() + 1, "");
    // Not even root can write to a program that runs.
    fs::copy("/bin/sleep", &path).unwrap();
    let mut running = loop {
        let child = Command::new(&path).arg("600").stdin(Stdio::null()).spawn();
        match child {
            // A process that another test starts has the file open for a moment.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
            child => break child.unwrap(),
        }
    };
    let journal = Journal::open(config.clone(), Clock::start());
    record(&journal, "a");
    let written = (journal.status(), file_names(&config.folder).len());
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(written, (JournalStatus::default(), 2));
    assert_eq!(names_after_restart(&config).await, ["a"]);
}
