//! File systems that a test lays over a folder of its host. They are seen in the suite's namespace
//! alone, and end with it at the latest.

use std::{fs, path::Path, process::Command};

/// Large enough for XFS, which wants 300 MB. What is not written takes no room.
const XFS_SIZE: u64 = 320 << 20;

/// Calls `mount` with these words, and the folder as the last one.
pub fn mount(words: &[&str], folder: &Path) {
    call("mount", words, folder);
}

/// Mounts a fresh XFS, which is kept in a file.
pub fn mount_xfs(file: &Path, folder: &Path) {
    fs::File::create(file).unwrap().set_len(XFS_SIZE).unwrap();
    call("mkfs.xfs", &["-q"], file);
    fs::create_dir_all(folder).unwrap();
    mount(&["-o", "loop", file.to_str().unwrap()], folder);
}

/// Takes a file system away, at once for everybody who looks for it there.
pub fn unmount(folder: &Path) {
    call("umount", &["--lazy"], folder);
}

fn call(program: &str, words: &[&str], last: &Path) {
    let done = Command::new(program).args(words).arg(last).status();
    assert!(done.unwrap().success(), "{program} {words:?}");
}
