//! Rules for source files that neither the compiler nor clippy checks: cores perform no I/O, every
//! file has a header and a limited length, nothing is left unfinished.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The longest file, in lines, without its unit tests.
const LINES_MAX: usize = 800;

/// The crates that only decide.
const CORES: [&str; 2] = ["queue-core", "monitor-core"];

/// What a core may depend on: the shared types, and crates for data.
const CORE_DEPENDENCIES: [&str; 5] = ["shared", "serde", "serde_json", "thiserror", "utoipa"];

/// Crates that perform I/O or provide time or randomness. No core depends on one of them, not even
/// indirectly.
const IO_CRATES: &[&str] = &[
    "actix-http",
    "actix-rt",
    "actix-web",
    "async-std",
    "awc",
    "getrandom",
    "hyper",
    "mio",
    "rand",
    "reqwest",
    "ring",
    "rustix",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "uuid",
];

/// What a core must not contain, and why.
const FORBIDDEN_IN_CORES: &[(&str, &str)] = &[
    ("std::fs", "a core does not access files"),
    ("std::net::Tcp", "a core opens no connections"),
    ("std::env", "settings are arguments"),
    ("std::process", "a core starts no processes"),
    ("std::thread", "a core has no threads"),
    ("std::time::Instant", "time is an argument"),
    ("SystemTime::now", "time is an argument"),
    ("Clock::start", "time is an argument"),
    ("rand::", "random values are part of the input"),
    ("tokio", "a core is synchronous"),
    ("async fn", "a core is synchronous"),
    (".await", "a core is synchronous"),
    ("actix", "a core is independent of HTTP"),
    ("awc", "a core is independent of HTTP"),
    ("HashMap", "its order differs between runs"),
    ("HashSet", "its order differs between runs"),
    ("static ", "a core has no global state"),
    ("thread_local", "a core has no global state"),
    ("unsafe", "unsafe code is forbidden"),
];

pub(super) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The packages of the workspace, by name, as `cargo metadata` describes them.
fn packages() -> BTreeMap<String, Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            (
                package["name"].as_str().unwrap().to_owned(),
                package.clone(),
            )
        })
        .collect()
}

/// The normal dependencies of a package of the workspace: neither those for development nor for build
/// scripts.
fn dependencies(package: &Value) -> Vec<String> {
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    dependencies
        .filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
        .collect()
}

/// The dependencies of all packages, by name, as `Cargo.lock` contains them. Those for development
/// are included, but only for packages of the workspace.
fn locked_dependencies() -> BTreeMap<String, Vec<String>> {
    let lock = fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
    let mut locked = BTreeMap::<String, Vec<String>>::new();
    for package in lock.split("[[package]]").skip(1) {
        let mut lines = package.lines();
        let name = lines.find_map(|line| line.strip_prefix("name = ")).unwrap();
        let dependencies = lines
            .skip_while(|line| *line != "dependencies = [")
            .filter_map(|line| line.strip_prefix(" \""))
            // `name`, or `name version` where there are several.
            .map(|line| line.split(['"', ' ']).next().unwrap_or_default().to_owned());
        let name = name.trim_matches('"').to_owned();
        locked.entry(name).or_default().extend(dependencies);
    }
    locked
}

/// All Rust files below `folder`, with their texts.
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

/// The text of a file without its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default()
}

fn is_test(path: &Path) -> bool {
    let mut parts = path.iter().filter_map(|part| part.to_str());
    parts.any(|part| {
        matches!(
            part,
            "tests" | "tests.rs" | "testing" | "testing.rs" | "benches"
        )
    })
}

/// The folders of all packages.
fn crates() -> Vec<PathBuf> {
    let packages = packages();
    let manifests = packages.values();
    let manifests = manifests.map(|package| package["manifest_path"].as_str().unwrap());
    manifests
        .map(|manifest| Path::new(manifest).parent().unwrap().to_owned())
        .collect()
}

#[test]
fn a_core_depends_on_shared_types_and_data_crates_only() {
    let packages = packages();
    for core in CORES {
        for dependency in dependencies(&packages[core]) {
            assert!(
                CORE_DEPENDENCIES.contains(&dependency.as_str()),
                "{core} depends on {dependency}"
            );
        }
    }
}

#[test]
fn a_core_does_not_depend_on_io_even_indirectly() {
    let packages = packages();
    let locked = locked_dependencies();
    for core in CORES {
        let mut found = BTreeSet::new();
        let mut unseen = vec![core.to_owned()];
        while let Some(name) = unseen.pop() {
            if found.insert(name.clone()) {
                let dependencies = match packages.get(&name) {
                    Some(package) => dependencies(package),
                    None => locked[&name].clone(),
                };
                unseen.extend(dependencies);
            }
        }
        assert!(found.contains("serde"), "{found:?}");
        for io in IO_CRATES {
            assert!(!found.contains(*io), "{core} depends on {io}: {found:?}");
        }
    }
}

