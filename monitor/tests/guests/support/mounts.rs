//! Mounts over a folder of a host. They exist in the suite's mount namespace only, and end with it.

use std::{fs, path::Path, process::Command};

/// XFS needs at least 300 MB. The file is sparse.
const XFS_SIZE: u64 = 320 << 20;

/// Runs `mount` with these arguments and the folder.
pub fn mount(words: &[&str], folder: &Path) {
    call("mount", words, folder);
}

/// Mounts a new XFS, which is stored in a file.
pub fn mount_xfs(file: &Path, folder: &Path) {
    fs::File::create(file).unwrap().set_len(XFS_SIZE).unwrap();
    call("mkfs.xfs", &["-q"], file);
    fs::create_dir_all(folder).unwrap();
    mount(&["-o", "loop", file.to_str().unwrap()], folder);
}

/// Unmounts a file system, even if it is in use.
pub fn unmount(folder: &Path) {
    call("umount", &["--lazy"], folder);
}

fn call(program: &str, words: &[&str], last: &Path) {
    let done = Command::new(program).args(words).arg(last).status();
    assert!(done.unwrap().success(), "{program} {words:?}");
}
