//! The API token: from the environment, or from the file that the configuration names.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

use shared::secret::Secret;

use crate::failure::Failure;

/// The longest token, in bytes.
const LENGTH_MAX: u64 = 4096;
/// The permissions that a file with a token must not give.
const FOR_OTHERS: u32 = 0o007;

/// Reads the token in the file at `path`; blanks and line breaks around it do not belong to it.
///
/// # Errors
/// When the file cannot be read, every account may read it, or its content cannot be a token.
pub(super) fn read(path: &Path) -> Result<Secret, Failure> {
    let failed = |cause: String| {
        let path = path.display();
        Failure::Usage(format!("read the API token from {path}: {cause}"))
    };
    let open = || {
        let file = File::open(path)?;
        let mode = file.metadata()?.mode();
        let mut text = String::new();
        file.take(LENGTH_MAX + 1).read_to_string(&mut text)?;
        Ok::<_, io::Error>((mode, text))
    };
    let (mode, text) = open().map_err(|error| failed(error.to_string()))?;
    if mode & FOR_OTHERS != 0 {
        let path = path.display();
        return Err(failed(format!(
            "every account of this host may read or change it; run `chmod o= {path}`"
        )));
    }
    let token = text.trim();
    let is_token =
        !token.is_empty() && token.len() as u64 <= LENGTH_MAX && !token.contains(char::is_control);
    match is_token {
        true => Ok(Secret::new(token)),
        false => Err(failed(format!(
            "it has to contain one line of at most {LENGTH_MAX} bytes, the token"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn token(content: &str, mode: u32) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let token = read(&path).map_err(|error| error.to_string())?;
        Ok(token.expose().to_owned())
    }

    #[test]
    fn a_token_is_the_only_line_of_its_file() {
        assert_eq!(token("swordfish\n", 0o600).unwrap(), "swordfish");
        assert_eq!(token("swordfish", 0o640).unwrap(), "swordfish");
        for content in ["", "\n", "a\nb", &"a".repeat(5000)] {
            let error = token(content, 0o600).unwrap_err();
            assert!(error.contains("one line"), "{error}");
        }
    }

    #[test]
    fn a_token_that_every_account_may_read_is_refused() {
        let error = token("swordfish", 0o644).unwrap_err();
        assert!(error.contains("chmod o= ") && !error.contains("swordfish"));
    }
}