#[test]
fn a_core_contains_nothing_that_performs_io() {
    let mut violations = Vec::new();
    for core in CORES {
        for (path, text) in sources(&workspace().join(core).join("src")) {
            if is_test(&path) {
                continue;
            }
            let code = without_tests(&text)
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                let line = line.replace("'static", "");
                let found = FORBIDDEN_IN_CORES
                    .iter()
                    .filter(|(word, _)| line.contains(word));
                violations.extend(
                    found.map(|(word, reason)| format!("{}: `{word}`: {reason}", path.display())),
                );
            }
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn every_file_begins_with_a_header() {
    for folder in crates() {
        for (path, text) in sources(&folder.join("src")) {
            assert!(
                text.starts_with("//! "),
                "{} does not begin with `//! `",
                path.display()
            );
        }
    }
}

#[test]
fn no_file_is_too_long() {
    let mut violations = Vec::new();
    for folder in crates() {
        for (path, text) in sources(&folder.join("src")) {
            let count = without_tests(&text).lines().count();
            if !is_test(&path) && count > LINES_MAX {
                violations.push(format!("{}: {count} lines", path.display()));
            }
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn nothing_is_left_unfinished() {
    // In parts, so that this file does not contain the words.
    let words = [
        concat!("#[", "ignore"),
        concat!("todo", "!("),
        concat!("FIX", "ME"),
        concat!("thread::", "sleep("),
    ];
    for folder in crates() {
        for (path, text) in sources(&folder) {
            // Measurements of other processes pause, to send requests at a certain rate.
            let is_measurement =
                path.starts_with(folder.join("benches")) || folder.ends_with("attacks");
            if is_measurement {
                continue;
            }
            for word in words {
                assert!(!text.contains(word), "{} contains {word}", path.display());
            }
        }
    }
}

/// A promise in the book whose test was renamed or removed is no longer kept by anything.
#[test]
fn every_test_that_the_book_names_exists() {
    let book = workspace().join("docs/src");
    let all: Vec<_> = crates().iter().flat_map(|it| sources(it)).collect();
    let mut missing = Vec::new();
    let mut count = 0;
    for page in fs::read_dir(book).unwrap() {
        let page = page.unwrap().path();
        if page.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&page).unwrap();
        let mut file = String::new();
        // Every second part is between backticks: `file.rs::test`, or `::test` of the file before.
        for code in text.split('`').skip(1).step_by(2) {
            let Some((path, name)) = code.rsplit_once("::") else {
                continue;
            };
            if path.ends_with(".rs") {
                path.clone_into(&mut file);
            } else if !path.is_empty() {
                continue;
            }
            count += 1;
            // The file may be named by the end of its path.
            let function = format!("fn {name}(");
            let mut files = all.iter().filter(|(path, _)| path.ends_with(&file));
            if !files.any(|(_, text)| text.contains(&function)) {
                missing.push(format!("{}: {file}::{name}", page.display()));
            }
        }
    }
    assert!(count > 100, "only {count} tests were found");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn generated_pages_are_current() {
    for (path, text) in crate::generated_pages() {
        let found = fs::read_to_string(workspace().join(path)).unwrap_or_default();
        assert!(
            found == text,
            "{path} is not what the sources say; run `cargo run -p tidy`"
        );
    }
}

#[test]
fn every_kind_of_problem_is_used() {
    let texts: Vec<String> = crates()
        .iter()
        .flat_map(|folder| sources(&folder.join("src")))
        .filter(|(path, _)| !is_test(path) && !path.ends_with("problem/catalogue.rs"))
        .map(|(_, text)| without_tests(&text).to_owned())
        .collect();
    for kind in shared::problem::catalogue::ALL {
        let name = kind.code.to_uppercase();
        let mut texts = texts.iter();
        assert!(texts.any(|text| text.contains(&name)), "{name} is not used");
    }
}

/// The method and path of each route in these source files.
fn routes(files: &[&str]) -> BTreeSet<(String, String)> {
    let mut routes = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(workspace().join(file)).unwrap();
        for rest in text.split("route(\"").skip(1) {
            let (path, rest) = rest.split_once('"').unwrap();
            // Up to the next route, or the end of the function.
            let chain = rest.split("route(").next().unwrap_or_default();
            for (call, method) in [
                (".get(", "get"),
                (".get_with_effect(", "get"),
                (".post(", "post"),
                (".delete(", "delete"),
            ] {
                if chain.contains(call) && !path.is_empty() {
                    routes.insert((path.replace(":.*", ""), method.to_owned()));
                }
            }
        }
    }
    routes
}

#[test]
fn every_route_of_the_daemons_is_described() {
    let common = ["daemon/src/reload.rs", "daemon/src/page/assets.rs"];
    for (own, description) in [
        ("queue/src/api/mod.rs", queue::openapi()),
        ("monitor/src/api/mod.rs", monitor::openapi()),
    ] {
        let paths = description["paths"].as_object().unwrap();
        let described = paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| (path.clone(), method.clone()))
        });
        let described: BTreeSet<_> = described.collect();
        let [first, second] = common;
        assert_eq!(described, routes(&[own, first, second]), "{own}");
    }
}
