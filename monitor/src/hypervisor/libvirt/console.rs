//! The consoles of guests that build images, while they run and after they have failed.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::Arc,
};

use shared::secret::Secret;

/// How much of a console is read, in bytes.
const SIZE_MAX: u64 = 1 << 20;

/// The console of a guest. Cheap to clone.
///
/// While the guest runs its console belongs to QEMU's user, and only root can open it; so the file that was
/// opened before the start is used. (The file at `path` may be another one by now: virtlogd rotates a console
/// that has become long.)
#[derive(Clone)]
pub struct Console {
    path: PathBuf,
    opened: Option<Arc<File>>,
    /// The secret of the guest, which a script may have printed there.
    secret: Secret,
}

impl Console {
    /// The console at `path`, which is opened if it exists already.
    pub fn open(path: PathBuf, secret: Secret) -> Self {
        let opened = File::open(&path).ok().map(Arc::new);
        Self {
            path,
            opened,
            secret,
        }
    }

    /// Its end in whole lines, without the secret of the guest.
    ///
    /// # Errors
    /// When there is no console, or it cannot be read.
    pub fn read_end(&self) -> io::Result<String> {
        let found = match (File::open(&self.path), &self.opened) {
            (Err(error), Some(opened)) if error.kind() == ErrorKind::PermissionDenied => {
                Arc::clone(opened)
            }
            (found, _) => Arc::new(found?),
        };
        let length = found.metadata()?.len();
        let start = length.saturating_sub(SIZE_MAX);
        let mut end = vec![0; usize::try_from(length - start).unwrap_or_default()];
        let mut filled = 0;
        while filled < end.len() {
            match found.read_at(&mut end[filled..], start + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        end.truncate(filled);
        let text = String::from_utf8_lossy(&end);
        // Of a line that is cut off, a part of the secret could be left.
        let text = match (start, text.split_once('\n')) {
            (1.., Some((_, rest))) => rest,
            _ => &text,
        };
        Ok(text.replace(self.secret.expose(), "[secret]"))
    }

    /// The same while the guest runs: without the line that is being written.
    ///
    /// # Errors
    /// When there is no console, or it cannot be read.
    pub fn read_whole_lines(&self) -> io::Result<String> {
        let mut text = self.read_end()?;
        text.truncate(text.rfind('\n').map_or(0, |last| last + 1));
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn console(content: &str) -> (tempfile::TempDir, Console) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.log");
        fs::write(&path, content).unwrap();
        (folder, Console::open(path, Secret::new("guest-secret")))
    }

    #[test]
    fn the_secret_of_the_guest_is_not_shown() {
        let (_folder, console) = console("one\nkey=guest-secret\ntwo");
        assert_eq!(console.read_end().unwrap(), "one\nkey=[secret]\ntwo");
    }

    #[test]
    fn a_line_that_is_being_written_is_not_shown_while_the_guest_runs() {
        let (_folder, shown) = console("one\nkey=guest-sec");
        assert_eq!(shown.read_whole_lines().unwrap(), "one\n");
        let (_folder, shown) = console("key=guest-sec");
        assert_eq!(shown.read_whole_lines().unwrap(), "");
    }

    #[test]
    fn the_end_of_a_long_console_begins_with_a_whole_line() {
        let content = format!("guest-secret{}\nlast\n", "x".repeat(SIZE_MAX as usize - 8));
        let (_folder, console) = console(&content);
        assert_eq!(console.read_end().unwrap(), "last\n");
    }

    #[test]
    fn without_a_console_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let console = Console::open(folder.path().join("none"), Secret::new("guest-secret"));
        assert_eq!(console.read_end().unwrap_err().kind(), ErrorKind::NotFound);
    }
}
