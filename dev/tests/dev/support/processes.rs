//! Who works in a folder, and where the other executables of the workspace are.

use std::path::{Path, PathBuf};

/// The processes that work in `folder`: the runners, and what they have started.
pub fn processes_in(folder: &Path) -> Vec<String> {
    let processes = Path::new("/proc").read_dir().unwrap().flatten();
    let working_here = processes.filter(|process| {
        let working_in = process.path().join("cwd").read_link();
        working_in.is_ok_and(|path| path.starts_with(folder))
    });
    working_here
        .map(|process| process.file_name().to_string_lossy().into_owned())
        .collect()
}

/// The executable of that name from another crate of the workspace, which lies beside ours.
///
/// `cargo test --workspace` has built it by now. `cargo test -p dev` has not: cargo knows no way to
/// say that a test needs another crate's executable.
pub fn executable(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_ci-runners-dev")).with_file_name(name);
    assert!(
        path.is_file(),
        "there is no {}: build the other executables first, with `cargo build`, or test \
         everything, with `cargo test --workspace`",
        path.display()
    );
    path
}
