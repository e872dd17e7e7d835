//! Files that contain a key: who owns them, and who else can read or change them.
//!
//! Responsible for the rule and for the command that mends a file. Reads no content. Access control lists
//! count as far as the mode shows them: it contains what they allow at most.

use std::{
    fs::Metadata,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::process::geteuid;

/// The bits of a mode that let the group read and write.
const GROUP: u32 = 0o060;
/// The bit of a mode that lets the group read.
const GROUP_READ: u32 = 0o040;
/// The bits of a mode that let all other users read and write.
const OTHERS: u32 = 0o006;
/// The user id of root, who can read and change every file.
const ROOT: u32 = 0;

/// Why a file with a key is refused. The text is a fragment that follows "failed to".
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "use the key in {path}: {problem}; run `{}chmod 600 {path}`, and replace the key if others may have \
     read it",
    problem.chown(path),
    path = path.display()
)]
pub struct ExposedKey {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("it belongs to another user (its owner has the id {owner}, this process {user})")]
    Owner { owner: u32, user: u32 },
    #[error("other users of this host can read or change it (its mode is {mode:04o})")]
    Mode { mode: u32 },
}

impl Problem {
    /// The part of the remedy that gives the file to the user of this process.
    fn chown(&self, path: &Path) -> String {
        match self {
            Self::Owner { user, .. } => format!("chown {user} {} && ", path.display()),
            Self::Mode { .. } => String::new(),
        }
    }
}

/// Checks that only the user of this process, and root, can read and change the file at `path`, which
/// `metadata` describes. A file of root may be readable by a group: that is how a daemon that runs as
/// another user can read it.
///
/// # Errors
/// When another user owns the file, or may read or change it.
pub fn check(path: &Path, metadata: &Metadata) -> Result<(), ExposedKey> {
    let (owner, mode) = (metadata.uid(), metadata.permissions().mode());
    check_mode(owner, mode, geteuid().as_raw()).map_err(|problem| ExposedKey {
        path: path.to_owned(),
        problem,
    })
}

fn check_mode(owner: u32, mode: u32, user: u32) -> Result<(), Problem> {
    if owner != user && owner != ROOT {
        return Err(Problem::Owner { owner, user });
    }
    let is_of_root = owner == ROOT && user != ROOT;
    let of_group = if is_of_root {
        GROUP & !GROUP_READ
    } else {
        GROUP
    };
    if mode & (of_group | OTHERS) != 0 {
        return Err(Problem::Mode {
            mode: mode & 0o7777,
        });
    }
    Ok(())
}

/// A warning about a file with secrets that every user of this host can read or change. Unlike a key, such
/// a file is used all the same: it may be shared by a group on purpose, and those of servo/ci-runners
/// are often created without a thought of their mode.
pub(crate) fn warning(path: &Path) -> Option<String> {
    let mode = path.metadata().ok()?.permissions().mode();
    (mode & OTHERS != 0).then(|| {
        let path = path.display();
        format!(
            "every user of this host can read or change {path}, which contains secrets (mode {:04o}); \
             run `chmod o-rwx {path}`",
            mode & 0o7777
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_used_only_if_no_other_user_can_read_or_change_it() {
        let mode = |mode| Err(Problem::Mode { mode });
        let owner = |owner, user| Err(Problem::Owner { owner, user });
        for (file_owner, file_mode, user, expected) in [
            (7, 0o600, 7, Ok(())),
            (7, 0o100_400, 7, Ok(())),
            // Whether it can be executed does not matter.
            (7, 0o711, 7, Ok(())),
            (7, 0o640, 7, mode(0o640)),
            (7, 0o620, 7, mode(0o620)),
            (7, 0o604, 7, mode(0o604)),
            (7, 0o602, 7, mode(0o602)),
            (7, 0o100_644, 7, mode(0o644)),
            (0, 0o600, 0, Ok(())),
            (0, 0o640, 0, mode(0o640)),
            // A file of root, for a daemon that runs as another user.
            (0, 0o640, 7, Ok(())),
            (0, 0o440, 7, Ok(())),
            (0, 0o660, 7, mode(0o660)),
            (0, 0o644, 7, mode(0o644)),
            (8, 0o600, 7, owner(8, 7)),
            (8, 0o600, 0, owner(8, 0)),
        ] {
            let checked = check_mode(file_owner, file_mode, user);
            assert_eq!(checked, expected, "{file_owner} {file_mode:o} {user}");
        }
    }

    #[test]
    fn a_refusal_names_the_command_that_mends_the_file() {
        let text = |problem| {
            let path = "/data/key".into();
            ExposedKey { path, problem }.to_string()
        };
        assert_eq!(
            text(Problem::Mode { mode: 0o644 }),
            "use the key in /data/key: other users of this host can read or change it (its mode is \
             0644); run `chmod 600 /data/key`, and replace the key if others may have read it"
        );
        assert_eq!(
            text(Problem::Owner { owner: 8, user: 7 }),
            "use the key in /data/key: it belongs to another user (its owner has the id 8, this process \
             7); run `chown 7 /data/key && chmod 600 /data/key`, and replace the key if others may have \
             read it"
        );
    }

    #[test]
    fn a_file_with_secrets_that_every_user_can_read_is_warned_about() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        assert_eq!(warning(&file), None, "it need not exist");
        for (mode, is_exposed) in [(0o600, false), (0o640, false), (0o644, true), (0o602, true)] {
            std::fs::write(&file, "").unwrap();
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&file, permissions).unwrap();
            let warning = warning(&file);
            assert_eq!(warning.is_some(), is_exposed, "{mode:o}");
            let remedy = format!("run `chmod o-rwx {}`", file.display());
            assert!(warning.is_none_or(|warning| warning.ends_with(&remedy)));
        }
    }
}
