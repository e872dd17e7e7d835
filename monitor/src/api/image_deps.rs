//! Files for guests, such as installation media, from the folder `IMAGE_DEPS_DIR`.
//!
//! Guarantees that only guests get them, and that no file outside the folder is read, whatever the path
//! is and wherever a symbolic link leads.

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

/// Opens a file that is below `root`, also after symbolic links are resolved.
fn find(root: Option<&Path>, path: &Path) -> io::Result<NamedFile> {
    let missing = || io::Error::from(ErrorKind::NotFound);
    let root = root.ok_or_else(missing)?.canonicalize()?;
    let is_plain = |component: Component<'_>| matches!(component, Component::Normal(_));
    if !path.components().all(is_plain) {
        return Err(missing());
    }
    let found = root.join(path).canonicalize()?;
    if !found.starts_with(&root) || !found.is_file() {
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

    #[test]
    fn no_path_or_symbolic_link_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("deps");
        fs::create_dir_all(root.join("more")).unwrap();
        for file in ["deps/file", "deps/more/file", "secret"] {
            fs::write(folder.path().join(file), file).unwrap();
        }
        symlink("more/file", root.join("link")).unwrap();
        symlink("../secret", root.join("way-out")).unwrap();
        symlink("..", root.join("up")).unwrap();
        for (path, is_there) in [
            ("file", true),
            ("more/file", true),
            ("link", true),
            ("", false),
            ("more", false),
            ("missing", false),
            ("../secret", false),
            ("more/../../secret", false),
            ("/etc/passwd", false),
            ("way-out", false),
            ("up/secret", false),
            ("fi\0le", false),
        ] {
            let found = find(Some(&root), Path::new(path));
            assert_eq!(found.is_ok(), is_there, "{path}");
        }
        assert!(find(None, Path::new("file")).is_err());
    }
}
