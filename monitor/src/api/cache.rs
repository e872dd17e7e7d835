//! Git repositories for guests, as plain files ("dumb HTTP"): `git clone <monitor>/cache/<name>/.git`.
//!
//! Guarantees that only guests get them, that they only read, and that nothing of a repository is executed on
//! their behalf: no program runs. Its configuration, which may contain credentials, its hooks and its
//! working tree are not served.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use actix_files::NamedFile;
use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data},
};
use daemon::error::{ApiError, Code};

use super::{AppState, guest_auth::AnyGuest};

/// `GET /cache/{name}/{path}`: a file of git's own, with or without `.git/` before its path.
pub async fn file(
    _: AnyGuest,
    state: Data<AppState>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let repositories = state.repositories.clone();
    let found = web::block(move || {
        let (name, path) = path.into_inner();
        let missing = || io::Error::from(ErrorKind::NotFound);
        let path = path.strip_prefix(".git/").unwrap_or(&path);
        if !is_served(path) {
            return Err(missing());
        }
        open(&repositories.git_dir(&name).ok_or_else(missing)?, path)
    });
    match found.await {
        Ok(Ok(file)) => Ok(file.into_response(&request)),
        Ok(Err(error)) => {
            log::debug!("failed to open {}: {error}", request.path());
            // Regular: git asks for files that need not exist.
            let message = "there is no such file of a repository in main_repo_path or [mirrors]";
            Err(ApiError::new(Code::NotFound, message))
        }
        Err(_) => Err(ApiError::new(
            Code::NotReady,
            "the monitor is stopping; ask again",
        )),
    }
}

fn open(git_dir: &Path, path: &str) -> io::Result<NamedFile> {
    let file = git_dir.join(path);
    // Opening a pipe would wait for its other end.
    if !file.is_file() {
        return Err(ErrorKind::NotFound.into());
    }
    NamedFile::open(file)
}

/// Whether `path` is one of the files from which a clone reads commits, relative to git's folder.
fn is_served(path: &str) -> bool {
    if matches!(path, "HEAD" | "info/refs" | "objects/info/packs") {
        return true;
    }
    let is_hex = |text: &str, lengths: &[usize]| {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        lengths.contains(&text.len()) && text.bytes().all(is_digit)
    };
    let Some(path) = path.strip_prefix("objects/") else {
        return false;
    };
    // The names are hashes: SHA-1 or SHA-256.
    match path.split_once('/') {
        Some(("pack", file)) => {
            let name = file.strip_prefix("pack-").and_then(|file| {
                let pack = file.strip_suffix(".pack");
                pack.or_else(|| file.strip_suffix(".idx"))
            });
            name.is_some_and(|name| is_hex(name, &[40, 64]))
        }
        Some((folder, file)) => is_hex(folder, &[2]) && is_hex(file, &[38, 62]),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refs_and_objects_are_served() {
        let (sha1, sha256) = ("0123456789".repeat(4), "0123abcd".repeat(8));
        for path in [
            "HEAD",
            "info/refs",
            "objects/info/packs",
            &format!("objects/pack/pack-{sha1}.pack"),
            &format!("objects/pack/pack-{sha256}.idx"),
            &format!("objects/ab/{}", &sha1[2..]),
            &format!("objects/ab/{}", &sha256[2..]),
        ] {
            assert!(is_served(path), "{path}");
        }
        for path in [
            "",
            "config",
            "hooks/post-checkout",
            "logs/HEAD",
            "refs/heads/main",
            "packed-refs",
            "index",
            "objects",
            "objects/info/alternates",
            "objects/info/../../config",
            "objects/pack/pack-../../config.pack",
            &format!("objects/pack/pack-{sha1}.keep"),
            &format!("objects/pack/pack-{sha1}/.pack"),
            &format!("objects/../{sha1}"),
            &format!("objects/AB/{}", &sha1[2..]),
            &format!("/objects/ab/{}", &sha1[2..]),
            "../HEAD",
            ".git/HEAD",
            "HEAD/",
        ] {
            assert!(!is_served(path), "{path}");
        }
    }
}
