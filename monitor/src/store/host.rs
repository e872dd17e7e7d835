//! Which machine a data directory belongs to.
//!
//! A copy of the directory on another machine describes runners that work on the first one. A monitor that
//! used it would find none of their guests, and delete their registrations.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use shared::sha256::Sha256;

use super::error::StoreError;

/// The file of the system that is different on each machine:
/// <https://www.freedesktop.org/software/systemd/man/latest/machine-id.html>.
const MACHINE_ID_PATH: &str = "/etc/machine-id";
/// Hashed with the machine's id, which should not be visible outside the system.
const PURPOSE: &[u8] = b"ci-runners data directory";

/// A value that identifies this machine; `None` if the system has none, as in many containers.
pub fn host_id() -> Option<String> {
    read_host_id(Path::new(MACHINE_ID_PATH))
}

fn read_host_id(machine_id_path: &Path) -> Option<String> {
    let machine_id = fs::read_to_string(machine_id_path).ok()?;
    let machine_id = machine_id.trim();
    // While the system is installed or an image of it is built, it is empty or "uninitialized".
    let is_set = machine_id.len() == 32 && machine_id.bytes().all(|it| it.is_ascii_hexdigit());
    is_set.then(|| {
        let hash = Sha256::of(&[PURPOSE, machine_id.as_bytes()].concat()).to_string();
        hash[..32].to_owned()
    })
}

/// Checks that the data directory is this machine's, and marks one that is new as such.
///
/// # Errors
/// [`StoreError::OtherHost`] if another machine has used it; otherwise that the disk failed.
pub fn claim(data_path: &Path, host_id: Option<&str>) -> Result<(), StoreError> {
    let Some(host_id) = host_id else {
        return Ok(());
    };
    let path: PathBuf = data_path.join("monitor.host");
    match fs::read_to_string(&path) {
        Ok(owner) if owner.trim() == host_id => Ok(()),
        // After a crash during the first start it can be empty.
        Ok(owner) if !owner.trim().is_empty() => Err(StoreError::OtherHost { path }),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("read", &path, error))
        }
        Ok(_) | Err(_) => fs::write(&path, format!("{host_id}\n"))
            .map_err(|source| StoreError::io("write", &path, source)),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    #[test]
    fn the_directory_of_another_machine_is_refused_until_the_operator_says_that_it_has_moved() {
        let data = tempdir().unwrap();
        for _ in 0..2 {
            claim(data.path(), Some("first")).unwrap();
        }
        let refusal = claim(data.path(), Some("second")).unwrap_err();
        let path = data.path().join("monitor.host");
        assert_eq!(
            refusal.to_string(),
            format!(
                "use the data directory: {} shows that it was copied from another machine, whose runners \
                 must not be touched from here; start with an empty data directory, or, if this machine \
                 has replaced that one, delete this file and start again",
                path.display()
            )
        );
        assert!(!refusal.is_transient());
        claim(data.path(), Some("first")).unwrap();
        fs::remove_file(path).unwrap();
        claim(data.path(), Some("second")).unwrap();
        claim(data.path(), Some("first")).unwrap_err();
    }

    #[test]
    fn a_machine_without_an_id_uses_any_directory_and_leaves_no_mark() {
        let data = tempdir().unwrap();
        claim(data.path(), None).unwrap();
        assert!(!data.path().join("monitor.host").exists());
        claim(data.path(), Some("first")).unwrap();
        claim(data.path(), None).unwrap();
    }

    #[test]
    fn an_empty_mark_is_written_again() {
        let data = tempdir().unwrap();
        fs::write(data.path().join("monitor.host"), "").unwrap();
        claim(data.path(), Some("first")).unwrap();
        claim(data.path(), Some("second")).unwrap_err();
    }

    #[test]
    fn the_id_of_a_machine_is_hashed_and_must_be_complete() {
        let data = tempdir().unwrap();
        let path = data.path().join("machine-id");
        let read = |content: &str| {
            fs::write(&path, content).unwrap();
            read_host_id(&path)
        };
        let id = read("0123456789abcdef0123456789abcdef\n").unwrap();
        assert_eq!(id.len(), 32);
        assert!(!id.contains("0123456789abcdef"));
        assert_ne!(Some(id), read("1123456789abcdef0123456789abcdef\n"));
        for content in ["", "uninitialized\n", "0123\n"] {
            assert_eq!(read(content), None, "{content:?}");
        }
        assert_eq!(read_host_id(&data.path().join("missing")), None);
    }
}
