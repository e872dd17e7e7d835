//! `.ci/advisories`: what is a warning, and what fails a change.
//!
//! Runs the script in a repository of its own, with a `cargo` that only answers.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// Takes the place of `cargo`: succeeds or fails, as two files in its folder say.
const CARGO: &str = r#"#!/usr/bin/env bash
[[ $1 == deny ]] || exit 99
case " $* " in
    *' fetch '*) exit "$(< "${0%/*}/fetch")" ;;
    *' check '*) exit "$(< "${0%/*}/check")" ;;
esac
exit 99
"#;

/// Rules without exceptions.
const NO_EXCEPTIONS: &str = "[advisories]\nignore = []\n";

/// A repository with the script, and a `cargo` that finds no advisories.
struct Repository {
    folder: TempDir,
}

impl Repository {
    fn new() -> Self {
        let repository = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for folder in [".ci", "bin"] {
            fs::create_dir(repository.path(folder)).unwrap();
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/advisories");
        fs::copy(script, repository.path(".ci/advisories")).unwrap();
        repository.write("bin/cargo", CARGO);
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(repository.path("bin/cargo"), executable).unwrap();
        repository.answer(0, 0);
        repository.write(".gitignore", "bin\n");
        repository.write("deny.toml", NO_EXCEPTIONS);
        repository.write("Cargo.lock", "# one dependency\n");
        repository.git(&["init", "--quiet"]);
        repository.commit();
        repository.write("source", "1");
        repository.commit();
        repository
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    /// The exit codes of `cargo deny fetch` and `cargo deny check` from now on.
    fn answer(&self, fetch: i32, check: i32) {
        self.write("bin/fetch", &fetch.to_string());
        self.write("bin/check", &check.to_string());
    }

    fn git(&self, arguments: &[&str]) {
        let mut git = Command::new("git");
        git.current_dir(self.folder.path())
            .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
            .args(arguments);
        assert!(git.status().unwrap().success(), "git {arguments:?}");
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "x"]);
    }

    /// Runs the script; returns its exit code and everything that it prints.
    fn check(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new("bash")
            .args([
                "-c",
                r#"PATH=$PWD/bin:$PATH exec bash .ci/advisories "$@""#,
                "-",
            ])
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("GITHUB_ACTIONS")
            .output()
            .unwrap();
        let texts = [output.stdout, output.stderr].concat();
        let code = output.status.code().expect("the script exits");
        (code, String::from_utf8(texts).unwrap())
    }

    #[track_caller]
    fn expect(&self, arguments: &[&str], code: i32, text: &str) {
        let (found, output) = self.check(arguments);
        assert_eq!(found, code, "{arguments:?}: {output}");
        assert!(output.contains(text), "{arguments:?}: {output}");
    }
}

const ADVISORIES: &str = "there are advisories, listed above";
const NO_DATABASE: &str = "not checked: the database of advisories cannot be downloaded";

#[test]
fn advisories_are_warnings_for_a_change_and_failures_every_night() {
    let repository = Repository::new();
    repository.expect(&[], 0, "no advisories");
    repository.expect(&["--strict"], 0, "no advisories");
    repository.answer(0, 1);
    repository.expect(&[], 0, &format!("warning: {ADVISORIES}"));
    repository.expect(&["--strict"], 1, &format!("error: {ADVISORIES}"));
    repository.answer(1, 0);
    repository.expect(&[], 0, &format!("warning: {NO_DATABASE}"));
    repository.expect(&["--strict"], 1, &format!("error: {NO_DATABASE}"));
    repository.expect(&["--other"], 2, "usage: .ci/advisories");
}

#[test]
fn advisories_fail_a_change_of_dependencies() {
    for file in ["Cargo.lock", "deny.toml"] {
        let repository = Repository::new();
        repository.write(file, &format!("{NO_EXCEPTIONS}# changed\n"));
        repository.commit();
        repository.expect(&[], 0, "no advisories");
        repository.answer(0, 1);
        repository.expect(&[], 1, &format!("error: {ADVISORIES}"));
        // Whether the database can be downloaded does not depend on the change.
        repository.answer(1, 1);
        repository.expect(&[], 0, &format!("warning: {NO_DATABASE}"));
        // The next change does not concern them.
        repository.answer(0, 1);
        repository.write("source", "2");
        repository.commit();
        repository.expect(&[], 0, &format!("warning: {ADVISORIES}"));
    }
}

#[test]
fn an_exception_needs_a_reason() {
    let repository = Repository::new();
    for (rules, has_reasons) in [
        (
            r#"advisories.ignore = [{ id = "RUSTSEC-1", reason = "never called" }]"#,
            true,
        ),
        (
            r#"advisories.ignore = [{ id = "RUSTSEC-1", reason = " " }]"#,
            false,
        ),
        (r#"advisories.ignore = [{ id = "RUSTSEC-1" }]"#, false),
        (r#"advisories.ignore = ["RUSTSEC-1"]"#, false),
        (r#"bans.skip = ["a@1"]"#, false),
        (r#"bans.skip-tree = [{ name = "a" }]"#, false),
        (r#"bans.deny = [{ name = "a" }]"#, false),
        (r#"bans.deny = [{ name = "a", reason = "replaced" }]"#, true),
    ] {
        repository.write("deny.toml", rules);
        if has_reasons {
            repository.expect(&[], 0, "no advisories");
        } else {
            repository.expect(&[], 1, "in deny.toml has no reason");
        }
    }
}
