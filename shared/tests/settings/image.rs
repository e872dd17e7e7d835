//! The settings in the folder of a profile.

use std::{fs, path::PathBuf, time::Duration};

use shared::settings::{
    BuildSettings, ConfigIso, DiskFormat, GuestAuthMethod, ImageSettings, SettingsError,
};

/// Loads an `image.toml` of this text.
fn load(text: &str) -> Result<ImageSettings, SettingsError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("image.toml"), text).unwrap();
    ImageSettings::load(folder.path())
}

/// The smallest build of an image.
fn blank() -> BuildSettings {
    BuildSettings {
        base: None,
        size: "20G".parse().unwrap(),
        cdroms: Vec::new(),
        config_iso: None,
        build_timeout: Duration::from_secs(3600),
    }
}

#[test]
fn without_the_file_the_monitor_does_not_build_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let expected = ImageSettings {
        proof: GuestAuthMethod::FwCfg,
        disks: DiskFormat::Qcow2,
        build: None,
    };
    assert_eq!(ImageSettings::load(folder.path()).unwrap(), expected);
    let none = folder.path().join("none");
    assert_eq!(ImageSettings::load(&none).unwrap(), expected);
    assert_eq!(load("").unwrap(), expected);
}

#[test]
fn the_image_selects_the_guest_authentication() {
    for (name, proof) in [
        ("fw_cfg", GuestAuthMethod::FwCfg),
        ("smbios", GuestAuthMethod::Smbios),
        ("address", GuestAuthMethod::Address),
    ] {
        let image = load(&format!("proof = {name:?}")).unwrap();
        assert_eq!((image.proof, image.build), (proof, None));
    }
}

#[test]
fn an_image_is_built_from_what_its_file_says() {
    assert_eq!(
        load("[build]\nsize = \"20G\"").unwrap(),
        ImageSettings {
            proof: GuestAuthMethod::FwCfg,
            disks: DiskFormat::Qcow2,
            build: Some(blank()),
        }
    );
    let text = r#"
proof = "smbios"
disks = "raw"
[build]
base = "debian/12.qcow2"
size = "64G"
build_timeout = "2h"
cdroms = ["a.iso", "b/c.iso"]
config_iso = { label = "CIDATA", files = ["user-data", "meta-data"] }
"#;
    let config_iso = ConfigIso {
        label: "CIDATA".to_owned(),
        files: ["user-data", "meta-data"].map(str::to_owned).to_vec(),
    };
    let build = BuildSettings {
        base: Some("debian/12.qcow2".into()),
        size: "64G".parse().unwrap(),
        cdroms: ["a.iso", "b/c.iso"].map(PathBuf::from).to_vec(),
        config_iso: Some(config_iso),
        build_timeout: Duration::from_secs(7200),
    };
    let expected = ImageSettings {
        proof: GuestAuthMethod::Smbios,
        disks: DiskFormat::Raw,
        build: Some(build),
    };
    assert_eq!(load(text).unwrap(), expected);
}

#[test]
fn disks_are_called_as_in_the_file() {
    for format in [DiskFormat::Qcow2, DiskFormat::Raw] {
        let image = load(&format!("disks = \"{}\"", format.as_str())).unwrap();
        assert_eq!(image.disks, format);
    }
}

#[test]
fn a_build_needs_a_drive_for_each_cdrom_and_a_folder_only_for_files() {
    let with = |more: &str| {
        let image = load(&format!("[build]\nsize = \"20G\"\n{more}")).unwrap();
        let build = image.build.unwrap();
        (build.cdrom_count(), build.needs_image_deps())
    };
    let config_iso = "config_iso = { label = \"a\", files = [\"b\"] }";
    assert_eq!(with(""), (0, false));
    assert_eq!(with("base = \"a\""), (0, true));
    assert_eq!(with(config_iso), (1, false));
    let all = format!("cdroms = [\"a\", \"b\"]\n{config_iso}");
    assert_eq!(with(&all), (3, true));
}

#[test]
fn an_invalid_file_is_explained_in_one_sentence() {
    let names = "1 to 64 characters of A-Z a-z 0-9 . _ -, the first one a letter or digit";
    let files = format!("a list of 1 to 32 entries, each {names}, none of them twice");
    let size =
        "at most 64T of memory, as a whole number and one of B, K, M, G, T, P, such as \"16G\"";
    for (text, sentence) in [
        (
            "proof = \"hope\"",
            "proof: found string \"hope\", allowed: \"fw_cfg\" or \"smbios\" or \"address\"".to_owned(),
        ),
        (
            "disks = \"vmdk\"",
            "disks: found string \"vmdk\", allowed: \"qcow2\" or \"raw\"".to_owned(),
        ),
        (
            "colour = \"red\"",
            "colour: there is no such setting, allowed there: build, disks, proof".to_owned(),
        ),
        (
            "build = \"20G\"",
            "build: found a string, allowed: a table".to_owned(),
        ),
        (
            "[build]\nbase = \"disk.img\"",
            format!("build.size: missing, allowed: {size}; explained in docs/src/virtual-machines.md"),
        ),
        (
            "[build]\nsize = \"65T\"",
            format!("build.size: found string \"65T\", allowed: {size}"),
        ),
        (
            "[build]\nsize = \"1G\"\nbase = \"../disk.img\"",
            "build.base: found string \"../disk.img\", allowed: the path of a file below IMAGE_DEPS_DIR".to_owned(),
        ),
        (
            "[build]\nsize = \"1G\"\ncdroms = [\"/a.iso\"]",
            "build.cdroms: found string \"/a.iso\" as entry 1, allowed: a list of 0 to 8 entries, each the path of a file below IMAGE_DEPS_DIR".to_owned(),
        ),
        (
            "[build]\nsize = \"1G\"\nbuild_timeout = \"2days\"",
            "build.build_timeout: found string \"2days\", allowed: a duration from 1s to 1day, in whole seconds or as text such as \"90s\", \"15m\", \"1h 30m\"".to_owned(),
        ),
        (
            "[build]\nsize = \"1G\"\nconfig_iso = { label = \"A\", files = [\"../user-data\"] }",
            format!("build.config_iso.files: found string \"../user-data\" as entry 1, allowed: {files}"),
        ),
        (
            "[build]\nsize = \"1G\"\nconfig_iso = { files = [\"a\"] }",
            format!("build.config_iso.label: missing, allowed: {}; explained in docs/src/virtual-machines.md", names.replace("64", "32")),
        ),
        (
            "[build]\nsize = \"1G\"\nconfig_iso = { label = \"A\", files = [\"a\"], at = 1 }",
            "build.config_iso.at: there is no such setting, allowed there: files, label".to_owned(),
        ),
        (
            "[build]\nsize = \"1G\"\ncolour = \"red\"",
            "build.colour: there is no such setting, allowed there: base, build_timeout, cdroms, config_iso, size".to_owned(),
        ),
        (
            "proof = \"address\"\n[build]\nsize = \"1G\"",
            "build: found a table, allowed: nothing, where proof = \"address\"".to_owned(),
        ),
        (
            "[build",
            "line 1, column 7: not TOML: invalid table header, expected `.`, `]`".to_owned(),
        ),
    ] {
        let error = load(text).unwrap_err().to_string();
        let (_, found) = error.split_once("/image.toml: ").unwrap();
        assert_eq!(found, sentence, "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_does_not_count_as_missing() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("image.toml")).unwrap();
    let error = ImageSettings::load(folder.path()).unwrap_err().to_string();
    assert!(
        error.ends_with("cannot be read: Is a directory (os error 21)"),
        "{error}"
    );
}
