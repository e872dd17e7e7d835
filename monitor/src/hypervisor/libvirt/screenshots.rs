//! Screenshots of guests.
//!
//! Responsible for the rate limit: any client may request a screenshot, and each one costs a process.
//! So one is taken at a time, and a recent one is returned again.

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

use super::{folder::Folder, virsh::Virsh};
use crate::hypervisor::{blocking::blocking, error::HypervisorError, guest::Freshness};

/// Maximum size of a screenshot, in bytes.
const SIZE_MAX: u64 = 16 << 20;
/// Maximum number of cached screenshots.
const COUNT_MAX: usize = 32;
/// Maximum age of a screenshot that counts as recent.
const AGE_MAX: Duration = Duration::from_secs(10);
/// Maximum age of a screenshot that counts as current.
const NOW_AGE_MAX: Duration = Duration::from_millis(500);
/// The first bytes of every PNG.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Takes screenshots, and caches them. Cheap to clone.
#[derive(Clone)]
pub struct Screenshots {
    virsh: Virsh,
    root: Arc<Path>,
    cache: Cache,
    /// Permits one screenshot at a time.
    permit: Arc<Semaphore>,
}

#[derive(Clone, Default)]
struct Cache(Arc<Mutex<BTreeMap<String, Screenshot>>>);

struct Screenshot {
    taken_at: Instant,
    png: Arc<[u8]>,
}

impl Cache {
    fn get(&self, name: &str, freshness: Freshness, now: Instant) -> Option<Arc<[u8]>> {
        let age_max = match freshness {
            Freshness::Recent => AGE_MAX,
            Freshness::Now => NOW_AGE_MAX,
        };
        let screenshots = self.0.lock();
        let screenshot = screenshots.get(name)?;
        (now.duration_since(screenshot.taken_at) <= age_max).then(|| Arc::clone(&screenshot.png))
    }

    fn insert(&self, name: &str, png: Arc<[u8]>, taken_at: Instant) {
        let mut screenshots = self.0.lock();
        screenshots.retain(|_, it| taken_at.duration_since(it.taken_at) <= AGE_MAX);
        if screenshots.len() < COUNT_MAX {
            screenshots.insert(name.to_owned(), Screenshot { taken_at, png });
        }
    }
}

impl Screenshots {
    /// `root` is the folder with the folders of all guests.
    pub fn new(virsh: Virsh, root: Arc<Path>) -> Self {
        Self {
            virsh,
            root,
            cache: Cache::default(),
            permit: Arc::new(Semaphore::new(1)),
        }
    }

    /// The screen of a guest, as a PNG. None if there is no such guest, or it has no screen.
    pub async fn of(
        &self,
        name: &str,
        freshness: Freshness,
    ) -> Result<Option<Arc<[u8]>>, HypervisorError> {
        if let Some(png) = self.cache.get(name, freshness, Instant::now()) {
            return Ok(Some(png));
        }
        let Ok(_permit) = self.permit.acquire().await else {
            return Ok(None);
        };
        // The previous owner of the permit may have taken the same screenshot.
        if let Some(png) = self.cache.get(name, freshness, Instant::now()) {
            return Ok(Some(png));
        }
        let folder = Folder::new(&self.root, name).path();
        let path = folder.join("screenshot.png");
        if let Err(error) = self.virsh.screenshot(name, &path).await {
            log::debug!("failed to take a screenshot of guest {name}: {error}");
            return Ok(None);
        }
        let png = blocking(move || read_png(&path))
            .await
            .map_err(|source| HypervisorError::io("read the screenshot of guest", name, source))?;
        self.cache.insert(name, Arc::clone(&png), Instant::now());
        Ok(Some(png))
    }
}

fn read_png(path: &Path) -> io::Result<Arc<[u8]>> {
    let mut png = Vec::new();
    File::open(path)?.take(SIZE_MAX + 1).read_to_end(&mut png)?;
    if png.len() as u64 > SIZE_MAX {
        return Err(io::Error::other("it is longer than 16 MiB"));
    }
    if !png.starts_with(PNG) {
        // QEMU before 7.1 writes PPM, which no browser displays.
        return Err(io::Error::other(
            "it is not a PNG, which needs QEMU 7.1 or later",
        ));
    }
    Ok(png.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screenshot_is_returned_again_while_it_is_recent_enough() {
        let cache = Cache::default();
        let taken_at = Instant::now();
        cache.insert("a", PNG.into(), taken_at);
        for (age, is_recent, is_now) in [
            (Duration::ZERO, true, true),
            (NOW_AGE_MAX, true, true),
            (Duration::from_secs(1), true, false),
            (AGE_MAX, true, false),
            (AGE_MAX * 2, false, false),
        ] {
            let shown = |freshness| cache.get("a", freshness, taken_at + age).is_some();
            let shown = (shown(Freshness::Recent), shown(Freshness::Now));
            assert_eq!(shown, (is_recent, is_now), "{age:?}");
        }
        assert!(cache.get("b", Freshness::Recent, taken_at).is_none());
    }

    #[test]
    fn the_number_of_cached_screenshots_is_bounded() {
        let cache = Cache::default();
        let taken_at = Instant::now();
        for number in 0..2 * COUNT_MAX {
            cache.insert(&number.to_string(), PNG.into(), taken_at);
        }
        assert_eq!(cache.0.lock().len(), COUNT_MAX);
        cache.insert("a", PNG.into(), taken_at + AGE_MAX * 2);
        assert_eq!(cache.0.lock().len(), 1);
    }

    #[test]
    fn only_a_png_of_bounded_size_is_returned() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("screenshot.png");
        let read = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            read_png(&path).map_err(|error| error.to_string())
        };
        assert_eq!(read(PNG).as_deref(), Ok(PNG));
        assert_eq!(
            read(b"P6\n1 1\n255\n").unwrap_err(),
            "it is not a PNG, which needs QEMU 7.1 or later"
        );
        let mut long = PNG.to_vec();
        long.resize((16 << 20) + 1, 0);
        assert_eq!(read(&long).unwrap_err(), "it is longer than 16 MiB");
    }
}
