//! The directory with the files of the demo: temporary and removed at the end, or kept.

use std::{
    fs::{DirBuilder, File},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use cli::failure::Failure;

/// The directory with all files of the demo. Only its user has access.
#[derive(Debug)]
pub enum DataDir {
    /// Removed when this is dropped.
    Temporary(TempDir),
    /// Named on the command line; not removed.
    Kept(PathBuf),
}

impl DataDir {
    /// Creates the directory `keep`, or a temporary one.
    ///
    /// # Errors
    /// When it cannot be created, or exists already.
    pub fn create(keep: Option<&Path>) -> Result<Self, Failure> {
        let created = match keep {
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
        created.map_err(|error| {
            let what = keep.map_or_else(
                || "a temporary directory".to_owned(),
                |path| path.display().to_string(),
            );
            Failure::Other(format!("create {what}: {error}"))
        })
    }

    pub fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(path) => path,
        }
    }

    /// Creates the file for the log of all daemons.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create_log_file(&self) -> Result<File, Failure> {
        let path = self.path().join("demo.log");
        File::create_new(&path)
            .map_err(|error| Failure::Other(format!("write {}: {error}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_directory_is_removed_at_the_end() {
        let data_dir = DataDir::create(None).unwrap();
        let path = data_dir.path().to_owned();
        drop(data_dir.create_log_file().unwrap());
        assert!(path.join("demo.log").is_file());
        drop(data_dir);
        assert!(!path.exists());
    }

    #[test]
    fn a_named_directory_is_kept_and_must_not_exist_before() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("demo");
        drop(DataDir::create(Some(&path)).unwrap());
        assert!(path.is_dir());
        let error = DataDir::create(Some(&path)).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("create {}: File exists (os error 17)", path.display())
        );
    }
}
