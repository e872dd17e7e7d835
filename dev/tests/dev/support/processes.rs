//! The processes that run in a directory, and the paths of the workspace's other executables.

use std::path::{Path, PathBuf};

/// The ids of the processes whose working directory is below `folder`: runners and their children.
pub fn processes_in(folder: &Path) -> Vec<String> {
    let processes = Path::new("/proc").read_dir().unwrap().flatten();
    let in_folder = processes.filter(|process| {
        let directory = process.path().join("cwd").read_link();
        directory.is_ok_and(|path| path.starts_with(folder))
    });
    in_folder
        .map(|process| process.file_name().to_string_lossy().into_owned())
        .collect()
}

/// The path of an executable of another crate of the workspace, in the same directory as ours.
///
/// `cargo test --workspace` builds it. `cargo test -p dev` does not, because a test cannot depend on
/// an executable of another crate.
pub fn executable(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_ci-runners-dev")).with_file_name(name);
    assert!(
        path.is_file(),
        "{} does not exist: run `cargo build` before `cargo test -p dev`, or run `cargo test \
         --workspace`",
        path.display()
    );
    path
}
