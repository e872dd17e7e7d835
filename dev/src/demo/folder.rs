//! Where the demo keeps its files: a temporary directory that is removed at the end, or one that
//! stays.

use std::{
    fs::{DirBuilder, File},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use cli::failure::Failure;

/// The directory of all files of the demo, for its user alone.
#[derive(Debug)]
pub enum Folder {
    /// Removed when this is dropped.
    Temporary(TempDir),
    /// Asked for by name.
    Kept(PathBuf),
}

impl Folder {
    /// Makes the directory at `keep`, or a temporary one.
    ///
    /// # Errors
    /// When it cannot be made, or is there already.
    pub fn make(keep: Option<&Path>) -> Result<Self, Failure> {
        let made = match keep {
            // Absolute, because runners have other working directories.
            Some(path) => std::path::absolute(path).and_then(|path| {
                DirBuilder::new().mode(0o700).create(&path)?;
                Ok(Self::Kept(path))
            }),
            None => tempfile::Builder::new()
                .prefix("ci-runners-demo-")
                .tempdir()
                .map(Self::Temporary),
        };
        made.map_err(|error| {
            let what = keep.map_or_else(
                || "a temporary directory".to_owned(),
                |path| path.display().to_string(),
            );
            Failure::Other(format!("make {what}: {error}"))
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }

    /// A new file for the log of all daemons.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn log_file(&self) -> Result<File, Failure> {
        let path = self.path().join("demo.log");
        File::create_new(&path)
            .map_err(|error| Failure::Other(format!("write {}: {error}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_directory_goes_with_the_demo() {
        let folder = Folder::make(None).unwrap();
        let path = folder.path().to_owned();
        drop(folder.log_file().unwrap());
        assert!(path.join("demo.log").is_file());
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_that_was_asked_for_stays_and_must_be_new() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("demo");
        drop(Folder::make(Some(&path)).unwrap());
        assert!(path.is_dir());
        let error = Folder::make(Some(&path)).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("make {}: File exists (os error 17)", path.display())
        );
    }
}
