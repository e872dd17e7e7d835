//! The rules of the house that no lint knows, read off the source itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file is one room: so many lines at most, its unit tests not counted.
const LINES_MAX: usize = 400;

/// What a core never does, and why it would not be one if it did.
const FORBIDDEN_IN_CORES: &[(&str, &str)] = &[
    ("std::fs", "a core reads and writes no files"),
    ("std::net::Tcp", "a core opens no connections"),
    ("std::env", "settings come in as arguments"),
    ("std::thread", "a core has no threads"),
    ("std::time::Instant", "time comes in as an argument"),
    ("SystemTime::now", "time comes in as an argument"),
    ("Clock::start", "time comes in as an argument"),
    ("rand::", "random values come in with the input"),
    ("tokio", "a core is synchronous"),
    ("async fn", "a core is synchronous"),
    (".await", "a core is synchronous"),
    ("actix", "a core knows no HTTP"),
    ("awc", "a core knows no HTTP"),
    ("HashMap", "its order differs from run to run"),
    ("HashSet", "its order differs from run to run"),
    ("static ", "a core has no state but its own"),
    ("thread_local", "a core has no state but its own"),
    ("unsafe", "nothing here is"),
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file below `folder`, with its text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{} has sources", folder.display());
    found.sort();
    found
}

/// The part of a file that is not its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default()
}

fn is_test(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().filter_map(|part| part.to_str()).collect();
    parts.iter().any(|part| {
        matches!(
            *part,
            "tests" | "tests.rs" | "testing" | "testing.rs" | "benches"
        )
    })
}

fn crates() -> Vec<PathBuf> {
    let names = [
        "shared",
        "http-client",
        "github",
        "daemon",
        "emulator",
        "monitor-core",
        "monitor",
        "queue-core",
        "queue",
        "cli",
        "dev",
        "simulation",
        "contract",
    ];
    names
        .iter()
        .map(|name| workspace().join(name).join("src"))
        .collect()
}

#[test]
fn a_core_only_decides() {
    let mut broken = Vec::new();
    for core in ["queue-core/src", "monitor-core/src"] {
        for (path, text) in sources(&workspace().join(core)) {
            if is_test(&path) {
                continue;
            }
            let code = without_tests(&text)
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                let line = line.replace("'static", "");
                let sins = FORBIDDEN_IN_CORES
                    .iter()
                    .filter(|(word, _)| line.contains(word));
                broken
                    .extend(sins.map(|(word, why)| format!("{}: `{word}`: {why}", path.display())));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for_in_its_first_line() {
    for folder in crates() {
        for (path, text) in sources(&folder) {
            assert!(
                text.starts_with("//! "),
                "{} opens with `//!`",
                path.display()
            );
        }
    }
}

#[test]
fn no_file_holds_two_rooms() {
    let mut broken = Vec::new();
    for folder in crates() {
        for (path, text) in sources(&folder) {
            let count = without_tests(&text).lines().count();
            if !is_test(&path) && count > LINES_MAX {
                broken.push(format!("{}: {count} lines", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn nothing_is_put_off() {
    // Put together here, so that this file does not find itself.
    let words = [
        concat!("#[", "ignore"),
        concat!("todo", "!("),
        concat!("FIX", "ME"),
        concat!("thread::", "sleep("),
    ];
    for folder in crates() {
        for (path, text) in sources(&folder.join("..")) {
            if path.components().any(|part| part.as_os_str() == "benches") {
                continue;
            }
            for word in words {
                assert!(!text.contains(word), "{} has {word}", path.display());
            }
        }
    }
}
