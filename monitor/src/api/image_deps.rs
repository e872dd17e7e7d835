//! Files for guests, such as installation media, from the folder `IMAGE_DEPS_DIR`.
//!
//! Guarantees that only guests get them. A symbolic link in the folder, or in a folder inside it, is followed
//! wherever it leads: the operator has put it there, as in a link farm of Nix. No other file outside the folder
//! is read: not by `..` in a path, and not by a symbolic link behind one that has been followed.

use std::{
    io::{self, ErrorKind},
    path::{Component, Path, PathBuf},
};

use actix_files::NamedFile;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{ContentDisposition, DispositionType},
    web::{self, Data},
};
use daemon::error::{ApiError, Code};

use super::{AppState, guest_auth::AnyGuest};

/// `GET /image-deps/{path}`: a file, or the requested range of it.
pub async fn file(
    _: AnyGuest,
    state: Data<AppState>,
    path: web::Path<PathBuf>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let root = state.image_deps_dir.clone();
    let found = web::block(move || find(root.as_deref(), &path)).await;
    match found {
        Ok(Ok(file)) => Ok(file.into_response(&request)),
        Ok(Err(error)) => {
            log::debug!("failed to open {}: {error}", request.path());
            Err(ApiError::new(
                Code::NotFound,
                "there is no such file below IMAGE_DEPS_DIR",
            ))
        }
        Err(_) => Err(ApiError::new(
            Code::NotReady,
            "the monitor is stopping; ask again",
        )),
    }
}

/// Opens a file in `root`, or one that a symbolic link in `root` leads to.
fn find(root: Option<&Path>, path: &Path) -> io::Result<NamedFile> {
    let missing = || io::Error::from(ErrorKind::NotFound);
    let root = root.ok_or_else(missing)?.canonicalize()?;
    let mut found = root.clone();
    let mut is_inside = true;
    for component in path.components() {
        let Component::Normal(name) = component else {
            return Err(missing());
        };
        found.push(name);
        if found.symlink_metadata()?.is_symlink() {
            if !is_inside {
                return Err(missing());
            }
            found = found.canonicalize()?;
            is_inside = found.starts_with(&root);
        }
    }
    // Nothing else may be opened: opening a pipe waits for its other end.
    if !found.is_file() {
        return Err(missing());
    }
    let file = NamedFile::open(found)?;
    // As a download without a name: the guest chooses the file name.
    Ok(file.set_content_disposition(ContentDisposition {
        disposition: DispositionType::Attachment,
        parameters: Vec::new(),
    }))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    /// The content of the file at `path`, if it is found.
    fn content(root: &Path, path: &str) -> Option<String> {
        let file = find(Some(root), Path::new(path)).ok()?;
        Some(io::read_to_string(file.file()).unwrap())
    }

    #[test]
    fn files_and_links_of_the_folder_are_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("deps");
        let store = folder.path().join("store");
        fs::create_dir_all(root.join("ubuntu")).unwrap();
        fs::create_dir_all(store.join("more")).unwrap();
        for file in [
            "deps/file",
            "deps/ubuntu/file",
            "store/image",
            "store/more/file",
            "secret",
        ] {
            fs::write(folder.path().join(file), file).unwrap();
        }
        for (target, link) in [
            ("ubuntu/file", "deps/inside"),
            ("../store/image", "deps/image.raw"),
            ("../../store/image", "deps/ubuntu/image.raw"),
            ("../store", "deps/tree"),
            ("ubuntu", "deps/latest"),
            // A link of a link, as from a profile of Nix into its store.
            ("tree/image", "deps/chain"),
            ("missing", "deps/dangling"),
            ("loop", "deps/loop"),
            // The links that are not the folder's own.
            ("../secret", "store/way-out"),
            ("/etc", "store/etc"),
            ("more", "store/inside"),
        ] {
            symlink(target, folder.path().join(link)).unwrap();
        }
        let store = store.display().to_string();
        symlink(format!("{store}/image"), root.join("absolute")).unwrap();
        for (path, expected) in [
            ("file", Some("deps/file")),
            ("ubuntu/file", Some("deps/ubuntu/file")),
            ("inside", Some("deps/ubuntu/file")),
            ("image.raw", Some("store/image")),
            ("absolute", Some("store/image")),
            ("ubuntu/image.raw", Some("store/image")),
            ("latest/image.raw", Some("store/image")),
            ("tree/image", Some("store/image")),
            ("tree/more/file", Some("store/more/file")),
            ("chain", Some("store/image")),
            ("./file", None),
            ("", None),
            ("ubuntu", None),
            ("tree", None),
            ("missing", None),
            ("dangling", None),
            ("loop", None),
            ("file/more", None),
            ("tree/way-out", None),
            ("tree/etc/passwd", None),
            ("tree/inside/file", None),
            ("../secret", None),
            ("tree/../secret", None),
            ("tree/more/../../secret", None),
            ("ubuntu/../../secret", None),
            ("/etc/passwd", None),
            ("fi\0le", None),
        ] {
            assert_eq!(content(&root, path).as_deref(), expected, "{path}");
        }
        assert!(find(None, Path::new("file")).is_err());

        // The folder itself may be a link, as the result of `nix build` is.
        symlink("deps", folder.path().join("result")).unwrap();
        let result = folder.path().join("result");
        assert_eq!(
            content(&result, "image.raw").as_deref(),
            Some("store/image")
        );
    }
}
