//! Files that are missing, cannot be read, or lack a setting that one daemon requires.

use std::fs;

use shared::settings::{Environment, Settings};

use super::{DEPLOYED, SHORTEST, folder_with, load_from};

#[test]
fn a_queue_requires_its_table() {
    let folder = folder_with(SHORTEST);
    let error = load_from(&folder, &[])
        .unwrap()
        .require_queue()
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with(
            "monitor.toml: queue: missing, allowed: a table [queue] with the servers of the \
             queue; explained in monitor.toml.example"
        ),
        "{error}"
    );
}

#[test]
fn a_missing_file_is_named_with_what_to_do() {
    let folder = folder_with(DEPLOYED);
    for name in [
        "other.toml",
        "monitor.toml/monitor.toml",
        "nowhere/monitor.toml",
    ] {
        let file = folder.path().join(name);
        let error = Settings::load(&file, &Environment::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{}: no such file; copy monitor.toml.example to start with, or name another file \
                 with --config PATH",
                file.display()
            )
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_reason() {
    let folder = folder_with(DEPLOYED);
    let file = folder.path().join("other");
    fs::create_dir(&file).unwrap();
    let error = Settings::load(&file, &Environment::default()).unwrap_err();
    let expected = format!(
        "{}: cannot be read: Is a directory (os error 21)",
        file.display()
    );
    assert_eq!(error.to_string(), expected);
    fs::write(folder.path().join("monitor.toml"), b"port = \xff").unwrap();
    let error = load_from(&folder, &[]).unwrap_err().to_string();
    assert!(
        error.ends_with("monitor.toml: cannot be read: stream did not contain valid UTF-8"),
        "{error}"
    );
}
