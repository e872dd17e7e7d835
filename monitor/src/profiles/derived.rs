//! What the image of a profile without an `image.toml` is built from: the files that the profiles of
//! `servo/ci-runners` have.
//!
//! Responsible for these conventions. Reads folders, and changes nothing.
//!
//! | the profile's folder has | the image is built from |
//! | --- | --- |
//! | `user-data` and `meta-data` | a cloud image below `IMAGE_DEPS_DIR`, and a CD-ROM with these files |
//! | `autounattend.xml` | a blank disk, the media that drives in `guest.xml` have placeholders for, and a CD-ROM with this file |
//! | neither | nothing: its image has to be imported |

use std::path::{Path, PathBuf};

use shared::{
    settings::{BuildSettings, ConfigIso},
    units::{HOUR, Memory},
    values::ProfileKey,
};

use super::ProfileError;
use crate::hypervisor;

/// Size of the disk. Only what is written to it takes space.
const DISK_SIZE: Memory = Memory::from_bytes(90 << 30);
/// The label by which cloud-init finds its configuration.
const CLOUD_INIT_LABEL: &str = "CIDATA";
/// Maximum number of entries that are read of a folder.
const ENTRIES_MAX: usize = 1000;

/// What a profile's image is built from.
///
/// # Errors
/// If the folder describes no build, or something that it needs is missing.
pub fn build_of(
    folder: &Path,
    profile_key: &ProfileKey,
    image_deps_dir: Option<&Path>,
) -> Result<BuildSettings, ProfileError> {
    let has = |name: &str| folder.join(name).is_file();
    let files = image_deps_dir.map(files_below).unwrap_or_default();
    if has("user-data") && has("meta-data") {
        let base = cloud_image(&files, profile_key);
        let base = base.ok_or_else(|| ProfileError::NoCloudImage(profile_key.clone()))?;
        let mut names = vec!["user-data".to_owned(), "meta-data".to_owned()];
        names.extend(has("network-config").then(|| "network-config".to_owned()));
        return Ok(build(Some(base), Vec::new(), names));
    }
    if has("autounattend.xml") {
        let placeholders = hypervisor::placeholders(folder);
        let media = placeholders.iter().filter(|name| !is_config(name));
        let media = media.map(|name| {
            let found = files.iter().find(|file| file.ends_with(name)).cloned();
            found.ok_or_else(|| ProfileError::NoMedium {
                profile_key: profile_key.clone(),
                name: name.clone(),
            })
        });
        let media = media.collect::<Result<_, _>>()?;
        return Ok(build(None, media, vec!["autounattend.xml".to_owned()]));
    }
    Err(ProfileError::NoImage(profile_key.clone()))
}

fn build(base: Option<PathBuf>, cdroms: Vec<PathBuf>, files: Vec<String>) -> BuildSettings {
    let label = CLOUD_INIT_LABEL.to_owned();
    BuildSettings {
        base,
        size: DISK_SIZE,
        cdroms,
        config_iso: Some(ConfigIso { label, files }),
        build_timeout: HOUR,
    }
}

/// Whether a placeholder is for the CD-ROM that is made from the profile's own files.
fn is_config(name: &str) -> bool {
    name.ends_with("config.iso")
}

/// The one cloud image, or of several the one in the folder that is named in the profile's key, such as
/// `ubuntu2204` in `servo-ubuntu2204`.
fn cloud_image(files: &[PathBuf], profile_key: &ProfileKey) -> Option<PathBuf> {
    let is_image = |file: &&PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str());
        let extension = file.extension().and_then(|it| it.to_str());
        let is_disk = matches!(extension, Some("raw" | "img" | "qcow2"));
        is_disk && name.is_some_and(|name| name.contains("cloudimg"))
    };
    let images: Vec<_> = files.iter().filter(is_image).collect();
    let is_for_it = |file: &&&PathBuf| {
        let folder = file.parent().and_then(|folder| folder.to_str());
        folder.is_some_and(|it| !it.is_empty() && profile_key.as_str().contains(it))
    };
    match images[..] {
        [only] => Some(only.clone()),
        _ => images.iter().find(is_for_it).map(|file| (*file).clone()),
    }
}

/// The files in a folder and in its subfolders, relative to it, sorted.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in entries_of(folder) {
        match path.is_dir() {
            true => files.extend(entries_of(&path).into_iter().filter(|file| file.is_file())),
            false => files.push(path),
        }
    }
    let files = files.into_iter();
    let mut files: Vec<PathBuf> = files
        .filter_map(|file| Some(file.strip_prefix(folder).ok()?.to_owned()))
        .collect();
    files.sort();
    files
}

fn entries_of(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.take(ENTRIES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Folders(tempfile::TempDir);

    impl Folders {
        fn new(files: &[&str]) -> Self {
            let folders = Self(tempfile::tempdir().unwrap());
            for file in files {
                let path = folders.0.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "").unwrap();
            }
            folders
        }

        fn build(&self, key: &str) -> Result<BuildSettings, String> {
            let (folder, deps) = (self.0.path().join("profile"), self.0.path().join("deps"));
            let built = build_of(&folder, &key.parse().unwrap(), Some(&deps));
            built.map_err(|error| error.to_string())
        }
    }

    #[test]
    fn cloud_init_files_configure_a_cloud_image() {
        let own = ["profile/user-data", "profile/meta-data"];
        let folders = Folders::new(&[&own[..], &["deps/ubuntu2204/jammy-cloudimg.raw"]].concat());
        let build = folders.build("servo-any").unwrap();
        assert_eq!(build.base, Some("ubuntu2204/jammy-cloudimg.raw".into()));
        let iso = build.config_iso.unwrap();
        assert_eq!((iso.label.as_str(), iso.files.len()), ("CIDATA", 2));

        let two = [
            "deps/a/x-cloudimg.img",
            "deps/ubuntu2204/y-cloudimg.img",
            "deps/a/cloudimg.txt",
        ];
        let folders = Folders::new(&[&own[..], &two].concat());
        let build = folders.build("servo-ubuntu2204-wpt").unwrap();
        assert_eq!(build.base, Some("ubuntu2204/y-cloudimg.img".into()));
        for folders in [Folders::new(&own), folders] {
            let error = folders.build("servo-other").unwrap_err();
            assert!(error.contains("put one there, or import"), "{error}");
        }
    }

    #[test]
    fn an_answer_file_configures_an_installation_from_the_media_in_the_template() {
        let template = "<domain><devices>\
            <disk device='cdrom'><source file='/path/to/Win10.iso'/></disk>\
            <disk device='cdrom'><source file='/path/to/drivers.iso'/></disk>\
            <disk device='cdrom'><source file='/path/to/p.config.iso'/></disk></devices></domain>";
        let files = ["profile/autounattend.xml", "deps/windows10/Win10.iso"];
        let folders = Folders::new(&files);
        fs::write(folders.0.path().join("profile/guest.xml"), template).unwrap();
        let error = folders.build("windows").unwrap_err();
        assert!(error.contains("drivers.iso"), "{error}");
        fs::write(folders.0.path().join("deps/drivers.iso"), "").unwrap();
        let build = folders.build("windows").unwrap();
        assert_eq!(
            build.cdroms,
            [Path::new("windows10/Win10.iso"), Path::new("drivers.iso")]
        );
        assert_eq!(
            (build.base, build.config_iso.unwrap().files.len()),
            (None, 1)
        );
    }

    #[test]
    fn without_such_files_nothing_is_built() {
        let error = Folders::new(&["profile/boot-script"])
            .build("macos")
            .unwrap_err();
        assert!(error.contains("ci-runners import macos"), "{error}");
    }
}
