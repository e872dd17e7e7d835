//! The logs that libvirt keeps of each machine under its name. Names of runners are used once, so without
//! this there would soon be a file for each runner that ever was.
//!
//! Responsible for where these files are. Failures are harmless: the monitor's account may have no access
//! to the folder.

use std::{fs, io::ErrorKind, path::PathBuf};

use crate::hypervisor::output;

/// Endings of the names of the files: of QEMU, also after a rotation, and of swtpm.
const ENDINGS: [&str; 5] = [".log", ".log.0", ".log.1", ".log.2", "-swtpm.log"];

/// The folders with the logs of a libvirt. None for one of another user or on another host.
pub fn folders(uri: &str) -> Vec<PathBuf> {
    match uri.split('?').next() {
        Some("qemu:///system") => vec![
            "/var/log/libvirt/qemu".into(),
            "/var/log/swtpm/libvirt/qemu".into(),
        ],
        _ => Vec::new(),
    }
}

/// Removes the logs of a machine. Blocks.
pub fn remove(folders: &[PathBuf], name: &str) {
    for file in files(folders, name) {
        if let Err(error) = fs::remove_file(&file)
            && error.kind() != ErrorKind::NotFound
        {
            log::debug!("failed to remove {}: {error}", file.display());
        }
    }
}

/// The end of QEMU's log of a machine. Blocks.
pub fn end_of(folders: &[PathBuf], name: &str) -> Option<Vec<u8>> {
    let log = folders.first()?.join(format!("{name}.log"));
    output::end_of(&log).ok()
}

fn files(folders: &[PathBuf], name: &str) -> impl Iterator<Item = PathBuf> {
    let of_folder = move |folder: &PathBuf| {
        let files = ENDINGS.map(|ending| folder.join(format!("{name}{ending}")));
        files.into_iter()
    };
    folders.iter().flat_map(of_folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_logs_of_a_machine_and_no_others_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned(), "/no/such/folder".into()];
        let own = ["a.1.log", "a.1.log.0", "a.1-swtpm.log"];
        for name in own.iter().chain(&["a.11.log", "a.1.logs"]) {
            fs::write(folder.path().join(name), "end").unwrap();
        }
        assert_eq!(end_of(&folders, "a.1").as_deref(), Some(&b"end"[..]));
        remove(&folders, "a.1");
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 2);
        assert_eq!(end_of(&folders, "a.1"), None);
    }

    #[test]
    fn only_a_libvirt_on_this_host_has_logs_here() {
        assert_eq!(folders("qemu:///system").len(), 2);
        assert!(folders("qemu+ssh://host/system").is_empty());
    }
}
