//! What is on the screens of guests.
//!
//! Owns how often a picture is taken. Anybody may ask for one, and each costs a process; so one is
//! taken at a time, and one that is young enough is shown again.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Semaphore, time::Instant};

use super::driver::Driver;
use crate::hypervisor::{Freshness, blocking, error::HypervisorError};

/// The largest picture, in bytes.
const PICTURE_SIZE_MAX: u64 = 16 << 20;
/// The most pictures that are remembered.
const PICTURES_MAX: usize = 32;
/// How old one may be that is shown to whoever just looks.
const AGE_MAX: Duration = Duration::from_secs(10);
/// How old one may be that is shown to whoever wants to see what is there now.
const NOW_AGE_MAX: Duration = Duration::from_millis(500);
/// What every PNG begins with.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The pictures that were taken, and the right to take one. Cheap to clone.
#[derive(Clone)]
pub struct Camera {
    pictures: Arc<Mutex<BTreeMap<String, Picture>>>,
    turn: Arc<Semaphore>,
}

#[derive(Clone)]
struct Picture {
    taken_at: Instant,
    png: Arc<[u8]>,
}

impl Default for Camera {
    fn default() -> Self {
        Self {
            pictures: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Camera {
    fn young(&self, name: &str, freshness: Freshness, now: Instant) -> Option<Arc<[u8]>> {
        let age_max = match freshness {
            Freshness::Recent => AGE_MAX,
            Freshness::Now => NOW_AGE_MAX,
        };
        let pictures = self.pictures.lock();
        let picture = pictures.get(name)?;
        (now.duration_since(picture.taken_at) <= age_max).then(|| Arc::clone(&picture.png))
    }

    fn keep(&self, name: &str, png: Arc<[u8]>, taken_at: Instant) {
        let mut pictures = self.pictures.lock();
        pictures.retain(|_, picture| taken_at.duration_since(picture.taken_at) <= AGE_MAX);
        if pictures.len() < PICTURES_MAX {
            pictures.insert(name.to_owned(), Picture { taken_at, png });
        }
    }
}

impl Driver {
    /// What is on the screen of a guest, as a PNG; none if there is no such guest, or it has no
    /// screen.
    pub async fn screenshot(
        &self,
        name: &str,
        freshness: Freshness,
    ) -> Result<Option<Arc<[u8]>>, HypervisorError> {
        if let Some(png) = self.camera.young(name, freshness, Instant::now()) {
            return Ok(Some(png));
        }
        let Ok(_turn) = self.camera.turn.acquire().await else {
            return Ok(None);
        };
        // Whoever had the turn before may have taken this very picture.
        if let Some(png) = self.camera.young(name, freshness, Instant::now()) {
            return Ok(Some(png));
        }
        let path = self.folder(name).path().join("screenshot.png");
        if let Err(error) = self.virsh.screenshot(name, &path).await {
            log::debug!("failed to take a picture of guest {name}: {error}");
            return Ok(None);
        }
        let png = blocking(move || read_png(&path))
            .await
            .map_err(|source| HypervisorError::io("read the picture of guest", name, source))?;
        self.camera.keep(name, Arc::clone(&png), Instant::now());
        Ok(Some(png))
    }
}

fn read_png(path: &Path) -> io::Result<Arc<[u8]>> {
    let mut png = Vec::new();
    File::open(path)?
        .take(PICTURE_SIZE_MAX + 1)
        .read_to_end(&mut png)?;
    if png.len() as u64 > PICTURE_SIZE_MAX {
        return Err(io::Error::other("it is longer than 16 MiB"));
    }
    if !png.starts_with(PNG) {
        // QEMU before 7.1 knows no other format than PPM, which no browser shows.
        return Err(io::Error::other("it is not a PNG; that needs QEMU 7.1"));
    }
    Ok(png.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_shown_again_while_it_is_young_enough() {
        let camera = Camera::default();
        let taken_at = Instant::now();
        camera.keep("a", PNG.into(), taken_at);
        for (age, is_recent, is_now) in [
            (Duration::ZERO, true, true),
            (NOW_AGE_MAX, true, true),
            (Duration::from_secs(1), true, false),
            (AGE_MAX, true, false),
            (AGE_MAX * 2, false, false),
        ] {
            let shown = |freshness| camera.young("a", freshness, taken_at + age).is_some();
            let shown = (shown(Freshness::Recent), shown(Freshness::Now));
            assert_eq!(shown, (is_recent, is_now), "{age:?}");
        }
        assert!(camera.young("b", Freshness::Recent, taken_at).is_none());
    }

    #[test]
    fn only_so_many_pictures_are_remembered_at_once() {
        let camera = Camera::default();
        let taken_at = Instant::now();
        for number in 0..2 * PICTURES_MAX {
            camera.keep(&number.to_string(), PNG.into(), taken_at);
        }
        assert_eq!(camera.pictures.lock().len(), PICTURES_MAX);
        camera.keep("a", PNG.into(), taken_at + AGE_MAX * 2);
        assert_eq!(camera.pictures.lock().len(), 1);
    }

    #[test]
    fn only_a_png_of_bounded_size_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("screenshot.png");
        let read = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            read_png(&path).map_err(|error| error.to_string())
        };
        assert_eq!(read(PNG).as_deref(), Ok(PNG));
        assert_eq!(
            read(b"P6\n1 1\n255\n").unwrap_err(),
            "it is not a PNG; that needs QEMU 7.1"
        );
        let mut long = PNG.to_vec();
        long.resize((16 << 20) + 1, 0);
        assert_eq!(read(&long).unwrap_err(), "it is longer than 16 MiB");
    }
}
