//! `ci-runners import`: makes an existing disk the image of a profile.
//!
//! Responsible for the folder that the monitor finds it in: `images/<profile>/<time>/` with `disk.qcow2` or
//! `disk.raw`, and `nvram.fd`. The folder gets its name when it is complete, as when the monitor has built
//! an image.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;
use shared::clock::Clock;

use crate::{args::Import, exit::Exit, failure::Failure, output::print};

/// The first bytes of a disk in the format qcow2.
const QCOW2: &[u8] = b"QFI\xfb";

/// Imports a disk.
///
/// # Errors
/// If it cannot be read or copied. Then nothing is left of it.
pub fn import(args: &Import) -> Result<Exit, Failure> {
    let profile = args.data.join("images").join(args.profile.as_str());
    let new = profile.join(format!(".import-{}", std::process::id()));
    let name = image_name();
    let imported = (|| {
        fs::create_dir_all(&new).map_err(|error| failed("create", &new, &error))?;
        fill(args, &new)?;
        hand_over(&args.data, &new)?;
        let image = profile.join(&name);
        fs::rename(&new, &image).map_err(|error| failed("create", &image, &error))?;
        Ok(image)
    })();
    match imported {
        Ok(image) => {
            let path = image.display().to_string();
            print(&match args.json {
                true => json!({"profile": args.profile, "image": path}).to_string(),
                false => path,
            })?;
            Ok(Exit::Done)
        }
        Err(failure) => {
            // The folder may be missing.
            let _ = fs::remove_dir_all(&new);
            Err(failure)
        }
    }
}

/// Such as `2026-11-23T21-12-45Z`; the monitor uses the last by name.
fn image_name() -> String {
    let now = Clock::start().now().to_system_time();
    humantime::format_rfc3339_seconds(now)
        .to_string()
        .replace(':', "-")
}

/// Puts disk and variables into a folder.
fn fill(args: &Import, folder: &Path) -> Result<(), Failure> {
    let source = args
        .disk
        .canonicalize()
        .map_err(|error| failed("read", &args.disk, &error))?;
    let is_qcow2 = is_qcow2(&source).map_err(|error| failed("read", &source, &error))?;
    if args.raw && is_qcow2 {
        return Err(Failure::Usage(format!(
            "import {}: it is not a raw disk; leave out --raw",
            source.display()
        )));
    }
    let format = if is_qcow2 { "qcow2" } else { "raw" };
    let disk = folder.join(if args.raw { "disk.raw" } else { "disk.qcow2" });
    if args.in_place {
        let options = ["create", "-q", "-f", "qcow2", "-F", format, "-b"];
        qemu_img(&options, [&source, &disk])?;
    } else if args.raw || is_qcow2 && !has_backing_file(&source)? {
        fs::copy(&source, &disk).map_err(|error| failed("copy", &source, &error))?;
    } else {
        let options = ["convert", "-q", "-f", format, "-O", "qcow2"];
        qemu_img(&options, [&source, &disk])?;
    }
    if let Some(nvram) = &args.nvram {
        let copy = folder.join("nvram.fd");
        fs::copy(nvram, copy).map_err(|error| failed("copy", nvram, &error))?;
    }
    let flushed = File::open(&disk).and_then(|disk| disk.sync_all());
    flushed.map_err(|error| failed("write", &disk, &error))
}

/// Makes the files readable for the monitor and for QEMU, and unchangeable.
fn hand_over(data: &Path, folder: &Path) -> Result<(), Failure> {
    let prepare = || {
        let owner = fs::metadata(data)?;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            fs::set_permissions(&path, Permissions::from_mode(0o444))?;
        }
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        let images = data.join("images");
        let parents = folder
            .ancestors()
            .take_while(|path| path.starts_with(&images));
        for path in parents {
            // Only root can do this, and only root has to.
            if fs::metadata(path)?.uid() != owner.uid() {
                let _ = chown(path, Some(owner.uid()), Some(owner.gid()));
            }
        }
        Ok::<_, io::Error>(())
    };
    prepare().map_err(|error| failed("prepare", folder, &error))
}

fn is_qcow2(disk: &Path) -> io::Result<bool> {
    let mut beginning = Vec::new();
    let length = QCOW2.len() as u64;
    File::open(disk)?.take(length).read_to_end(&mut beginning)?;
    Ok(beginning == QCOW2)
}

/// Whether a disk in the format qcow2 has a backing file, without which a copy would be incomplete.
fn has_backing_file(disk: &Path) -> Result<bool, Failure> {
    let mut header = [0; 16];
    let read = File::open(disk).and_then(|mut disk| disk.read_exact(&mut header));
    read.map_err(|error| failed("read", disk, &error))?;
    // The offset of its name.
    Ok(header[8..].iter().any(|byte| *byte != 0))
}

fn qemu_img(options: &[&str], files: [&Path; 2]) -> Result<(), Failure> {
    let called = Command::new("qemu-img")
        .args(options)
        .args(files)
        .stdin(Stdio::null())
        .output();
    let output = called.map_err(|error| {
        Failure::Other(format!("call qemu-img: {error}; install it (qemu-utils)"))
    })?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Failure::Other(format!(
            "copy the disk: qemu-img: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}

fn failed(action: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::Other(format!("{action} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import_into(data: &Path, disk: &Path, raw: bool) -> Result<Exit, Failure> {
        import(&Import {
            profile: "linux".parse().unwrap(),
            disk: disk.to_owned(),
            nvram: Some(disk.to_owned()),
            data: data.to_owned(),
            raw,
            in_place: false,
            json: false,
        })
    }

    fn images(data: &Path) -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(data.join("images/linux")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn a_disk_becomes_an_image_that_the_monitor_finds() {
        for (content, raw, file) in [
            (
                &b"QFI\xfb\0\0\0\x03\0\0\0\0\0\0\0\0 more"[..],
                false,
                "disk.qcow2",
            ),
            (b"raw", true, "disk.raw"),
        ] {
            let data = tempfile::tempdir().unwrap();
            let disk = data.path().join("existing");
            fs::write(&disk, content).unwrap();
            assert_eq!(import_into(data.path(), &disk, raw).unwrap(), Exit::Done);
            let [image] = &images(data.path())[..] else {
                panic!("{:?}", images(data.path()));
            };
            for (file, mode) in [(file, 0o444), ("nvram.fd", 0o444), ("", 0o755)] {
                let path = image.join(file);
                assert_eq!(
                    fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                    mode
                );
            }
            assert_eq!(fs::read(image.join(file)).unwrap(), content);
            let name = image.file_name().unwrap().to_str().unwrap();
            let (date, time) = name.split_once('T').unwrap();
            let time = format!("{date}T{}", time.replace('-', ":"));
            assert!(humantime::parse_rfc3339(&time).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_failed_import_leaves_nothing() {
        let data = tempfile::tempdir().unwrap();
        let missing = import_into(data.path(), Path::new("/no/such/disk"), true).unwrap_err();
        assert!(
            missing.to_string().starts_with("read /no/such/disk"),
            "{missing}"
        );
        let disk = data.path().join("existing");
        fs::write(&disk, b"QFI\xfb").unwrap();
        let mixed_up = import_into(data.path(), &disk, true).unwrap_err();
        assert_eq!(mixed_up.exit(), Exit::Usage);
        assert!(images(data.path()).is_empty());
    }
}
