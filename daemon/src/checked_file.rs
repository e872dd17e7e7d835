//! Small files of text that a daemon keeps: after a crash the old or the new one is there, and a damaged one is
//! recognised.
//!
//! ```text
//! <header: what it is, and the version of its form>
//! sha256=<of all following lines>
//! <body>
//! ```
//!
//! Not responsible for what a daemon does without the file. The monitor's state has a form of its own, which
//! earlier releases can read.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use shared::sha256::Sha256;

/// One such file.
#[derive(Clone, Debug)]
pub struct CheckedFile {
    path: PathBuf,
    header: &'static str,
    /// The longest file that is read, in bytes.
    length_max: u64,
}

/// Why a text is not the content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is damaged: {0}")]
pub struct Damaged(pub &'static str);

impl From<Damaged> for io::Error {
    fn from(damaged: Damaged) -> Self {
        Self::new(io::ErrorKind::InvalidData, damaged)
    }
}

impl CheckedFile {
    /// The file at `path` with this header, which is read if it is not longer than `length_max` bytes.
    pub fn new(path: PathBuf, header: &'static str, length_max: u64) -> Self {
        Self {
            path,
            header,
            length_max,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its whole text; `None` if there is no file.
    ///
    /// # Errors
    /// When it cannot be read, or is too long.
    pub fn read(&self) -> io::Result<Option<String>> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut text = String::new();
        file.take(self.length_max + 1).read_to_string(&mut text)?;
        if text.len() as u64 > self.length_max {
            let message = format!("it is longer than {} bytes", self.length_max);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(Some(text))
    }

    /// The body of its text.
    ///
    /// # Errors
    /// When the text is not one that [`replace`](Self::replace) wrote.
    pub fn body<'a>(&self, text: &'a str) -> Result<&'a str, Damaged> {
        body(self.header, text)
    }

    /// Replaces it by one with this body. When this returns, it is on disk.
    ///
    /// # Errors
    /// When the disk fails. The earlier file is left as it was.
    pub fn replace(&self, body: &str) -> io::Result<()> {
        let draft = self.path.with_extension("new");
        let write = || {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder)?;
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&draft)?;
            file.write_all(text(self.header, body).as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, &self.path)?;
            File::open(folder)?.sync_all()
        };
        // If the disk is full, this frees some of it.
        write().inspect_err(|_| drop(fs::remove_file(&draft)))
    }
}

/// The body of the text of a file with this header.
///
/// # Errors
/// When it has another header, or not its checksum.
pub fn body<'a>(header: &str, text: &'a str) -> Result<&'a str, Damaged> {
    let (found, rest) = text.split_once('\n').ok_or(Damaged("it has no header"))?;
    if found != header {
        return Err(Damaged("it has another header"));
    }
    let (checksum, body) = rest.split_once('\n').ok_or(Damaged("it has no checksum"))?;
    let checksum = checksum.strip_prefix("sha256=");
    let checksum: Option<Sha256> = checksum.and_then(|checksum| checksum.parse().ok());
    if checksum != Some(Sha256::of(body.as_bytes())) {
        return Err(Damaged("its checksum is wrong"));
    }
    Ok(body)
}

/// The text of a file with this header and body.
pub fn text(header: &str, body: &str) -> String {
    format!("{header}\nsha256={}\n{body}", Sha256::of(body.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const HEADER: &str = "ci-runners test 1";

    fn in_folder(folder: &tempfile::TempDir) -> CheckedFile {
        CheckedFile::new(folder.path().join("data").join("test"), HEADER, 200)
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = in_folder(&folder);
        assert_eq!(file.read().unwrap(), None);
        for body in ["", "one\ntwo\n"] {
            file.replace(body).unwrap();
            let text = file.read().unwrap().unwrap();
            assert_eq!(file.body(&text), Ok(body));
        }
        let mode = fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!file.path().with_extension("new").exists());
    }

    #[test]
    fn any_change_is_noticed() {
        let text = text(HEADER, "one\ntwo\n");
        for index in 0..text.len() {
            assert!(body(HEADER, &text[..index]).is_err(), "cut off at {index}");
            let mut changed = text.clone().into_bytes();
            changed[index] ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert!(body(HEADER, &changed).is_err(), "bit flipped at {index}");
        }
        assert!(body(HEADER, &(text + " ")).is_err());
    }

    #[test]
    fn a_file_that_is_too_long_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = in_folder(&folder);
        file.replace(&"x".repeat(200)).unwrap();
        let error = file.read().unwrap_err();
        assert_eq!(error.to_string(), "it is longer than 200 bytes");
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = in_folder(&folder);
        file.replace("one\n").unwrap();
        fs::create_dir(file.path().with_extension("new")).unwrap();
        assert!(file.replace("two\n").is_err());
        assert_eq!(file.read().unwrap(), Some(text(HEADER, "one\n")));
    }
}
