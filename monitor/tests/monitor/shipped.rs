//! The profiles that are shipped, as their READMEs say to use them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const SETTINGS: &str = r#"
    listen_on = ["127.0.0.1"]
    external_base_url = "http://127.0.0.1:8000/"
    github_api_scope = "/orgs/acme"
    github_api_suffix = "host"
    allowed_qualified_repo_prefix = "acme/"
    available_normal_memory = "64G"
"#;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The settings that a README shows.
fn shown_settings(folder: &Path) -> String {
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let mut blocks = readme.split("```toml\n").skip(1);
    let block = blocks.next().and_then(|rest| rest.split("```").next());
    let block = block.unwrap_or_else(|| panic!("{} shows settings", folder.display()));
    block
        .lines()
        .map(|line| line.trim().to_owned() + "\n")
        .collect()
}

#[test]
fn every_shipped_profile_can_be_used_as_its_readme_says() {
    let mut names = Vec::new();
    for entry in fs::read_dir(repository().join("profiles")).unwrap() {
        let folder = entry.unwrap().path();
        names.push(folder.file_name().unwrap().to_str().unwrap().to_owned());
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("monitor.toml");
        let settings = format!("{SETTINGS}{}", shown_settings(&folder));
        fs::write(&file, settings).unwrap();
        let checked = Command::new(env!("CARGO_BIN_EXE_monitor"))
            .arg("--config")
            .arg(&file)
            .arg("--check")
            .env("GITHUB_TOKEN", "token")
            .env("SERVO_CI_MONITOR_API_TOKEN", "token-of-the-tests")
            .env("LIB_MONITOR_DIR", repository())
            .env("IMAGE_DEPS_DIR", scratch.path())
            .env("SERVO_CI_MONITOR_DATA_PATH", scratch.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{names:?}: {said}");
        // What each is made of is there, also where it is a link.
        for file in ["guest.xml", "boot-script"] {
            assert!(folder.join(file).is_file(), "{names:?} has no {file}");
        }
    }
    names.sort();
    assert_eq!(names, ["debian12", "macos", "ubuntu2204", "windows10"]);
}

/// A README that says nothing of what was tried would promise everything.
#[test]
fn every_shipped_profile_says_what_was_tested_and_what_not() {
    for name in ["debian12", "macos", "ubuntu2204", "windows10"] {
        let readme = repository().join("profiles").join(name).join("README.md");
        let readme = fs::read_to_string(readme).unwrap();
        for heading in ["**Tested:**", "**Not tested:**"] {
            assert!(readme.contains(heading), "{name}: {heading}");
        }
    }
}
