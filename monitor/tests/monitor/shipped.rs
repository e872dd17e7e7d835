//! Tests of the shipped profiles with the settings in their READMEs.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
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

/// The first settings in a README.
fn readme_settings(folder: &Path) -> String {
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
fn every_shipped_profile_is_valid_with_the_settings_in_its_readme() {
    let mut names = Vec::new();
    for entry in fs::read_dir(repository().join("profiles")).unwrap() {
        let folder = entry.unwrap().path();
        names.push(folder.file_name().unwrap().to_str().unwrap().to_owned());
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("monitor.toml");
        let settings = format!("{SETTINGS}{}", readme_settings(&folder));
        fs::write(&file, settings).unwrap();
        // This machine need not have what virtual machines need.
        for program in ["virsh", "qemu-img", "setpriv", "genisoimage", "git"] {
            let program = scratch.path().join(program);
            fs::write(&program, "").unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let checked = Command::new(env!("CARGO_BIN_EXE_monitor"))
            .env("PATH", scratch.path())
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
        let output = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{names:?}: {output}");
        // Also if they are symbolic links.
        for file in ["guest.xml", "boot-script"] {
            assert!(folder.join(file).is_file(), "{names:?} has no {file}");
        }
    }
    names.sort();
    assert_eq!(names, ["debian12", "macos", "ubuntu2204", "windows10"]);
}

/// Users must be able to tell what was tested.
#[test]
fn every_readme_of_a_shipped_profile_lists_what_was_tested_and_what_was_not() {
    for name in ["debian12", "macos", "ubuntu2204", "windows10"] {
        let readme = repository().join("profiles").join(name).join("README.md");
        let readme = fs::read_to_string(readme).unwrap();
        for heading in ["**Tested:**", "**Not tested:**"] {
            assert!(readme.contains(heading), "{name}: {heading}");
        }
    }
}
